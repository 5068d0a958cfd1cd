//! What is asked, as a key, and how an answer would be made and stamped. The key is made here once
//! and travels with the request; nobody derives it again.

use std::sync::Arc;

use fgy_cluster::{Coalesce, Key};
use http::header::USER_AGENT;
use http::{HeaderMap, HeaderName};

use super::Gateway;
use super::ask::Ask;
use crate::answer::stamp::{Millis, Stamp};
use crate::job::{Aim, Job, Near};
use crate::key::{CanonicalDigest, InstallationKey, KeyHeader, KeyParts, derive, marked};
use crate::names::{Name, TenantId};
use crate::openai::normal::{canonical_item, upstream_body};
use crate::policy::{CachePlan, CoalesceScope, Policy};
use crate::provider::Provider;
use crate::registry::{Fields, Reach, Registry, SHARED, TenantSettings};
use crate::settle::Opening;

/// Headers that are part of the key: they choose the version of the provider's API.
static VERSION_HEADERS: [HeaderName; 3] = [
    HeaderName::from_static("anthropic-version"),
    HeaderName::from_static("anthropic-beta"),
    HeaderName::from_static("openai-beta"),
];

/// Headers that go upstream from a cached path besides those, and are not part of the key.
static UPSTREAM_HEADERS: [HeaderName; 5] = [
    USER_AGENT,
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("openai-organization"),
    HeaderName::from_static("openai-project"),
];

/// A question and whose it is. Of a batch: one question for each item.
pub(super) struct Question {
    items: Vec<Item>,
    /// The model asked for, by whose list price a saving is counted.
    pub(super) asked_model: Name,
    model: Name,
    tenant: TenantId,
    agent: Name,
    namespace: Name,
    policy: Name,
    began: Millis,
    /// See [`Want::since`](fgy_cluster::Want::since): the latest time that a purge by age named.
    pub(super) since: u64,
    /// How far it may go to be made.
    pub(super) coalesce: Coalesce,
    /// How far away an answer to it is looked for.
    pub(super) sought: Coalesce,
}

/// How far a question is looked for, and how far it goes to be made. A tenant pinned to regions has
/// nothing in others, and what it asks does not leave the one it came to; a key that stays on its
/// node pays for calls of that node alone, while to look for what is kept takes no key.
fn reaches(policy: &Policy, settings: &TenantSettings) -> (Coalesce, Coalesce) {
    let sought = match policy.config.coalesce_scope {
        CoalesceScope::Global if settings.regions.is_empty() => Coalesce::World,
        CoalesceScope::Global | CoalesceScope::Region => Coalesce::Region,
    };
    match settings.reach {
        Reach::Cluster => (sought, sought),
        Reach::Node => (sought, Coalesce::Node),
    }
}

/// One thing that is asked.
#[derive(Clone, Copy)]
struct Item {
    /// Where its answer is kept.
    key: Key,
    /// The key before a one-entry purge moved it on: what such a purge names.
    source: Key,
    epoch: u64,
    /// The epoch of all that its scope covers, whatever became of this one entry.
    epoch_of_scope: u64,
}

/// Everything that tells two questions apart but the question: whose it is, where it would go, since
/// which purge.
pub(super) struct Scope<'a> {
    tenant: &'a str,
    agent: Option<&'a str>,
    provider: Option<&'a str>,
    base_url: Option<&'a str>,
    version_headers: Vec<KeyHeader<'a>>,
    forwarded_headers: Vec<KeyHeader<'a>>,
    epoch: u64,
}

