//! What would happen to a request and why, without anything happening: the same rooms, read only.
//! It never calls a provider but for one embedding, where those are a provider's; it joins no flight
//! and counts no hit.

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::Serialize;

use super::ask::Ask;
use super::{Gateway, chosen};
use crate::answer::head::Head;
use crate::answer::stamp::Millis;
use crate::names::Name;
use crate::openai::normal::canonical;
use crate::policy::{Plan, Reason, decide};
use crate::problem::Problem;
use crate::semantic::found::Survey;
use crate::settle::Opening;

/// What would happen.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explanation {
    /// `hit`, `semantic-hit`, `miss`, `refresh`, `bypass` or `refused`.
    pub outcome: &'static str,
    /// Why, in the token that the header would say.
    pub reason: String,
    /// The policy that governs; `""`: the built-in one.
    pub policy: Name,
    /// What was asked for and not granted.
    pub declined: Vec<&'static str>,
    /// The request in the one spelling from which its key is made.
    pub canonical: String,
    /// The key by which a purge names this one entry; of a batch, one for each item.
    #[schemars(with = "Vec<String>")]
    pub keys: Vec<Key>,
    /// The partition.
    pub namespace: Name,
    /// The end user in the key, where there is one.
    pub user: Option<Name>,
    /// The latest purge that covers the request.
    pub epoch: u64,
    /// The provider a miss would go to.
    pub provider: Name,
    /// The node that owns the key.
    pub owner: String,
    /// The kept answer, where there is one.
    pub kept: Option<KeptAnswer>,
    /// The nearest questions with an answer, where no exact one is kept and meanings are compared.
    pub near: Option<Survey>,
}

/// A kept answer, without its words.
#[derive(Debug, Serialize, JsonSchema)]
pub struct KeptAnswer {
    /// When it was made, in Unix milliseconds.
    pub filled: Millis,
    /// Until when it is kept.
    pub until: Option<Millis>,
    /// How long it is, in bytes as recorded.
    pub bytes: usize,
}

impl Gateway {
    /// Explains one request.
    pub async fn explain(&self, ask: Ask<'_>, whose: &Opening) -> Result<Explanation, Problem> {
        let registry = self.control.state();
        let policy = ask.policy(&registry, &whose.tenant, &whose.agent);
        let provider = chosen(&self.providers.book(), &ask)?.clone();
        let mut explanation = Explanation {
            outcome: "bypass",
            reason: String::new(),
            policy: policy.name.clone(),
            declined: Vec::new(),
            canonical: String::from_utf8_lossy(canonical(ask.request).bytes()).into_owned(),
            keys: Vec::new(),
            namespace: Name::default(),
            user: None,
            epoch: 0,
            provider: provider.name.clone(),
            owner: String::new(),
            kept: None,
            near: None,
        };
        let mut plan = match decide(policy, &ask.facts(), ask.directives) {
            Plan::Cache(plan) => plan,
            Plan::Bypass(reason) => {
                explanation.reason = reason.to_string();
                return Ok(explanation);
            }
            Plan::Unanswerable(reason) => {
                explanation.outcome = "refused";
                explanation.reason = reason.to_string();
                return Ok(explanation);
            }
        };
        let question = self.question(&registry, &ask, &plan, policy, whose, &provider);
        let tapes = self
            .cluster
            .look(&question.keys(), &plan.terms, question.sought)
            .await;
        let exact = tapes.iter().all(Option::is_some);
        if plan.look && !exact && ask.request.input.count() == 0 {
            let near = self.nearness(&ask, &mut plan, &question, whose, &provider);
            if let Some(near) = near {
                let survey = self.looks.survey(&near, question.policy(), &plan.terms);
                explanation.near = Some(survey.await);
            }
        }
        let served = explanation
            .near
            .as_ref()
            .is_some_and(|near| near.best().is_some());
        let found = tapes.iter().filter(|tape| tape.is_some()).count();
        explanation.outcome = match (plan.look, found == tapes.len(), plan.only_if_cached) {
            (true, true, _) => "hit",
            (false, _, _) => "refresh",
            (true, false, _) if served => "semantic-hit",
            (true, false, true) => "refused",
            (true, false, false) => "miss",
        };
        if found > 0 && found < tapes.len() {
            explanation.reason = format!("partial-{found}-of-{}", tapes.len());
        }
        if let (false, Some(near)) = (served, &explanation.near) {
            explanation.reason = near.reason().into_owned();
        }
        explanation.declined = plan
            .declined
            .iter()
            .map(|reason: &Reason| reason.as_str())
            .collect();
        explanation.keys = question.sources();
        explanation.epoch = question.stamp(0).epoch;
        explanation.owner = self.cluster.owner(&question.key()).to_string();
        explanation.namespace = plan.namespace;
        explanation.user = plan.user;
        explanation.kept = tapes.into_iter().flatten().next().and_then(|tape| {
            let sealed = tape.sealed()?;
            let head = Head::decode(sealed.look(0)).ok()?;
            let bytes = sealed.bytes().len();
            Some(KeptAnswer {
                filled: head.filled,
                until: head.kept_until,
                bytes,
            })
        });
        Ok(explanation)
    }
}
