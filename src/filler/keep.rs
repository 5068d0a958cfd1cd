//! Keeps answers in the store, and what their questions mean with them, behind the back of whoever recorded them: offering never waits.
//! What waits is bounded by count and bytes; beyond it an answer is not kept, and counted. Answers
//! can all be made again, so a loss here costs a call, never a wrong answer or a bill.
//!
//! The same task tidies the store in small steps: expired entries, and those beyond a policy's
//! `max_entries`.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fgy_cluster::Key;
use tokio::sync::Notify;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::answer::stamp::Millis;
use crate::names::{Name, TenantId};
use crate::store::{Entries, Error, Put, Vectors};

/// What keeping needs to know about the rest of the world.
pub trait Around: Send + Sync {
    /// The time.
    fn now(&self) -> Millis;

    /// How many entries a policy may hold for a tenant; `None` = as many as there are.
    fn entries_max(&self, policy: &Name, tenant: &TenantId) -> Option<u64>;
}

/// Limits of what waits and how it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Answers waiting to be kept.
    pub queue_entries_max: usize,
    /// Bytes of answers waiting to be kept.
    pub queue_bytes_max: usize,
    /// Notes of last use waiting to be written; further ones are left out.
    pub queue_uses_max: usize,
    /// How long an answer waits for others to be written with.
    pub flush_every: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub retry_first: Duration,
    /// The longest pause after a failure.
    pub retry_max: Duration,
    /// A batch is tried so often, then dropped and counted.
    pub tries_max: u32,
    /// How long the last batch may take when the node stops.
    pub flush_wait_max: Duration,
    /// How often expired entries are looked for.
    pub expire_every: Duration,
    /// Entries removed in one step.
    pub step_entries_max: u32,
    /// Policies and tenants whose limit is watched between two trims.
    pub watched_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            queue_entries_max: 4_096,
            queue_bytes_max: 32 << 20,
            queue_uses_max: 16_384,
            flush_every: Duration::from_millis(80),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(2),
            tries_max: 8,
            flush_wait_max: Duration::from_secs(3),
            expire_every: Duration::from_secs(1),
            step_entries_max: 500,
            watched_max: 4_096,
        }
    }
}

/// What happened to the answers offered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Written to the store.
    pub kept: u64,
    /// Not taken, because too much was waiting.
    pub refused: u64,
    /// Taken, but never written: the store would not have them.
    pub dropped: u64,
    /// Waiting now.
    pub waiting: u64,
    /// Removed because they had expired.
    pub expired: u64,
    /// Removed because their policy held too many.
    pub trimmed: u64,
    /// Kept, but not to be found by meaning: the store would not have their points.
    pub pointless: u64,
}

/// The keeper of one node's answers.
pub struct Keep {
    entries: Arc<dyn Entries>,
    vectors: Arc<dyn Vectors>,
    around: Arc<dyn Around>,
    settings: Settings,
    queue: Mutex<Queue>,
    offered: Notify,
    kept: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    expired: AtomicU64,
    trimmed: AtomicU64,
    pointless: AtomicU64,
    /// Whether the last call failed: what went on failing was told already.
    failing: AtomicBool,
}

#[derive(Default)]
struct Queue {
    puts: Vec<Put>,
    /// Of `puts` and `writing`.
    bytes: usize,
    uses: HashMap<Key, Millis>,
    /// Being written: still counted, and written again should the writer be stopped half-way.
    writing: Vec<Put>,
    closed: bool,
}

impl Queue {
    fn take(&mut self, put: Put, settings: &Settings) -> bool {
        let bytes = self.bytes.saturating_add(weight(&put));
        let room = self.waiting() < settings.queue_entries_max && bytes <= settings.queue_bytes_max;
        let taken = room && !self.closed;
        if taken {
            self.bytes = bytes;
            self.puts.push(put);
        }
        taken
    }

    fn waiting(&self) -> usize {
        self.puts.len() + self.writing.len()
    }

    fn begin(&mut self) -> Cycle {
        self.writing.append(&mut self.puts);
        Cycle {
            puts: self.writing.clone(),
            uses: self.uses.drain().collect(),
        }
    }

    fn end(&mut self) {
        self.writing.clear();
        self.bytes = self.puts.iter().map(weight).sum();
    }
}

