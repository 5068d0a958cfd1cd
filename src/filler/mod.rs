//! The owner's side of a key: memory, store, provider, keep, from top to bottom. It owns the
//! recording of an answer from its first byte to its end. It never knows who is listening, which
//! node asked, or what was decided about the caller beyond what stands in the job.

pub mod keep;
pub mod memory;
mod near;
mod record;
pub mod verify;

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::{
    BoxFuture, Control, Copied, Fault, Fill, Filling, Frame, Freshness, Key, Recorder, Tape,
};
use fgy_cluster::{Sealed, Terms};

use crate::answer::aside::Aside;
use crate::answer::codec;
use crate::answer::event::{self, Tally};
use crate::answer::head::{Head, Origin};
use crate::answer::stamp::{Millis, Stamp};
use crate::clock::Clock;
use crate::filler::keep::Keep;
use crate::filler::memory::{Half, Kept, Memory};
use crate::filler::record::Recorded;
use crate::filler::verify::{Check, Verify};
use crate::job::Job;
use crate::ledger::money::NanoUsd;
use crate::openai::embeddings;
use crate::policy::OnAbandon;
use crate::provider::Providers;
use crate::registry::Registry;
use crate::semantic::matcher::{Looked, Matcher};
use crate::store::{Entries, Point, Put};

/// Bounds of the owner's side.
#[derive(Debug, Clone, Copy)]
pub struct FillerLimits {
    /// How long a miss may wait for the store before it goes on without.
    pub store_patience: Duration,
    /// How long a call goes on when nobody listens any more.
    pub orphan_patience: Duration,
    /// Bytes of one answer.
    pub answer_bytes_max: usize,
    /// Bytes of a refusal that are passed on.
    pub refusal_bytes_max: usize,
    /// Bytes of one event of a stream.
    pub event_bytes_max: usize,
}

/// Keeps and makes answers.
pub struct Filler {
    memory: Memory,
    entries: Arc<dyn Entries>,
    keep: Arc<Keep>,
    providers: Providers,
    control: Control<Registry>,
    clock: Clock,
    limits: FillerLimits,
    /// Whether the store failed to answer when it was last asked.
    store_away: Arc<AtomicBool>,
    /// How another question's answer is found.
    matcher: Matcher,
    /// How near it must be where that is learned.
    verify: Arc<Verify>,
    /// Who is told of answers that were made here whoever owns their keys.
    owners: OnceLock<Owners>,
}

/// Hears of answers that this node keeps and that may be another's: it must not wait.
pub type Owners = Box<dyn Fn(&[Key]) + Send + Sync>;

impl Fill for Filler {
    fn peek(&self, key: &Key, terms: &Terms) -> Option<Tape> {
        let kept = self.memory.get(key)?;
        let now = self.clock.now();
        if !self
            .control
            .look(|registry| registry.live(&kept.stamp, now))
        {
            self.memory.forget(key, &kept);
            return None;
        }
        let suits = young_enough(&kept.stamp, terms, now) && is_near_enough(&kept.sealed, terms);
        suits.then(|| Tape::from(kept.sealed.clone()))
    }

    fn look<'a>(&'a self, keys: &'a [Key], terms: &'a Terms) -> BoxFuture<'a, Vec<Option<Tape>>> {
        Box::pin(async move {
            let mut found: Vec<_> = keys.iter().map(|key| self.peek(key, terms)).collect();
            let missing: Vec<usize> = (0..keys.len()).filter(|i| found[*i].is_none()).collect();
            let asked: Vec<Key> = missing.iter().map(|i| keys[*i]).collect();
            for (i, tape) in missing.into_iter().zip(self.stored(&asked, terms).await) {
                found[i] = tape;
            }
            found
        })
    }

    fn fill(&self, filling: Filling, recorder: Recorder) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if filling.freshness == Freshness::Any
                && let Some(tape) = self.look(&[filling.key], &filling.terms).await.remove(0)
            {
                return replay(&tape, recorder);
            }
            let Ok(job) = Job::decode(&filling.job) else {
                return recorder.fail(Fault::Lost);
            };
            let mut looked = match &job.near {
                Some(near) if filling.freshness == Freshness::Any => {
                    self.look_near(near, &job.stamp.policy).await
                }
                // Asked for anew: others may be given the fresh answer by its meaning.
                Some(near) => self.matcher.mean(near).await,
                None => Looked::default(),
            };
            let found = self.near_answer(&looked, &filling.terms).await;
            let (found, check) = self.verified(&filling, &job, found, &mut looked);
            match found {
                Some((found, sealed)) => {
                    self.promote(&filling.key, (found, looked.paid), &sealed, recorder)
                }
                None => self.make(&filling, (job, check), looked, recorder).await,
            }
        })
    }

    fn stamp(&self, key: &Key) -> Option<Bytes> {
        let kept = self.memory.get(key)?;
        serde_json::to_vec(&*kept.stamp).ok().map(Bytes::from)
    }

    fn keep(&self, key: &Key, stamp: &[u8], sealed: Arc<Sealed>, copy: Copied) -> bool {
        let Ok(stamp) = serde_json::from_slice::<Stamp>(stamp) else {
            return false;
        };
        // Purged on its way here, perhaps: it is judged by what this node knows.
        let (registry, now) = (self.control.state(), self.clock.now());
        if !registry.live_as(key, &stamp, now) || Head::decode(sealed.look(0)).is_err() {
            return false;
        }
        let half = match copy {
            Copied::Moved => Half::Owned,
            Copied::Near => Half::Guest,
        };
        let newer =
            |here: &Kept| here.stamp.began >= stamp.began && registry.live(&here.stamp, now);
        if copy == Copied::Moved && self.memory.owned(key).is_some_and(|here| newer(&here)) {
            return true;
        }
        self.remember(half, *key, sealed, Arc::new(stamp))
    }

    fn moved(&self, mine: &dyn Fn(&Key) -> bool, limit: usize) -> Vec<Key> {
        self.memory.moved(mine, limit)
    }

    fn suits(&self, head: &Frame, terms: &Terms) -> bool {
        let Ok(head) = Head::decode(head) else {
            return false;
        };
        if !near_enough(&head, terms) {
            return false;
        }
        let Some(age_max) = terms.age_millis_max else {
            return true;
        };
        head.kept_until.is_none() || self.clock.now().since(head.filled) <= age_max
    }
}

