//! The memory of what was asked: every call numbered, the last ones kept with their chunk times,
//! so that a test can count and be the judge of delays. Bounded; holds digests, never a credential
//! and never a prompt.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;
use serde::ser::SerializeStruct;
use tokio::time::Instant;

/// Chunk times kept of one call.
const CHUNK_TIMES_MAX: usize = 16_384;
/// Prompts counted for `times=N`; past that the count starts anew, which only repeats a fault.
const PROMPTS_MAX: usize = 65_536;

/// The first eight bytes of a blake3 digest, enough to tell apart, useless to guess from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Digest(u64);

impl Digest {
    /// Digests some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        let hash = blake3::hash(bytes);
        Self(
            hash.as_bytes()
                .iter()
                .take(8)
                .fold(0, |all, byte| all << 8 | u64::from(*byte)),
        )
    }

    /// As a number, to draw words and vectors from.
    pub(super) fn seed(self) -> u64 {
        self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// How a call came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum End {
    /// Still under way.
    Open,
    /// The whole answer was handed to the connection.
    Complete,
    /// Broken off on purpose: cut, hung, an error event.
    Failed,
    /// The asker went away first.
    Abandoned,
}

impl End {
    fn name(self) -> &'static str {
        ["open", "complete", "failed", "abandoned"][self as usize]
    }
}

/// What the asker sent, as far as it is remembered.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path, as asked.
    pub path: String,
    /// The model, `""` where none was named.
    pub model: String,
    /// Of the `Authorization` or `x-api-key` value, its scheme left out.
    pub credential: Option<Digest>,
    /// Of the prompt's text.
    pub prompt: Digest,
    /// Inputs of an embeddings batch, else 1.
    pub items: usize,
    /// Asked as a stream.
    pub stream: bool,
}

/// One call: what was asked, when, and what came of it.
#[derive(Debug)]
pub struct Call {
    /// Its number, from 1, never given twice by one server.
    pub number: u64,
    /// When it arrived, in microseconds of unix time.
    pub began_micros: u64,
    /// What was asked.
    pub asked: Asked,
    chunks_micros: Mutex<Vec<u64>>,
    status: AtomicU64,
    end: AtomicU8,
}

impl Call {
    /// When each piece was handed to the connection, in microseconds of unix time.
    pub fn chunks_micros(&self) -> Vec<u64> {
        lock(&self.chunks_micros).clone()
    }

    /// The status it was answered with, 0 before that.
    pub fn status(&self) -> u16 {
        self.status.load(Ordering::Relaxed) as u16
    }

    /// How it came out.
    pub fn end(&self) -> End {
        let ends = [End::Open, End::Complete, End::Failed, End::Abandoned];
        ends[usize::from(self.end.load(Ordering::Relaxed)) % ends.len()]
    }

    pub(super) fn answered(&self, status: u16) {
        self.status.store(status.into(), Ordering::Relaxed);
    }

    pub(super) fn wrote(&self, now_micros: u64) {
        let mut times = lock(&self.chunks_micros);
        if times.len() < CHUNK_TIMES_MAX {
            times.push(now_micros);
        }
    }

    /// Settles how the call came out; only the first word counts.
    pub(super) fn ended(&self, end: End) {
        let open = End::Open as u8;
        let (order, failed) = (Ordering::Relaxed, Ordering::Relaxed);
        let _ = self.end.compare_exchange(open, end as u8, order, failed);
    }
}

impl Serialize for Call {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut call = serializer.serialize_struct("Call", 11)?;
        call.serialize_field("call", &self.number)?;
        call.serialize_field("began_micros", &self.began_micros)?;
        call.serialize_field("path", &self.asked.path)?;
        call.serialize_field("model", &self.asked.model)?;
        call.serialize_field("credential", &self.asked.credential.map(|c| c.to_string()))?;
        call.serialize_field("prompt", &self.asked.prompt.to_string())?;
        call.serialize_field("items", &self.asked.items)?;
        call.serialize_field("stream", &self.asked.stream)?;
        call.serialize_field("status", &self.status())?;
        call.serialize_field("end", self.end().name())?;
        call.serialize_field("chunks_micros", &self.chunks_micros())?;
        call.end()
    }
}

/// Counts since the start or the last reset.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Totals {
    /// Calls taken.
    pub calls: u64,
    /// Of them, asked as streams.
    pub streams: u64,
    /// Inputs asked for: one a call, for embeddings one a text.
    pub items: u64,
}

/// The log: totals for ever, the last `kept_max` calls in full.
#[derive(Debug)]
pub struct Calls {
    kept_max: usize,
    clock: Clock,
    next: AtomicU64,
    log: Mutex<Log>,
    seen: Mutex<HashMap<Digest, u32>>,
}

