//! Embeddings, looked up item by item: what is kept is not asked for again, what is missing is one
//! call, and each item is kept as if it had been asked for alone. The order of the caller's list
//! is the order of the answer. It never makes a call for an item that another caller of the same
//! list is already waiting for.

use std::borrow::Cow;
use std::collections::HashMap;

use bytes::Bytes;
use fgy_cluster::{Coalesce, Fetched, Join, Key, Part, Player, Tape, Want};

use super::ask::{Ask, Reply};
use super::question::Question;
use super::{Answer, Gateway};
use crate::answer::aside::Aside;
use crate::answer::event::{self, Tally};
use crate::answer::head::{Head, Origin, Shape};
use crate::answer::stamp::Millis;
use crate::answer::usage::Usage;
use crate::job::{Job, JobItem};
use crate::ledger::line::Outcome;
use crate::ledger::money::NanoUsd;
use crate::openai::embeddings;
use crate::openai::normal::embeddings_body;
use crate::policy::{CachePlan, Reason};
use crate::problem::Problem;
use crate::provider::Provider;
use crate::settle::Settlement;

/// The answer to one item.
#[derive(Clone)]
struct ItemAnswer {
    body: Bytes,
    usage: Option<Usage>,
    filled: Millis,
}

impl Gateway {
    pub(super) async fn answer_batch(
        &self,
        ask: Ask<'_>,
        plan: CachePlan,
        question: Question,
        provider: &Provider,
        bill: &mut Settlement,
    ) -> Result<Answer, Problem> {
        let keys = question.keys();
        if keys.len() > self.items_max {
            return self
                .pass_body(ask, provider, Reason::TooManyItems, bill)
                .await;
        }
        let mut answers = if plan.look {
            self.kept_items(&keys, &plan, question.sought).await
        } else {
            HashMap::new()
        };
        let kept: Vec<_> = keys.iter().filter_map(|key| answers.get(key)).collect();
        let (found, spared) = (kept.len(), sum(kept.iter().map(|item| item.usage)));
        let missing = missing(&keys, &answers);
        if missing.is_empty() {
            return batch_reply(&plan, &question, &answers, Lot::hit(found, spared), bill);
        }
        if plan.only_if_cached {
            return Err(Problem::NotKept);
        }
        if self.cannot_pay(&ask, provider) {
            return Err(Problem::NoProviderKey);
        }
        let job = batch_job(&ask, &plan, &question, &missing, provider);
        let want = self.batch_want(&ask, &plan, &question, &job);
        let fetched = self.cluster.fetch(&want).await?;
        let lot = Lot {
            found,
            spared,
            of: keys.len(),
            part: fetched.part,
            aside: Aside::default(),
        };
        let (made, head) = made_items(fetched, &job).await?;
        answers.extend(made);
        let lot = Lot {
            aside: head.aside,
            ..lot
        };
        batch_reply(&plan, &question, &answers, lot, bill)
    }

    /// What is kept of the items, memory first, the store in one round trip.
    async fn kept_items(
        &self,
        keys: &[Key],
        plan: &CachePlan,
        sought: Coalesce,
    ) -> HashMap<Key, ItemAnswer> {
        let tapes = self.cluster.look(keys, &plan.terms, sought).await;
        let kept = keys.iter().zip(tapes);
        kept.filter_map(|(key, tape)| Some((*key, item_answer(&tape?)?)))
            .collect()
    }

    fn batch_want(&self, ask: &Ask<'_>, plan: &CachePlan, question: &Question, job: &Job) -> Want {
        let keys: Vec<Key> = job.items.iter().map(|item| item.key).collect();
        let secret = ask.secret();
        Want {
            key: self.installation.of_list(&keys),
            terms: plan.terms,
            since: question.since,
            join: if plan.join { Join::Here } else { Join::Alone },
            coalesce: question.coalesce,
            job: job.encode(),
            credential: self.installation.credential(secret.as_ref()),
            secret,
            wish: plan.keep.map_or(0, |keep| keep.ttl_millis),
            patience: self.patience,
        }
    }
}

/// What a batch came to.
struct Lot {
    found: usize,
    /// What the items that were kept would have taken.
    spared: Usage,
    of: usize,
    part: Part,
    aside: Aside,
}

impl Lot {
    fn hit(found: usize, spared: Usage) -> Lot {
        Lot {
            found,
            spared,
            of: found,
            part: Part::Kept,
            aside: Aside::default(),
        }
    }

    fn outcome(&self, plan: &CachePlan) -> Outcome {
        match self.part {
            Part::Kept => Outcome::Hit,
            Part::Led if plan.refresh => Outcome::Refresh,
            Part::Followed if self.found == 0 => Outcome::Coalesced,
            Part::Led | Part::Followed => Outcome::Miss,
        }
    }

    fn reason(&self, plan: &CachePlan) -> Cow<'static, str> {
        if self.found > 0 && self.found < self.of {
            return format!("partial-{}-of-{}", self.found, self.of).into();
        }
        plan.declined
            .first()
            .map_or("", |reason| reason.as_str())
            .into()
    }
}

