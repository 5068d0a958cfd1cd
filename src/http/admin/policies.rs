//! Policies: applied from a YAML file as it is, listed, removed. They hold from the next request
//! on.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{PageQuery, cut, length};
use super::{Admin, AdminError, Query, Removed};
use crate::policy::{Policy, parse, shadows};
use crate::problem::Problem;
use crate::registry::{Command, INSIDE};
use crate::semantic::verified::Report;

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppliedPolicies")]
pub(super) struct Applied {
    applied: usize,
    /// Policies that never win where another says as much.
    warnings: Vec<String>,
}

/// A page of policies, in the order that decides between equals.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Policies")]
pub(super) struct Listed {
    policies: Vec<Arc<Policy>>,
    /// What to give as `after` for the next page; none after the last.
    next: Option<String>,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listed>, AdminError> {
    let registry = admin.control.state();
    // Their order is not that of their names, so a page begins where the one before it ended.
    let from = match query.after.as_deref() {
        None => 0,
        Some(after) => {
            let mut names = registry.policies().iter().map(|policy| &policy.name);
            let last = names.position(|name| name == after);
            let gone = || Problem::BadQuery("after: no such policy any more: begin again".into());
            last.ok_or_else(gone)? + 1
        }
    };
    let rest = registry.policies().iter().skip(from).cloned();
    let (policies, next) = cut(rest, length(query.limit)?, |policy| policy.name.to_string());
    Ok(Json(Listed { policies, next }))
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
    let (learned, _) = (admin.learned)();
    let beyond = policies.iter().find_map(|policy| beyond(policy, &learned));
    if let Some(why) = beyond {
        return Err(Problem::Conflict(why).into());
    }
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

/// Why a policy aims at less than the judge of its namespace can tell, if it does.
fn beyond(policy: &Policy, learned: &[Report]) -> Option<String> {
    let aim = f64::from(policy.config.aim()?) / 10_000.0;
    let tenants = &policy.tenants;
    let mine = learned.iter().filter(|it| {
        let outer = it.namespace.split(INSIDE).next().unwrap_or_default();
        (tenants.is_empty() || tenants.contains(&it.tenant)) && outer == &*policy.config.namespace
    });
    let errors = mine.filter_map(|it| Some((it.judge_error?, it)));
    let worst = errors.max_by(|(one, _), (other, _)| one.total_cmp(other))?;
    (worst.0 > aim).then(|| {
        format!(
            "`{}`: target_wrong {aim} is below what can be told in namespace `{}` of `{}`, where {} of \
             two answers to one question differ: aim at more",
            policy.name, worst.1.namespace, worst.1.tenant, worst.0
        )
    })
}

pub(super) async fn remove(
    State(admin): State<Arc<Admin>>,
    Path(name): Path<String>,
) -> Result<Json<Removed>, AdminError> {
    admin
        .propose(Command::RemovePolicy {
            name: name.as_str().into(),
        })
        .await?;
    Ok(Json(Removed { removed: name }))
}