/// A kept answer, played into a flight that found it.
fn replay(tape: &Tape, recorder: Recorder) {
    let Some(sealed) = tape.sealed() else { return };
    if recorder.copy(sealed.frame(0), &sealed).is_ok() {
        recorder.finish(sealed);
    }
}

/// Whether an answer is to this question, or near enough to it.
fn near_enough(head: &Head, terms: &Terms) -> bool {
    match head.origin {
        Origin::Fresh => true,
        Origin::Near { similarity_bp, .. } => {
            terms.nearness_min.is_some_and(|min| similarity_bp >= min)
        }
    }
}

/// The same of a recording, most of which are answers to the question itself.
fn is_near_enough(sealed: &Sealed, terms: &Terms) -> bool {
    let head = sealed.look(0);
    !Head::is_near(head) || Head::decode(head).is_ok_and(|head| near_enough(&head, terms))
}

fn young_enough(stamp: &Stamp, terms: &Terms, now: Millis) -> bool {
    terms
        .age_millis_max
        .is_none_or(|age_max| now.since(stamp.began) <= age_max)
}

impl Filler {
    /// The owner's side over these parts.
    pub fn new(
        memory: Memory,
        (entries, keep): (Arc<dyn Entries>, Arc<Keep>),
        providers: Providers,
        control: Control<Registry>,
        clock: Clock,
        limits: FillerLimits,
        (matcher, verify): (Matcher, Arc<Verify>),
    ) -> Filler {
        Filler {
            memory,
            entries,
            keep,
            providers,
            control,
            clock,
            limits,
            store_away: Arc::default(),
            matcher,
            verify,
            owners: OnceLock::new(),
        }
    }

    /// From now on `owners` is told of answers that were made here whoever owns their keys. Only
    /// the first call counts.
    pub fn tell(&self, owners: Owners) {
        // A second set of owners would be told what the first gives away already.
        let _first = self.owners.set(owners);
    }

    /// Whether the store failed to answer when it was last asked, for the probes.
    pub fn store_away(&self) -> Arc<AtomicBool> {
        self.store_away.clone()
    }

    /// The memory tier, for counting and sweeping.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// Drops from memory what has expired or was purged: nobody may be served it any more, and
    /// nobody asking for it is no reason to hold it.
    pub fn sweep(&self) {
        let (registry, now) = (self.control.state(), self.clock.now());
        self.memory.sweep(|stamp| registry.live(stamp, now));
    }

