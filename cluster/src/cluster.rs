//! The handle to the cluster: a node alone is a ring of one and runs the same code. It holds the
//! parts together; what they do is written in them.

use crate::budget::Budget;
use crate::fill::{Fill, Terms};
use crate::flight::{FlightLimits, Flights};
use crate::key::Key;
use crate::node::{Member, NodeId};
use crate::ring::Ring;
use crate::stats::Stats;
use crate::sync::Arc;
use crate::tape::Tape;
use crate::tasks::Tasks;

/// This node's end of the cluster.
pub struct Cluster {
    me: NodeId,
    ring: Ring,
    budget: Budget,
    pub(crate) fill: std::sync::Arc<dyn Fill>,
    /// Flights of keys that this node owns.
    pub(crate) owned: Arc<Flights>,
    /// Flights that this node leads for its own callers and owns nothing of. Apart, because a
    /// forwarded ask may only ever wait on the first table: so no two nodes wait on each other.
    pub(crate) asked: Arc<Flights>,
    pub(crate) tasks: Tasks,
    pub(crate) stats: Stats,
}

impl Cluster {
    /// A node without peers.
    pub fn solo(
        me: NodeId,
        fill: std::sync::Arc<dyn Fill>,
        limits: FlightLimits,
        budget: Budget,
        tasks: Tasks,
    ) -> Cluster {
        let myself = Member {
            id: me.clone(),
            zone: "".into(),
            weight: Member::WEIGHT,
        };
        Cluster {
            me,
            ring: Ring::of([myself]),
            fill,
            owned: Arc::new(Flights::new(limits, budget.clone())),
            asked: Arc::new(Flights::new(limits, budget.clone())),
            budget,
            tasks,
            stats: Stats::default(),
        }
    }

    /// This node.
    pub fn me(&self) -> &NodeId {
        &self.me
    }

    /// The node that owns a key.
    pub fn owner(&self, key: &Key) -> NodeId {
        self.ring.owner(key, |_| true).unwrap_or(&self.me).clone()
    }

    /// Kept answers, in the order of the keys: one look at each owner, never a flight.
    pub async fn look(&self, keys: &[Key], terms: &Terms) -> Vec<Option<Tape>> {
        self.fill.look(keys, terms).await
    }

    /// Flights in the air.
    pub fn flights(&self) -> usize {
        self.owned.count() + self.asked.count()
    }

    /// Bytes of recordings in the air.
    pub fn bytes_in_flight(&self) -> u64 {
        self.budget.used()
    }

    /// What has happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }
}
