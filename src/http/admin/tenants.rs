//! Tenants and their keys. A key is made here, shown in this one answer, and known from then on by
//! its digest alone.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use http::HeaderMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::{PageQuery, page};
use super::{Admin, AdminError, Body, Query};
use crate::answer::stamp::Millis;
use crate::names::Name;
use crate::problem::Problem;
use crate::random;
use crate::registry::{Command, Digest, Outcome, Registry, Tenant, TenantSettings};

/// How long replaced keys stay good, where nothing else is said.
const OVERLAP_SECONDS: u64 = 3_600;

/// Bytes of an `Idempotency-Key`.
const WORD_BYTES_MAX: usize = 255;

#[derive(Deserialize, JsonSchema)]
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

#[derive(Deserialize, Default, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct NewKey {
    agent: Option<Name>,
    overlap_seconds: Option<u64>,
}

/// A page of tenants.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenants")]
pub(super) struct Listed {
    tenants: Vec<Shown>,
    /// What to give as `after` for the next page; none after the last.
    next: Option<String>,
}

/// What was deleted.
#[derive(Serialize, JsonSchema)]
pub(super) struct Deleted {
    deleted: String,
}

/// A tenant as it is shown.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Tenant")]
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

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "TenantKey")]
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

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listed>, AdminError> {
    let registry = admin.control.state();
    let all = registry.tenants().into_iter();
    let (tenants, next) = page(&query, all, |tenant| tenant.id.to_string())?;
    let tenants = tenants
        .into_iter()
        .map(|tenant| shown(&registry, tenant, None));
    Ok(Json(Listed {
        tenants: tenants.collect(),
        next,
    }))
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
    let has_key = || !admin.control.state().keys_of(&new.id).is_empty();
    let key = match outcome {
        // Without a key it was broken off between the two commands: a retry ends what was begun.
        Outcome::Unchanged if has_key() => None,
        _ => make_key(&admin, &new.id, new.agent, None).await?,
    };
    one(&admin, &new.id, key)
}

/// A new key; none where a key made under the same `Idempotency-Key` is held.
async fn make_key(
    admin: &Admin,
    tenant: &str,
    agent: Option<Name>,
    once: Option<Digest>,
) -> Result<Option<String>, Problem> {
    let key = random::tenant_key().map_err(|_| Problem::Internal)?;
    let digest = admin.edge.gateway.installation.key_digest(&key).into();
    let at = admin.edge.clock.now();
    let add = Command::AddKey {
        tenant: tenant.into(),
        digest,
        agent,
        at,
        once,
    };
    let (_, outcome) = admin.propose(add).await?;
    Ok((outcome != Outcome::Unchanged).then_some(key))
}

/// By which a retry is known: what is asked for, for whom, and the caller's own word, as a digest.
fn once(
    admin: &Admin,
    headers: &HeaderMap,
    (tenant, asked): (&str, &str),
    agent: Option<&Name>,
) -> Result<Option<Digest>, Problem> {
    let Some(given) = headers.get("idempotency-key") else {
        return Ok(None);
    };
    let word = given.to_str().ok();
    let word = word.filter(|word| (1..=WORD_BYTES_MAX).contains(&word.len()));
    let word = word.ok_or(Problem::BadHeader {
        name: "Idempotency-Key",
        expected: "1 to 255 plain letters",
    })?;
    let agent = agent.map(Name::as_str).unwrap_or_default();
    let words = format!("{asked}\n{agent}\n{word}");
    let digest = admin
        .edge
        .gateway
        .installation
        .idempotency_digest(tenant, &words);
    Ok(Some(digest.into()))
}

pub(super) async fn add_key(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(new): Body<NewKey>,
) -> Result<Json<Shown>, AdminError> {
    let once = once(&admin, &headers, (&id, "add-key"), new.agent.as_ref())?;
    let key = make_key(&admin, &id, new.agent, once).await?;
    one(&admin, &id, key)
}

/// A new key; those it replaces stay good for a while, so that nobody is locked out between.
pub(super) async fn rotate(
    State(admin): State<Arc<Admin>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(new): Body<NewKey>,
) -> Result<Json<Shown>, AdminError> {
    let once = once(&admin, &headers, (&id, "rotate-key"), new.agent.as_ref())?;
    let key = random::tenant_key().map_err(|_| Problem::Internal)?;
    let digest = admin.edge.gateway.installation.key_digest(&key).into();
    let at = admin.edge.clock.now();
    let until = at.plus(new.overlap_seconds.unwrap_or(OVERLAP_SECONDS));
    let tenant = id.as_str().into();
    let rotate = Command::RotateKey {
        tenant,
        digest,
        agent: new.agent,
        at,
        until,
        once,
    };
    let (_, outcome) = admin.propose(rotate).await?;
    one(&admin, &id, (outcome != Outcome::Unchanged).then_some(key))
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
) -> Result<Json<Deleted>, AdminError> {
    let tenant: crate::names::TenantId = id.as_str().into();
    admin
        .propose(Command::DeleteTenant { id: tenant.clone() })
        .await?;
    if let Err(error) = admin.stores.labels.forget_labels(tenant.clone()).await {
        tracing::warn!(%error, "a deleted tenant's labels could not be removed");
    }
    super::purge::remove_behind(
        &admin,
        crate::store::Scope {
            tenant: Some(tenant),
            ..Default::default()
        },
        admin.edge.clock.now(),
    );
    Ok(Json(Deleted { deleted: id }))
}
