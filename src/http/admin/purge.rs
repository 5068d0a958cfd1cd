//! Invalidation: a purge raises an epoch, and nothing older is served from then on. Rows are
//! counted before and removed behind it; whether they are gone yet makes no difference to anyone.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, Body};
use crate::answer::stamp::Millis;
use crate::names::{Name, TenantId};
use crate::problem::Problem;
use crate::registry::{Command, Outcome, PurgeScope};
use crate::store::Scope;

/// Rows removed in one step, so that nothing else waits long for the database.
const REMOVE_ROWS: u32 = 500;

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Purge {
    tenant: Option<TenantId>,
    agent: Option<Name>,
    model: Option<Name>,
    namespace: Option<Name>,
    /// Unix milliseconds.
    older_than: Option<Millis>,
    /// One entry, by the key that `explain` tells.
    #[schemars(with = "Option<String>")]
    key: Option<Key>,
    all: bool,
    dry_run: bool,
}

#[derive(Serialize, JsonSchema)]
pub(super) struct Purged {
    /// Stored entries that are covered.
    entries: u64,
    /// The index from which on nothing older is served; none after a dry run.
    epoch: Option<u64>,
}

impl Purge {
    fn scope(&self) -> Scope {
        Scope {
            tenant: self.tenant.clone(),
            agent: self.agent.clone(),
            model: self.model.clone(),
            namespace: self.namespace.clone(),
            began_before: self.older_than,
            source: self.key,
        }
    }

    fn names_something(&self) -> bool {
        self.scope() != Scope::default()
    }
}

pub(super) async fn purge(
    State(admin): State<Arc<Admin>>,
    Body(purge): Body<Purge>,
) -> Result<Json<Purged>, AdminError> {
    if purge.all == purge.names_something() {
        let why = "say what to purge (tenant, agent, model, namespace, older_than, key), or \
                   \"all\": true, and not both";
        return Err(Problem::BadBody(why.into()).into());
    }
    let entries = admin.stores.entries.count(purge.scope()).await?;
    if purge.dry_run {
        return Ok(Json(Purged {
            entries,
            epoch: None,
        }));
    }
    let scope = PurgeScope {
        tenant: purge.tenant.clone(),
        agent: purge.agent.clone(),
        model: purge.model.clone(),
        namespace: purge.namespace.clone(),
    };
    let at = admin.edge.clock.now();
    let (older_than, key) = (purge.older_than, purge.key);
    let (index, outcome) = admin
        .propose(Command::Purge {
            scope,
            older_than,
            key,
            at,
        })
        .await?;
    let epoch = match outcome {
        Outcome::Purged { epoch, .. } => epoch,
        _ => index,
    };
    remove_behind(&admin, purge.scope(), at);
    Ok(Json(Purged {
        entries,
        epoch: Some(epoch),
    }))
}

/// Removes rows that are never served again, in steps, after the answer: those begun before the purge,
/// and none that was made since.
pub(super) fn remove_behind(admin: &Admin, scope: Scope, at: Millis) {
    let began_before = scope.began_before.map_or(at, |before| before.min(at));
    let scope = Scope {
        began_before: Some(began_before),
        ..scope
    };
    let (entries, stop) = (admin.stores.entries.clone(), admin.tasks.stopping());
    admin.tasks.spawn("remove", async move {
        loop {
            match stop
                .run_until_cancelled(entries.forget(scope.clone(), REMOVE_ROWS))
                .await
            {
                Some(Ok(removed)) if removed >= u64::from(REMOVE_ROWS) => {}
                Some(Err(error)) => {
                    // They are dead all the same and go when they expire.
                    tracing::warn!(%error, "purged rows could not be removed yet");
                    return;
                }
                Some(Ok(_)) | None => return,
            }
        }
    });
}
