//! What the whole installation agrees on: tenants and the digests of their keys, policies,
//! providers, prices, what was purged, and who changed what. A pure state machine: `apply` is deterministic, and a look-up
//! needs nothing but the value, so a request asks its own copy and never waits. It never sees a
//! key, a prompt or an answer.

mod audit;
mod command;
mod digest;
mod provider;
mod purge;
mod tenant;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use fgy_cluster::{Key, State};
use serde::{Deserialize, Serialize, Serializer};

pub use self::audit::{AUDIT_ENTRIES_MAX, Audit, Audited, Hand};
pub use self::command::{Command, Outcome, Refusal};
pub use self::digest::{Digest, key_digest};
pub use self::provider::{
    Auth, DEFAULT_PROVIDER, NO_OPERATOR, Provider, ProviderKind, base_url, forwarded,
};
pub use self::purge::{
    ENTRY_MARKS_MAX, Fields, INSIDE, PURGE_SCOPES_MAX, PURGE_SCOPES_PER_TENANT_MAX, PurgeScope,
    Purges, SHARED,
};
pub use self::tenant::{Known, Reach, Tenant, TenantKey, TenantSettings};
use crate::answer::stamp::{Millis, Stamp};
use crate::names::{Name, TenantId};
use crate::policy::{Policy, TTL_SECONDS_DEFAULT};

/// Tenants.
pub const TENANTS_MAX: usize = 10_000;
/// Keys of one tenant, those about to end included.
pub const KEYS_PER_TENANT_MAX: usize = 64;
/// Policies.
pub const POLICIES_MAX: usize = 1_000;
/// Providers.
pub const PROVIDERS_MAX: usize = 256;
/// Bytes of the operator's price table, as JSON.
pub const PRICES_BYTES_MAX: usize = 1 << 20;
/// Bytes of a name.
pub const NAME_BYTES_MAX: usize = 128;
/// Regions a tenant may be held to.
pub const REGIONS_MAX: usize = 64;

/// An answer may end this much later than its life counted from the question: the time a long
/// stream takes, and then some. Marks outlive it.
const FLIGHT_MILLIS_MAX: u64 = 3_600_000;

/// The agreed state.
///
/// A field that is missing in a snapshot is a damaged snapshot, never an empty table; only a field
/// that an older form (`golden/`) has not may have a default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Registry {
    #[serde(serialize_with = "in_order")]
    tenants: HashMap<TenantId, Arc<Tenant>>,
    #[serde(serialize_with = "in_order")]
    keys: HashMap<Digest, TenantKey>,
    purges: Purges,
    policies: Vec<Arc<Policy>>,
    prices: Option<Arc<Prices>>,
    /// The longest life any policy ever gave an answer: how long a mark has to be remembered.
    ttl_seconds_longest: u64,
    /// In the order of their names; `None` until somebody tells of any, be it a file.
    #[serde(default)]
    providers: Option<Arc<Vec<Provider>>>,
    #[serde(default)]
    audit: Audit,
}

/// The operator's own prices: kept, not understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// Raised by one with every change; stands in ledger lines.
    pub version: u32,
    /// What the operator gave.
    pub table: serde_json::Value,
}

impl Registry {
    /// Who holds the key with this digest, if its time is not over. Two hash look-ups and two
    /// counts; nothing is copied.
    #[must_use]
    pub fn caller(&self, digest: &[u8; 32], now: Millis) -> Option<Known> {
        let key = self.keys.get(&Digest::from(*digest))?;
        if !key.holds(now) {
            return None;
        }
        let tenant = self.tenants.get(&key.tenant)?;
        Some(Known {
            tenant: Arc::clone(tenant),
            agent: key.agent.clone(),
        })
    }

    /// The epoch of a request: the log index of the latest purge that covers it, or of its
    /// tenant's creation. An answer whose stamp carries less is not served. For one key it is to
    /// be raised to [`Registry::mark`].
    #[must_use]
    pub fn epoch_of(&self, fields: Fields<'_>) -> u64 {
        let born = self
            .tenants
            .get(fields.tenant)
            .map_or(0, |tenant| tenant.epoch);
        self.purges.epoch_of(fields).max(born)
    }

