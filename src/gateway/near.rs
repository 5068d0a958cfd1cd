//! Whether a question may be compared by meaning, and what exactly is compared: decided here, where
//! the request is at hand, and carried to the owner with the job. It looks nothing up.

use super::Gateway;
use super::ask::Ask;
use super::question::Scope;
use crate::job::Near;
use crate::key::{CanonicalDigest, derive_space};
use crate::openai::normal::canonical_around;
use crate::openai::request::{Endpoint, Request};
use crate::policy::{CachePlan, Policy, Reason};
use crate::semantic::eligible::{is_covered, is_in, is_volatile};

impl Gateway {
    /// How near answers may do for a request that has no exact one; else why not. `Ok(None)` where
    /// nobody wanted any.
    pub(super) fn near(
        &self,
        ask: &Ask<'_>,
        plan: &CachePlan,
        policy: &Policy,
        scope: &Scope<'_>,
    ) -> Result<Option<Near>, Reason> {
        let Some(bar) = plan.terms.nearness_min else {
            return Ok(None);
        };
        let words = words(ask.request)?;
        too_warm(ask.request, policy)?;
        let languages = &policy.config.languages;
        if !is_covered(&words) || !(languages.is_empty() || is_in(&words, languages)) {
            return Err(Reason::NotCovered);
        }
        let around = canonical_around(ask.request, policy.config.share.models);
        let around = around.ok_or(Reason::NotUsersTurn)?;
        let config = &policy.config;
        Ok(Some(Near {
            space: derive_space(
                &self.installation,
                &scope.parts(ask, plan, CanonicalDigest::of(&around)),
            ),
            bar,
            bar_long: config.long_prompt_basis_points.map(|long| long.max(bar)),
            tokens_max: config.max_prompt_tokens,
            volatile: is_volatile(&words),
            aim: config.aim().map(|wrong_bp| scope.aim(plan, wrong_bp)),
            words,
        }))
    }
}

/// The words that are compared: the last thing said, by the user.
fn words(request: &Request<'_>) -> Result<String, Reason> {
    if request.endpoint == Endpoint::Chat {
        let messages = request.member("messages").and_then(|list| list.as_list());
        let last = messages.and_then(<[_]>::last).ok_or(Reason::NoWords)?;
        let role = last.member("role").and_then(|role| role.as_text());
        if role != Some("user") {
            return Err(Reason::NotUsersTurn);
        }
    }
    let words = request.last_user_text().ok_or(Reason::NoWords)?;
    if words.trim().is_empty() {
        return Err(Reason::NoWords);
    }
    Ok(words.into_owned())
}

/// A stated temperature above the policy's asks for variety; one that is not stated asks for
/// nothing.
fn too_warm(request: &Request<'_>, policy: &Policy) -> Result<(), Reason> {
    let stated = request.temperature();
    let warmest = policy.config.temperature_max();
    match stated {
        Some(stated) if stated > warmest => Err(Reason::Temperature),
        _ => Ok(()),
    }
}
