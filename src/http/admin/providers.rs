//! Providers: applied by name, listed, removed. They hold from the next request on; calls that
//! have begun go on as they were. No key is ever part of one.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::{PageQuery, page};
use super::{Admin, AdminError, Body, Query, Removed};
use crate::problem::Problem;
use crate::registry::{Command, Provider};

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "GivenProviders")]
pub(super) struct Given {
    providers: Vec<Provider>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppliedProviders")]
pub(super) struct Applied {
    applied: usize,
}

/// A page of providers, by name: the order in which models are looked for.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Providers")]
pub(super) struct Listed {
    providers: Vec<Provider>,
    /// What to give as `after` for the next page; none after the last.
    next: Option<String>,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listed>, AdminError> {
    let registry = admin.control.state();
    let all = registry.providers().into_iter().flat_map(|all| all.iter());
    let (providers, next) = page(&query, all.cloned(), |provider| provider.name.to_string())?;
    Ok(Json(Listed { providers, next }))
}

/// Refused whole where one of them cannot be.
pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    Body(given): Body<Given>,
) -> Result<Json<Applied>, AdminError> {
    let (mut providers, mut mistakes) = (Vec::new(), Vec::new());
    for provider in given.providers {
        let name = provider.name.clone();
        match provider.tidied() {
            Ok(provider) => match admin.edge.gateway.providers.takes(&provider) {
                Ok(()) => providers.push(provider),
                Err(unfit) => mistakes.push(unfit.to_string()),
            },
            Err(why) => mistakes.push(format!("provider {name}: {why}")),
        }
    }
    if !mistakes.is_empty() {
        return Err(Problem::BadBody(mistakes.join("\n")).into());
    }
    let applied = providers.len();
    let first = false;
    admin
        .propose(Command::ApplyProviders { providers, first })
        .await?;
    Ok(Json(Applied { applied }))
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Removed>, AdminError> {
    admin
        .propose(Command::RemoveProvider {
            name: name.as_str().into(),
        })
        .await?;
    Ok(Json(Removed { removed: name }))
}
