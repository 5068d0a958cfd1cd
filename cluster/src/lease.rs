//! The serving lease: why a node that serves a kept answer cannot have missed an acknowledged
//! purge, though nobody's clock is compared and the leader may die. Pure but for the one atomic
//! that every request reads; the asking is done in `control/raft/leases.rs`.
//!
//! *Asking.* A node asks all voters at once and notes when it did. A voter that grants remembers
//! for [`MEMORY`] to whom, and which index the asker said it had applied; its grant carries an
//! index: what the voter itself has applied, on disk, and at least the entry that made its voters
//! what they are. The asker holds the lease for [`VALIDITY`] from the moment it *asked*, once a
//! majority granted and its own state has reached every index in those grants.
//!
//! *Settling.* Index p is settled once a majority of voters has said so. A voter says so when it
//! has applied p, and everybody it granted to has told it of applying p or is past its `MEMORY`.
//!
//! *Why that is enough.* Take any lease and any settled p: two majorities share a voter v.
//! - v granted before it said settled: then it remembered the holder when asked to settle. Either
//!   the holder had told of applying p, and it never un-applies; or the grant had outlived
//!   `MEMORY`, which began after the holder asked and is longer than `VALIDITY` by two per cent
//!   and a tenth of a second, so the lease has run out on any clock that is not further off in
//!   *rate*; what the clocks show is never compared.
//! - v granted after it said settled: v had applied p, so the grant carries p or more, and the
//!   lease does not hold before its holder has applied p.
//!
//! No leader appears in this, so none can break it by dying. A voter that starts again has lost
//! its memory, not its file: what it applied is on disk, and for one `MEMORY` from its start it
//! settles nothing. A frozen holder reads its own clock at every request and finds the lease run
//! out; a frozen voter's grant counts from when it was asked for. Who cannot hear is refused more
//! time by voters that owe it an index it has not told of, so its asking cannot hold a purge up.
//!
//! *Voters that change.* A grant counts only among voters who name the same entry as the one that
//! made them voters. After its voters changed, or a snapshot skipped over changes, a voter settles
//! nothing for one `MEMORY`: any lease among the earlier voters was asked for before a majority of
//! them had agreed to go, which is before this voter could count the new ones. And an index that
//! was settled among earlier voters stands in the log before the entry of the later ones, which
//! every later grant carries.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;

/// How long a lease holds from the moment it was asked for.
pub(crate) const VALIDITY: Duration = Duration::from_secs(3);
/// How long a voter remembers a grant.
pub(crate) const MEMORY: Duration = Duration::from_millis(3160);
/// Between two renewals.
pub(crate) const RENEWAL: Duration = Duration::from_millis(500);
/// A node whose tasks did not run for so long gives its lease up before it does anything else.
pub(crate) const STALL: Duration = Duration::from_millis(500);
/// Askers a voter remembers; one more is refused, and serves without keeping.
const HOLDERS_COUNT_MAX: usize = 1024;
/// Rounds whose grants are still awaited; beyond it the oldest is given up.
const ROUNDS_COUNT_MAX: usize = 64;

const NEVER: u64 = 0;
const ALWAYS: u64 = u64::MAX;

/// Whether this node may serve what it has kept. Read by every request: one atomic and one look
/// at the monotonic clock, never at a clock that somebody else keeps up to date, because a node
/// that wakes from a freeze would find the old time there.
#[derive(Debug)]
pub struct Lease {
    begin: Instant,
    /// Microseconds after `begin` at which it ends.
    until: AtomicU64,
}

impl Lease {
    /// A node without peers has nobody to miss a purge from.
    #[must_use]
    pub fn always() -> Lease {
        Lease {
            begin: Instant::now(),
            until: AtomicU64::new(ALWAYS),
        }
    }

    pub(crate) fn none(now: Instant) -> Lease {
        Lease {
            begin: now,
            until: AtomicU64::new(NEVER),
        }
    }

    /// Whether it holds now.
    #[must_use]
    pub fn holds(&self) -> bool {
        match self.until.load(Ordering::Acquire) {
            ALWAYS => true,
            NEVER => false,
            until => self.begin.elapsed().as_micros() < u128::from(until),
        }
    }

    /// How much longer it holds; zero where it does not.
    #[must_use]
    pub fn left(&self) -> Duration {
        match self.until.load(Ordering::Acquire) {
            ALWAYS => Duration::MAX,
            until => Duration::from_micros(until).saturating_sub(self.begin.elapsed()),
        }
    }

    /// It holds until `end`, or longer if it did.
    pub(crate) fn extend(&self, end: Instant) {
        let micros = end.saturating_duration_since(self.begin).as_micros();
        let micros = u64::try_from(micros).unwrap_or(NEVER).min(ALWAYS - 1);
        self.until.fetch_max(micros, Ordering::Release);
    }

