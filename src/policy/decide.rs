//! The decision: policy, request and wishes in, plan out. One pure function read from top to
//! bottom. A caller may only tighten what the policy allows; what it would loosen is left as the
//! policy says and listed as declined.

use fgy_cluster::Terms;

use super::directives::{Directives, ReachAsked};
use super::plan::{CachePlan, Keep, Plan, Reason};
use super::{Enabled, Kind, Policy, Scope};
use crate::names::Name;

/// What has to be known of the request itself.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts<'a> {
    /// Why it cannot be cached whatever anyone wishes: its path, its encoding, its body.
    pub barred: Option<Reason>,
    /// Whether the last user message is personal.
    pub personal: bool,
    /// The end user the body names.
    pub user: Option<&'a str>,
}

/// A similarity nothing but the same text has: near answers are not wanted.
const SAME: u16 = 10_000;

/// What is done with a request.
#[must_use]
pub fn decide(policy: &Policy, facts: &Facts<'_>, wishes: &Directives) -> Plan {
    let user = wishes
        .user
        .as_deref()
        .or(facts.user)
        .filter(|user| !user.is_empty());
    let bypass = facts
        .barred
        .or_else(|| switched_off(policy, wishes))
        .or_else(|| {
            (policy.config.scope == Scope::User && user.is_none()).then_some(Reason::NoUser)
        })
        .or_else(|| asked_past_the_cache(wishes));
    match bypass {
        Some(reason) if wishes.only_if_cached => Plan::Unanswerable(reason),
        Some(reason) => Plan::Bypass(reason),
        None => Plan::Cache(through_the_cache(policy, facts, wishes, user)),
    }
}

fn switched_off(policy: &Policy, wishes: &Directives) -> Option<Reason> {
    let off = wishes.reach == Some(ReachAsked::Off);
    match policy.enabled {
        Enabled::No => Some(Reason::PolicyDisabled),
        Enabled::OnRequest if wishes.reach.is_none() => Some(Reason::PolicyOnRequest),
        Enabled::Yes | Enabled::OnRequest => off.then_some(Reason::CacheOff),
    }
}

/// Wishes that together leave the cache nothing to do.
fn asked_past_the_cache(wishes: &Directives) -> Option<Reason> {
    match (wishes.no_cache, wishes.no_store, wishes.only_if_cached) {
        // Neither looked up, nor joined, nor kept.
        (true, true, _) => Some(Reason::NoStore),
        // Neither from the cache nor from the provider.
        (true, false, true) => Some(Reason::NoCache),
        (true, false, false) | (false, _, _) => None,
    }
}

fn through_the_cache(
    policy: &Policy,
    facts: &Facts<'_>,
    wishes: &Directives,
    user: Option<&str>,
) -> CachePlan {
    let mut declined = Vec::new();
    let keyed_by_user = match policy.config.scope {
        Scope::User => true,
        Scope::Auto => facts.personal,
        Scope::Tenant => false,
    };
    let keep = keep(policy, wishes, &mut declined);
    let age_millis_max = Some(age_millis_max(policy, wishes, &mut declined));
    let nearness_min = similarity(policy, facts, wishes, user, &mut declined);
    CachePlan {
        look: !wishes.no_cache,
        join: !wishes.no_cache && !wishes.only_if_cached,
        only_if_cached: wishes.only_if_cached,
        refresh: wishes.no_cache,
        keep,
        terms: Terms {
            age_millis_max,
            nearness_min,
        },
        namespace: namespace(&policy.config.namespace, wishes.namespace.as_ref()),
        user: if keyed_by_user {
            user.map(Name::from)
        } else {
            None
        },
        on_abandon: policy.config.on_abandon,
        declined,
    }
}

fn keep(policy: &Policy, wishes: &Directives, declined: &mut Vec<Reason>) -> Option<Keep> {
    let allowed = u64::from(policy.config.ttl_seconds);
    let ttl = tighter(allowed, wishes.ttl_seconds, |asked, allowed| {
        asked > allowed
    });
    if ttl.refused {
        declined.push(Reason::LooserTtl);
    }
    if wishes.no_store {
        declined.push(Reason::NoStore);
        return None;
    }
    if ttl.value == 0 {
        declined.push(Reason::NoLife);
        return None;
    }
    // `only-if-cached` makes no call, so there is nothing to keep.
    (!wishes.only_if_cached).then_some(Keep {
        ttl_millis: ttl.value.saturating_mul(1_000),
        entries_max: policy.config.max_entries,
    })
}

/// An answer may have been kept under a policy that has been shortened since, so the policy's own
/// life is a condition too.
fn age_millis_max(policy: &Policy, wishes: &Directives, declined: &mut Vec<Reason>) -> u64 {
    let allowed = u64::from(policy.config.ttl_seconds);
    let age = tighter(allowed, wishes.max_age_seconds, |asked, allowed| {
        asked > allowed
    });
    if age.refused {
        declined.push(Reason::LooserAge);
    }
    age.value.saturating_mul(1_000)
}

fn similarity(
    policy: &Policy,
    facts: &Facts<'_>,
    wishes: &Directives,
    user: Option<&str>,
    declined: &mut Vec<Reason>,
) -> Option<u16> {
    if policy.kind == Kind::ExactCache {
        if wishes.reach == Some(ReachAsked::Semantic) {
            declined.push(Reason::LooserReach);
        }
        return None;
    }
    let threshold = tighter(
        policy.config.similarity_min(),
        wishes.similarity_min,
        |asked, held| asked < held,
    );
    if threshold.refused {
        declined.push(Reason::LooserThreshold);
    }
    if wishes.reach == Some(ReachAsked::Exact) || threshold.value >= SAME {
        return None;
    }
    if policy.config.scope == Scope::Auto && facts.personal && user.is_none() {
        declined.push(Reason::PersonalNoUser);
        return None;
    }
    Some(threshold.value)
}

struct Tightened<T> {
    value: T,
    refused: bool,
}

/// The caller's value unless it is looser than the policy's.
fn tighter<T: Copy>(allowed: T, asked: Option<T>, looser: impl Fn(T, T) -> bool) -> Tightened<T> {
    match asked {
        Some(asked) if looser(asked, allowed) => Tightened {
            value: allowed,
            refused: true,
        },
        Some(asked) => Tightened {
            value: asked,
            refused: false,
        },
        None => Tightened {
            value: allowed,
            refused: false,
        },
    }
}

/// The caller's partition lies inside the policy's. Neither name may contain the slash, so two
/// pairs of names never come to one partition; a caller's name under a policy without one is the
/// same partition as a policy of that name, as both would expect.
fn namespace(policy: &Name, asked: Option<&Name>) -> Name {
    match asked {
        None => Name::clone(policy),
        Some(asked) if policy.is_empty() => Name::clone(asked),
        Some(asked) => format!("{policy}{}{asked}", crate::registry::INSIDE).into(),
    }
}

#[cfg(test)]
mod tests;
