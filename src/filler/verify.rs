//! The profile `verified` at work: whether a candidate is served is asked of what was learned in its
//! namespace, and fresh answers are compared with candidates behind everybody's back. What waits to be
//! compared is bounded; beyond it a look-up is not judged, and counted. Verdicts are kept as labels and
//! learned again at the next start. It keeps no words.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fgy_cluster::{Key, Sealed};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::answer::event::{self, ChunkReader, Event};
use crate::answer::fold::Fold;
use crate::answer::head::{Head, Shape};
use crate::answer::stamp::{Millis, Stamp};
use crate::job::Aim;
use crate::label::{Judge, Label, Verdict};
use crate::ledger::line::LineId;
use crate::names::{Name, TenantId};
use crate::policy::Guard;
use crate::semantic::embed::Embedder;
use crate::semantic::guard::Rules;
use crate::semantic::verified::{BAR_BP_MIN, Decision, Learner, Report, Sameness, compare, said};
use crate::store::{LABELS_PER_TENANT_MAX, Labels};

/// Namespaces learned about; beyond it the others are served by the first bar.
const NAMESPACES_MAX: usize = 256;
/// Look-ups waiting to be judged.
const CASES_MAX: usize = 256;
/// Verdicts written at once.
const BATCH_LABELS_MAX: usize = 64;
/// Longer answers are not compared: the model would see their beginnings alone.
const ANSWER_BYTES_MAX: usize = 16 * 1024;
/// The cosine from which on two answers say the same.
const SAME_MIN: f32 = 0.95;

/// What a fresh answer is compared with.
pub(super) struct Check {
    other: Arc<Sealed>,
    /// The candidate: its entry, how near it is, how many look-ups it stands for. None where the other
    /// answers the very same question.
    candidate: Option<(Key, u16, u16)>,
}

impl Check {
    /// With the best candidate.
    pub(super) fn near(other: Arc<Sealed>, (entry, near, weight): (Key, u16, u16)) -> Check {
        Check {
            other,
            candidate: Some((entry, near, weight)),
        }
    }

    /// With an earlier answer to the same question: it tells how often the judge errs.
    pub(super) fn again(other: Arc<Sealed>) -> Check {
        Check {
            other,
            candidate: None,
        }
    }
}

/// A look-up that waits to be judged.
struct Case {
    check: Check,
    fresh: Arc<Sealed>,
    key: Key,
    stamp: Stamp,
}

/// See the module.
pub struct Verify {
    labels: Arc<dyn Labels>,
    embedder: Arc<dyn Embedder>,
    held: Mutex<Held>,
    offered: Notify,
}

type Place = (TenantId, Name);

#[derive(Default)]
struct Held {
    /// With the aim that was last asked for.
    learners: HashMap<Place, (Learner, u16)>,
    cases: VecDeque<Case>,
    /// Whether what earlier lives learned was read.
    ready: bool,
    unjudged: u64,
}

impl Held {
    fn learner(&mut self, place: Place) -> Option<&mut (Learner, u16)> {
        let room = self.learners.len() < NAMESPACES_MAX || self.learners.contains_key(&place);
        room.then(|| self.learners.entry(place).or_default())
    }
}

fn place(aim: &Aim) -> Place {
    (aim.tenant.clone(), aim.namespace.clone())
}

