//! Writes to what is agreed, through random nodes, while voters are killed, stopped and started
//! again; and in the end what every node tells. A write is a tenant with a name of its own.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::World;
use super::purges::tell;
use crate::checks::control_order::Told;
use crate::client::Lost;
use crate::clock::{Clock, Micros};
use crate::history::{Act, History, Op, Outcome};
use crate::nodes::{Door, LOOK, PATIENCE};
use crate::rng::Rng;
use crate::tasks::{all, beside};
use crate::verdict::{Trouble, trouble};

/// Writers at once, beside whoever probes for a new leader.
const WRITERS: usize = 12;
/// How long one write is waited for; past it nobody knows. Longer than a lease: a write is
/// acknowledged when the lease of whoever is away has run out.
const WRITE_PATIENCE: Duration = Duration::from_secs(5);
/// Between two writes of a writer, so that a long run stays within what the audit remembers.
const WRITE_PAUSE: Duration = Duration::from_millis(300);
/// Writes of one run; each is two records of the ten thousand that are kept.
const WRITES_COUNT_MAX: usize = 4_500;
/// Between two probes for a new leader.
const PROBE_PAUSE: Duration = Duration::from_millis(150);

/// What a run came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) faults: usize,
    /// From the loss of a leader, a majority left, to a write acknowledged that was sent since.
    pub(crate) leader_lost: Vec<Micros>,
    /// From the same until one of those who are left says that it leads.
    pub(crate) leads_again: Vec<Micros>,
    pub(crate) told: Vec<Told>,
    pub(crate) missing: Vec<String>,
}

#[derive(Clone)]
struct Writer {
    doors: Arc<Vec<Door>>,
    history: Arc<History>,
    clock: Clock,
    next: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
}

impl Writer {
    /// One write; when it was acknowledged.
    async fn write(&self, at: usize) -> Option<Micros> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        if number >= WRITES_COUNT_MAX {
            return None;
        }
        let name = format!("write-{number}");
        let invoke = self.clock.now();
        let reply = self.doors[at]
            .post("/admin/v1/tenants", &json!({"id": name}), WRITE_PATIENCE)
            .await;
        let outcome = match &reply {
            Ok(reply) if reply.status == 200 => Outcome::Ok,
            Err(Lost::Refused) => Outcome::Fail,
            _ => Outcome::Unknown,
        };
        let complete = self.clock.now();
        self.history.push(Op {
            act: Act::Write { name },
            node: at,
            window: 0,
            invoke,
            complete,
            outcome,
        });
        (outcome == Outcome::Ok).then_some(complete)
    }

    async fn run(self, mut rng: Rng) {
        while !self.stop.load(Ordering::Relaxed) {
            let at = rng.below(self.doors.len());
            self.write(at).await;
            tokio::time::sleep(WRITE_PAUSE).await;
        }
    }

    /// Writes at those who are left until one is acknowledged; when.
    async fn probe(&self, left: &[usize]) -> Option<Micros> {
        let deadline = Instant::now() + PATIENCE;
        let (found, mut probes) = (Arc::new(AtomicBool::new(false)), Vec::new());
        for at in left.iter().cycle() {
            if found.load(Ordering::Relaxed) || Instant::now() > deadline {
                break;
            }
            let (writer, found, at) = (self.clone(), found.clone(), *at);
            probes.push(beside(async move {
                let acknowledged = writer.write(at).await;
                found.fetch_or(acknowledged.is_some(), Ordering::Relaxed);
                acknowledged
            }));
            tokio::time::sleep(PROBE_PAUSE).await;
        }
        all(probes).await.into_iter().flatten().min()
    }
}

/// Disturbs voters `faults` times under writes; then heals and reads every node.
pub(crate) async fn run(world: &mut World, faults: usize) -> Result<Figures, Trouble> {
    let doors: Vec<Door> = (0..world.nodes.count())
        .map(|at| world.nodes.door(at))
        .collect();
    let writer = Writer {
        doors: Arc::new(doors),
        history: world.history.clone(),
        clock: world.clock,
        next: Arc::default(),
        stop: Arc::default(),
    };
    let writers: Vec<_> = (0..WRITERS)
        .map(|_| beside(writer.clone().run(Rng::new(world.rng.next()))))
        .collect();
    let mut figures = Figures::default();
    while figures.faults < faults {
        disturb(world, &writer, &mut figures).await?;
        let calm = 300 + world.rng.below(1_200) as u64;
        tokio::time::sleep(Duration::from_millis(calm)).await;
    }
    writer.stop.store(true, Ordering::Relaxed);
    all(writers).await;
    world.nodes.whole(world.voters).await?;
    settle(world).await?;
    for door in writer.doors.iter() {
        figures.told.push(told(door).await?);
    }
    if figures.told.iter().any(|told| told.dropped > 0) {
        figures
            .missing
            .push("the audit has dropped records: fewer faults".to_owned());
    }
    Ok(figures)
}