    /// The latest time that a purge by age named for these fields, in milliseconds; 0: none.
    #[must_use]
    pub fn older_than(&self, fields: Fields<'_>) -> u64 {
        self.purges.older_than(fields)
    }

    /// The log index at which this one entry was last purged. Whoever fills it anew stamps it with
    /// at least this, and asks made after it do not join a flight begun before.
    #[must_use]
    pub fn mark(&self, key: &Key) -> Option<u64> {
        self.purges.mark(key)
    }

    /// Whether what carries this stamp may be served now: not expired, its tenant the one that
    /// made it, no purge over it. Asked at look-up and before the first byte, of entries, copies
    /// and neighbours alike.
    #[must_use]
    pub fn live(&self, stamp: &Stamp, now: Millis) -> bool {
        let owner = self.tenants.get(&stamp.tenant);
        now < stamp.until
            && owner.is_some_and(|tenant| stamp.epoch >= tenant.epoch)
            && !self.purges.cover(stamp)
    }

    /// The same for an answer found under `key`: a copy promoted from another entry carries that
    /// entry's stamp, and must fall with a purge of either key.
    #[must_use]
    pub fn live_as(&self, key: &Key, stamp: &Stamp, now: Millis) -> bool {
        self.live(stamp, now) && self.mark(key).is_none_or(|epoch| stamp.epoch >= epoch)
    }

    /// The tenant of this id.
    #[must_use]
    pub fn tenant(&self, id: &str) -> Option<&Arc<Tenant>> {
        self.tenants.get(id)
    }

    /// All tenants, by id.
    #[must_use]
    pub fn tenants(&self) -> Vec<&Arc<Tenant>> {
        let mut tenants: Vec<_> = self.tenants.values().collect();
        tenants.sort_by(|a, b| a.id.cmp(&b.id));
        tenants
    }

    /// The keys of a tenant, oldest first.
    #[must_use]
    pub fn keys_of(&self, tenant: &str) -> Vec<(Digest, &TenantKey)> {
        let mine = self
            .keys
            .iter()
            .filter(|(_, key)| key.tenant.as_str() == tenant);
        let mut keys: Vec<_> = mine.map(|(digest, key)| (*digest, key)).collect();
        keys.sort_by_key(|(digest, key)| (key.created, *digest));
        keys
    }

    /// All policies, in the order that decides between equals.
    #[must_use]
    pub fn policies(&self) -> &[Arc<Policy>] {
        &self.policies
    }

    /// The configured providers, in the order of their names; `None` until somebody told of any.
    #[must_use]
    pub fn providers(&self) -> Option<&Arc<Vec<Provider>>> {
        self.providers.as_ref()
    }

    /// The provider of this name.
    #[must_use]
    pub fn provider(&self, name: &str) -> Option<&Provider> {
        let mut all = self.providers.iter().flat_map(|all| all.iter());
        all.find(|provider| provider.name == name)
    }

    /// Who changed what: the latest changes, and how many older ones were dropped.
    #[must_use]
    pub fn audit(&self) -> &Audit {
        &self.audit
    }

    /// The operator's own prices.
    #[must_use]
    pub fn prices(&self) -> Option<&Arc<Prices>> {
        self.prices.as_ref()
    }
}

impl State for Registry {
    const FORMAT: u32 = 1;
    type Command = Command;
    type Outcome = Outcome;

    fn apply(&mut self, index: u64, command: Command) -> Outcome {
        let Command::Signed {
            by,
            node,
            at,
            command,
        } = command
        else {
            return self.change(index, command).unwrap_or_else(Outcome::Refused);
        };
        let audited = Audited::of(index, (by, node, at), &command);
        let outcome = self
            .change(index, *command)
            .unwrap_or_else(Outcome::Refused);
        if !matches!(outcome, Outcome::Refused(_) | Outcome::Unchanged) {
            self.audit.push(audited);
        }
        outcome
    }
}

