//! Windows of purges: takes the steps of a scenario, asks, purges, and writes down what came. Judges
//! nothing but whether a step could be taken.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tokio::task::JoinHandle;

use super::World;
use super::target::{Question, Target, Tenant};
use crate::checks::covered::{Plan, QUESTIONS_COUNT_MIN, covered};
use crate::client::{Lost, send};
use crate::clock::{Clock, Micros, wall_millis};
use crate::history::{Act, History, Op, Outcome};
use crate::nodes::{Door, LOOK};
use crate::scenario::{Cast, Scenario};
use crate::step::Step;
use crate::tasks::{all, beside};
use crate::upstream::calls_in;
use crate::verdict::{Trouble, trouble};

/// How long an answer is waited for; past it the question is unknown.
const ASK_PATIENCE: Duration = Duration::from_secs(30);
/// How long one attempt at a purge is waited for.
const PURGE_PATIENCE: Duration = Duration::from_secs(12);
/// Attempts at one purge; past them it is not acknowledged.
const PURGE_TRIES_MAX: usize = 200;
/// Attempts to have an answer kept.
const WARM_TRIES_MAX: usize = 400;
/// Questions at once.
const ASKERS: usize = 16;
/// Rounds of questions at the node that is disturbed, so that it keeps copies of its own.
const COPY_ROUNDS: usize = 10;
/// A purge by age grants the entry two seconds of another clock.
const SKEW: Duration = Duration::from_millis(2_400);
/// How long a slow answer takes.
pub(crate) const SLOW_MILLIS: u64 = 10_000;

/// What many windows came to.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    /// Times to an acknowledgement by what was disturbed, in microseconds.
    pub(crate) acks: BTreeMap<&'static str, Vec<Micros>>,
    /// Purges that were in the air when the leader was killed, of all that were sent.
    pub(crate) at_the_kill: (usize, usize),
    /// Neighbours asked for afterwards.
    pub(crate) spared: usize,
    pub(crate) lost_neighbours: Vec<String>,
    pub(crate) missing: Vec<String>,
}

struct Window<'w> {
    world: &'w mut World,
    scenario: Scenario,
    number: usize,
    cast: Cast,
    targets: Arc<Vec<Target>>,
    /// Whether one of the purges is of everything.
    is_all: bool,
    keys: Vec<String>,
    mark: u64,
    /// The calls of the neighbours' answers.
    neighbours: Vec<Vec<u64>>,
    waiting: Vec<JoinHandle<Heard>>,
    woken: Option<Micros>,
    begun: Micros,
}

/// What came of one question.
#[derive(Debug, Default)]
struct Heard {
    is_ok: bool,
    cache: String,
    calls: Vec<u64>,
    /// For whoever reads why a run is not what it should be.
    #[expect(dead_code, reason = "read through Debug alone")]
    words: String,
}

/// Who writes down what was asked.
#[derive(Clone)]
struct Asker {
    history: Arc<History>,
    clock: Clock,
    window: usize,
    node: usize,
    door: Door,
}

impl Asker {
    async fn ask(&self, target: Option<usize>, question: &Question) -> Heard {
        let invoke = self.clock.now();
        let reply = send(self.door.public, &question.request(), ASK_PATIENCE).await;
        let (outcome, heard) = match reply {
            Err(Lost::Refused) => (Outcome::Fail, Heard::default()),
            Err(Lost::Unknown) => (Outcome::Unknown, Heard::default()),
            Ok(reply) => {
                let words = reply.text();
                let is_ok = reply.status == 200 && !words.contains("fgy_truncated");
                let heard = Heard {
                    is_ok,
                    cache: reply.header("x-fgy-cache").to_owned(),
                    calls: calls_in(&words),
                    words: format!(
                        "{} {} {words}",
                        reply.status,
                        reply.header("x-fgy-cache-reason")
                    ),
                };
                (if is_ok { Outcome::Ok } else { Outcome::Unknown }, heard)
            }
        };
        if let Some(target) = target {
            let act = Act::Ask {
                target,
                cache: heard.cache.clone(),
                calls: heard.calls.clone(),
            };
            self.write(act, invoke, outcome);
        }
        heard
    }

    fn write(&self, act: Act, invoke: Micros, outcome: Outcome) {
        self.history.push(Op {
            act,
            node: self.node,
            window: self.window,
            invoke,
            complete: self.clock.now(),
            outcome,
        });
    }

