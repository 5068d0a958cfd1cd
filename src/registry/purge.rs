//! What may no longer be served: one latest log index for every combination of fields that was
//! ever purged, one latest time for every combination purged by age, and marks on single entries.
//! Nothing is deleted here; entries carry a stamp, and the stamp is judged. When a table is full
//! a purge covers more than was asked, never less.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use fgy_cluster::Key;
use serde::{Deserialize, Serialize};

use crate::answer::stamp::{Millis, Stamp};
use crate::names::{Name, TenantId};

/// Combinations of fields kept at once; the widest ones, at most one for each tenant, on top.
pub const PURGE_SCOPES_MAX: usize = 20_000;

/// Combinations kept for one tenant, or without one.
pub const PURGE_SCOPES_PER_TENANT_MAX: usize = 1_000;

/// Entries marked one by one.
pub const ENTRY_MARKS_MAX: usize = 10_000;

/// Clocks of two nodes may differ by this much and a purge by age still covers everything it
/// should; the doubt goes against the entry.
const SKEW_MILLIS_MAX: u64 = 2_000;

/// What stands in the agent or model field of an answer that is shared across agents or models.
/// A purge that names one member covers the whole shared partition. No agent or model may be
/// called so.
pub const SHARED: &str = "*";

/// Parts a namespace inside a namespace; a purge of the outer one covers the inner.
pub const INSIDE: char = '/';

/// Which fields a purge gives; a field left out covers every value.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PurgeScope {
    /// Of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<TenantId>,
    /// Of this agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// Of this model.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Name>,
    /// Of this namespace, and those inside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub namespace: Option<Name>,
}

/// Tenant, agent, model, namespace: given or not.
type Parts<'a> = [Option<&'a str>; 4];

impl PurgeScope {
    /// Everything one tenant has.
    #[must_use]
    pub fn of_tenant(tenant: TenantId) -> Self {
        Self {
            tenant: Some(tenant),
            ..Self::default()
        }
    }

    fn parts(&self) -> Parts<'_> {
        [
            self.tenant.as_ref().map(TenantId::as_str),
            self.agent.as_deref(),
            self.model.as_deref(),
            self.namespace.as_deref(),
        ]
    }

    /// A bit for each field given.
    fn mask(&self) -> usize {
        self.parts()
            .iter()
            .enumerate()
            .map(|(bit, part)| usize::from(part.is_some()) << bit)
            .sum()
    }

    /// Whether everything in `other` is in this scope too.
    fn covers(&self, other: &Self) -> bool {
        let pairs = self.parts().into_iter().zip(other.parts());
        pairs
            .into_iter()
            .all(|(mine, theirs)| mine.is_none() || mine == theirs)
    }

    /// The scope itself, and what it touches of shared partitions.
    fn with_shared(&self) -> Vec<Self> {
        let mut scopes = vec![self.clone()];
        if self.agent.is_some() {
            scopes.push(Self {
                agent: Some(SHARED.into()),
                ..self.clone()
            });
        }
        if self.model.is_some() {
            let shared = |scope: &Self| Self {
                model: Some(SHARED.into()),
                ..scope.clone()
            };
            let more: Vec<_> = scopes.iter().map(shared).collect();
            scopes.extend(more);
        }
        scopes
    }
}

/// The four fields of a request or a stamp, by which purges find it; `""` where it has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fields<'a> {
    /// Whose.
    pub tenant: &'a str,
    /// Which agent's; [`SHARED`] if shared across agents.
    pub agent: &'a str,
    /// Which model's; [`SHARED`] if shared across models.
    pub model: &'a str,
    /// In which namespace, the policy's before the caller's: `v3/staging`.
    pub namespace: &'a str,
}

impl<'a> Fields<'a> {
    fn of(stamp: &'a Stamp) -> Self {
        Self {
            tenant: stamp.tenant.as_str(),
            agent: &stamp.agent,
            model: &stamp.model,
            namespace: &stamp.namespace,
        }
    }