impl Registry {
    fn change(&mut self, index: u64, command: Command) -> Result<Outcome, Refusal> {
        match command {
            Command::CreateTenant {
                id,
                name,
                settings,
                at,
            } => self.create_tenant(Tenant {
                id,
                name,
                created: at,
                epoch: index,
                settings,
            }),
            Command::ChangeTenant { id, settings } => self.change_tenant(&id, settings),
            Command::DeleteTenant { id } => self.delete_tenant(&id),
            Command::AddKey {
                tenant,
                digest,
                agent,
                at,
                once,
            } => self.add_key(
                digest,
                TenantKey {
                    tenant,
                    agent,
                    created: at,
                    until: None,
                    once,
                },
            ),
            Command::RotateKey {
                tenant,
                digest,
                agent,
                at,
                until,
                once,
            } => self.rotate_key(
                digest,
                TenantKey {
                    tenant,
                    agent,
                    created: at,
                    until: None,
                    once,
                },
                until,
            ),
            Command::RevokeKey { tenant, key } => self.revoke_key(&tenant, &key),
            Command::Purge {
                scope,
                older_than,
                key,
                at,
            } => self.purge(index, &scope, (older_than, key), at),
            Command::ApplyPolicies { policies } => self.apply_policies(policies),
            Command::RemovePolicy { name } => self.remove_policy(&name),
            Command::ApplyPrices { table } => self.apply_prices(table),
            Command::ApplyProviders { providers, first } => self.apply_providers(providers, first),
            Command::RemoveProvider { name } => self.remove_provider(&name),
            Command::Signed { .. } => Err(Refusal::Bad("a command is signed once".into())),
        }
    }

    fn create_tenant(&mut self, tenant: Tenant) -> Result<Outcome, Refusal> {
        if !is_id(tenant.id.as_str()) {
            return Err(Refusal::Bad(
                "a tenant id is 1 to 64 of a-z, 0-9, `-`, `_`, `.` and begins with a letter or digit".into(),
            ));
        }
        check_name(&tenant.name)?;
        tenant
            .settings
            .mistake()
            .map_or(Ok(()), |why| Err(Refusal::Bad(why.into())))?;
        if let Some(held) = self.tenants.get(&tenant.id) {
            let same = held.name == tenant.name && held.settings == tenant.settings;
            return if same {
                Ok(Outcome::Unchanged)
            } else {
                Err(Refusal::NameTaken)
            };
        }
        room("tenants", self.tenants.len(), TENANTS_MAX)?;
        self.tenants.insert(tenant.id.clone(), Arc::new(tenant));
        Ok(Outcome::Done)
    }

    fn change_tenant(
        &mut self,
        id: &TenantId,
        settings: TenantSettings,
    ) -> Result<Outcome, Refusal> {
        settings
            .mistake()
            .map_or(Ok(()), |why| Err(Refusal::Bad(why.into())))?;
        let tenant = self.tenants.get_mut(id).ok_or(Refusal::NoSuchTenant)?;
        if tenant.settings == settings {
            return Ok(Outcome::Unchanged);
        }
        Arc::make_mut(tenant).settings = settings;
        Ok(Outcome::Done)
    }

    fn delete_tenant(&mut self, id: &TenantId) -> Result<Outcome, Refusal> {
        self.tenants.remove(id).ok_or(Refusal::NoSuchTenant)?;
        self.keys.retain(|_, key| key.tenant != *id);
        self.purges.forget_tenant(id);
        Ok(Outcome::Done)
    }

    fn add_key(&mut self, digest: Digest, key: TenantKey) -> Result<Outcome, Refusal> {
        if !self.tenants.contains_key(&key.tenant) {
            return Err(Refusal::NoSuchTenant);
        }
        key.agent
            .as_ref()
            .map_or(Ok(()), |agent| check_agent(agent))?;
        if let Some(held) = self.keys.get(&digest) {
            let same = held.tenant == key.tenant && held.agent == key.agent && held.until.is_none();
            return if same {
                Ok(Outcome::Unchanged)
            } else {
                Err(Refusal::KeyTaken)
            };
        }
        let asked_before = |held: &TenantKey| {
            held.tenant == key.tenant && held.once == key.once && held.holds(key.created)
        };
        if key.once.is_some() && self.keys.values().any(asked_before) {
            return Ok(Outcome::Unchanged);
        }
        let held = self
            .keys
            .values()
            .filter(|held| held.tenant == key.tenant && held.holds(key.created));
        room("keys of this tenant", held.count(), KEYS_PER_TENANT_MAX)?;
        self.keys
            .retain(|_, held| held.tenant != key.tenant || held.holds(key.created));
        self.keys.insert(digest, key);
        Ok(Outcome::Done)
    }

