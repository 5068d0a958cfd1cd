//! What a replica is told at its start: who it is, where its file lies, and how long things may
//! take. Plain data.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use smol_str::SmolStr;
use tokio::sync::watch;

use crate::node::Member;
use crate::view::View;

/// Who a replica is and where it keeps what is agreed.
pub struct ReplicaSettings {
    /// This node.
    pub me: Member,
    /// Its number among those who agree: drawn at random when the file is made, and thrown away
    /// together with the file. A file under another number is refused, and an empty file under an
    /// old number would make this node break its word: never keep one without the other.
    pub replica: u64,
    /// The file.
    pub path: PathBuf,
    /// Who is here, as gossip has it.
    pub view: watch::Receiver<Arc<View>>,
    /// Where voters may stand; none: in the region of whoever leads.
    pub voter_region: Option<SmolStr>,
    /// How long things may take.
    pub timers: Timers,
}

/// How long things may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// Between two words of a leader; three round trips between voters at least.
    pub heartbeat: Duration,
    /// The silence after which others vote, drawn between the two.
    pub election: (Duration, Duration),
    /// The longest a proposal waits for its outcome.
    pub propose_patience: Duration,
    /// How often ring and voters are looked at.
    pub pilot_every: Duration,
    /// How long a ready node is seen before it joins the ring.
    pub join_after: Duration,
    /// How long a node is gone before ring and voters go on without it.
    pub gone_after: Duration,
    /// How long a learner is seen before it may vote.
    pub stable_after: Duration,
    /// Between two changes of voters.
    pub change_pause: Duration,
}

impl Default for Timers {
    /// For voters in one region.
    fn default() -> Self {
        Timers {
            heartbeat: Duration::from_millis(100),
            election: (Duration::from_millis(400), Duration::from_millis(600)),
            propose_patience: Duration::from_secs(10),
            pilot_every: Duration::from_millis(500),
            join_after: Duration::from_secs(3),
            gone_after: Duration::from_secs(60),
            stable_after: Duration::from_secs(10),
            change_pause: Duration::from_secs(10),
        }
    }
}