    /// It holds no longer.
    pub(crate) fn give_up(&self) {
        self.until.store(NEVER, Ordering::Release);
    }
}

/// What tells one set of voters from another: index, term and author of the entry that made it.
pub(crate) type VotersMark = (u64, u64, u64);

/// Whether these are a majority of every set. Of nobody there is none.
pub(crate) fn is_majority(sets: &[BTreeSet<u64>], has: impl Fn(u64) -> bool) -> bool {
    !sets.is_empty()
        && sets.iter().all(|set| {
            let present = set.iter().filter(|voter| has(**voter)).count();
            present * 2 > set.len()
        })
}

/// The asker's side: rounds of asking, and what came back.
#[derive(Debug, Default)]
pub(crate) struct Holding {
    rounds: BTreeMap<u64, Round>,
    next: u64,
}

#[derive(Debug)]
struct Round {
    asked: Instant,
    sets: Vec<BTreeSet<u64>>,
    grants: BTreeMap<u64, u64>,
}

impl Holding {
    /// All voters are about to be asked; the number of the round.
    pub(crate) fn ask(&mut self, now: Instant, sets: Vec<BTreeSet<u64>>) -> u64 {
        self.rounds.retain(|_, round| now < round.asked + VALIDITY);
        while self.rounds.len() >= ROUNDS_COUNT_MAX {
            self.rounds.pop_first();
        }
        self.next += 1;
        let round = Round {
            asked: now,
            sets,
            grants: BTreeMap::new(),
        };
        self.rounds.insert(self.next, round);
        self.next
    }

    /// `voter` granted in `round`, to whoever has applied `index`.
    pub(crate) fn granted(&mut self, round: u64, voter: u64, index: u64) {
        if let Some(round) = self.rounds.get_mut(&round) {
            round.grants.insert(voter, index);
        }
    }

    /// Until when the lease holds for a state that has reached `applied`; none: it does not.
    pub(crate) fn until(&self, applied: u64) -> Option<Instant> {
        let good = self.rounds.values().rev().find(|round| {
            let reached = |voter| {
                round
                    .grants
                    .get(&voter)
                    .is_some_and(|index| *index <= applied)
            };
            is_majority(&round.sets, reached)
        });
        good.map(|round| round.asked + VALIDITY)
    }

    /// Whatever was asked for before counts no longer.
    pub(crate) fn forget(&mut self) {
        self.rounds.clear();
    }
}

/// How a voter stands when it is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stand {
    /// What it has applied, on disk.
    pub(crate) applied: u64,
    /// Which voters it counts.
    pub(crate) mark: VotersMark,
    /// Since when it counts them; its own start at the earliest.
    pub(crate) since: Instant,
}

/// The voter's side: what it granted to whom.
#[derive(Debug, Default)]
pub(crate) struct Granted {
    holders: BTreeMap<u64, Holder>,
    /// The highest index that is waited for.
    owed: u64,
}

#[derive(Debug)]
struct Holder {
    until: Instant,
    applied: u64,
}

/// What a voter says when asked to settle an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owing {
    /// Nobody it granted to can be without it.
    Nobody,
    /// Somebody may be, until then at the latest.
    Until(Instant),
    /// It cannot say: it has not applied the index itself, or counts other voters.
    Unsaid,
}

impl Granted {
    /// `holder`, who has applied `applied`, asks: the index that the grant carries.
    pub(crate) fn ask(
        &mut self,
        now: Instant,
        (holder, applied): (u64, u64),
        mark: VotersMark,
        stand: &Stand,
    ) -> Option<u64> {
        self.holders.retain(|_, holder| now < holder.until);
        if let Some(held) = self.holders.get_mut(&holder) {
            held.applied = held.applied.max(applied);
        }
        let is_full =
            self.holders.len() >= HOLDERS_COUNT_MAX && !self.holders.contains_key(&holder);
        if mark != stand.mark || applied < self.owed || is_full {
            return None;
        }
        let until = now + MEMORY;
        let held = self
            .holders
            .entry(holder)
            .or_insert(Holder { until, applied });
        held.until = held.until.max(until);
        Some(stand.applied.max(stand.mark.0))
    }

    /// Whether anybody may serve without `index`.
    pub(crate) fn owing(
        &mut self,
        now: Instant,
        index: u64,
        mark: VotersMark,
        stand: &Stand,
    ) -> Owing {
        self.owed = self.owed.max(index);
        if stand.applied < index || mark != stand.mark {
            return Owing::Unsaid;
        }
        let lacking = self
            .holders
            .values()
            .filter(|holder| holder.applied < index)
            .map(|holder| holder.until);
        let last = lacking.chain([stand.since + MEMORY]).max();
        match last.filter(|until| now < *until) {
            None => Owing::Nobody,
            Some(until) => Owing::Until(until),
        }
    }
}

#[cfg(test)]
mod tests;