    fn rotate_key(
        &mut self,
        digest: Digest,
        key: TenantKey,
        until: Millis,
    ) -> Result<Outcome, Refusal> {
        let (tenant, agent, created) = (key.tenant.clone(), key.agent.clone(), key.created);
        if self.add_key(digest, key)? == Outcome::Unchanged {
            return Ok(Outcome::Unchanged);
        }
        let until = until.max(created);
        for (held, key) in &mut self.keys {
            if *held != digest && key.tenant == tenant && key.agent == agent {
                key.until = Some(key.until.map_or(until, |earlier| earlier.min(until)));
            }
        }
        Ok(Outcome::Done)
    }

    fn revoke_key(&mut self, tenant: &TenantId, id: &str) -> Result<Outcome, Refusal> {
        if !self.tenants.contains_key(tenant) {
            return Err(Refusal::NoSuchTenant);
        }
        let named = self
            .keys
            .iter()
            .filter(|(digest, key)| key.tenant == *tenant && digest.id() == id);
        let named: Vec<Digest> = named.map(|(digest, _)| *digest).collect();
        match named[..] {
            [] => Err(Refusal::NoSuchKey),
            [digest] => {
                self.keys.remove(&digest);
                Ok(Outcome::Done)
            }
            [..] => Err(Refusal::AmbiguousKey),
        }
    }

    fn purge(
        &mut self,
        index: u64,
        scope: &PurgeScope,
        (older_than, key): (Option<Millis>, Option<Key>),
        at: Millis,
    ) -> Result<Outcome, Refusal> {
        let names = [&scope.agent, &scope.model, &scope.namespace];
        names
            .into_iter()
            .flatten()
            .try_for_each(|name| check_name(name))?;
        if scope
            .tenant
            .as_ref()
            .is_some_and(|tenant| !self.tenants.contains_key(tenant))
        {
            return Err(Refusal::NoSuchTenant);
        }
        let older_than = older_than.map(|before| before.min(at));
        let expires = self.forgotten_by(at);
        self.purges.expire(at);
        let scope = match (key, older_than) {
            (Some(key), before) => {
                if !self.purges.mark_entry((key, index), scope, before, expires) {
                    return Err(Refusal::TooMany {
                        what: "entries purged one by one".into(),
                        count_max: ENTRY_MARKS_MAX,
                    });
                }
                scope.clone()
            }
            (None, Some(before)) => self.purges.age(scope, before, expires),
            (None, None) => self.purges.raise(index, scope),
        };
        Ok(Outcome::Purged {
            epoch: index,
            scope,
        })
    }

    /// When the last answer that existed at `at` will have expired.
    fn forgotten_by(&self, at: Millis) -> Millis {
        let seconds = self.ttl_seconds_longest.max(u64::from(TTL_SECONDS_DEFAULT));
        Millis(
            at.0.saturating_add(seconds.saturating_mul(1_000))
                .saturating_add(FLIGHT_MILLIS_MAX),
        )
    }

    fn apply_policies(&mut self, policies: Vec<Policy>) -> Result<Outcome, Refusal> {
        let mut merged = self.policies.clone();
        for policy in policies {
            match merged.iter_mut().find(|held| held.name == policy.name) {
                Some(held) => *held = Arc::new(policy),
                None => merged.push(Arc::new(policy)),
            }
            room("policies", merged.len() - 1, POLICIES_MAX)?;
        }
        if merged == self.policies {
            return Ok(Outcome::Unchanged);
        }
        let longest = merged
            .iter()
            .map(|policy| u64::from(policy.config.ttl_seconds))
            .max();
        self.ttl_seconds_longest = self.ttl_seconds_longest.max(longest.unwrap_or(0));
        self.policies = merged;
        Ok(Outcome::Done)
    }