#[derive(Debug, Default)]
struct Log {
    totals: Totals,
    kept: VecDeque<Arc<Call>>,
}

impl Calls {
    pub(super) fn new(kept_max: usize) -> Self {
        Self {
            kept_max,
            clock: Clock::start(),
            next: AtomicU64::new(1),
            log: Mutex::default(),
            seen: Mutex::default(),
        }
    }

    /// Counts so far.
    pub fn totals(&self) -> Totals {
        lock(&self.log).totals
    }

    /// The last `most` calls, oldest first.
    pub fn last(&self, most: usize) -> Vec<Arc<Call>> {
        let log = lock(&self.log);
        log.kept
            .iter()
            .skip(log.kept.len().saturating_sub(most))
            .cloned()
            .collect()
    }

    /// Forgets calls and counts. Numbers go on, so that no two answers share an id.
    pub fn reset(&self) {
        *lock(&self.log) = Log::default();
        lock(&self.seen).clear();
    }

    /// Now, in microseconds of unix time; follows a paused test clock.
    pub(super) fn now_micros(&self) -> u64 {
        self.clock.now_micros()
    }

    /// Writes a call down and numbers it.
    pub(super) fn begin(&self, asked: Asked) -> Arc<Call> {
        let call = Arc::new(Call {
            number: self.next.fetch_add(1, Ordering::Relaxed),
            began_micros: self.now_micros(),
            asked,
            chunks_micros: Mutex::default(),
            status: AtomicU64::new(0),
            end: AtomicU8::new(End::Open as u8),
        });
        let mut log = lock(&self.log);
        log.totals.calls += 1;
        log.totals.streams += u64::from(call.asked.stream);
        log.totals.items += call.asked.items as u64;
        if log.kept.len() >= self.kept_max {
            log.kept.pop_front();
        }
        log.kept.push_back(call.clone());
        call
    }

    /// How many calls with this prompt were counted before this one.
    pub(super) fn seen(&self, prompt: Digest) -> u32 {
        let mut seen = lock(&self.seen);
        if seen.len() >= PROMPTS_MAX {
            seen.clear();
        }
        let count = seen.entry(prompt).or_default();
        *count = count.saturating_add(1);
        *count - 1
    }
}

/// Unix time read once, carried on by tokio's clock: it cannot jump, and a paused test steers it.
#[derive(Debug)]
struct Clock {
    start: Instant,
    start_micros: u64,
}

impl Clock {
    #[expect(
        clippy::disallowed_methods,
        reason = "a simulated provider is its own shell"
    )]
    fn start() -> Self {
        let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let start_micros = unix.map_or(0, |since| since.as_micros() as u64);
        Self {
            start: Instant::now(),
            start_micros,
        }
    }

    fn now_micros(&self) -> u64 {
        self.start_micros + self.start.elapsed().as_micros() as u64
    }
}

/// A log with a half-made entry is still a log.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(prompt: &str, items: usize) -> Asked {
        let prompt = Digest::of(prompt.as_bytes());
        let (path, model) = ("/v1/embeddings".into(), "m".into());
        Asked {
            path,
            model,
            credential: None,
            prompt,
            items,
            stream: items == 1,
        }
    }

    #[test]
    fn the_last_calls_are_kept_and_all_are_counted() {
        let calls = Calls::new(2);
        for items in 1..=3 {
            calls.begin(asked("p", items));
        }
        let numbers = |most| {
            calls
                .last(most)
                .iter()
                .map(|call| call.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            calls.totals(),
            Totals {
                calls: 3,
                streams: 1,
                items: 6
            }
        );
        assert_eq!((numbers(9), numbers(1)), (vec![2, 3], vec![3]));
        calls.reset();
        assert_eq!(calls.totals(), Totals::default());
        assert_eq!(
            calls.begin(asked("p", 1)).number,
            4,
            "numbers are never given twice"
        );
    }

    #[test]
    fn the_first_word_on_how_a_call_ended_counts() {
        let calls = Calls::new(2);
        let call = calls.begin(asked("p", 1));
        call.ended(End::Complete);
        call.ended(End::Abandoned);
        assert_eq!(call.end(), End::Complete);
    }

    #[test]
    fn prompts_are_counted_apart() {
        let calls = Calls::new(1);
        let (one, two) = (Digest::of(b"one"), Digest::of(b"two"));
        assert_eq!(
            [calls.seen(one), calls.seen(one), calls.seen(two)],
            [0, 1, 0]
        );
    }
}