/// One fault, or two at once: the leader half of the time, and another.
async fn disturb(world: &mut World, writer: &Writer, figures: &mut Figures) -> Result<(), Trouble> {
    let (count, leader) = (world.nodes.count(), some_leader(world).await);
    let mut first = world.rng.below(count);
    if world.rng.below(2) == 0 {
        first = leader.unwrap_or(first);
    }
    let mut victims = vec![first];
    if world.rng.below(6) == 0 {
        victims.push((first + 1 + world.rng.below(count - 1)) % count);
    }
    let (is_stop, length) = (world.rng.below(2) == 0, world.rng.below(3_000) as u64);
    for at in &victims {
        match is_stop {
            true => world.nodes.pause(*at).await?,
            false => world.nodes.kill(*at)?,
        }
    }
    let begun = world.clock.now();
    let length = Duration::from_millis(200 + length);
    if world.is_told {
        let what = if is_stop { "stop" } else { "kill" };
        tell(&format!(
            "fault {} +{} ms: {what} {victims:?} for {length:?}, leader {leader:?}",
            figures.faults,
            begun / 1_000
        ));
    }
    figures.faults += victims.len();
    let left: Vec<usize> = (0..count).filter(|at| !victims.contains(at)).collect();
    let is_lost = leader.is_some_and(|leader| victims.contains(&leader)) && left.len() * 2 > count;
    let elected = is_lost.then(|| beside(led_again(writer.clone(), left.clone())));
    let probe = is_lost.then(|| {
        let writer = writer.clone();
        beside(async move { writer.probe(&left).await })
    });
    tokio::time::sleep(length).await;
    if let Some(elected) = elected {
        let at = elected.await.ok().flatten();
        figures.leads_again.extend(at.map(|at| at - begun));
    }
    if let Some(probe) = probe {
        // Only then is it known how long it takes without the one who was lost.
        match probe.await.ok().flatten() {
            Some(acknowledged) => figures.leader_lost.push(acknowledged - begun),
            None => figures
                .missing
                .push("no write was acknowledged after a leader was lost".to_owned()),
        }
    }
    for at in &victims {
        match is_stop {
            true if !world.nodes.is_paused(*at) => {
                return trouble(format!("node-{at} did not stay stopped"));
            }
            true => world.nodes.resume(*at)?,
            false => world.nodes.start(*at).await?,
        }
    }
    Ok(())
}

/// When one of these says that it leads.
async fn led_again(writer: Writer, left: Vec<usize>) -> Option<Micros> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        for at in &left {
            let status = writer.doors[*at].get("/admin/v1/cluster").await;
            if status["agreement"]["role"] == "leader" {
                return Some(writer.clock.now());
            }
        }
        tokio::time::sleep(LOOK * 4).await;
    }
    None
}

/// Who leads; none if nobody does for long, or the dice say not to wait.
async fn some_leader(world: &mut World) -> Option<usize> {
    let tries = if world.rng.below(4) == 0 { 1 } else { 200 };
    for _ in 0..tries {
        let leader = world.nodes.leader().await;
        if leader.is_some() {
            return leader;
        }
        tokio::time::sleep(LOOK * 4).await;
    }
    None
}

/// Until all nodes have applied the same, and a while nothing more comes.
async fn settle(world: &World) -> Result<(), Trouble> {
    let deadline = Instant::now() + PATIENCE;
    let (mut before, mut same) = (Vec::new(), 0);
    while Instant::now() < deadline {
        let mut applied = Vec::new();
        for at in 0..world.nodes.count() {
            applied.push(world.nodes.status(at).await["agreement"]["applied"].as_u64());
        }
        let is_one = applied
            .iter()
            .all(|index| index.is_some() && *index == applied[0]);
        same = if is_one && applied == before {
            same + 1
        } else {
            0
        };
        if same >= 20 {
            return Ok(());
        }
        before = applied;
        tokio::time::sleep(LOOK * 4).await;
    }
    trouble(format!("the nodes do not come to rest: {before:?}"))
}

async fn told(door: &Door) -> Result<Told, Trouble> {
    let mut told = Told::default();
    let audit = pages(door, "audit", &mut |page| {
        told.dropped = page["dropped"].as_u64().unwrap_or(u64::MAX);
    })
    .await?;
    for record in audit.iter().rev() {
        let index = record["index"].as_u64().unwrap_or(0);
        let what = record["change"].as_str().unwrap_or_default();
        let whom = record["of"]["tenant"].as_str().unwrap_or_default();
        told.audit.push((index, format!("{what} {whom}")));
    }
    let tenants = pages(door, "tenants", &mut |_| {}).await?;
    let ids = tenants.iter().filter_map(|tenant| tenant["id"].as_str());
    told.tenants = ids.map(str::to_owned).collect();
    Ok(told)
}

/// Every item of a list of the admin API.
async fn pages(
    door: &Door,
    list: &str,
    seen: &mut dyn FnMut(&Value),
) -> Result<Vec<Value>, Trouble> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = door
            .get(&format!("/admin/v1/{list}?limit=1000{after}"))
            .await;
        let Some(more) = page[list].as_array() else {
            return trouble(format!("no {list}: {page}"));
        };
        items.extend(more.iter().cloned());
        seen(&page);
        match page["next"].as_str() {
            Some(next) => after = format!("&after={next}"),
            None => return Ok(items),
        }
    }
}