    fn masked(&self, mask: usize, namespace: &'a str) -> Parts<'a> {
        let all = [self.tenant, self.agent, self.model, namespace];
        std::array::from_fn(|bit| (mask >> bit & 1 == 1).then_some(all[bit]))
    }

    /// The namespace, and the one it lies in.
    fn namespaces(&self) -> impl Iterator<Item = &'a str> + use<'a> {
        let outer = self.namespace.split_once(INSIDE).map(|(outer, _)| outer);
        std::iter::once(self.namespace).chain(outer)
    }
}

/// Something remembered for each combination of fields: sorted rows, found without an allocation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<Row<V>>", into = "Vec<Row<V>>")]
#[serde(bound(
    serialize = "V: Clone + Serialize",
    deserialize = "V: Deserialize<'de>"
))]
struct Table<V> {
    rows: Vec<Row<V>>,
    /// Which combinations of fields occur at all, a bit for each of the sixteen: most never do,
    /// and an installation that never purged pays nothing.
    masks: u16,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Row<V> {
    scope: PurgeScope,
    value: V,
}

impl<V> Default for Table<V> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            masks: 0,
        }
    }
}

impl<V> From<Vec<Row<V>>> for Table<V> {
    fn from(mut rows: Vec<Row<V>>) -> Self {
        rows.sort_by(|a, b| a.scope.parts().cmp(&b.scope.parts()));
        let masks = rows
            .iter()
            .fold(0, |masks, row| masks | 1 << row.scope.mask());
        Self { rows, masks }
    }
}

impl<V> From<Table<V>> for Vec<Row<V>> {
    fn from(table: Table<V>) -> Self {
        table.rows
    }
}

impl<V> Table<V> {
    /// What is remembered of every combination that covers `fields`: at most sixteen look-ups,
    /// twice that for a namespace inside a namespace.
    fn covering<'t>(&'t self, fields: Fields<'t>) -> impl Iterator<Item = &'t V> {
        let present = (0..16).filter(|mask| self.masks >> mask & 1 == 1);
        present.flat_map(move |mask| {
            let names_namespace = mask >> 3 & 1 == 1;
            let namespaces = fields
                .namespaces()
                .take(if names_namespace { 2 } else { 1 });
            namespaces.filter_map(move |namespace| self.get(fields.masked(mask, namespace)))
        })
    }

    fn get(&self, wanted: Parts<'_>) -> Option<&V> {
        let order = |row: &Row<V>| row.scope.parts().cmp(&wanted);
        self.rows
            .binary_search_by(order)
            .ok()
            .map(|at| &self.rows[at].value)
    }

    /// Sets a row and drops those it makes needless.
    fn set(&mut self, scope: PurgeScope, value: V, needless: impl Fn(&Row<V>) -> bool) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(|row| row.scope != scope && !(scope.covers(&row.scope) && needless(row)));
        rows.push(Row { scope, value });
        *self = rows.into();
    }

    fn retain(&mut self, keep: impl Fn(&Row<V>) -> bool) {
        let mut rows = std::mem::take(&mut self.rows);
        rows.retain(keep);
        *self = rows.into();
    }

    /// The scope to use for `scope`: itself while there is room, else one so wide that it takes
    /// the place of many.
    fn room_for(&self, scope: &PurgeScope) -> PurgeScope {
        let same_tenant = self
            .rows
            .iter()
            .filter(|row| row.scope.tenant == scope.tenant)
            .count();
        let full =
            same_tenant + 4 > PURGE_SCOPES_PER_TENANT_MAX || self.rows.len() + 4 > PURGE_SCOPES_MAX;
        if full {
            PurgeScope {
                tenant: scope.tenant.clone(),
                ..PurgeScope::default()
            }
        } else {
            scope.clone()
        }
    }
}

/// Purged by age: what began before `before` is gone; the row itself goes at `expires`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Older {
    before: Millis,
    expires: Millis,
}

/// Purged one by one: what the entry was before `epoch` is gone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct EntryMark {
    epoch: u64,
    scope: PurgeScope,
    before: Option<Millis>,
    expires: Millis,
}

/// All purges in force.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purges {
    epochs: Table<u64>,
    older: Table<Older>,
    entries: BTreeMap<Key, EntryMark>,
}

impl Purges {
    /// The log index of the latest purge that covers a request with these fields; 0: none.
    #[must_use]
    pub fn epoch_of(&self, fields: Fields<'_>) -> u64 {
        self.epochs.covering(fields).copied().max().unwrap_or(0)
    }

