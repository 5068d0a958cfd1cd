//! Policies: applied from a YAML file as it is, listed, removed. They hold from the next request
//! on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::Serialize;

use super::{Admin, AdminError};
use crate::policy::{Policy, parse, shadows};
use crate::problem::Problem;
use crate::registry::Command;

#[derive(Serialize)]
pub(super) struct Applied {
    applied: usize,
    /// Policies that never win where another says as much.
    warnings: Vec<String>,
}

pub(super) async fn list(State(admin): State<Arc<Admin>>) -> Json<Vec<Arc<Policy>>> {
    Json(admin.control.state().policies().to_vec())
}

/// Takes the text of a policy file; refused whole where anything in it is wrong.
pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    text: String,
) -> Result<Json<Applied>, AdminError> {
    let policies = parse(&text).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Problem::BadBody(lines.join("\n"))
    })?;
    let applied = policies.len();
    admin.propose(Command::ApplyPolicies { policies }).await?;
    let shadows = shadows(admin.control.state().policies());
    let warnings = shadows.iter().map(|shadow| {
        format!(
            "`{}` and `{}` are as specific: the first wins",
            shadow.winner, shadow.shadowed
        )
    });
    Ok(Json(Applied {
        applied,
        warnings: warnings.collect(),
    }))
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<serde_json::Value>, AdminError> {
    admin
        .propose(Command::RemovePolicy {
            name: name.as_str().into(),
        })
        .await?;
    Ok(Json(serde_json::json!({ "removed": name })))
}
