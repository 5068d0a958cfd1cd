//! What may be proposed to the registry and what it may come to. Append-only: a command once
//! released keeps its name, its fields and their meaning, because logs and snapshots outlive
//! programs. Time and digests come in the command; the registry makes neither.

use std::borrow::Cow;
use std::fmt;

use fgy_cluster::Key;
use serde::{Deserialize, Serialize};

use super::audit::Hand;
use super::digest::Digest;
use super::provider::Provider;
use super::purge::PurgeScope;
use super::tenant::TenantSettings;
use crate::answer::stamp::Millis;
use crate::names::{Name, TenantId};
use crate::policy::Policy;

/// A change to the registry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Command {
    /// A new tenant. Again with the same name and settings: nothing happens.
    CreateTenant {
        /// Its id for good.
        id: TenantId,
        /// Its name for people.
        name: Name,
        /// What it may.
        #[serde(default)]
        settings: TenantSettings,
        /// Now.
        at: Millis,
    },
    /// Other settings for a tenant, as a whole.
    ChangeTenant {
        /// Which.
        id: TenantId,
        /// What it may from now on.
        settings: TenantSettings,
    },
    /// A tenant and all its keys; nothing it has kept is served again, ever.
    DeleteTenant {
        /// Which.
        id: TenantId,
    },
    /// One more key. Again with the same digest: nothing happens.
    AddKey {
        /// Whose.
        tenant: TenantId,
        /// What is kept of it.
        digest: Digest,
        /// The agent it is bound to.
        agent: Option<Name>,
        /// Now.
        at: Millis,
        /// Digest of the caller's `Idempotency-Key`: while a key made under it is held, asking
        /// again makes no other.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<Digest>,
    },
    /// One more key, while those it replaces (the tenant's keys bound to the same agent, or to
    /// none) end at `until`.
    RotateKey {
        /// Whose.
        tenant: TenantId,
        /// What is kept of the new key.
        digest: Digest,
        /// The agent it is bound to.
        agent: Option<Name>,
        /// Now.
        at: Millis,
        /// When the old keys end; `at` or earlier ends them now.
        until: Millis,
        /// As for one more key.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        once: Option<Digest>,
    },
    /// A key ends now.
    RevokeKey {
        /// Whose.
        tenant: TenantId,
        /// The first 16 digits of its digest, as lists show them.
        key: String,
    },
    /// Whatever the scope covers is never served again; with `older_than` or `key`, only what
    /// they cover besides.
    Purge {
        /// Any mix of fields; none given: everything.
        scope: PurgeScope,
        /// Only what was asked for before; a time to come counts as `at`.
        older_than: Option<Millis>,
        /// Only this entry, and what was promoted from it.
        key: Option<Key>,
        /// Now.
        at: Millis,
    },
    /// Policies by name: one that exists is replaced where it stands, a new one goes to the end.
    ApplyPolicies {
        /// Checked by whoever proposes them.
        policies: Vec<Policy>,
    },
    /// One policy less.
    RemovePolicy {
        /// Which.
        name: Name,
    },
    /// The operator's own prices, as a whole; laid over the built-in table by whoever prices.
    ApplyPrices {
        /// Checked by whoever proposes it; the registry only keeps it.
        table: serde_json::Value,
    },
    /// Providers by name: one that exists is replaced.
    ApplyProviders {
        /// Checked by whoever proposes them; refused whole where one of them cannot be.
        providers: Vec<Provider>,
        /// What the file of a first start says: nothing happens where somebody has told of
        /// providers before, even if all of them are gone.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        first: bool,
    },
    /// One provider less.
    RemoveProvider {
        /// Which.
        name: Name,
    },
    /// Another command and who gave it: what it changes is written down.
    Signed {
        /// By whose right.
        by: Hand,
        /// The node that heard it.
        node: Name,
        /// When, by that node's clock.
        at: Millis,
        /// What is to be done; never signed itself.
        command: Box<Command>,
    },
}

impl Command {
    /// Whether something that was served or let in before may not be any more.
    #[must_use]
    pub fn takes_away(&self) -> bool {
        match self {
            Self::CreateTenant { .. } | Self::AddKey { .. } => false,
            Self::Signed { command, .. } => command.takes_away(),
            _ => true,
        }
    }
}

/// What a command came to.
///
/// Told by the node that leads to the one that was asked, so it can be written down.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// It was done.
    Done,
    /// It had been done before: the registry says already what was asked.
    Unchanged,
    /// From `epoch` on nothing older is served in `scope`, which is the scope asked for or, where
    /// a table was full, a wider one.
    Purged {
        /// The log index of the purge.
        epoch: u64,
        /// What it covers.
        scope: PurgeScope,
    },
    /// The prices are in force under this version.
    Priced {
        /// One more than the last.
        version: u32,
    },
    /// It was not done, and nothing changed.
    Refused(Refusal),
}

/// Why a command was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// There is no tenant of this id.
    NoSuchTenant,
    /// The id belongs to a tenant with another name or other settings.
    NameTaken,
    /// The tenant has no key of this id.
    NoSuchKey,
    /// Several keys begin with these digits.
    AmbiguousKey,
    /// Another tenant, or another agent, holds this key.
    KeyTaken,
    /// There is no policy of this name.
    NoSuchPolicy,
    /// There is no provider of this name.
    NoSuchProvider,
    /// A name or a value that cannot be.
    Bad(Cow<'static, str>),
    /// The table of these things is full.
    TooMany {
        /// Which things.
        what: Cow<'static, str>,
        /// How many there may be.
        count_max: usize,
    },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSuchTenant => f.write_str("no such tenant; `fgy tenant list` shows them"),
            Self::NameTaken => f.write_str(
                "a tenant of this id exists with another name or other settings; choose another id",
            ),
            Self::NoSuchKey => {
                f.write_str("the tenant has no such key; `fgy tenant list` shows them")
            }
            Self::AmbiguousKey => f.write_str("several keys begin so; give all 16 digits"),
            Self::KeyTaken => f.write_str("this key is in use already; make another"),
            Self::NoSuchPolicy => f.write_str("no such policy; `fgy policy list` shows them"),
            Self::NoSuchProvider => f.write_str("no such provider; `fgy provider list` shows them"),
            Self::Bad(why) => f.write_str(why),
            Self::TooMany { what, count_max } => {
                write!(
                    f,
                    "there are {count_max} {what} already, and there may be no more; remove some"
                )
            }
        }
    }
}

impl std::error::Error for Refusal {}