    /// The latest time that a purge by age named for these fields, in milliseconds; 0: none. It raises
    /// no epoch, for what was begun later lives on; but who asks after it joins no earlier call.
    #[must_use]
    pub fn older_than(&self, fields: Fields<'_>) -> u64 {
        let before = self.older.covering(fields).map(|older| older.before.0);
        before.max().unwrap_or(0)
    }

    /// The log index at which this one entry was last purged.
    #[must_use]
    pub fn mark(&self, key: &Key) -> Option<u64> {
        self.entries.get(key).map(|mark| mark.epoch)
    }

    /// Whether a purge covers what carries this stamp.
    #[must_use]
    pub fn cover(&self, stamp: &Stamp) -> bool {
        let fields = Fields::of(stamp);
        stamp.epoch < self.epoch_of(fields)
            || self
                .older
                .covering(fields)
                .any(|older| is_older(stamp, older.before))
            || self
                .entries
                .get(&stamp.source)
                .is_some_and(|mark| mark.covers(stamp))
    }

    /// Purges a scope as of `index`; the scope that it really came to.
    pub(super) fn raise(&mut self, index: u64, scope: &PurgeScope) -> PurgeScope {
        let scope = self.epochs.room_for(scope);
        for each in scope.with_shared() {
            self.epochs.set(each, index, |row| row.value <= index);
        }
        scope
    }

    /// Purges by age; the scope that it really came to.
    pub(super) fn age(
        &mut self,
        scope: &PurgeScope,
        before: Millis,
        expires: Millis,
    ) -> PurgeScope {
        let scope = self.older.room_for(scope);
        for each in scope.with_shared() {
            let held = self.older.get(each.parts()).copied();
            let before = held.map_or(before, |held| held.before.max(before));
            let expires = held.map_or(expires, |held| held.expires.max(expires));
            // A row about to end may not take one with it that lives longer.
            let needless =
                |row: &Row<Older>| row.value.before <= before && row.value.expires <= expires;
            self.older.set(each, Older { before, expires }, needless);
        }
        scope
    }

    /// Purges one entry; `false`: the table of marks is full.
    pub(super) fn mark_entry(
        &mut self,
        (key, epoch): (Key, u64),
        scope: &PurgeScope,
        before: Option<Millis>,
        expires: Millis,
    ) -> bool {
        let held = self.entries.get(&key);
        if held.is_none() && self.entries.len() >= ENTRY_MARKS_MAX {
            return false;
        }
        // Two purges of one entry on different conditions: the entry alone, on none.
        let same = held.is_none_or(|held| held.scope == *scope && held.before == before);
        let (scope, before) = if same {
            (scope.clone(), before)
        } else {
            Default::default()
        };
        let expires = held.map_or(expires, |held| held.expires.max(expires));
        self.entries.insert(
            key,
            EntryMark {
                epoch,
                scope,
                before,
                expires,
            },
        );
        true
    }

    /// Forgets marks that nothing alive can fall under any more.
    pub(super) fn expire(&mut self, now: Millis) {
        self.entries.retain(|_, mark| now < mark.expires);
        if self.older.rows.iter().any(|row| row.value.expires <= now) {
            self.older.retain(|row| now < row.value.expires);
        }
    }

    /// Forgets what concerned a tenant that is gone: the epoch of its successor, if there ever is
    /// one, is higher than all of it.
    pub(super) fn forget_tenant(&mut self, tenant: &TenantId) {
        self.epochs
            .retain(|row| row.scope.tenant.as_ref() != Some(tenant));
        self.older
            .retain(|row| row.scope.tenant.as_ref() != Some(tenant));
    }
}

impl EntryMark {
    fn covers(&self, stamp: &Stamp) -> bool {
        let all = Fields::of(stamp);
        let fields_match = all.namespaces().any(|namespace| {
            let theirs = [all.tenant, all.agent, all.model, namespace];
            self.scope
                .parts()
                .into_iter()
                .zip(theirs)
                .all(|(mine, theirs)| mine.is_none_or(|mine| mine == theirs || theirs == SHARED))
        });
        stamp.epoch < self.epoch
            && fields_match
            && self.before.is_none_or(|before| is_older(stamp, before))
    }
}

fn is_older(stamp: &Stamp, before: Millis) -> bool {
    stamp.began.0.cmp(&before.0.saturating_add(SKEW_MILLIS_MAX)) == Ordering::Less
}
