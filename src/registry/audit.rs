//! Who changed what, when, and where it was heard: written down by the command that makes the
//! change, so that a change and its record cannot be had apart. Refused commands and those that
//! change nothing leave no record. It names what was changed and never how: no setting, no key,
//! no prompt.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::command::Command;
use crate::answer::stamp::Millis;
use crate::names::Name;

/// Changes remembered; beyond it the oldest go and are counted.
pub const AUDIT_ENTRIES_MAX: usize = 10_000;

/// Names of one change that are written out; the rest is a number.
const NAMES_MAX: usize = 8;

/// By whose right something was changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hand {
    /// The admin token's.
    Admin,
    /// The node's own, at its start: from its file and environment.
    Start,
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Audited {
    /// Its place in the order of all commands; unique.
    pub index: u64,
    /// When, in Unix milliseconds, by the clock of the node that heard it.
    pub at: Millis,
    /// By whose right.
    pub by: Hand,
    /// The node that heard it.
    pub node: Name,
    /// What was done, as commands are called.
    pub change: Name,
    /// To what: the names that the command gave, by their kinds.
    pub of: BTreeMap<Name, Name>,
}

/// The latest changes, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audit {
    /// Shared, since the registry is copied with every command.
    entries: VecDeque<Arc<Audited>>,
    /// How many older ones were dropped.
    dropped: u64,
}

impl Audit {
    /// The latest changes, oldest first.
    pub fn entries(&self) -> impl DoubleEndedIterator<Item = &Arc<Audited>> {
        self.entries.iter()
    }

    /// How many older ones were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    pub(super) fn push(&mut self, audited: Audited) {
        self.entries.push_back(Arc::new(audited));
        while self.entries.len() > AUDIT_ENTRIES_MAX {
            self.entries.pop_front();
            self.dropped += 1;
        }
    }
}

impl Audited {
    pub(super) fn of(index: u64, (by, node, at): (Hand, Name, Millis), command: &Command) -> Self {
        let (change, of) = told(command);
        let of = of
            .into_iter()
            .filter_map(|(kind, name)| Some((kind.into(), name?)));
        Self {
            index,
            at,
            by,
            node,
            change: Name::new_static(change),
            of: of.collect(),
        }
    }
}

type Names = Vec<(&'static str, Option<Name>)>;

/// What a command is called and what it names.
fn told(command: &Command) -> (&'static str, Names) {
    let tenant = |id: &crate::names::TenantId| ("tenant", Some(id.0.clone()));
    match command {
        Command::CreateTenant { id, .. } => ("create-tenant", vec![tenant(id)]),
        Command::ChangeTenant { id, .. } => ("change-tenant", vec![tenant(id)]),
        Command::DeleteTenant { id } => ("delete-tenant", vec![tenant(id)]),
        Command::AddKey {
            tenant: id,
            digest,
            agent,
            ..
        } => {
            let key = ("key", Some(digest.id().into()));
            ("add-key", vec![tenant(id), key, ("agent", agent.clone())])
        }
        Command::RotateKey {
            tenant: id,
            digest,
            agent,
            ..
        } => {
            let key = ("key", Some(digest.id().into()));
            (
                "rotate-key",
                vec![tenant(id), key, ("agent", agent.clone())],
            )
        }
        Command::RevokeKey { tenant: id, key } => {
            ("revoke-key", vec![tenant(id), ("key", Some(key.into()))])
        }
        Command::Purge {
            scope,
            older_than,
            key,
            ..
        } => {
            let names = vec![
                ("tenant", scope.tenant.as_ref().map(|id| id.0.clone())),
                ("agent", scope.agent.clone()),
                ("model", scope.model.clone()),
                ("namespace", scope.namespace.clone()),
                ("older-than", older_than.map(|at| at.0.to_string().into())),
                ("key", key.map(|key| key.to_string().into())),
            ];
            ("purge", names)
        }
        Command::ApplyPolicies { policies } => {
            let names = listed(policies.iter().map(|policy| &policy.name));
            ("apply-policies", vec![("policies", names)])
        }
        Command::RemovePolicy { name } => ("remove-policy", vec![("policy", Some(name.clone()))]),
        Command::ApplyPrices { table } => {
            let models = table.as_object().map_or(0, serde_json::Map::len);
            let models = Some(models.to_string().into());
            ("apply-prices", vec![("models", models)])
        }
        Command::ApplyProviders { providers, .. } => {
            let names = listed(providers.iter().map(|provider| &provider.name));
            ("apply-providers", vec![("providers", names)])
        }
        Command::RemoveProvider { name } => {
            ("remove-provider", vec![("provider", Some(name.clone()))])
        }
        Command::Signed { .. } => ("signed", Vec::new()),
    }
}

/// A few names, by commas.
fn listed<'a>(names: impl ExactSizeIterator<Item = &'a Name>) -> Option<Name> {
    let more = names.len().saturating_sub(NAMES_MAX);
    let mut text = names
        .take(NAMES_MAX)
        .map(Name::as_str)
        .collect::<Vec<_>>()
        .join(", ");
    if more > 0 {
        text += &format!(" and {more} more");
    }
    Some(text.into())
}
