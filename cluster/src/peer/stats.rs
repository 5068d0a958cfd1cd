//! What happened between this node and its peers, as plain counters; and the reasons for which a
//! peer is refused, each counted and each told at most once a minute. It only counts.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::stats::Count;

/// Each reason for a refusal is told at most this often.
const TOLD_EVERY: Duration = Duration::from_secs(60);

/// Counters since the start of the node.
#[derive(Debug, Default)]
pub struct PeerStats {
    /// Calls made.
    pub calls: Count,
    /// Calls heard.
    pub heard: Count,
    /// Connections made to others.
    pub dialled: Count,
    /// Dials that reached nobody.
    pub unreached: Count,
    /// Connections let in.
    pub welcomed: Count,
    /// Connections, either way, whose other end stopped to echo.
    pub fainted: Count,
    /// Calls reset because their caller stopped reading.
    pub stalled: Count,
    /// Calls that found every connection full.
    pub crowded: Count,
    /// Asks that were not understood.
    pub misspelled: Count,
    /// Arrivals refused, by reason.
    pub refused: RefusedCounts,
    /// Dials refused, by reason, at either end.
    pub refused_us: RefusedCounts,
}

/// One counter for each [`Denial`].
#[derive(Debug, Default)]
pub struct RefusedCounts {
    counts: [Count; Denial::ALL.len()],
    told: Mutex<[Option<Instant>; Denial::ALL.len()]>,
}

/// Why a connection is refused. The order is part of the hello: append only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Denial {
    /// The transport's handshake failed: a stranger, or one with another cluster's secret.
    Handshake,
    /// What followed the handshake was no hello.
    NoHello,
    /// Nothing, or not everything, came in time.
    Slow,
    /// Another major version of the protocol.
    Version,
    /// Another installation key: another store, another cluster.
    Installation,
    /// The name is not the one that was proved.
    Identity,
    /// It looks for another node than this one.
    Misdirected,
    /// A kind of connection that this release does not know.
    Class,
    /// There are as many connections as there may be.
    Crowded,
    /// The connection ended before anything was proved: the network's doing, and not told.
    Torn,
}

impl Denial {
    pub(super) const ALL: [Denial; 10] = [
        Denial::Handshake,
        Denial::NoHello,
        Denial::Slow,
        Denial::Version,
        Denial::Installation,
        Denial::Identity,
        Denial::Misdirected,
        Denial::Class,
        Denial::Crowded,
        Denial::Torn,
    ];

    /// The reason in a word.
    pub fn name(self) -> &'static str {
        match self {
            Denial::Handshake => "handshake",
            Denial::NoHello => "no-hello",
            Denial::Slow => "slow",
            Denial::Version => "version",
            Denial::Installation => "installation",
            Denial::Identity => "identity",
            Denial::Misdirected => "misdirected",
            Denial::Class => "class",
            Denial::Crowded => "crowded",
            Denial::Torn => "torn",
        }
    }
}

impl RefusedCounts {
    /// How many for this reason.
    pub fn get(&self, reason: Denial) -> u64 {
        self.counts[reason as usize].get()
    }

    /// How many in all.
    pub fn all(&self) -> u64 {
        self.counts.iter().map(Count::get).sum()
    }

    /// Every reason with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Denial, u64)> {
        Denial::ALL
            .into_iter()
            .map(|reason| (reason, self.get(reason)))
    }

    /// Counts one; whether it is time to tell of it.
    pub(super) fn add(&self, reason: Denial) -> bool {
        self.counts[reason as usize].add();
        let now = Instant::now();
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let last = &mut told[reason as usize];
        let due = last.is_none_or(|last| now.duration_since(last) >= TOLD_EVERY);
        if due {
            *last = Some(now);
        }
        due
    }
}