    /// Purges until it is acknowledged; the time since the first attempt was sent.
    async fn purge(&self, target: Option<usize>, body: serde_json::Value) -> Option<Micros> {
        let begun = self.clock.now();
        for _ in 0..PURGE_TRIES_MAX {
            let invoke = self.clock.now();
            let reply = self
                .door
                .post("/admin/v1/purge", &body, PURGE_PATIENCE)
                .await;
            let is_ok = reply.as_ref().is_ok_and(|reply| reply.status == 200);
            let outcome = if is_ok { Outcome::Ok } else { Outcome::Unknown };
            self.write(Act::Purge { target }, invoke, outcome);
            if is_ok {
                return Some(self.clock.now() - begun);
            }
            tokio::time::sleep(LOOK * 4).await;
        }
        None
    }
}

/// Makes the tenants of a run: one for each target, and one for their neighbours.
pub(crate) async fn tenants(
    world: &World,
    count: usize,
    is_stale_ok: bool,
) -> Result<Vec<Tenant>, Trouble> {
    let (mut tenants, door) = (Vec::new(), world.nodes.door(0));
    for number in 0..=count {
        let id = format!("tenant-{number}");
        let reply = door
            .post(
                "/admin/v1/tenants",
                &json!({"id": id, "settings": {"stale_ok": is_stale_ok}}),
                PURGE_PATIENCE,
            )
            .await;
        let key = reply
            .ok()
            .and_then(|reply| Some(reply.json()["key"].as_str()?.to_owned()));
        let Some(key) = key else {
            return trouble(format!("{id} was not made"));
        };
        tenants.push(Tenant { id, key });
    }
    Ok(tenants)
}

/// Runs all windows, as many as were asked for.
pub(crate) async fn windows(
    world: &mut World,
    scenario: Scenario,
    (windows, purges): (usize, usize),
    is_stale_ok: bool,
) -> Result<Figures, Trouble> {
    let tenants = tenants(world, purges, is_stale_ok).await?;
    let mut figures = Figures::default();
    for number in 0..windows {
        // Everything is purged in every fifth window, and in the last.
        let is_all = number % 5 == 4 || number + 1 == windows;
        let cast = cast(world, scenario).await?;
        let slow = if scenario == Scenario::SlowFill {
            SLOW_MILLIS
        } else {
            0
        };
        let target = |at: usize| Target::new(number, at, &tenants[at], &tenants[purges], slow);
        let window = Window {
            scenario,
            number,
            cast,
            targets: Arc::new((0..purges).map(target).collect()),
            is_all,
            keys: Vec::new(),
            mark: 0,
            neighbours: Vec::new(),
            waiting: Vec::new(),
            woken: None,
            begun: world.clock.now(),
            world,
        };
        window.run(&mut figures).await?;
    }
    Ok(figures)
}

async fn cast(world: &mut World, scenario: Scenario) -> Result<Cast, Trouble> {
    world.nodes.whole(world.voters).await?;
    let Some(leader) = world.nodes.leader().await else {
        return trouble("nobody leads");
    };
    let mut victims: Vec<usize> = (0..world.nodes.count()).collect();
    if scenario.spares_voters() {
        victims = world.nodes.learners(leader).await;
    }
    victims.retain(|at| !scenario.spares_leader() || *at != leader);
    let Some(victim) = world.rng.one_of(&victims) else {
        return trouble("nobody is there to be disturbed: more nodes");
    };
    let purgers: Vec<usize> = (0..world.nodes.count())
        .filter(|at| *at != victim && (*at != leader || !scenario.spares_leader()))
        .collect();
    let Some(purger) = world.rng.one_of(&purgers) else {
        return trouble("nobody is left to purge: more nodes");
    };
    Ok(Cast {
        victim,
        leader,
        purger,
    })
}