impl<'a> Scope<'a> {
    fn of(
        ask: &'a Ask<'_>,
        policy: &Policy,
        whose: &'a Opening,
        provider: &'a Provider,
        epoch: u64,
    ) -> Scope<'a> {
        let share = policy.config.share;
        Scope {
            tenant: whose.tenant.id.as_str(),
            agent: (!share.agents).then_some(&*whose.agent),
            provider: (!share.models).then_some(&*provider.name),
            base_url: (!share.models).then_some(provider.base_url.as_str()),
            version_headers: headers_of(ask.headers, &VERSION_HEADERS),
            forwarded_headers: headers_of(ask.headers, &provider.forward_headers),
            epoch,
        }
    }

    /// Where a bar is learned.
    pub(super) fn aim(&self, plan: &CachePlan, wrong_bp: u16) -> Aim {
        Aim {
            wrong_bp,
            tenant: self.tenant.into(),
            namespace: plan.namespace.clone(),
        }
    }

    /// What a key, or a space, is made of.
    pub(super) fn parts<'p>(
        &'p self,
        ask: &'p Ask<'_>,
        plan: &'p CachePlan,
        canonical: CanonicalDigest,
    ) -> KeyParts<'p> {
        KeyParts {
            tenant: self.tenant,
            agent: self.agent,
            provider: self.provider,
            base_url: self.base_url,
            endpoint: ask.request.endpoint.path(),
            query: ask.query,
            version_headers: &self.version_headers,
            forwarded_headers: &self.forwarded_headers,
            policy_namespace: None,
            namespace: Some(&plan.namespace),
            user: plan.user.as_deref(),
            epoch: self.epoch,
            canonical,
        }
    }
}

impl Gateway {
    /// Makes the key: the one place that does.
    pub(super) fn question(
        &self,
        registry: &Registry,
        ask: &Ask<'_>,
        plan: &CachePlan,
        policy: &Policy,
        whose: &Opening,
        provider: &Arc<Provider>,
    ) -> Question {
        let tenant = &whose.tenant.id;
        let share = policy.config.share;
        // What is shared by all carries a name no agent and no model may have.
        let agent = if share.agents {
            Name::from(SHARED)
        } else {
            whose.agent.clone()
        };
        let asked_model = ask.request.model.clone();
        let model = if share.models {
            Name::from(SHARED)
        } else {
            asked_model.clone()
        };
        let fields = Fields {
            tenant: tenant.as_str(),
            agent: &agent,
            model: &model,
            namespace: &plan.namespace,
        };
        let (epoch, since) = (registry.epoch_of(fields), registry.older_than(fields));
        let scope = Scope::of(ask, policy, whose, provider, epoch);
        let item = |canonical: CanonicalDigest| {
            settled(
                &self.installation,
                registry,
                &scope.parts(ask, plan, canonical),
            )
        };
        let count = ask.request.input.count();
        let items = if count == 0 {
            vec![item(ask.canonical(share.models))]
        } else {
            let items = (0..count).filter_map(|i| canonical_item(ask.request, i));
            items
                .map(|canonical| item(CanonicalDigest::of(&canonical)))
                .collect()
        };
        let (sought, coalesce) = reaches(policy, &whose.tenant.settings);
        Question {
            items,
            asked_model,
            model,
            tenant: tenant.clone(),
            agent,
            namespace: plan.namespace.clone(),
            policy: policy.name.clone(),
            began: whose.at,
            since,
            coalesce,
            sought,
        }
    }
}

impl Gateway {
    /// How near answers may do, for a request that no kept one answers; what is declined is told to
    /// its plan.
    pub(super) fn nearness(
        &self,
        ask: &Ask<'_>,
        plan: &mut CachePlan,
        question: &Question,
        whose: &Opening,
        provider: &Provider,
    ) -> Option<Near> {
        let near = self.control.look(|registry| {
            let policy = ask.policy(registry, &whose.tenant, &whose.agent);
            let epoch = question.items[0].epoch_of_scope;
            let scope = Scope::of(ask, policy, whose, provider, epoch);
            self.near(ask, plan, policy, &scope)
        });
        near.unwrap_or_else(|reason| {
            plan.declined.push(reason);
            None
        })
    }
}

impl Question {
    /// The key of a question of one part.
    pub(super) fn key(&self) -> Key {
        self.items[0].key
    }

    /// The policy that governs it.
    pub(super) fn policy(&self) -> &Name {
        &self.policy
    }

