//! Giving away what is another's: after a change of the ring the owner before sends what it keeps to
//! who owns it now, the most asked for first, and a node that leaves does the same with all it has.
//! What was made here for another from the start, the items of a batch, goes the same way. It is
//! done in the background at a bounded rate, each answer once: what is refused or cannot be sent is
//! counted and left, because the owner may still ask for it. It never waits for one node longer than
//! for another, and it never drops what was given away: memory does that where it needs the room.

mod queue;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::fill::{Copied, Terms};
use crate::key::Key;
use crate::node::NodeId;
use crate::peer::{Answering, Gone, PeerError, Room};
use crate::placement::Placement;
use crate::sealed::Sealed;
use crate::wire::{Accepted, BODY_BYTES_MAX, CopyAsk, Elsewhere, Frame};
use queue::{Queue, Underway};

/// How long a peer may take to hear an answer and say what became of it.
const TAKEN_WITHIN: Duration = Duration::from_secs(5);

/// How long an answer that is given may wait for a ring that its giver has already heard of.
const RING_AWAITED: Duration = Duration::from_millis(50);

/// What an answer takes of the rate beside its bytes: a call and its acknowledgement.
const CALL_BYTES: usize = 512;

/// How long after a panic giving goes on.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// Whatever is kept is given: who asks for it later judges it.
const ANY: Terms = Terms {
    age_millis_max: None,
    nearness_min: Some(0),
};

/// Bounds of giving away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GivingLimits {
    /// Bytes a second, to all nodes together. Faster is waited with.
    pub bytes_per_second_max: u64,
    /// Answers on their way at once. Further ones wait.
    pub in_flight_max: usize,
    /// Moved keys that wait to be given. The least asked for beyond it stay where they are.
    pub moved_keys_max: usize,
    /// Items of batches that wait to be given. Further ones stay where they are, and are counted
    /// as refused.
    pub item_keys_max: usize,
}

impl GivingLimits {
    /// A node's memory of some gigabytes is given away in a minute or two, at a part of what a
    /// network carries.
    pub const USUAL: GivingLimits = GivingLimits {
        bytes_per_second_max: 32 * 1024 * 1024,
        in_flight_max: 16,
        moved_keys_max: 256 * 1024,
        item_keys_max: 16 * 1024,
    };
}

/// How far giving away has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Handoff {
    /// Moved answers that are still to be given, as far as is known.
    pub pending: u64,
    /// The ring whose moved answers have all been given, or tried.
    pub done_at_epoch: u64,
}

/// What is to be given away, and how far that has come.
pub(crate) struct Giving {
    limits: GivingLimits,
    queue: Arc<Queue>,
    progress: watch::Sender<Handoff>,
    places: Arc<Semaphore>,
}

impl Giving {
    pub(crate) fn new(limits: GivingLimits) -> Giving {
        Giving {
            queue: Arc::default(),
            progress: watch::Sender::default(),
            places: Arc::new(Semaphore::new(limits.in_flight_max.max(1))),
            limits,
        }
    }
}

impl Cluster {
    /// How far this node is with giving away what a change of the ring moved.
    pub fn handoff(&self) -> Handoff {
        *self.giving.progress.borrow()
    }

    /// Waits until what the ring of this epoch moved has been given away, or tried.
    pub async fn handed_off(&self, epoch: u64) {
        let mut progress = self.giving.progress.subscribe();
        // The sender lives as long as this node does.
        let _done = progress.wait_for(|at| at.done_at_epoch >= epoch).await;
    }

    /// Gives what this node keeps of these keys to who owns them, soon; waits for nothing.
    pub fn give(&self, keys: &[Key]) {
        let placement = self.placement.load();
        let others: Vec<Key> = keys
            .iter()
            .filter(|key| {
                placement
                    .owner(key, self.region())
                    .is_some_and(|owner| owner != self.me())
            })
            .copied()
            .collect();
        if others.is_empty() {
            return;
        }
        let max = self.giving.limits.item_keys_max;
        for _ in 0..self.giving.queue.add_items(&others, max) {
            self.stats.handoff_refused.add();
        }
    }

    /// The ring has changed: what moved with it is to be given away.
    pub(crate) fn moved_from(&self, before: Arc<Placement>, epoch: u64) {
        self.giving.queue.change(before, epoch);
        self.note_handoff();
    }

    pub(crate) fn start_giving(self: &Arc<Self>) {
        // Nothing is here yet that could have moved with it.
        self.giving.queue.begin_at(self.ring_stamp().epoch);
        self.note_handoff();
        let (cluster, stop) = (self.clone(), self.tasks.stopping());
        self.tasks.keep_running("giving", PANIC_PAUSE, move || {
            let (cluster, stop) = (cluster.clone(), stop.clone());
            async move {
                stop.run_until_cancelled(cluster.give_on()).await;
            }
        });
    }

    async fn give_on(self: Arc<Self>) {
        let mut free_at = Instant::now();
        loop {
            // Never closed.
            let Ok(place) = self.giving.places.clone().acquire_owned().await else {
                return;
            };
            let underway = self.next_given().await;
            let Some((to, copy)) = self.copy_for_owner(&underway.key) else {
                self.given(underway);
                continue;
            };
            tokio::time::sleep_until(free_at).await;
            free_at = free_at.max(Instant::now()) + self.time_of(copy.bytes_about());
            let cluster = self.clone();
            self.tasks.spawn("give", async move {
                let count = match cluster.push(&to, copy).await {
                    Ok(true) => &cluster.stats.handoff_pushed,
                    Ok(false) | Err(_) => &cluster.stats.handoff_refused,
                };
                count.add();
                cluster.given(underway);
                drop(place);
            });
        }
    }

