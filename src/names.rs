//! Names that travel with every request: cheap to clone, compared as written.
//!
//! Nothing here checks or changes a name: what a name may look like is decided where it comes in.

use std::borrow::Borrow;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A short text: an agent, a model, a namespace, a policy. `""` means *none*. Up to 23 bytes lie in
/// the name itself: every request copies a dozen of them on every core, and a shared count would
/// be the one word they all wait for.
pub type Name = smol_str::SmolStr;

/// Who a request belongs to. No answer and no bill ever crosses from one tenant to another.
#[derive(
    Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct TenantId(pub Name);

impl TenantId {
    /// The id as it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for TenantId {
    fn from(id: &str) -> Self {
        Self(Name::new(id))
    }
}

impl Borrow<str> for TenantId {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TenantId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
