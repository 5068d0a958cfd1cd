//! What happened at this node's end of the cluster, as plain counters. It only counts.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters since the start of the node.
#[derive(Debug, Default)]
pub struct Stats {
    /// Answers found in memory at the first look.
    pub kept: Count,
    /// Flights begun.
    pub led: Count,
    /// Callers who followed another's flight.
    pub followed: Count,
    /// Answers made outside the table.
    pub alone: Count,
    /// Callers who asked again because the flight they followed could not be theirs.
    pub again: Count,
    /// Asks that went to another node than the first, or ended here, because nothing was heard.
    pub rerouted: Count,
    /// Asks that were told of another owner.
    pub elsewhere: Count,
    /// Answers from other nodes that broke off.
    pub lost: Count,
    /// Asks whose home could not be asked: another region stood in for it.
    pub stood_in: Count,
    /// Answers taken over from the owner before.
    pub inherited: Count,
    /// Copies taken in of answers that are hot, or at home in another region.
    pub copied: Count,
    /// Kept answers that were given to who owns their keys now, and taken in there.
    pub handoff_pushed: Count,
    /// The same that were not: void by then, too long, or their owner could not be asked.
    pub handoff_refused: Count,
    /// Kept answers that others gave to this node.
    pub handoff_taken: Count,
}

/// One counter.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// One more.
    pub(crate) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}
