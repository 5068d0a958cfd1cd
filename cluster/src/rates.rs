//! How often each key is asked for, about: enough to tell the few that are hot. A fixed table of
//! counters indexed by the key; two keys on one counter make each look hotter than it is, which
//! costs a copy. It never grows and never locks.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::Instant;

use crate::key::Key;

/// Asks a second from which a key is worth a copy where it is asked for.
pub(crate) const HOT_ASKS_PER_SECOND: u32 = 5;

/// Counters; eight bytes each.
const COUNTERS: usize = 8_192;

/// Asks of this second and of the one before, key by key.
pub(crate) struct Rates {
    since: Instant,
    /// Second (32 bits), asks in the second before it (16), asks in it (16).
    counters: Box<[AtomicU64]>,
}

impl Default for Rates {
    fn default() -> Rates {
        Rates {
            since: Instant::now(),
            counters: (0..COUNTERS).map(|_| AtomicU64::new(0)).collect(),
        }
    }
}

impl Rates {
    /// Counts one ask; the asks a second, this one among them.
    pub(crate) fn ask(&self, key: &Key) -> u32 {
        let second = self.since.elapsed().as_secs() as u32;
        let counter = &self.counters[key.prefix() as usize % COUNTERS];
        // Lost races lose a count, which an estimate may.
        let counted = counted(counter.load(Ordering::Relaxed), second);
        counter.store(counted, Ordering::Relaxed);
        rate(counted)
    }
}

/// A counter after one more ask in `second`.
fn counted(counter: u64, second: u32) -> u64 {
    let (then, before, now) = (
        (counter >> 32) as u32,
        (counter >> 16) as u16,
        counter as u16,
    );
    let (before, now) = match second.wrapping_sub(then) {
        0 => (before, now.saturating_add(1)),
        1 => (now, 1),
        _ => (0, 1),
    };
    u64::from(second) << 32 | u64::from(before) << 16 | u64::from(now)
}

fn rate(counter: u64) -> u32 {
    let (before, now) = ((counter >> 16) as u16, counter as u16);
    u32::from(before.max(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_the_better_of_this_second_and_the_one_before() {
        // (asks as (second, how many)), the rate after them
        let table: &[(&[(u32, u32)], u32)] = &[
            (&[(0, 1)], 1),
            (&[(0, 7)], 7),
            (&[(0, 7), (1, 1)], 7),
            (&[(0, 7), (1, 9)], 9),
            (&[(0, 7), (2, 1)], 1),
            (&[(0, 7), (1, 1), (2, 1)], 1),
            (&[(0, 70_000)], 65_535),
        ];
        for (asks, expected) in table {
            let mut counter = 0;
            for (second, times) in *asks {
                for _ in 0..*times {
                    counter = counted(counter, *second);
                }
            }
            assert_eq!(rate(counter), *expected, "{asks:?}");
        }
    }
}
