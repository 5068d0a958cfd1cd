//! Who changed what: the record that the registry keeps, the latest first.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{PageQuery, cut, length};
use super::{Admin, AdminError, Query};
use crate::problem::Problem;
use crate::registry::Audited;

/// A page of changes, the latest first.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Audit")]
pub(super) struct Listed {
    audit: Vec<Arc<Audited>>,
    /// Changes so old that they are no longer kept.
    dropped: u64,
    /// What to give as `after` for the next, older page; none after the last.
    next: Option<String>,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listed>, AdminError> {
    let after = match query.after.as_deref().map(str::parse::<u64>) {
        None => u64::MAX,
        Some(Ok(index)) => index,
        Some(Err(_)) => {
            let why = "after: what the page before gave as `next`";
            return Err(Problem::BadQuery(why.into()).into());
        }
    };
    let registry = admin.control.state();
    let audit = registry.audit();
    let older = audit.entries().rev().filter(|one| one.index < after);
    let (audit_page, next) = cut(older.cloned(), length(query.limit)?, |one| {
        one.index.to_string()
    });
    Ok(Json(Listed {
        audit: audit_page,
        dropped: audit.dropped(),
        next,
    }))
}