    fn remove_policy(&mut self, name: &Name) -> Result<Outcome, Refusal> {
        let before = self.policies.len();
        self.policies.retain(|policy| policy.name != *name);
        if self.policies.len() == before {
            Err(Refusal::NoSuchPolicy)
        } else {
            Ok(Outcome::Done)
        }
    }

    fn apply_providers(
        &mut self,
        providers: Vec<Provider>,
        first: bool,
    ) -> Result<Outcome, Refusal> {
        if first && self.providers.is_some() {
            return Ok(Outcome::Unchanged);
        }
        let held = self.providers.iter().flat_map(|held| held.iter().cloned());
        let mut merged: BTreeMap<Name, Provider> = held
            .map(|provider| (provider.name.clone(), provider))
            .collect();
        for provider in providers {
            provider
                .mistake()
                .map_or(Ok(()), |why| Err(Refusal::Bad(why.into())))?;
            merged.insert(provider.name.clone(), provider);
            room("providers", merged.len() - 1, PROVIDERS_MAX)?;
        }
        let merged: Vec<Provider> = merged.into_values().collect();
        if self.providers.as_deref() == Some(&merged) {
            return Ok(Outcome::Unchanged);
        }
        self.providers = Some(Arc::new(merged));
        Ok(Outcome::Done)
    }

    fn remove_provider(&mut self, name: &Name) -> Result<Outcome, Refusal> {
        let held = self.providers.as_mut().ok_or(Refusal::NoSuchProvider)?;
        if !held.iter().any(|provider| provider.name == *name) {
            return Err(Refusal::NoSuchProvider);
        }
        Arc::make_mut(held).retain(|provider| provider.name != *name);
        Ok(Outcome::Done)
    }

    fn apply_prices(&mut self, table: serde_json::Value) -> Result<Outcome, Refusal> {
        if !table.is_object() {
            return Err(Refusal::Bad("a price table is an object".into()));
        }
        if table.to_string().len() > PRICES_BYTES_MAX {
            return Err(Refusal::Bad(
                "the price table is above 1 MiB; list fewer models".into(),
            ));
        }
        let held = self.prices.as_deref();
        if held.is_some_and(|held| held.table == table) {
            return Ok(Outcome::Unchanged);
        }
        let version = held.map_or(1, |held| held.version.saturating_add(1));
        self.prices = Some(Arc::new(Prices { version, table }));
        Ok(Outcome::Priced { version })
    }
}

/// An id goes into URLs, file names and metrics as it is.
fn is_id(id: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let fits = (1..=64).contains(&id.len());
    fits && plain(id.as_bytes()[0])
        && id
            .bytes()
            .all(|b| plain(b) || matches!(b, b'-' | b'_' | b'.'))
}

fn check_name(name: &str) -> Result<(), Refusal> {
    if name.is_empty() || name.len() > NAME_BYTES_MAX || name.chars().any(char::is_control) {
        return Err(Refusal::Bad(
            "a name is 1 to 128 bytes without control characters".into(),
        ));
    }
    Ok(())
}

fn check_agent(agent: &str) -> Result<(), Refusal> {
    if agent == SHARED {
        return Err(Refusal::Bad(
            "no agent may be called `*`: it stands for all of them".into(),
        ));
    }
    check_name(agent)
}

fn room(what: &'static str, count: usize, count_max: usize) -> Result<(), Refusal> {
    if count < count_max {
        Ok(())
    } else {
        Err(Refusal::TooMany {
            what: what.into(),
            count_max,
        })
    }
}

/// Hash tables are written in the order of their keys: one state has one spelling.
fn in_order<K: Ord + Serialize, V: Serialize, S: Serializer>(
    table: &HashMap<K, V>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    table
        .iter()
        .collect::<BTreeMap<_, _>>()
        .serialize(serializer)
}
