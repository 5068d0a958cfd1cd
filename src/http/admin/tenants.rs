//! Tenants and their keys. A key is made here, shown in this one answer, and known from then on by
//! its digest alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};

use super::{Admin, AdminError, Body};
use crate::answer::stamp::Millis;
use crate::names::Name;
use crate::problem::Problem;
use crate::random;
use crate::registry::{Command, Outcome, Registry, Tenant, TenantSettings};

/// How long replaced keys stay good, where nothing else is said.
const OVERLAP_SECONDS: u64 = 3_600;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct NewTenant {
    id: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    settings: TenantSettings,
    #[serde(default)]
    agent: Option<Name>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewKey {
    agent: Option<Name>,
    overlap_seconds: Option<u64>,
}

/// A tenant as it is shown.
#[derive(Serialize)]
pub(super) struct Shown {
    id: String,
    name: Name,
    created: Millis,
    settings: TenantSettings,
    keys: Vec<ShownKey>,
    /// Only in the answer that makes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
}

#[derive(Serialize)]
struct ShownKey {
    id: String,
    agent: Option<Name>,
    created: Millis,
    until: Option<Millis>,
}

fn shown(registry: &Registry, tenant: &Tenant, key: Option<String>) -> Shown {
    let keys = registry
        .keys_of(tenant.id.as_str())
        .into_iter()
        .map(|(digest, key)| ShownKey {
            id: digest.id(),
            agent: key.agent.clone(),
            created: key.created,
            until: key.until,
        });
    Shown {
        id: tenant.id.to_string(),
        name: tenant.name.clone(),
        created: tenant.created,
        settings: tenant.settings.clone(),
        keys: keys.collect(),
        key,
    }
}

fn one(admin: &Admin, id: &str, key: Option<String>) -> Result<Json<Shown>, AdminError> {
    let registry = admin.control.state();
    let tenant = registry.tenant(id).ok_or(Problem::NotFound("tenant"))?;
    Ok(Json(shown(&registry, tenant, key)))
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Vec<Shown>> {
    let registry = admin.control.state();
    Json(
        registry
            .tenants()
            .into_iter()
            .map(|tenant| shown(&registry, tenant, None))
            .collect(),
    )
}

/// Creates a tenant and its first key. Asked again with the same words it changes nothing and
/// shows no key.
pub(super) async fn create(
    State(admin): State<Arc<Admin>>,
    Body(new): Body<NewTenant>,
) -> Result<Json<Shown>, AdminError> {
    let at = admin.edge.clock.now();
    let name = new.name.as_deref().unwrap_or(&new.id).into();
    let id = new.id.as_str().into();
    let create = Command::CreateTenant {
        id,
        name,
        settings: new.settings,
        at,
    };
    let (_, outcome) = admin.propose(create).await?;
    let key = match outcome {
        Outcome::Unchanged => None,
        _ => Some(make_key(&admin, &new.id, new.agent).await?),
    };
    one(&admin, &new.id, key)
}

async fn make_key(admin: &Admin, tenant: &str, agent: Option<Name>) -> Result<String, Problem> {
    let key = random::tenant_key().map_err(|_| Problem::Internal)?;
    let digest = admin.edge.gateway.installation.key_digest(&key).into();
    let at = admin.edge.clock.now();
    admin
        .propose(Command::AddKey {
            tenant: tenant.into(),
            digest,
            agent,
            at,
        })
        .await?;
    Ok(key)
}

pub(super) async fn add_key(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Body(new): Body<NewKey>,
) -> Result<Json<Shown>, AdminError> {
    let key = make_key(&admin, &id, new.agent).await?;
    one(&admin, &id, Some(key))
}

/// A new key; those it replaces stay good for a while, so that nobody is locked out between.
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Body(new): Body<NewKey>,
) -> Result<Json<Shown>, AdminError> {
    let key = random::tenant_key().map_err(|_| Problem::Internal)?;
    let digest = admin.edge.gateway.installation.key_digest(&key).into();
    let at = admin.edge.clock.now();
    let until = at.plus(new.overlap_seconds.unwrap_or(OVERLAP_SECONDS));
    let tenant = id.as_str().into();
    admin
        .propose(Command::RotateKey {
            tenant,
            digest,
            agent: new.agent,
            at,
            until,
        })
        .await?;
    one(&admin, &id, Some(key))
}

pub(super) async fn revoke(
    State(admin): State<Arc<Admin>>,
    Path((id, key)): Path<(String, String)>,
) -> Result<Json<Shown>, AdminError> {
    admin
        .propose(Command::RevokeKey {
            tenant: id.as_str().into(),
            key,
        })
        .await?;
    one(&admin, &id, None)
}

pub(super) async fn change(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    Body(settings): Body<TenantSettings>,
) -> Result<Json<Shown>, AdminError> {
    admin
        .propose(Command::ChangeTenant {
            id: id.as_str().into(),
            settings,
        })
        .await?;
    one(&admin, &id, None)
}

/// Deletes a tenant: its keys are refused from now on, and its answers are removed behind it.
pub(super) async fn delete(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
) -> Result<Json<serde_json::Value>, AdminError> {
    let tenant: crate::names::TenantId = id.as_str().into();
    admin
        .propose(Command::DeleteTenant { id: tenant.clone() })
        .await?;
    super::purge::remove_behind(
        &admin,
        crate::store::Scope {
            tenant: Some(tenant),
            ..Default::default()
        },
        admin.edge.clock.now(),
    );
    Ok(Json(serde_json::json!({ "deleted": id })))
}