    /// Answers from the store, one round trip for all; what is found is in memory from then on.
    /// A store that is slow or away costs its patience and no answer.
    async fn stored(&self, keys: &[Key], terms: &Terms) -> Vec<Option<Tape>> {
        if keys.is_empty() {
            return Vec::new();
        }
        let now = self.clock.now();
        let asked = self.entries.get_many(keys, now);
        let answered = tokio::time::timeout(self.limits.store_patience, asked).await;
        self.store_away
            .store(!matches!(answered, Ok(Ok(_))), Ordering::Relaxed);
        let rows = match answered {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                tracing::debug!(%error, "the store could not be asked");
                return vec![None; keys.len()];
            }
            Err(_) => return vec![None; keys.len()],
        };
        let registry = self.control.state();
        keys.iter()
            .zip(rows)
            .map(|(key, row)| {
                let row = row.filter(|row| registry.live(&row.stamp, now))?;
                let sealed = Arc::new(codec::decode(row.bytes).ok()?);
                Head::decode(sealed.look(0)).ok()?;
                let suits = young_enough(&row.stamp, terms, now) && is_near_enough(&sealed, terms);
                self.remember(Half::Owned, *key, sealed.clone(), Arc::new(row.stamp));
                suits.then(|| Tape::from(sealed))
            })
            .collect()
    }

    /// Asks the provider, records what it says, keeps it if it may be kept, and only then lets
    /// anyone see that the recording is finished.
    async fn make(
        &self,
        filling: &Filling,
        (job, check): (Job, Option<Check>),
        looked: Looked,
        recorder: Recorder,
    ) {
        crate::faults::hit("recorder", &job.body);
        let recorded = tokio::select! {
            recorded = self.record(&job, filling, &looked, &recorder) => recorded,
            () = self.orphaned(&recorder, job.on_abandon) => Err(Fault::Abandoned),
        };
        match recorded {
            Ok(recorded) => {
                let check = check.filter(|_| recorded.storable);
                self.keep(filling.key, (&job, &looked), recorded, &recorder);
                let sealed = recorder.seal();
                if let Some(check) = check {
                    self.verify
                        .offer(check, filling.key, job.stamp, sealed.clone());
                }
                recorder.finish(sealed);
            }
            Err(fault) => recorder.fail(fault),
        }
    }

    /// Resolves when nobody has listened for as long as an orphan may go on.
    async fn orphaned(&self, recorder: &Recorder, on_abandon: OnAbandon) {
        loop {
            recorder.deserted().await;
            if on_abandon == OnAbandon::Finish {
                tokio::time::sleep(self.limits.orphan_patience).await;
            }
            if recorder.listeners() == 0 {
                return;
            }
        }
    }

    /// Keeps a recording, if it may be and anyone who heard it lets it be. What is kept has a head
    /// of its own: those who listen now hear of an answer made for them, later ones of a kept one.
    fn keep(
        &self,
        key: Key,
        (job, looked): (&Job, &Looked),
        recorded: Recorded,
        recorder: &Recorder,
    ) {
        let life = recorder.wish();
        if !recorded.storable || life == 0 {
            return;
        }
        let until = self.clock.now().plus_millis(life);
        let head = Head {
            kept_until: Some(until),
            aside: Aside::default(),
            paid: NanoUsd::ZERO,
            ..recorded.head
        };
        let sealed = recorder.seal_as(head.encode());
        if job.items.is_empty() {
            let stamp = Stamp {
                until,
                ..job.stamp.clone()
            };
            let point = self.point(key, job, looked, &stamp);
            self.keep_one(key, sealed, stamp, point);
        } else {
            self.keep_items(job, &head, &sealed, until);
        }
    }

    /// Keeps the answer to a batch item by item, each as if it had been asked for alone. The batch
    /// was made where it was asked for; its items are for their owners.
    fn keep_items(&self, job: &Job, head: &Head, sealed: &Sealed, until: Millis) {
        let body = event::body(sealed);
        let weights: Vec<usize> = job.items.iter().map(|item| item.bytes).collect();
        let Ok(answers) = embeddings::split(&body, &weights) else {
            return;
        };
        for (answer, item) in answers.into_iter().zip(&job.items) {
            let tally = Tally {
                usage: answer.usage,
                complete: true,
            };
            let frames = [head.encode(), event::plain(&answer.body), tally.encode()];
            if let Some(sealed) = Tape::finished(frames).sealed() {
                self.keep_one(
                    item.key,
                    sealed,
                    Stamp {
                        until,
                        ..item.stamp.clone()
                    },
                    None,
                );
            }
        }
        if let Some(owners) = self.owners.get() {
            let keys: Vec<Key> = job.items.iter().map(|item| item.key).collect();
            owners(&keys);
        }
    }

    fn keep_one(&self, key: Key, sealed: Arc<Sealed>, stamp: Stamp, point: Option<Arc<Point>>) {
        let bytes = codec::encode(&sealed);
        self.remember(Half::Owned, key, sealed, Arc::new(stamp.clone()));
        // A full queue is counted where it is full; the answer is in memory all the same.
        let _offered = self.keep.offer(Put {
            key,
            stamp,
            bytes,
            point,
        });
    }

    /// False where the tenant holds its share already.
    fn remember(&self, half: Half, key: Key, sealed: Arc<Sealed>, stamp: Arc<Stamp>) -> bool {
        let registry = self.control.state();
        let tenant = registry.tenant(stamp.tenant.as_str());
        let bytes_max = tenant.and_then(|tenant| tenant.settings.memory_bytes_max);
        self.memory.keep(half, key, sealed, stamp, bytes_max)
    }
}