/// The places of the items that are asked for, each key once.
fn missing(keys: &[Key], answers: &HashMap<Key, ItemAnswer>) -> Vec<usize> {
    let mut seen = std::collections::HashSet::new();
    let wanted = |i: &usize| !answers.contains_key(&keys[*i]) && seen.insert(keys[*i]);
    (0..keys.len()).filter(wanted).collect()
}

fn batch_job(
    ask: &Ask<'_>,
    plan: &CachePlan,
    question: &Question,
    missing: &[usize],
    provider: &Provider,
) -> Job {
    let keys = question.keys();
    let items = missing.iter().map(|i| JobItem {
        key: keys[*i],
        stamp: question.stamp(*i),
        bytes: ask.request.item(*i).map_or(0, |item| item.to_bytes().len()),
    });
    Job {
        items: items.collect(),
        body: embeddings_body(ask.request, missing),
        ..question.job(ask, plan, provider)
    }
}

fn item_answer(tape: &Tape) -> Option<ItemAnswer> {
    let sealed = tape.sealed()?;
    let head = Head::decode(sealed.look(0)).ok()?;
    let tally = Tally::decode(sealed.look(sealed.len().saturating_sub(1))).ok()?;
    Some(ItemAnswer {
        body: event::body(&sealed),
        usage: tally.usage,
        filled: head.filled,
    })
}

/// Hears the answer to the missing items to its end and takes it apart.
async fn made_items(
    fetched: Fetched,
    job: &Job,
) -> Result<(Vec<(Key, ItemAnswer)>, Head), Problem> {
    let head = Head::decode(&fetched.head).map_err(|_| Problem::Internal)?;
    let body = plain_body(fetched.player).await?;
    let weights: Vec<usize> = job.items.iter().map(|item| item.bytes).collect();
    let made = embeddings::split(&body, &weights).map_err(|_| Problem::Unreachable)?;
    let made = job.items.iter().zip(made).map(|(item, answer)| {
        (
            item.key,
            ItemAnswer {
                body: answer.body,
                usage: answer.usage,
                filled: head.filled,
            },
        )
    });
    Ok((made.collect(), head))
}

async fn plain_body(mut player: Player) -> Result<Bytes, Problem> {
    let mut body = None;
    while let Some(frame) = player.next().await.map_err(Problem::from)? {
        body = body.or(Some(frame.slice(1..)));
    }
    body.ok_or(Problem::Unreachable)
}

/// The items put together in the caller's order, as one answer.
fn batch_reply(
    plan: &CachePlan,
    question: &Question,
    answers: &HashMap<Key, ItemAnswer>,
    lot: Lot,
    bill: &mut Settlement,
) -> Result<Answer, Problem> {
    let keys = question.keys();
    let items: Vec<&ItemAnswer> = keys.iter().filter_map(|key| answers.get(key)).collect();
    let bodies: Vec<Bytes> = items.iter().map(|item| item.body.clone()).collect();
    let body = embeddings::join(&bodies).map_err(|_| Problem::Unreachable)?;
    let filled = items
        .iter()
        .map(|item| item.filled)
        .min()
        .unwrap_or_default();
    let (outcome, reason) = (lot.outcome(plan), lot.reason(plan));
    bill.asked(
        question.asked_model.clone(),
        plan.namespace.clone(),
        Some(question.key()),
    );
    bill.became(outcome, reason.clone(), None);
    if outcome == Outcome::Miss && lot.found > 0 {
        bill.saved_part(lot.spared);
    }
    let tally = Tally {
        usage: Some(sum(items.iter().map(|item| item.usage))),
        complete: true,
    };
    let head = Head {
        shape: Shape::Plain,
        origin: Origin::Fresh,
        status: 200,
        filled,
        kept_until: None,
        declined: Vec::new(),
        aside: Aside::default(),
        paid: NanoUsd::ZERO,
    };
    let mut player = Tape::finished([head.encode(), event::plain(&body), tally.encode()]).play();
    let _head = player.ready();
    Ok(Answer::Reply(Reply {
        outcome,
        reason,
        similarity_bp: None,
        status: 200,
        shape: Shape::Plain,
        filled,
        kept_until: None,
        aside: if lot.part == Part::Led {
            lot.aside
        } else {
            Aside::default()
        },
        owner: bill.node(),
        player,
        stream: false,
        include_usage: false,
    }))
}

/// Tokens together: estimated if any of them is, and where one is unknown.
fn sum(usages: impl Iterator<Item = Option<Usage>>) -> Usage {
    usages.fold(Usage::default(), |sum, usage| {
        let usage = usage.unwrap_or(Usage {
            estimated: true,
            ..Usage::default()
        });
        Usage {
            input: sum.input.saturating_add(usage.input),
            cached_input: sum.cached_input.saturating_add(usage.cached_input),
            output: sum.output.saturating_add(usage.output),
            estimated: sum.estimated || usage.estimated,
        }
    })
}
