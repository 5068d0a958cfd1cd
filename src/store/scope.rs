//! Which entries a purge, a count or a deletion covers. Pure: it judges a stamp and reads nothing.

use fgy_cluster::Key;

use crate::answer::stamp::{Millis, Stamp};
use crate::names::{Name, TenantId};

/// Conditions an entry must all meet; with none set, everything is covered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scope {
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Asked by this agent; `""` is those who named none.
    pub agent: Option<Name>,
    /// Of this model.
    pub model: Option<Name>,
    /// In this namespace; `""` is the one without a name.
    pub namespace: Option<Name>,
    /// Whose fill began before this moment.
    pub began_before: Option<Millis>,
    /// Kept under this key, or promoted from it.
    pub source: Option<Key>,
}

impl Scope {
    /// Whether an entry is covered.
    pub fn covers(&self, key: Key, stamp: &Stamp) -> bool {
        let Self {
            tenant,
            agent,
            model,
            namespace,
            began_before,
            source,
        } = self;
        tenant.as_ref().is_none_or(|tenant| *tenant == stamp.tenant)
            && agent.as_ref().is_none_or(|agent| *agent == stamp.agent)
            && model.as_ref().is_none_or(|model| *model == stamp.model)
            && namespace
                .as_ref()
                .is_none_or(|namespace| *namespace == stamp.namespace)
            && began_before.is_none_or(|moment| stamp.began < moment)
            && source.is_none_or(|source| source == key || source == stamp.source)
    }
}
