//! The stamp of a stored answer: whose it is, under which policy and epoch it was made, and for
//! how long it may be served. Plain data; it never reads a clock and never judges itself: whether
//! a stamp is still live is the registry's question.

use std::fmt;

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::{Name, TenantId};

/// Unix time in milliseconds.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// This moment and so many seconds; the end of time instead of an overflow.
    pub fn plus(self, seconds: u64) -> Self {
        self.plus_millis(seconds.saturating_mul(1000))
    }

    /// This moment and so many milliseconds; the end of time instead of an overflow.
    pub fn plus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_add(millis))
    }

    /// So many milliseconds before this moment, never before 1970.
    pub fn minus_millis(self, millis: u64) -> Self {
        Self(self.0.saturating_sub(millis))
    }

    /// Milliseconds passed since `earlier`; 0 when `earlier` lies in the future, as it may when
    /// two nodes' clocks disagree.
    pub fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ms", self.0)
    }
}

/// What travels with every stored answer, in memory, on disk and over the wire.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Whose answer it is.
    pub tenant: TenantId,
    /// The agent it was asked by; `""` = none.
    pub agent: Name,
    /// The model that was asked for.
    pub model: Name,
    /// The partition inside the tenant; `""` = none.
    pub namespace: Name,
    /// The policy it was kept under; `""` = the default one.
    pub policy: Name,
    /// The key of the request that really went upstream: its own, unless the answer was promoted
    /// from a neighbour.
    pub source: Key,
    /// The latest purge that covered the request when it was asked.
    pub epoch: u64,
    /// When its fill began.
    pub began: Millis,
    /// Served before this moment only.
    pub until: Millis,
}
