//! Another question's answer in the place of a call: looked for once a flight, played under the new
//! key, kept no longer than its source lives. What is kept this way is never the source of another.

use std::sync::Arc;

use fgy_cluster::{Key, Recorder, Sealed, Terms};

use super::Filler;
use crate::answer::head::{Head, Origin};
use crate::answer::stamp::Stamp;
use crate::job::{Job, Near};
use crate::names::Name;
use crate::policy::DEFAULT;
use crate::semantic::guard::Rules;
use crate::semantic::matcher::{Looked, Match};
use crate::store::Point;

impl Filler {
    /// Looks for near answers by the rules of the policy that governs the request.
    pub(super) async fn look_near(&self, near: &Near, policy: &Name) -> Looked {
        let (registry, now) = (self.control.state(), self.clock.now());
        let named = registry.policies().iter().find(|held| held.name == *policy);
        let guard = named.map_or(&DEFAULT.config.guard, |policy| &policy.config.guard);
        let rules = Rules::of(guard);
        self.matcher
            .look(
                near,
                &rules,
                &|it| registry.live_as(&it.key, &it.stamp, now),
                now,
            )
            .await
    }

    /// The best match whose answer is still there and young enough.
    pub(super) async fn near_answer(
        &self,
        looked: &Looked,
        terms: &Terms,
    ) -> Option<(Match, Arc<Sealed>)> {
        // The match's own answer, to its own question.
        let source = Terms {
            nearness_min: None,
            ..*terms
        };
        for found in &looked.matches {
            let answers = fgy_cluster::Fill::look(self, &[found.key], &source).await;
            if let Some(sealed) = answers.into_iter().flatten().find_map(|it| it.sealed()) {
                return Some((found.clone(), sealed));
            }
        }
        None
    }

    /// Plays a near answer into the flight and keeps it under the flight's own key.
    pub(super) fn promote(&self, key: &Key, found: Match, source: &Sealed, recorder: Recorder) {
        let Ok(head) = Head::decode(source.look(0)) else {
            return;
        };
        let wish = recorder.wish();
        let until = found.stamp.until.min(self.clock.now().plus_millis(wish));
        let head = Head {
            origin: Origin::Near {
                source: found.key,
                similarity_bp: found.similarity_bp,
            },
            kept_until: Some(until),
            ..head
        };
        if recorder.copy(head.encode(), source).is_err() {
            return;
        }
        let sealed = recorder.seal();
        if wish > 0 {
            let stamp = Stamp {
                until,
                ..found.stamp
            };
            self.keep_one(*key, sealed.clone(), stamp, None);
        }
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