impl Verify {
    /// Nothing is learned or judged yet: [`Verify::run`] does.
    pub fn new(labels: Arc<dyn Labels>, embedder: Arc<dyn Embedder>) -> Verify {
        Verify {
            labels,
            embedder,
            held: Mutex::default(),
            offered: Notify::new(),
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is done with the best candidate, of which the policy and the caller want so much at least.
    pub(super) fn decide(&self, aim: &Aim, entry: Key, near: u16, least_bp: u16) -> Decision {
        let mut held = self.held();
        let ready = held.ready;
        match held.learner(place(aim)) {
            Some((learner, last)) if ready => {
                *last = aim.wrong_bp;
                learner.decide(entry, near, least_bp, aim.wrong_bp)
            }
            // By the bar of those who know nothing.
            _ => match Learner::default().bar(aim.wrong_bp) {
                Some(bar) if near >= bar.max(least_bp) => Decision::Serve,
                _ => Decision::Miss,
            },
        }
    }

    /// From where on an entry is served, without anything being decided.
    pub(super) fn bar_of(&self, aim: &Aim, entry: Key) -> Option<u16> {
        let held = self.held();
        match held.learners.get(&place(aim)) {
            Some((learner, _)) => learner.bar_of(entry, aim.wrong_bp),
            None => Learner::default().bar(aim.wrong_bp),
        }
    }

    /// From where on entries are served that nothing is known of.
    pub(super) fn bar(&self, aim: &Aim) -> u16 {
        let held = self.held();
        let learner = held.learners.get(&place(aim));
        let bar = match learner {
            Some((learner, _)) => learner.bar(aim.wrong_bp),
            None => Learner::default().bar(aim.wrong_bp),
        };
        bar.unwrap_or(10_000).max(BAR_BP_MIN)
    }

    /// Takes a fresh answer to be compared. Never waits.
    pub(super) fn offer(&self, check: Check, key: Key, stamp: Stamp, fresh: Arc<Sealed>) {
        let mut held = self.held();
        if held.cases.len() >= CASES_MAX || !held.ready {
            held.unjudged += 1;
            return;
        }
        held.cases.push_back(Case {
            check,
            fresh,
            key,
            stamp,
        });
        drop(held);
        self.offered.notify_one();
    }

    /// What somebody else said of a look-up.
    pub(super) fn heard(&self, label: &Label) {
        let place = (label.tenant.clone(), label.namespace.clone());
        // A namespace that nobody verifies is not learned about.
        if let Some((learner, _)) = self.held().learners.get_mut(&place) {
            learner.learn(label);
        }
    }

    /// What is known, by namespace, and how many look-ups were not judged for want of room.
    pub fn reports(&self) -> (Vec<Report>, u64) {
        let held = self.held();
        let mut reports: Vec<Report> = held
            .learners
            .iter()
            .filter(|(_, (_, aim_bp))| *aim_bp > 0)
            .map(|((tenant, namespace), (learner, aim_bp))| {
                learner.report(tenant.clone(), namespace.clone(), *aim_bp)
            })
            .collect();
        reports.sort_by(|a, b| (&a.tenant, &a.namespace).cmp(&(&b.tenant, &b.namespace)));
        (reports, held.unjudged)
    }

    /// Learns what these tenants' labels say, then judges until told to stop.
    pub async fn run(
        self: Arc<Self>,
        tenants: Vec<TenantId>,
        now: impl Fn() -> Millis,
        stop: CancellationToken,
    ) {
        let work = async {
            self.remember(tenants).await;
            loop {
                self.offered.notified().await;
                while self.judge_some(&now).await {}
            }
        };
        let _ended: Option<()> = stop.run_until_cancelled(work).await;
    }

    async fn remember(&self, tenants: Vec<TenantId>) {
        if self.held().ready {
            return;
        }
        for tenant in tenants {
            let labels = match self.labels.labels(tenant, LABELS_PER_TENANT_MAX).await {
                Ok(labels) => labels,
                Err(error) => {
                    tracing::warn!(%error, "what was learned of near answers could not be read");
                    break;
                }
            };
            let mut held = self.held();
            // The oldest first, as they were learned.
            for label in labels.iter().rev() {
                let place = (label.tenant.clone(), label.namespace.clone());
                if let Some((learner, _)) = held.learner(place) {
                    learner.remember(label);
                }
            }
        }
        self.held().ready = true;
    }

    /// Judges a few look-ups; whether there may be more.
    async fn judge_some(&self, now: &impl Fn() -> Millis) -> bool {
        let cases: Vec<Case> = {
            let mut held = self.held();
            let count = held.cases.len().min(BATCH_LABELS_MAX);
            held.cases.drain(..count).collect()
        };
        if cases.is_empty() {
            return false;
        }
        let mut labels = Vec::new();
        for case in cases {
            match self.judged(&case).await {
                Some(same) => labels.push(case.label(same, now())),
                None => self.held().unjudged += 1,
            }
        }
        {
            let mut held = self.held();
            for label in &labels {
                let place = (label.tenant.clone(), label.namespace.clone());
                if let Some((learner, _)) = held.learner(place) {
                    learner.learn(label);
                }
            }
        }
        if let Err(error) = self.labels.label(labels).await {
            tracing::debug!(%error, "what was judged is learned and not kept");
        }
        true
    }

    /// Whether both answers say the same; `None` where that cannot be told, or would cost something.
    async fn judged(&self, case: &Case) -> Option<bool> {
        let (fresh, other) = (words(&case.fresh)?, words(&case.check.other)?);
        if fresh.len() > ANSWER_BYTES_MAX || other.len() > ANSWER_BYTES_MAX {
            return None;
        }
        match compare(&fresh, &other, &Rules::of(&Guard::default())) {
            Sameness::Same => return Some(true),
            Sameness::Different => return Some(false),
            Sameness::Open if self.embedder.is_paid() => return None,
            Sameness::Open => {}
        }
        let vectors = self.embedder.embed(vec![fresh, other]).await.ok()?;
        let [one, other] = &vectors[..] else {
            return None;
        };
        Some(one.cosine(other) >= SAME_MIN)
    }
}

impl Case {
    fn label(self, same: bool, at: Millis) -> Label {
        let candidate = self.check.candidate;
        // Of its own: no reply's, and the same whoever writes it down again.
        let mut id = [0; 16];
        id.copy_from_slice(&self.key.0[..16]);
        let id = u128::from_be_bytes(id) ^ u128::from(self.stamp.began.0);
        Label {
            id: LineId(id),
            at,
            tenant: self.stamp.tenant,
            namespace: self.stamp.namespace,
            policy: self.stamp.policy,
            entry: candidate.map(|(entry, ..)| entry),
            similarity_bp: candidate.map(|(_, near, _)| near),
            verdict: if same { Verdict::Right } else { Verdict::Wrong },
            judge: Judge::Node,
            weight: candidate.map_or(1, |(.., weight)| weight),
        }
    }
}

/// What an answer says, in whichever shape it lies.
fn words(sealed: &Sealed) -> Option<String> {
    let head = Head::decode(sealed.look(0)).ok()?;
    let body = match head.shape {
        Shape::Plain => event::body(sealed),
        Shape::Events => {
            let (mut reader, mut fold) = (ChunkReader::new(), Fold::new());
            for at in 1..sealed.len() {
                match reader.read(&sealed.frame(at)).ok()? {
                    Event::Chunk(chunk) => fold.push(&chunk.text(true)).ok()?,
                    Event::Usage(payload) => fold.push(payload).ok()?,
                    Event::Plain(_) | Event::Tally(_) => {}
                }
            }
            fold.finish()
        }
    };
    said(&body)
}
