//! Who answers: every node that is seen is pinged twice a second, and the mask is told. Beside it
//! this process's own clock is watched: a process that stood still must not believe what it held
//! before. It asks through a trait and knows nothing of the wire, and it decides nothing of the
//! ring.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until, timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::fill::BoxFuture;
use crate::mask::{Event, Mask};
use crate::node::{NodeId, Phase};
use crate::stats::Count;
use crate::tasks::Tasks;
use crate::view::View;

/// From the beginning of one ping to that of the next; a tenth more or less, so that nodes which
/// started together do not ping together.
const PING_PAUSE: Duration = Duration::from_millis(500);

/// How long an answer may take.
const PING_PATIENCE: Duration = Duration::from_millis(500);

/// Nodes pinged at once. Further ones are not pinged and thus masked by other things only; they
/// are counted.
const PEERS_COUNT_MAX: usize = 256;

/// How often this process looks at its own clock, and which gap between two looks is a stall.
const LOOK_PAUSE: Duration = Duration::from_millis(100);
const STALL_MIN: Duration = Duration::from_millis(500);

/// How long after a panic its part is started again.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// A ping that was not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// The connection broke or was refused: somebody said no.
    Reset,
    /// Nobody said anything, or there is no way to ask.
    Silent,
}

/// How a ping reaches another node. An answer later than half a second is not awaited: the future
/// is dropped.
pub trait Pinger: Send + Sync + 'static {
    /// How far the node is, as it says itself.
    fn ping<'a>(&'a self, to: &'a NodeId) -> BoxFuture<'a, Result<Phase, Unanswered>>;
}

/// This process, or all of it that could look, stood still.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stall {
    /// From the last look at the clock to the one after.
    pub gap: Duration,
}

/// Counters since health began.
#[derive(Debug, Default)]
pub struct HealthStats {
    /// Pings answered.
    pub answered: Count,
    /// Pings to which somebody said no.
    pub reset: Count,
    /// Pings without an answer in time.
    pub missed: Count,
    /// Pings without an answer in time, where it was this process that stood still.
    pub own: Count,
    /// Stalls of this process.
    pub stalls: Count,
    /// Nodes seen and not pinged because there are too many.
    pub beyond: Count,
}

/// The pinging of one node; it ends where this is dropped.
pub struct Health {
    stats: Arc<HealthStats>,
    _stop: DropGuard,
}

/// What every pinging task has.
struct Round {
    me: NodeId,
    pinger: Arc<dyn Pinger>,
    mask: Arc<Mask>,
    stats: Arc<HealthStats>,
}

impl Health {
    /// Begins to ping everybody in the view but `me`, and tells `mask` of answers, of the view and
    /// of the time. `on_stall` is called as soon as a stall is seen; other tasks may have run
    /// between its end and the call, so who holds something for a time compares times besides.
    pub fn start(
        me: NodeId,
        view: watch::Receiver<Arc<View>>,
        pinger: Arc<dyn Pinger>,
        mask: Arc<Mask>,
        on_stall: impl Fn(Stall) + Send + Sync + 'static,
        tasks: &Tasks,
    ) -> Health {
        let stop = tasks.stopping().child_token();
        let round = Arc::new(Round {
            me,
            pinger,
            mask: mask.clone(),
            stats: Arc::new(HealthStats::default()),
        });
        let stats = round.stats.clone();
        let on_stall = Arc::new(on_stall);
        until(&stop, tasks, "health clock", {
            let stats = stats.clone();
            move || watch_clock(mask.clone(), stats.clone(), on_stall.clone())
        });
        until(&stop, tasks, "health peers", {
            let (tasks, stop) = (tasks.clone(), stop.clone());
            move || ping_all(round.clone(), view.clone(), tasks.clone(), stop.clone())
        });
        Health {
            stats,
            _stop: stop.drop_guard(),
        }
    }

    /// What happened so far.
    pub fn stats(&self) -> &HealthStats {
        &self.stats
    }
}

/// Runs a part until health stops, and again where it panics.
fn until<F>(
    stop: &CancellationToken,
    tasks: &Tasks,
    name: &'static str,
    mut part: impl FnMut() -> F + Send + 'static,
) where
    F: Future<Output = ()> + Send + 'static,
{
    let stop = stop.clone();
    tasks.keep_running(name, PANIC_PAUSE, move || {
        let (stop, part) = (stop.clone(), part());
        async move {
            stop.run_until_cancelled(part).await;
        }
    });
}

async fn watch_clock(
    mask: Arc<Mask>,
    stats: Arc<HealthStats>,
    on_stall: Arc<impl Fn(Stall) + Send + Sync>,
) {
    let mut looks = interval(LOOK_PAUSE);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = Instant::now();
    loop {
        looks.tick().await;
        let now = Instant::now();
        let gap = now.duration_since(last);
        last = now;
        if gap > STALL_MIN {
            stats.stalls.add();
            tracing::warn!(millis = gap.as_millis() as u64, "this process stood still");
            on_stall(Stall { gap });
        }
        mask.pass(now);
    }
}

/// Keeps one task for every node that is seen.
async fn ping_all(
    round: Arc<Round>,
    mut view: watch::Receiver<Arc<View>>,
    tasks: Tasks,
    stop: CancellationToken,
) {
    let mut pinged: BTreeMap<NodeId, DropGuard> = BTreeMap::new();
    loop {
        let now_seen = view.borrow_and_update().clone();
        round.mask.see(&now_seen, Instant::now());
        pinged.retain(|id, _| now_seen.get(id).is_some());
        for seen in now_seen.iter() {
            let id = &seen.member.id;
            if *id == round.me || pinged.contains_key(id) {
                continue;
            }
            if pinged.len() >= PEERS_COUNT_MAX {
                round.stats.beyond.add();
                continue;
            }
            let gone = stop.child_token();
            until(&gone, &tasks, "health ping", {
                let (round, id) = (round.clone(), id.clone());
                move || ping_one(round.clone(), id.clone())
            });
            pinged.insert(id.clone(), gone.drop_guard());
        }
        if view.changed().await.is_err() {
            // Whoever found the nodes has ended; those that were seen last are pinged on.
            return stop.cancelled().await;
        }
    }
}

async fn ping_one(round: Arc<Round>, id: NodeId) {
    for turn in 0.. {
        let began = Instant::now();
        let answer = timeout(PING_PATIENCE, round.pinger.ping(&id)).await;
        let now = Instant::now();
        let (event, count) = match answer {
            Ok(Ok(phase)) => (Event::Told(phase), &round.stats.answered),
            Ok(Err(Unanswered::Reset)) => (Event::Reset, &round.stats.reset),
            // It was this process that stood still, and the answer may lie unread.
            Err(_) if now.duration_since(began) > PING_PATIENCE + STALL_MIN => {
                round.stats.own.add();
                continue;
            }
            Ok(Err(Unanswered::Silent)) | Err(_) => (Event::Missed, &round.stats.missed),
        };
        count.add();
        round.mask.hear(&id, event, now);
        sleep_until(began + pause(&round.me, &id, turn)).await;
    }
}

/// From the beginning of one ping to that of the next: the pause and up to a tenth either way,
/// other ones for every pair and turn.
fn pause(me: &NodeId, peer: &NodeId, turn: u64) -> Duration {
    let mut hasher = std::collections::hash_map::DefaultHasher::new();
    (me, peer, turn).hash(&mut hasher);
    let tenth = PING_PAUSE / 10;
    let part = (hasher.finish() % 2_001) as f64 / 1_000.0;
    PING_PAUSE - tenth + tenth.mul_f64(part)
}

#[cfg(test)]
mod tests;
