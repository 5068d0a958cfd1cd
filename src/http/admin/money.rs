//! What was saved: sums over the ledger, a tenant's statement for a month, and its lines.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::page::length;
use super::{Admin, AdminError, Query};
use crate::answer::stamp::Millis;
use crate::ledger::line::{Line, LineId};
use crate::ledger::money::NanoUsd;
use crate::ledger::pages;
use crate::ledger::statement::Statement;
use crate::ledger::totals::{Period, Place, Sum};
use crate::problem::Problem;
use crate::semantic::verified::Report;

/// How far back the figures go, where nothing else is said: 30 days.
const STATS_MILLIS: u64 = 30 * 86_400_000;

#[derive(Deserialize, JsonSchema)]
pub(super) struct StatsQuery {
    /// Of this tenant alone.
    tenant: Option<String>,
    /// Unix milliseconds [30 days before `to`].
    from: Option<u64>,
    /// Unix milliseconds (now).
    to: Option<u64>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct StatementQuery {
    /// `2026-11`, in UTC.
    month: String,
}

/// Hit rates and money.
#[derive(Serialize, JsonSchema)]
pub(super) struct Stats {
    period: Period,
    requests: u64,
    /// (hit + semantic-hit + coalesced) of all requests on cached paths.
    hit_rate: f64,
    /// Each outcome's part of them.
    rates: BTreeMap<&'static str, f64>,
    outcomes: BTreeMap<&'static str, Sum>,
    saved: NanoUsd,
    fee: NanoUsd,
    /// What was learned of near answers where that is asked for, by tenant and namespace.
    verified: Vec<Report>,
}

pub(super) async fn stats(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Stats>, AdminError> {
    let to = query
        .to
        .map_or_else(|| admin.edge.clock.now().plus(1), Millis);
    let from = query
        .from
        .map_or_else(|| to.minus_millis(STATS_MILLIS), Millis);
    let period = Period { from, to };
    let mut outcomes: BTreeMap<&'static str, Sum> = BTreeMap::new();
    for tenant in admin.control.state().tenants() {
        if query
            .tenant
            .as_deref()
            .is_some_and(|wanted| wanted != tenant.id.as_str())
        {
            continue;
        }
        let totals = admin
            .stores
            .ledger
            .totals(tenant.id.clone(), period)
            .await?;
        for (outcome, sum) in totals.by_outcome() {
            outcomes.entry(outcome.token()).or_default().add(&sum);
        }
    }
    let (learned, _) = (admin.learned)();
    let wanted = |it: &Report| {
        query
            .tenant
            .as_deref()
            .is_none_or(|id| id == it.tenant.as_str())
    };
    Ok(Json(Stats {
        verified: learned.into_iter().filter(wanted).collect(),
        ..summed(period, outcomes)
    }))
}

fn summed(period: Period, outcomes: BTreeMap<&'static str, Sum>) -> Stats {
    let requests: u64 = outcomes.values().map(|sum| sum.replies).sum();
    let rate = |replies: u64| {
        if requests == 0 {
            0.0
        } else {
            replies as f64 / requests as f64
        }
    };
    let hits = ["hit", "semantic-hit", "coalesced"];
    let hits = hits
        .iter()
        .filter_map(|outcome| outcomes.get(outcome))
        .map(|sum| sum.replies);
    let mut whole = Sum::default();
    outcomes.values().for_each(|sum| whole.add(sum));
    Stats {
        period,
        requests,
        hit_rate: rate(hits.sum()),
        rates: outcomes
            .iter()
            .map(|(outcome, sum)| (*outcome, rate(sum.replies)))
            .collect(),
        saved: whole.saved,
        fee: whole.fee,
        verified: Vec::new(),
        outcomes,
    }
}

/// A tenant's statement, folded from its lines.
pub(super) async fn statement(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(query): Query<StatementQuery>,
) -> Result<Json<Statement>, AdminError> {
    let period = Period::month(&query.month)
        .ok_or_else(|| Problem::BadQuery("month: YYYY-MM, such as 2026-11".into()))?;
    let ledger = admin.stores.ledger.as_ref();
    Ok(Json(
        pages::statement(ledger, tenant.as_str().into(), period).await?,
    ))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct LinesQuery {
    /// `2026-11`, in UTC.
    month: String,
    /// Lines of a page, 1 to 1000 (1000).
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<u32>,
    /// What the page before gave as `next`.
    after: Option<String>,
}

/// A page of lines.
#[derive(Serialize, JsonSchema)]
pub(super) struct Lines {
    lines: Vec<Line>,
    /// What to give as `after` for the next page; none after the last.
    next: Option<String>,
}

/// The lines a statement is folded from, in the order in which they were written.
pub(super) async fn lines(
    State(admin): State<Arc<Admin>>,
    Path(tenant): Path<String>,
    Query(query): Query<LinesQuery>,
) -> Result<Json<Lines>, AdminError> {
    let period = Period::month(&query.month)
        .ok_or_else(|| Problem::BadQuery("month: YYYY-MM, such as 2026-11".into()))?;
    let after = match query.after.as_deref() {
        None => None,
        Some(text) => Some(place(text).ok_or_else(|| {
            Problem::BadQuery("after: what the page before gave as `next`".into())
        })?),
    };
    let tenant = tenant.as_str().into();
    let ledger = admin.stores.ledger.as_ref();
    let length = length(query.limit)?;
    let lines = ledger.page(tenant, period, after, length as u32).await?;
    let full = lines.len() >= length;
    let last = lines.last().filter(|_| full);
    let next = last.map(|line| format!("{}.{}", line.at.0, line.id));
    Ok(Json(Lines { lines, next }))
}

/// Where a page begins: the time and the id of the last line before it.
fn place(text: &str) -> Option<Place> {
    let (at, id) = text.split_once('.')?;
    Some(Place {
        at: Millis(at.parse().ok()?),
        id: id.parse::<LineId>().ok()?,
    })
}