    /// The keys of all its items.
    pub(super) fn keys(&self) -> Vec<Key> {
        self.items.iter().map(|item| item.key).collect()
    }

    /// The keys by which one-entry purges name its items.
    pub(super) fn sources(&self) -> Vec<Key> {
        self.items.iter().map(|item| item.source).collect()
    }

    /// What is written on the answer to an item; its end of life is decided when it is kept.
    pub(super) fn stamp(&self, item: usize) -> Stamp {
        Stamp {
            tenant: self.tenant.clone(),
            agent: self.agent.clone(),
            model: self.model.clone(),
            namespace: self.namespace.clone(),
            policy: self.policy.clone(),
            source: self.items[item].source,
            epoch: self.items[item].epoch,
            began: self.began,
            until: self.began,
        }
    }

    /// How the answer is made.
    pub(super) fn job(&self, ask: &Ask<'_>, plan: &CachePlan, provider: &Provider) -> Job {
        Job {
            provider: provider.name.clone(),
            base_url: provider.base_url.as_str().to_owned(),
            endpoint: ask.request.endpoint,
            query: ask.query.map(str::to_owned),
            stream: ask.request.stream,
            headers: upstream_headers(ask.headers, provider),
            stamp: self.stamp(0),
            items: Vec::new(),
            on_abandon: plan.on_abandon,
            near: None,
            body: upstream_body(ask.request, ask.raw, ask.request.stream),
        }
    }
}

/// The key, moved on if its one entry was purged.
fn settled(installation: &InstallationKey, registry: &Registry, parts: &KeyParts<'_>) -> Item {
    let source = derive(installation, parts);
    match registry.mark(&source) {
        None => Item {
            key: source,
            source,
            epoch: parts.epoch,
            epoch_of_scope: parts.epoch,
        },
        Some(mark) => Item {
            key: marked(&source, mark),
            source,
            epoch: parts.epoch.max(mark),
            epoch_of_scope: parts.epoch,
        },
    }
}

fn headers_of<'a>(
    headers: &'a HeaderMap,
    names: impl IntoIterator<Item = &'a HeaderName>,
) -> Vec<KeyHeader<'a>> {
    names
        .into_iter()
        .flat_map(|name| {
            let values = headers.get_all(name).iter();
            values.map(move |value| (name.as_str(), value.as_bytes()))
        })
        .collect()
}

/// What of the caller's headers goes upstream from a cached path.
pub(super) fn upstream_headers(headers: &HeaderMap, provider: &Provider) -> Vec<(String, String)> {
    UPSTREAM_HEADERS
        .iter()
        .chain(&VERSION_HEADERS)
        .chain(&provider.forward_headers)
        .flat_map(|name| headers.get_all(name).iter().map(move |value| (name, value)))
        .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_keeps_to_its_region_or_its_node_goes_no_further() {
        let near = CoalesceScope::Region;
        let (cluster, node) = (Reach::Cluster, Reach::Node);
        let world = CoalesceScope::Global;
        // (policy's scope, tenant's regions, its reach), (sought, made)
        type Row = (
            (CoalesceScope, &'static [&'static str], Reach),
            (Coalesce, Coalesce),
        );
        let table: &[Row] = &[
            ((world, &[], cluster), (Coalesce::World, Coalesce::World)),
            ((near, &[], cluster), (Coalesce::Region, Coalesce::Region)),
            (
                (world, &["fra"], cluster),
                (Coalesce::Region, Coalesce::Region),
            ),
            ((world, &[], node), (Coalesce::World, Coalesce::Node)),
            ((near, &["fra"], node), (Coalesce::Region, Coalesce::Node)),
        ];
        for ((scope, regions, reach), expected) in table {
            let mut policy = Policy::default();
            policy.config.coalesce_scope = *scope;
            let settings = TenantSettings {
                reach: *reach,
                regions: regions.iter().map(|region| Name::from(*region)).collect(),
                ..TenantSettings::default()
            };
            assert_eq!(reaches(&policy, &settings), *expected);
        }
    }
}
