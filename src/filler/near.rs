//! Another question's answer in the place of a call: looked for once a flight, played under the new
//! key, kept no longer than its source lives. What is kept this way is never the source of another.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use fgy_cluster::{Filling, Freshness, Key, Recorder, Sealed, Tape, Terms};

use super::Filler;
use super::verify::Check;
use crate::answer::head::{Head, Origin};
use crate::answer::stamp::Stamp;
use crate::job::{Job, Near};
use crate::label::Label;
use crate::ledger::money::NanoUsd;
use crate::names::Name;
use crate::policy::{DEFAULT, Reason};
use crate::semantic::found::{ACCEPTED, Looking, Looks, Match, Nearby, Survey};
use crate::semantic::guard::Rules;
use crate::semantic::matcher::Looked;
use crate::semantic::verified::{CANDIDATE_BP_MIN, Decision};
use crate::store::Point;

impl Filler {
    /// Looks for near answers by the rules of the policy that governs the request. A store that has
    /// just not answered is not waited for a second time.
    pub(super) async fn look_near(&self, near: &Near, policy: &Name) -> Looked {
        if self.store_away.load(Ordering::Relaxed) {
            return Looked::declined(Reason::StoreUnavailable.as_str());
        }
        let (registry, now) = (self.control.state(), self.clock.now());
        let rules = self.rules(policy);
        // Where the bar is learned, what is below it is a candidate to learn from.
        let wide = near.aim.as_ref().map(|_| Near {
            bar: CANDIDATE_BP_MIN,
            bar_long: None,
            ..near.clone()
        });
        self.matcher
            .look(
                wide.as_ref().unwrap_or(near),
                &rules,
                &|it| registry.live_as(&it.key, &it.stamp, now),
                now,
            )
            .await
    }

    fn rules(&self, policy: &Name) -> Rules {
        let registry = self.control.state();
        let named = registry.policies().iter().find(|held| held.name == *policy);
        Rules::of(named.map_or(&DEFAULT.config.guard, |policy| &policy.config.guard))
    }

    /// The best match whose answer is still there and young enough.
    pub(super) async fn near_answer(
        &self,
        looked: &Looked,
        terms: &Terms,
    ) -> Option<(Match, Arc<Sealed>)> {
        for found in &looked.matches {
            if let Some(sealed) = self.answer_at(found.key, terms).await {
                return Some((found.clone(), sealed));
            }
        }
        None
    }

    /// The answer under a key, to its own question.
    async fn answer_at(&self, key: Key, terms: &Terms) -> Option<Arc<Sealed>> {
        let own = Terms {
            nearness_min: None,
            ..*terms
        };
        let answers = fgy_cluster::Fill::look(self, &[key], &own).await;
        answers.into_iter().flatten().find_map(|it| it.sealed())
    }

    /// Where the bar is learned: whether the best candidate is served, or what is made is compared
    /// with it; or, of what is asked anew, with the answer there was.
    pub(super) fn verified(
        &self,
        filling: &Filling,
        job: &Job,
        found: Option<(Match, Arc<Sealed>)>,
        looked: &mut Looked,
    ) -> (Option<(Match, Arc<Sealed>)>, Option<Check>) {
        let Some(near) = &job.near else {
            return (found, None);
        };
        let Some(aim) = &near.aim else {
            return (found, None);
        };
        if filling.freshness == Freshness::Fresh {
            let kept = self.memory.get(&filling.key);
            let own = kept.filter(|kept| !Head::is_near(kept.sealed.look(0)));
            return (None, own.map(|kept| Check::again(kept.sealed.clone())));
        }
        let Some((best, sealed)) = found else {
            return (None, None);
        };
        let (entry, similarity_bp) = (best.stamp.source, best.similarity_bp);
        let least = near.bar_of();
        match self.verify.decide(aim, entry, similarity_bp, least) {
            Decision::Serve => (Some((best, sealed)), None),
            Decision::Sample(weight) => {
                looked.declined = Some(Reason::Sampled.as_str().into());
                (
                    None,
                    Some(Check::near(sealed, (entry, similarity_bp, weight))),
                )
            }
            Decision::Miss => (None, Some(Check::near(sealed, (entry, similarity_bp, 1)))),
        }
    }

