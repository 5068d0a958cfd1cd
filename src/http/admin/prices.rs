//! Prices: a table applied as a whole from a TOML file, laid over the built-in one; and the table
//! in force. It holds from the next reply on; lines that are written keep their price.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use schemars::JsonSchema;
use serde::Serialize;

use super::page::{PageQuery, page};
use super::{Admin, AdminError, Query};
use crate::ledger::money::NanoUsd;
use crate::ledger::price_file;
use crate::problem::Problem;
use crate::registry::{Command, Outcome};

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "AppliedPrices")]
pub(super) struct Applied {
    /// The edition's number, as ledger lines carry it.
    version: u32,
    /// Models it gives a price.
    models: usize,
}

/// A page of the prices in force, in nano-dollars per million tokens.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Prices")]
pub(super) struct Listed {
    /// The number that goes onto ledger lines.
    version: u32,
    /// The edition that was applied; none where the node's own prices are in force.
    applied: Option<u32>,
    prices: Vec<Row>,
    /// What to give as `after` for the next page; none after the last.
    next: Option<String>,
}

#[derive(Serialize, JsonSchema)]
#[schemars(rename = "Price")]
struct Row {
    model: String,
    input: NanoUsd,
    cached_input: NanoUsd,
    output: NanoUsd,
}

pub(super) async fn list(
    State(admin): State<Arc<Admin>>,
    Query(query): Query<PageQuery>,
) -> Result<Json<Listed>, AdminError> {
    let table = admin.edge.settler.prices.load();
    let (models, next) = page(&query, table.models.iter(), |(model, _)| (*model).clone())?;
    let prices = models.into_iter().map(|(model, price)| Row {
        model: model.clone(),
        input: price.input,
        cached_input: price.cached_input,
        output: price.output,
    });
    Ok(Json(Listed {
        version: table.version,
        applied: admin.control.state().prices().map(|prices| prices.version),
        prices: prices.collect(),
        next,
    }))
}

/// Takes the text of a price file; refused whole where anything in it is wrong. An empty table
/// takes back what was applied before.
pub(super) async fn apply(
    State(admin): State<Arc<Admin>>,
    text: String,
) -> Result<Json<Applied>, AdminError> {
    let table = price_file::parse(&text).map_err(|mistakes| {
        let lines: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        Problem::BadBody(lines.join("\n"))
    })?;
    let (models, table) = (table.models.len(), price_file::to_json(&table));
    let version = match admin.propose(Command::ApplyPrices { table }).await? {
        (_, Outcome::Priced { version }) => version,
        _ => admin
            .control
            .state()
            .prices()
            .map_or(0, |prices| prices.version),
    };
    Ok(Json(Applied { version, models }))
}
