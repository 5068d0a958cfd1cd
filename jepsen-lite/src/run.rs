//! One run from its seed to its verdict and its figures, as text. Prints nothing itself.

use std::sync::Arc;

use crate::checks::control_order::control_order;
use crate::checks::purge_holds::{judged, purge_holds};
use crate::clock::Clock;
use crate::history::{Act, History, Outcome};
use crate::nodes::{Ground, Nodes};
use crate::rng::Rng;
use crate::scenario::Scenario;
use crate::upstream::Upstream;
use crate::verdict::{Trouble, Verdict};
use crate::workload::{World, purges, spread, writes};

/// Whoever votes in a cluster of three to six nodes.
const VOTERS: usize = 3;
/// Acknowledged writes for each fault, on average.
const WRITES_PER_FAULT_MIN: usize = 10;

/// What to run.
#[derive(Clone, Debug)]
pub(crate) struct Order {
    pub(crate) scenario: Scenario,
    pub(crate) seed: u64,
    pub(crate) windows: usize,
    pub(crate) purges: usize,
    pub(crate) faults: usize,
    /// Tenants who would rather have an old answer than none: the property is then broken on purpose.
    pub(crate) is_stale_ok: bool,
    pub(crate) ground: Ground,
    /// Whether steps are told as they are taken.
    pub(crate) is_told: bool,
}

/// What came of it.
pub(crate) struct Outcomes {
    pub(crate) verdict: Verdict,
    pub(crate) figures: Vec<String>,
}

/// Runs it; a trouble of the harness is a verdict too.
pub(crate) async fn run(order: &Order) -> Outcomes {
    judge(order).await.unwrap_or_else(|Trouble(why)| Outcomes {
        verdict: Verdict::Unknown(vec![why]),
        figures: Vec::new(),
    })
}

async fn judge(order: &Order) -> Result<Outcomes, Trouble> {
    let (clock, mut rng) = (Clock::begin(), Rng::new(order.seed));
    let upstream = Upstream::start(clock).await?;
    let nodes = Nodes::up(order.ground.clone(), upstream.address, &mut rng, VOTERS).await?;
    let mut world = World {
        nodes,
        upstream,
        clock,
        history: Arc::new(History::default()),
        rng,
        voters: VOTERS,
        is_told: order.is_told,
    };
    match order.scenario {
        Scenario::Writes => judge_writes(order, &mut world).await,
        _ => judge_purges(order, &mut world).await,
    }
}

async fn judge_purges(order: &Order, world: &mut World) -> Result<Outcomes, Trouble> {
    let told = purges::windows(
        world,
        order.scenario,
        (order.windows, order.purges),
        order.is_stale_ok,
    )
    .await?;
    let (ops, calls) = (world.history.ops(), world.upstream.calls());
    let mut broken = purge_holds(&ops, &calls);
    let old = broken.iter().filter(|line| line.contains("OLD")).count();
    let acknowledged = ops
        .iter()
        .filter(|op| op.is_ok() && matches!(op.act, Act::Purge { .. }))
        .count();
    let asked = ops.iter().filter(|op| matches!(op.act, Act::Ask { .. }));
    let (answered, unanswered): (Vec<_>, Vec<_>) = asked.partition(|op| op.is_ok());
    let faults = ops
        .iter()
        .filter(|op| matches!(op.act, Act::Fault { .. }))
        .count();
    let mut figures = vec![
        format!(
            "{} windows, {faults} faults, {acknowledged} purges acknowledged",
            order.windows
        ),
        format!(
            "{old} old answers among {} asked for after an acknowledgement",
            judged(&ops)
        ),
        format!(
            "{} answers, {} questions without one, {} calls",
            answered.len(),
            unanswered.len(),
            calls.len()
        ),
        format!(
            "{} neighbours asked for, {} of them not served as before",
            told.spared,
            told.lost_neighbours.len()
        ),
    ];
    let limit = order.scenario.ack_millis_max();
    for (class, times) in told.acks {
        let late = times
            .iter()
            .filter(|micros| **micros > limit * 1_000)
            .count();
        figures.push(format!(
            "acknowledged, {class}: {}; {late} over {limit} ms",
            spread(times)
        ));
    }
    if order.scenario.spares_leader() {
        let (in_air, of) = told.at_the_kill;
        figures.push(format!(
            "{in_air} of {of} purges were in the air when the leader was killed"
        ));
    }
    broken.extend(told.lost_neighbours);
    Ok(Outcomes {
        verdict: Verdict::of(broken, told.missing),
        figures,
    })
}

async fn judge_writes(order: &Order, world: &mut World) -> Result<Outcomes, Trouble> {
    let told = writes::run(world, order.faults).await?;
    let ops = world.history.ops();
    let count = |outcome| ops.iter().filter(|op| op.outcome == outcome).count();
    let mut figures = vec![
        format!(
            "{} faults, {} writes acknowledged, {} refused, {} unknown",
            told.faults,
            count(Outcome::Ok),
            count(Outcome::Fail),
            count(Outcome::Unknown)
        ),
        format!(
            "{} records in one order on {} nodes",
            told.told.first().map_or(0, |told| told.audit.len()),
            told.told.len()
        ),
        format!(
            "writes again after a leader was lost: {}; {} over 2000 ms",
            spread(told.leader_lost.clone()),
            told.leader_lost
                .iter()
                .filter(|micros| **micros > 2_000_000)
                .count()
        ),
    ];
    figures.push(format!(
        "another leads after a leader was lost: {}",
        spread(told.leads_again.clone())
    ));
    let broken = control_order(&ops, &told.told);
    let mut missing = told.missing;
    if count(Outcome::Ok) < told.faults * WRITES_PER_FAULT_MIN {
        missing.push("too few writes were acknowledged to see one lost".to_owned());
    }
    if told.leader_lost.is_empty() {
        missing.push("no leader was lost while a majority was left".to_owned());
    }
    Ok(Outcomes {
        verdict: Verdict::of(broken, missing),
        figures,
    })
}