/// Bytes of an answer and its point while they wait.
fn weight(put: &Put) -> usize {
    let point = put.point.as_ref().map_or(0, |point| point.bytes());
    put.bytes.len().saturating_add(point)
}

/// What a batch of one cycle holds.
struct Cycle {
    puts: Vec<Put>,
    uses: Vec<(Key, Millis)>,
}

/// Puts since the last trim, by policy and tenant.
type Grown = HashMap<(Name, TenantId), u64>;

impl Keep {
    /// Keeps nothing yet: [`Keep::run`] does.
    pub fn new(
        (entries, vectors): (Arc<dyn Entries>, Arc<dyn Vectors>),
        around: Arc<dyn Around>,
        settings: Settings,
    ) -> Self {
        let zero = || AtomicU64::new(0);
        let (kept, refused, dropped, expired, trimmed) = (zero(), zero(), zero(), zero(), zero());
        let (queue, offered, pointless) = (Mutex::default(), Notify::new(), zero());
        Self {
            entries,
            vectors,
            around,
            settings,
            queue,
            offered,
            kept,
            refused,
            dropped,
            expired,
            trimmed,
            pointless,
            failing: AtomicBool::new(false),
        }
    }

    /// Takes an answer to be kept soon; `false` when too much is waiting or the node is stopping.
    /// Never waits. What has a point is found by meaning from now on, before it is written.
    pub fn offer(&self, mut put: Put) -> bool {
        let point = self.fitting(&mut put);
        let taken = self.queue().take(put, &self.settings);
        if taken {
            self.offered.notify_one();
        } else {
            self.refused.fetch_add(1, Ordering::Relaxed);
        }
        if let (false, Some(key)) = (taken, point) {
            self.vectors.withdraw(key);
        }
        taken
    }

    /// Adds an answer's point, if it has one; without it, should it be one that no store takes: that
    /// is no reason to lose the answer.
    fn fitting(&self, put: &mut Put) -> Option<Key> {
        let point = put.point.clone()?;
        match self.vectors.add(point) {
            Ok(()) => Some(put.key),
            Err(error) => {
                tracing::debug!(%error, "an answer will not be found by meaning");
                self.pointless.fetch_add(1, Ordering::Relaxed);
                put.point = None;
                None
            }
        }
    }

    /// Notes that an entry was used. Left out when too many notes are waiting: the least recently
    /// used is then a little less exactly so. Never waits.
    pub fn used(&self, key: Key, at: Millis) {
        let mut queue = self.queue();
        if queue.closed {
            return;
        }
        if queue.uses.len() < self.settings.queue_uses_max || queue.uses.contains_key(&key) {
            let used = queue.uses.entry(key).or_insert(at);
            *used = at.max(*used);
        }
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let queue = self.queue();
        Counts {
            kept: self.kept.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            dropped: self.dropped.load(Ordering::Relaxed),
            waiting: queue.waiting() as u64,
            expired: self.expired.load(Ordering::Relaxed),
            trimmed: self.trimmed.load(Ordering::Relaxed),
            pointless: self.pointless.load(Ordering::Relaxed),
        }
    }

