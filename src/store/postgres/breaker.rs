//! When to stop asking a server that does not answer, and when to try again. Pure: it is told the
//! time, as what has passed since some beginning, and what became of each call; it asks nobody,
//! waits for nothing and logs nothing.
//!
//! A call that took too long, one that found no connection and one that failed all count alike: a
//! frozen server sends no error, and it is the one that hurts.

use std::time::Duration;

/// So many failures in a row open it.
pub(super) const IN_A_ROW: u32 = 5;
/// The calls of so long are looked at together; ten seconds as ten buckets of one.
const WINDOW_SECONDS: u64 = 10;
/// Of so many calls at least, half must have failed.
pub(super) const WINDOW_CALLS: u32 = 20;
/// The first pause; each further one is twice as long.
pub(super) const PAUSE_FIRST: Duration = Duration::from_secs(2);
/// The longest pause.
pub(super) const PAUSE_MAX: Duration = Duration::from_secs(30);
/// What a pause is longer or shorter by, at most, in hundredths: nodes that lost one server together
/// do not come back to it together.
const JITTER_PERCENT: u64 = 25;

/// Whether a call may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    /// Yes.
    Pass(Ticket),
    /// Yes, and it decides for all others, which wait for it.
    Probe(Ticket),
    /// No.
    Refused,
}

/// What an admitted call hands back with its end. One that was admitted before the breaker last
/// changed says nothing about now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ticket(u64);

/// A change worth a line in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// Calls are refused from now on; a probe is due after the pause.
    Opened { pause: Duration },
    /// Calls are let through again, after so long.
    Closed { after: Duration },
}

/// One server's, for one kind of calls.
#[derive(Debug)]
pub(super) struct Breaker {
    state: State,
    /// Raised with each change of state; what tickets carry.
    round: u64,
    in_a_row: u32,
    buckets: [Bucket; WINDOW_SECONDS as usize],
    pause: Duration,
    /// When it last closed after having been open.
    closed_at: Option<Duration>,
    jitter: u64,
}

#[derive(Clone, Copy, Debug)]
enum State {
    Closed,
    Open { since: Duration, until: Duration },
    Probing { since: Duration },
}

/// The calls of one second.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    second: u64,
    calls: u32,
    failed: u32,
}

impl Breaker {
    /// Closed. Two breakers with one seed pause alike.
    pub(super) fn new(seed: u64) -> Breaker {
        Breaker {
            state: State::Closed,
            round: 0,
            in_a_row: 0,
            buckets: Default::default(),
            pause: PAUSE_FIRST,
            closed_at: None,
            jitter: seed,
        }
    }

    /// Whether a call may be made now. Whoever is admitted must [`Breaker::settle`].
    pub(super) fn admit(&mut self, now: Duration) -> Admission {
        match self.state {
            State::Closed => Admission::Pass(Ticket(self.round)),
            State::Open { since, until } if now >= until => {
                self.enter(State::Probing { since });
                Admission::Probe(Ticket(self.round))
            }
            State::Open { .. } | State::Probing { .. } => Admission::Refused,
        }
    }

    /// Tells what became of an admitted call.
    pub(super) fn settle(&mut self, now: Duration, ticket: Ticket, well: bool) -> Option<Change> {
        if ticket.0 != self.round {
            return None;
        }
        match self.state {
            State::Closed => {
                self.count(now, well);
                self.worn_out(now).then(|| self.open(now))
            }
            State::Probing { since } if well => Some(self.close(now, since)),
            State::Probing { since } => {
                self.pause_again(now, since);
                None
            }
            State::Open { .. } => None,
        }
    }

    /// Opens it because of what is known otherwise, as that a server could not be reached at start.
    pub(super) fn trip(&mut self, now: Duration) -> Option<Change> {
        matches!(self.state, State::Closed).then(|| self.open(now))
    }

    /// Whether calls are let through.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    fn count(&mut self, now: Duration, well: bool) {
        self.in_a_row = if well { 0 } else { self.in_a_row + 1 };
        let second = now.as_secs();
        let bucket = &mut self.buckets[(second % WINDOW_SECONDS) as usize];
        if bucket.second != second {
            *bucket = Bucket {
                second,
                ..Bucket::default()
            };
        }
        bucket.calls += 1;
        bucket.failed += u32::from(!well);
    }

    fn worn_out(&self, now: Duration) -> bool {
        let recent = |bucket: &&Bucket| now.as_secs() - bucket.second < WINDOW_SECONDS;
        let (calls, failed) = self
            .buckets
            .iter()
            .filter(recent)
            .fold((0, 0), |(calls, failed), bucket| {
                (calls + bucket.calls, failed + bucket.failed)
            });
        self.in_a_row >= IN_A_ROW || (calls >= WINDOW_CALLS && failed * 2 >= calls)
    }

    /// A server that fails again soon after it came back is given longer, not the first pause.
    fn open(&mut self, now: Duration) -> Change {
        let steady = Duration::from_secs(WINDOW_SECONDS);
        let relapse = self
            .closed_at
            .is_some_and(|closed_at| now.saturating_sub(closed_at) < steady);
        self.pause = if relapse {
            (self.pause * 2).min(PAUSE_MAX)
        } else {
            PAUSE_FIRST
        };
        let pause = self.jittered();
        self.enter(State::Open {
            since: now,
            until: now + pause,
        });
        Change::Opened { pause }
    }

    fn pause_again(&mut self, now: Duration, since: Duration) {
        self.pause = (self.pause * 2).min(PAUSE_MAX);
        let until = now + self.jittered();
        self.enter(State::Open { since, until });
    }

    fn close(&mut self, now: Duration, since: Duration) -> Change {
        self.enter(State::Closed);
        (self.in_a_row, self.buckets) = (0, Default::default());
        self.closed_at = Some(now);
        Change::Closed {
            after: now.saturating_sub(since),
        }
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.round += 1;
    }

    /// The pause, a little longer or shorter (splitmix64, from the seed on).
    fn jittered(&mut self) -> Duration {
        self.jitter = self.jitter.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.jitter;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^= mixed >> 31;
        let percent = 100 - JITTER_PERCENT + mixed % (2 * JITTER_PERCENT + 1);
        self.pause * percent as u32 / 100
    }
}

#[cfg(test)]
mod tests;