impl Window<'_> {
    async fn run(mut self, figures: &mut Figures) -> Result<(), Trouble> {
        let steps = self.scenario.steps(self.cast, &mut self.world.rng);
        for step in steps {
            if self.world.is_told {
                let since = (self.world.clock.now() - self.begun) / 1_000;
                tell(&format!("window {} +{since} ms: {step}", self.number));
            }
            self.take(step, figures).await?;
        }
        let plan = Plan {
            window: self.number,
            victim: self.cast.victim,
            targets: self.targets.len(),
            from_hits: self.scenario != Scenario::SlowFill,
            woken: self.woken,
        };
        let ops = self.world.history.ops();
        figures.missing.extend(covered(&ops, &plan));
        Ok(())
    }

    async fn take(&mut self, step: Step, figures: &mut Figures) -> Result<(), Trouble> {
        let now = self.world.clock.now();
        match step {
            Step::Warm => self.warm().await?,
            Step::Hit(at) => self.hit(at).await?,
            Step::Begin(at) => self.begin(at).await?,
            Step::Finish => self.finish(figures).await,
            Step::Pause(at) => self.world.nodes.pause(at).await?,
            Step::Resume(at) => {
                if !self.world.nodes.is_paused(at) {
                    return trouble(format!("node-{at} did not stay stopped"));
                }
                self.woken = Some(self.world.clock.now());
                self.world.nodes.resume(at)?;
                self.asker(at)
                    .write(Act::Fault { what: "stopped" }, now, Outcome::Ok);
            }
            Step::Kill(at) => {
                self.world.nodes.kill(at)?;
                self.asker(at)
                    .write(Act::Fault { what: "killed" }, now, Outcome::Ok);
            }
            Step::Start(at) => {
                self.world.nodes.start(at).await?;
                if at == self.cast.victim {
                    self.woken = Some(self.world.clock.now());
                }
            }
            Step::Purge { at } => self.purge(at, None, figures).await?,
            Step::PurgeAndKill {
                at,
                kill,
                after_micros,
            } => {
                let after = Duration::from_micros(after_micros);
                self.purge(at, Some((kill, after)), figures).await?;
            }
            Step::Early(at) => {
                for target in 0..self.targets.len() {
                    self.waiting.push(self.ask_beside(at, target));
                }
                // So that they lie in front of the sleeper's door when it wakes.
                tokio::time::sleep(LOOK * 4).await;
            }
            Step::Ask(at) => self.ask_many(at).await,
            Step::Heal => self.world.nodes.whole(self.world.voters).await?,
            Step::Spared(at) => self.spared(at, figures).await,
        }
        Ok(())
    }

    fn asker(&self, node: usize) -> Asker {
        Asker {
            history: self.world.history.clone(),
            clock: self.world.clock,
            window: self.number,
            node,
            door: self.world.nodes.door(node),
        }
    }

    fn ask_beside(&self, at: usize, target: usize) -> JoinHandle<Heard> {
        let (asker, targets) = (self.asker(at), self.targets.clone());
        beside(async move { asker.ask(Some(target), &targets[target].question).await })
    }

    /// Keeps every target, and after a while every neighbour.
    async fn warm(&mut self) -> Result<(), Trouble> {
        let victim = self.cast.victim;
        self.until_hit(victim, |target| &target.question, true)
            .await?;
        self.mark = wall_millis() + 1;
        tokio::time::sleep(SKEW).await;
        self.neighbours = self
            .until_hit(victim, |target| &target.neighbour, false)
            .await?;
        for _ in 0..COPY_ROUNDS {
            self.hit(victim).await?;
        }
        self.explain().await
    }

    async fn explain(&mut self) -> Result<(), Trouble> {
        let door = self.world.nodes.door(self.cast.purger);
        for target in self.targets.iter() {
            let told = door
                .post(
                    "/admin/v1/explain",
                    &target.question.explain(),
                    PURGE_PATIENCE,
                )
                .await;
            let told = told.map(|reply| reply.json()).unwrap_or_default();
            let Some(key) = told["keys"][0].as_str() else {
                return trouble(format!("no key is explained: {told}"));
            };
            self.keys.push(key.to_owned());
        }
        Ok(())
    }

    /// Asks until it is a hit; the calls of those answers.
    async fn until_hit(
        &self,
        at: usize,
        of: impl Fn(&Target) -> &Question,
        is_target: bool,
    ) -> Result<Vec<Vec<u64>>, Trouble> {
        let works = self.targets.iter().enumerate().map(|(number, target)| {
            let (asker, question) = (self.asker(at), of(target).clone());
            let number = is_target.then_some(number);
            beside(async move {
                let mut heard = Heard::default();
                for _ in 0..WARM_TRIES_MAX {
                    heard = asker.ask(number, &question).await;
                    if heard.is_ok && heard.cache == "hit" {
                        return Ok(heard.calls);
                    }
                    tokio::time::sleep(LOOK).await;
                }
                trouble(format!("node-{at} does not serve a hit: {heard:?}"))
            })
        });
        all(works.collect()).await.into_iter().collect()
    }

    async fn hit(&self, at: usize) -> Result<(), Trouble> {
        self.until_hit(at, |target| &target.question, true)
            .await
            .map(drop)
    }

    /// Slow answers, each seen at the provider before the next step.
    async fn begin(&mut self, at: usize) -> Result<(), Trouble> {
        self.explain().await?;
        let before = self.world.upstream.calls().len();
        for target in 0..self.targets.len() {
            self.waiting.push(self.ask_beside(at, target));
        }
        for _ in 0..1_000 {
            if self.world.upstream.calls().len() >= before + self.targets.len() {
                self.mark = wall_millis() + 1;
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
        }
        trouble("the slow answers do not begin")
    }

    /// Every slow answer began before its purge and ended after the acknowledgement.
    async fn finish(&mut self, figures: &mut Figures) {
        let heard = all(std::mem::take(&mut self.waiting)).await;
        let (calls, ops) = (self.world.upstream.calls(), self.world.history.ops());
        let acknowledged = ops.iter().filter(|op| {
            op.window == self.number && op.is_ok() && matches!(op.act, Act::Purge { .. })
        });
        let last = acknowledged
            .map(|op| op.complete)
            .max()
            .unwrap_or(Micros::MAX);
        for heard in heard {
            let call = heard
                .calls
                .first()
                .and_then(|call| calls.get(usize::try_from(*call).ok()? - 1));
            if call
                .and_then(|call| call.ended)
                .is_none_or(|ended| ended < last)
            {
                figures.missing.push(format!(
                    "window {}: a slow answer ended before the purge: {heard:?}",
                    self.number
                ));
            }
        }
    }

    async fn purge(
        &mut self,
        at: usize,
        kill: Option<(usize, Duration)>,
        figures: &mut Figures,
    ) -> Result<(), Trouble> {
        let works: Vec<_> = (0..self.targets.len())
            .map(|number| {
                let everything = self.is_all && number == 0;
                let body = match everything {
                    true => json!({"all": true}),
                    false => self.targets[number].purge(&self.keys[number], self.mark),
                };
                let asker = self.asker(at);
                beside(async move { asker.purge((!everything).then_some(number), body).await })
            })
            .collect();
        let mut killed = None;
        if let Some((kill, after)) = kill {
            tokio::time::sleep(after).await;
            killed = Some(self.world.clock.now());
            self.world.nodes.kill(kill)?;
        }
        let begun = self.world.clock.now();
        let acks = all(works).await;
        if let Some(killed) = killed {
            let asker = self.asker(self.cast.leader);
            asker.write(Act::Fault { what: "killed" }, killed, Outcome::Ok);
            let ops = self.world.history.ops();
            let sent = ops
                .iter()
                .filter(|op| op.window == self.number && matches!(op.act, Act::Purge { .. }));
            let in_air = sent
                .filter(|op| op.invoke <= killed && killed < op.complete)
                .count();
            figures.at_the_kill.0 += in_air;
            figures.at_the_kill.1 += acks.len();
            if in_air == 0 {
                tell(&format!(
                    "window {}: every purge was acknowledged before the kill",
                    self.number
                ));
            }
        }
        if self.world.is_told {
            tell(&format!(
                "  acknowledged in {} ms",
                (self.world.clock.now() - begun) / 1_000
            ));
        }
        figures
            .acks
            .entry(self.class())
            .or_default()
            .extend(acks.into_iter().flatten());
        Ok(())
    }

    /// What was disturbed during the purge.
    fn class(&self) -> &'static str {
        let is_leader = self.scenario.disturbs_victim() && self.cast.victim == self.cast.leader;
        match (
            self.scenario.disturbs_victim(),
            self.scenario.spares_leader() || is_leader,
        ) {
            (false, false) => "nothing disturbed",
            (true, false) => "a node away",
            (false, true) => "the leader killed",
            (true, true) if is_leader => "the leader away",
            (true, true) => "a node away and the leader killed",
        }
    }

    /// Every target often enough, each once before any twice; and what was asked of a sleeper.
    async fn ask_many(&mut self, at: usize) {
        let count = self.targets.len();
        // All at once first: one of them may be held up by what the node is still doing.
        let first: Vec<_> = (0..count)
            .map(|target| self.ask_beside(at, target))
            .collect();
        let askers = (0..ASKERS).map(|first| {
            let (asker, targets) = (self.asker(at), self.targets.clone());
            beside(async move {
                for turn in (first..count * QUESTIONS_COUNT_MIN).step_by(ASKERS) {
                    let target = turn % count;
                    asker.ask(Some(target), &targets[target].question).await;
                }
            })
        });
        all(askers.collect()).await;
        all(first).await;
        if self.scenario != Scenario::SlowFill {
            all(std::mem::take(&mut self.waiting)).await;
        }
    }

    async fn spared(&mut self, at: usize, figures: &mut Figures) {
        if self.is_all {
            return;
        }
        for (target, calls) in self.targets.iter().zip(&self.neighbours) {
            let heard = self.asker(at).ask(None, &target.neighbour).await;
            figures.spared += 1;
            if heard.cache != "hit" || heard.calls != *calls {
                figures.lost_neighbours.push(format!(
                    "window {}: beside {:?}, at node-{at}: was of {calls:?}, is {heard:?}",
                    self.number, target.scope
                ));
            }
        }
    }
}

/// One line of what is going on.
#[expect(
    clippy::print_stderr,
    reason = "whoever watches a long run sees where it is"
)]
pub(crate) fn tell(words: &str) {
    eprintln!("{words}");
}