    /// Writes until told to stop, then once more what came in last, as long as that may take.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.write_for_ever() => {}
        }
        self.last_words().await;
    }

    async fn write_for_ever(&self) {
        let mut grown = Grown::new();
        let mut tidied = Instant::now();
        loop {
            // Something to do, or time to look for what has expired.
            let _ = tokio::time::timeout(self.settings.expire_every, self.offered.notified()).await;
            tokio::time::sleep(self.settings.flush_every).await;
            self.write(&mut grown).await;
            if tidied.elapsed() >= self.settings.expire_every && !self.forget_expired().await {
                tidied = Instant::now();
            }
        }
    }

    /// Everything that waits, in one transaction; tried again for a while, then dropped.
    async fn write(&self, grown: &mut Grown) {
        let Cycle { puts, uses } = self.queue().begin();
        crate::faults::hit("keep", b"");
        let written = self.insist(&puts).await;
        self.settle(&puts, written);
        if written {
            self.note_growth(&puts, grown);
            self.trim(grown).await;
        }
        if !uses.is_empty() {
            self.told(self.entries.touch(uses).await);
        }
    }

    async fn insist(&self, puts: &[Put]) -> bool {
        let mut pause = self.settings.retry_first;
        for _ in 0..self.settings.tries_max.max(1) {
            if puts.is_empty() {
                return true;
            }
            match self.entries.put(puts.to_vec()).await {
                Ok(()) => {
                    self.well();
                    return true;
                }
                Err(error @ (Error::Corrupt(_) | Error::Refused(_))) => {
                    tracing::error!(%error, "answers are not kept");
                    return false;
                }
                Err(error) => self.failed(&error),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(self.settings.retry_max);
        }
        false
    }

    fn settle(&self, puts: &[Put], written: bool) {
        self.queue().end();
        let count = if written { &self.kept } else { &self.dropped };
        count.fetch_add(puts.len() as u64, Ordering::Relaxed);
        if !written {
            // Nobody would find the answers they lead to.
            let lost = puts.iter().filter(|put| put.point.is_some());
            lost.for_each(|put| self.vectors.withdraw(put.key));
        }
    }

    fn note_growth(&self, puts: &[Put], grown: &mut Grown) {
        for Put { stamp, .. } in puts {
            let whose = (stamp.policy.clone(), stamp.tenant.clone());
            if self.around.entries_max(&whose.0, &whose.1).is_none() {
                continue;
            }
            if grown.len() < self.settings.watched_max || grown.contains_key(&whose) {
                *grown.entry(whose).or_default() += 1;
            }
        }
    }

    /// Trims where a hundredth of the limit was added since the last time: counting costs as much
    /// as the limit is large, so large limits are exceeded by that hundredth for a while.
    async fn trim(&self, grown: &mut Grown) {
        let due: Vec<_> = grown
            .iter()
            .filter_map(|(whose, added)| self.due(whose, *added))
            .collect();
        for ((policy, tenant), max) in due {
            grown.remove(&(policy.clone(), tenant.clone()));
            let step = self.settings.step_entries_max;
            let trimmed = self
                .entries
                .trim(policy.clone(), tenant.clone(), max, step)
                .await;
            let removed = self.told(trimmed).unwrap_or(0);
            self.trimmed.fetch_add(removed, Ordering::Relaxed);
            if removed == u64::from(step) {
                // More to do: due again in the next cycle.
                grown.insert((policy, tenant), max.max(1));
            }
        }
    }

    fn due(&self, whose: &(Name, TenantId), added: u64) -> Option<((Name, TenantId), u64)> {
        let max = self.around.entries_max(&whose.0, &whose.1)?;
        (added >= (max / 100).max(1)).then(|| (whose.clone(), max))
    }

    /// One step; tells whether there is more to do.
    async fn forget_expired(&self) -> bool {
        let (now, step) = (self.around.now(), self.settings.step_entries_max);
        let forgotten = self
            .told(self.entries.forget_expired(now, step).await)
            .unwrap_or(0);
        self.expired.fetch_add(forgotten, Ordering::Relaxed);
        forgotten == u64::from(step)
    }

    /// What comes in after this is refused; a batch that was being written is written again.
    async fn last_words(&self) {
        let Cycle { puts, uses } = {
            let mut queue = self.queue();
            queue.closed = true;
            queue.begin()
        };
        let both = async {
            let written = self.insist(&puts).await;
            if !uses.is_empty() {
                self.told(self.entries.touch(uses).await);
            }
            written
        };
        let written = tokio::time::timeout(self.settings.flush_wait_max, both).await;
        self.settle(&puts, written == Ok(true));
    }

    fn told<T>(&self, result: Result<T, Error>) -> Option<T> {
        match result {
            Ok(told) => {
                self.well();
                Some(told)
            }
            Err(error) => {
                self.failed(&error);
                None
            }
        }
    }

    /// A store that is away stays so for a while, and is tried all the time: one line says it.
    fn failed(&self, error: &Error) {
        if self.failing.swap(true, Ordering::Relaxed) {
            tracing::debug!(%error, "answers still wait to be kept");
        } else {
            tracing::warn!(%error, "answers wait to be kept");
        }
    }

    fn well(&self) {
        if self.failing.swap(false, Ordering::Relaxed) {
            tracing::info!("answers are kept again");
        }
    }

    /// Every change under the lock leaves the queue whole, so a panic elsewhere spoils nothing.
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