    /// What is to be given next; waits until there is something.
    async fn next_given(self: &Arc<Self>) -> Underway {
        loop {
            if let Some(before) = self.giving.queue.begin_change() {
                self.collect(before).await;
            }
            if let Some(underway) = self.giving.queue.next() {
                return underway;
            }
            self.note_handoff();
            self.giving.queue.filled().await;
        }
    }

    /// Looks for what moved. It may be all of memory that is walked through.
    async fn collect(self: &Arc<Self>, before: Arc<Placement>) {
        let (cluster, now) = (self.clone(), self.placement.load_full());
        let limit = self.giving.limits.moved_keys_max;
        let walk = tokio::task::spawn_blocking(move || {
            let me = Some(cluster.me());
            let region = cluster.region();
            let mine = |key: &Key| before.owner(key, region) != me || now.owner(key, region) == me;
            cluster.fill.moved(&mine, limit)
        });
        let moved = walk.await.unwrap_or_else(|_| {
            tracing::error!("memory could not be walked through: nothing is given away");
            Vec::new()
        });
        if !moved.is_empty() {
            tracing::info!(keys = moved.len(), "giving away what moved");
        }
        self.giving.queue.collected(moved, limit);
        self.note_handoff();
    }

    /// The answer as it is given, and to whom; none where there is nothing to give.
    fn copy_for_owner(&self, key: &Key) -> Option<(NodeId, Frame)> {
        let to = self.owner(key);
        if to == *self.me() {
            return None;
        }
        // Void by now, or dropped.
        let sealed = self.fill.peek(key, &ANY)?.sealed()?;
        let stamp = self.fill.stamp(key)?;
        let copy = Frame::Copy(CopyAsk {
            key: *key,
            ring: self.ring_stamp(),
            stamp,
            ends: sealed.ends().to_vec(),
            bytes: sealed.bytes().clone(),
        });
        let fits = copy.bytes_about() <= BODY_BYTES_MAX && !sealed.is_empty();
        if !fits || self.why_masked(&to).is_some() {
            self.stats.handoff_refused.add();
            return None;
        }
        Some((to, copy))
    }

    /// True where it was taken in.
    async fn push(&self, to: &NodeId, copy: Frame) -> Result<bool, PeerError> {
        let pushed = async {
            let asked = self.call(to, Room::Give, vec![copy], TAKEN_WITHIN);
            let mut hearing = asked.await?;
            match hearing.next(TAKEN_WITHIN).await? {
                Some(Frame::Accepted(_)) => Ok(true),
                Some(Frame::Absent | Frame::Elsewhere(_)) => Ok(false),
                _ => Err(PeerError::Protocol),
            }
        };
        let pushed = pushed.await;
        match pushed {
            // It may only be of an older release, which is no reason to walk over it.
            Ok(_) | Err(PeerError::Protocol) => {}
            Err(error) => {
                self.found_out(to, error.event());
                tracing::debug!(peer = %to, %error, "an answer could not be given");
            }
        }
        pushed
    }

    /// Dealt with, one way or the other.
    fn given(&self, underway: Underway) {
        drop(underway);
        self.note_handoff();
    }

    fn note_handoff(&self) {
        let giving = &self.giving;
        giving.progress.send_if_modified(|shown| {
            // Read within, so that an older look cannot replace a newer one.
            let now = giving.queue.progress();
            std::mem::replace(shown, now) != now
        });
    }

    fn time_of(&self, bytes: usize) -> Duration {
        let rate = self.giving.limits.bytes_per_second_max.max(1);
        Duration::from_secs_f64((bytes + CALL_BYTES) as f64 / rate as f64)
    }

    /// Takes in what another node kept of a key that is this node's now.
    pub(crate) async fn hear_copy(&self, ask: Vec<Frame>, reply: Answering) -> Result<(), Gone> {
        let copy = match ask.into_iter().next() {
            Some(Frame::Copy(copy)) if self.may_serve() => copy,
            _ => {
                reply.reset();
                return Ok(());
            }
        };
        let answer = match self.not_mine(&copy).await {
            Some(elsewhere) => Frame::Elsewhere(elsewhere),
            None if self.take_in(copy) => {
                self.stats.handoff_taken.add();
                Frame::Accepted(Accepted {
                    ring: self.ring_stamp(),
                })
            }
            None => Frame::Absent,
        };
        reply.finish(vec![answer]).await
    }

    fn take_in(&self, copy: CopyAsk) -> bool {
        // A copy of its own: what came lies in a buffer of the connection, which is longer.
        let bytes = Bytes::copy_from_slice(&copy.bytes);
        let Ok(sealed) = Sealed::restore(bytes, copy.ends) else {
            return false;
        };
        let sealed = Arc::new(sealed);
        !sealed.is_empty()
            && self
                .fill
                .keep(&copy.key, &copy.stamp, sealed, Copied::Moved)
    }

    /// Who owns the key, where by a ring as new as the giver's it is not this node.
    async fn not_mine(&self, copy: &CopyAsk) -> Option<Elsewhere> {
        if self.ring_stamp().epoch < copy.ring.epoch {
            self.await_ring(copy.ring.epoch, RING_AWAITED).await;
        }
        let placement = self.placement.load();
        let owner = placement.owner(&copy.key, self.region())?;
        let known = placement.stamp.epoch >= copy.ring.epoch;
        (known && owner != self.me()).then(|| Elsewhere {
            ring: placement.stamp,
            owner: owner.clone(),
        })
    }
}
