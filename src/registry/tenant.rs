//! What a tenant is and what it may: plain data. It never holds a key, only what is known of one.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::digest::Digest;
use crate::answer::stamp::Millis;
use crate::names::{Name, TenantId};

/// Our share of what was saved, unless agreed otherwise: 15 %.
const SHARE_BASIS_POINTS: u16 = 1_500;

/// One tenant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tenant {
    /// The name that stands in keys, stamps and ledger lines. Never changes.
    pub id: TenantId,
    /// The name shown to people.
    pub name: Name,
    /// When it was created.
    pub created: Millis,
    /// The log index of its creation, and the least epoch of anything of its own: what an earlier
    /// tenant of the same id left behind is older than this and never served.
    pub epoch: u64,
    /// What it may.
    pub settings: TenantSettings,
}

/// What a tenant may, with the names and defaults of the admin API.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct TenantSettings {
    /// How far a provider key of its callers may travel.
    pub reach: Reach,
    /// The regions in which it is served and its entries may be kept; empty: all. A node elsewhere
    /// refuses its requests, and what is asked in one of them does not leave it.
    pub regions: Vec<Name>,
    /// Whether hits go on while a node cannot prove that it knows the latest purge.
    pub stale_ok: bool,
    /// Requests accepted in a minute; `None`: no limit.
    pub requests_per_minute: Option<u32>,
    /// Memory its entries may take on one node; `None`: the node's own share for each tenant.
    pub memory_bytes_max: Option<u64>,
    /// Our share of its savings, in hundredths of a per cent.
    pub share_basis_points: u16,
}

impl Default for TenantSettings {
    fn default() -> Self {
        Self {
            reach: Reach::Cluster,
            regions: Vec::new(),
            stale_ok: false,
            requests_per_minute: None,
            memory_bytes_max: None,
            share_basis_points: SHARE_BASIS_POINTS,
        }
    }
}

impl TenantSettings {
    /// What is wrong with the numbers, if anything.
    pub(super) fn mistake(&self) -> Option<&'static str> {
        if self.share_basis_points > 10_000 {
            return Some("share_basis_points is at most 10000 (all of the saving)");
        }
        if self.requests_per_minute == Some(0) {
            return Some("requests_per_minute is at least 1; leave it out for no limit");
        }
        (self.regions.len() > super::REGIONS_MAX).then_some("more regions than there may be")
    }
}

/// How far a request may travel inside the cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Reach {
    /// To the owner of its key.
    #[default]
    Cluster,
    /// Nowhere: a provider key never leaves the node that received it.
    Node,
}

/// What is known of one key beside its digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TenantKey {
    /// Whose it is.
    pub tenant: TenantId,
    /// The agent it is bound to; a bound key cannot speak for another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Name>,
    /// When it was made.
    pub created: Millis,
    /// When it ends, once it was rotated out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Millis>,
    /// Digest of the `Idempotency-Key` it was asked for with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub once: Option<Digest>,
}

impl TenantKey {
    /// Whether the key still opens the door.
    #[must_use]
    pub fn holds(&self, now: Millis) -> bool {
        self.until.is_none_or(|until| now < until)
    }
}

/// Who asks: a key that was recognised.
#[derive(Clone, Debug)]
pub struct Known {
    /// The tenant.
    pub tenant: std::sync::Arc<Tenant>,
    /// The agent its key is bound to.
    pub agent: Option<Name>,
}
