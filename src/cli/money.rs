//! `fgy stats` and `fgy statement`: hit rates, and what was saved.

use std::process::ExitCode;

use clap::{Args, ValueEnum};
use serde_json::Value;

use super::admin_client::{AdminClient, Target};
use super::{Output, say, say_json, table};
use crate::config::Environment;
use crate::ledger::money::NanoUsd;

/// Hit rates and money of the last 30 days.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy stats --tenant acme")]
pub(crate) struct StatsArgs {
    #[command(flatten)]
    target: Target,
    /// Of this tenant alone
    #[arg(long)]
    tenant: Option<String>,
    /// table or json
    #[arg(long, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

/// A tenant's bill for a month.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy statement acme --month 2026-11 --format csv")]
pub(crate) struct StatementArgs {
    #[command(flatten)]
    target: Target,
    /// The tenant
    tenant: String,
    /// The month, in UTC
    #[arg(long, value_name = "YYYY-MM")]
    month: String,
    /// table, json or csv
    #[arg(
        long,
        alias = "output",
        value_enum,
        hide_possible_values = true,
        default_value_t
    )]
    format: Format,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Csv,
}

pub(crate) async fn stats(args: StatsArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let query = args
        .tenant
        .map(|tenant| format!("?tenant={tenant}"))
        .unwrap_or_default();
    let stats: Value = node.get(&format!("/stats{query}")).await?;
    if args.output == Output::Json {
        say_json(&stats)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rate = stats["hit_rate"].as_f64().unwrap_or_default() * 100.0;
    say(format_args!(
        "{} requests, {rate:.1} % hits, {} saved",
        stats["requests"],
        dollars(&stats["saved"])
    ));
    let outcomes = stats["outcomes"].as_object().into_iter().flatten();
    let rows: Vec<Vec<String>> = outcomes
        .map(|(outcome, sum)| {
            let tokens = sum["input"].as_u64().unwrap_or(0) + sum["output"].as_u64().unwrap_or(0);
            vec![
                outcome.clone(),
                sum["replies"].to_string(),
                tokens.to_string(),
                dollars(&sum["cost"]),
                dollars(&sum["saved"]),
            ]
        })
        .collect();
    table::print(
        &["OUTCOME", "REPLIES", "TOKENS", "LIST PRICE", "SAVED"],
        &rows,
    );
    say_verified(&stats["verified"]);
    Ok(ExitCode::SUCCESS)
}

/// What was learned where the profile is `verified`.
fn say_verified(verified: &Value) {
    let rows: Vec<Vec<String>> = verified
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            let text = |name: &str| it[name].as_str().unwrap_or_default().to_owned();
            let percent = |value: &Value| match value.as_f64() {
                Some(share) => format!("{:.1} %", share * 100.0),
                None => "-".to_owned(),
            };
            let share = &it["wrong_share"];
            let wrong = match share {
                Value::Null => "-".to_owned(),
                _ => format!(
                    "{} ({} to {})",
                    percent(&share[1]),
                    percent(&share[0]),
                    percent(&share[2])
                ),
            };
            let bar = match (it["refused"].as_bool(), it["bar"].as_f64()) {
                (Some(true), _) => "refused".to_owned(),
                (_, Some(bar)) => format!("{bar:.2}"),
                (_, None) => "none".to_owned(),
            };
            vec![
                text("tenant"),
                text("namespace"),
                percent(&it["target_wrong"]),
                bar,
                it["judged"].to_string(),
                wrong,
                percent(&it["judge_error"]),
            ]
        })
        .collect();
    if !rows.is_empty() {
        say("\nverified:");
        table::print(
            &[
                "TENANT",
                "NAMESPACE",
                "AIM",
                "BAR",
                "JUDGED",
                "WRONG",
                "JUDGE ERRS",
            ],
            &rows,
        );
    }
}

pub(crate) async fn statement(
    args: StatementArgs,
    environment: &Environment,
) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let path = format!("/statements/{}?month={}", args.tenant, args.month);
    let statement: Value = node.get(&path).await?;
    if args.format == Format::Json {
        say_json(&statement)?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows: Vec<Vec<String>> = statement["parts"]
        .as_array()
        .into_iter()
        .flatten()
        .map(row)
        .collect();
    let headings = [
        "OUTCOME",
        "MODEL",
        "REPLIES",
        "INPUT",
        "OUTPUT",
        "LIST PRICE",
        "SAVED",
        "FEE",
    ];
    if args.format == Format::Csv {
        say(headings.join(",").to_lowercase().replace(' ', "_"));
        rows.iter().for_each(|row| {
            say(row
                .iter()
                .map(|cell| cell_csv(cell))
                .collect::<Vec<_>>()
                .join(","))
        });
        return Ok(ExitCode::SUCCESS);
    }
    table::print(&headings, &rows);
    say(format_args!(
        "\nsaved {}, embeddings {}, fee {}; {} retries folded",
        dollars(&statement["saved"]),
        dollars(&statement["embedding"]),
        dollars(&statement["fee"]),
        statement["folded"],
    ));
    Ok(ExitCode::SUCCESS)
}

fn row(part: &Value) -> Vec<String> {
    let sum = part.get("sum").unwrap_or(part);
    vec![
        part["outcome"].as_str().unwrap_or_default().to_owned(),
        part["model"].as_str().unwrap_or_default().to_owned(),
        sum["replies"].to_string(),
        sum["input"].to_string(),
        sum["output"].to_string(),
        dollars(&sum["cost"]),
        dollars(&sum["saved"]),
        dollars(&sum["fee"]),
    ]
}

/// Nano-dollars as dollars.
pub(super) fn dollars(nanos: &Value) -> String {
    format!("${}", NanoUsd(nanos.as_u64().unwrap_or_default()))
}

/// A cell of a table for spreadsheets: quoted where it has to be.
fn cell_csv(cell: &str) -> String {
    let bare = cell.trim_start_matches('$');
    if bare.contains([',', '"', '\n']) {
        format!("\"{}\"", bare.replace('"', "\"\""))
    } else {
        bare.to_owned()
    }
}
