//! How the agreement stands, for people. Nothing is decided from it: some of it is a rumour.

use std::time::Duration;

use crate::node::NodeId;

/// How the agreement stands, as this node has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// What this node is in it: `alone`, `leader`, `follower`, `candidate`, `learner`, `stopped`.
    pub role: &'static str,
    /// Who leads, as far as this node has heard; it may be wrong.
    pub leader: Option<NodeId>,
    /// The number of the reign.
    pub term: u64,
    /// Who votes, by name.
    pub voters: Vec<NodeId>,
    /// Who only listens, by name.
    pub learners: Vec<NodeId>,
    /// Whether the voters are being changed.
    pub changing: bool,
    /// The index of the last command in this node's state.
    pub applied: u64,
    /// The index of the last entry in this node's log, agreed or not.
    pub written: u64,
    /// For a leader: how long ago a majority last answered it.
    pub quorum_contact: Option<Duration>,
    /// Whether this node may serve kept answers now.
    pub holds_lease: bool,
    /// What has gone wrong for good, in words for the operator.
    pub trouble: Option<String>,
}

impl Standing {
    /// A node without peers: it agrees with itself.
    pub(in crate::control) fn alone(index: u64) -> Standing {
        Standing {
            role: "alone",
            leader: None,
            term: 0,
            voters: Vec::new(),
            learners: Vec::new(),
            changing: false,
            applied: index,
            written: index,
            quorum_contact: None,
            holds_lease: true,
            trouble: None,
        }
    }
}