    /// Plays a near answer into the flight and keeps it under the flight's own key.
    pub(super) fn promote(
        &self,
        key: &Key,
        (found, paid): (Match, NanoUsd),
        source: &Sealed,
        recorder: Recorder,
    ) {
        let wish = recorder.wish();
        let until = found.stamp.until.min(self.clock.now().plus_millis(wish));
        let Some(head) = promoted(&found, source) else {
            return;
        };
        let head = Head {
            kept_until: Some(until),
            ..head
        };
        let played = Head {
            paid,
            ..head.clone()
        };
        if recorder.copy(played.encode(), source).is_err() {
            return;
        }
        if wish > 0 {
            let stamp = Stamp {
                until,
                ..found.stamp
            };
            self.keep_one(*key, recorder.seal_as(head.encode()), stamp, None);
        }
        let sealed = recorder.seal();
        recorder.finish(sealed);
    }

    /// The meaning of a question that was answered anew, to be kept beside its answer.
    pub(super) fn point(
        &self,
        key: Key,
        job: &Job,
        looked: &Looked,
        stamp: &Stamp,
    ) -> Option<Arc<Point>> {
        let (near, meaning) = (job.near.as_ref()?, looked.meaning.as_ref()?);
        Some(meaning.point(&self.matcher, near, key, stamp.clone()))
    }
}

/// The head of another question's answer.
fn promoted(found: &Match, source: &Sealed) -> Option<Head> {
    let head = Head::decode(source.look(0)).ok()?;
    Some(Head {
        origin: Origin::Near {
            source: found.key,
            similarity_bp: found.similarity_bp,
        },
        ..head
    })
}

impl Looks for Filler {
    fn nearby<'a>(
        &'a self,
        near: &'a Near,
        policy: &'a Name,
        terms: &'a Terms,
    ) -> Looking<'a, Nearby> {
        Box::pin(async move {
            let mut looked = self.look_near(near, policy).await;
            if let Some(aim) = &near.aim {
                // Nothing can be compared here: what is known already decides.
                looked.matches.retain(|it| {
                    let bar = self.verify.bar_of(aim, it.stamp.source);
                    bar.is_some_and(|bar| it.similarity_bp >= bar.max(near.bar_of()))
                });
            }
            let answer = self.near_answer(&looked, terms).await;
            let answer = answer.and_then(|(found, source)| {
                let head = promoted(&found, &source)?;
                let rest = (1..source.len()).map(|at| source.frame(at));
                Tape::finished(std::iter::once(head.encode()).chain(rest)).sealed()
            });
            Nearby {
                answer,
                paid: looked.paid,
            }
        })
    }

    fn heard(&self, label: &Label) {
        self.verify.heard(label);
    }

    fn stamp<'a>(&'a self, key: &'a Key) -> Looking<'a, Option<Stamp>> {
        Box::pin(async move {
            if let Some(kept) = self.memory.get(key) {
                return Some((*kept.stamp).clone());
            }
            let now = self.clock.now();
            let asked = self.entries.get(*key, now);
            let answered = tokio::time::timeout(self.limits.store_patience, asked).await;
            Some(answered.ok()?.ok()??.stamp)
        })
    }

    fn survey<'a>(
        &'a self,
        near: &'a Near,
        policy: &'a Name,
        terms: &'a Terms,
    ) -> Looking<'a, Survey> {
        Box::pin(async move {
            let (registry, now) = (self.control.state(), self.clock.now());
            let rules = self.rules(policy);
            let live = |it: &crate::store::Neighbour| registry.live_as(&it.key, &it.stamp, now);
            let learned = near.aim.as_ref().map(|aim| Near {
                bar: self.verify.bar(aim).max(near.bar_of()),
                bar_long: None,
                ..near.clone()
            });
            let near = learned.as_ref().unwrap_or(near);
            let mut survey = self.matcher.survey(near, &rules, &live, now).await;
            for candidate in &mut survey.neighbours {
                let too_far = |aim| {
                    let bar = self.verify.bar_of(aim, candidate.key);
                    bar.is_none_or(|bar| candidate.counted < Some(bar))
                };
                if candidate.verdict == ACCEPTED && near.aim.as_ref().is_some_and(too_far) {
                    candidate.verdict = Reason::BelowThreshold.as_str().into();
                }
                let is_there = candidate.verdict != ACCEPTED
                    || self.answer_at(candidate.lies_at, terms).await.is_some();
                if !is_there {
                    candidate.verdict = Reason::Gone.as_str().into();
                }
            }
            survey
        })
    }
}
