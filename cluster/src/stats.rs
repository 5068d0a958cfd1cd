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
    /// Answers taken over from the owner before.
    pub inherited: Count,
    /// Copies of hot answers taken in.
    pub copied: Count,
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
