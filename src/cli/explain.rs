//! `fgy explain`: what would happen to a request, and why.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use serde_json::value::RawValue;
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Target};
use super::{Output, say, say_json, table};
use crate::config::Environment;

/// What would happen to a request and why: canonical form, key, policy, kept answer, nearest neighbours.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy explain -f request.json -H 'X-Fgy-Namespace: staging'")]
pub(crate) struct ExplainArgs {
    #[command(flatten)]
    target: Target,
    /// A file with the request's body
    #[arg(short, long)]
    file: PathBuf,
    /// Where it would be sent [default: /v1/chat/completions]
    #[arg(long)]
    path: Option<String>,
    /// Whose it would be [default: default]
    #[arg(long)]
    tenant: Option<String>,
    /// A header that would come with it, `Name: value`
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// table or json
    #[arg(long, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

pub(crate) async fn run(args: ExplainArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let (path, tenant) = (args.path.as_deref(), args.tenant.as_deref());
    let explained = ask(&node, &args.file, path, tenant, &args.headers).await?;
    if args.output == Output::Json {
        say_json(&explained)?;
        return Ok(ExitCode::SUCCESS);
    }
    for name in [
        "outcome",
        "reason",
        "policy",
        "declined",
        "namespace",
        "user",
        "epoch",
        "provider",
        "owner",
        "keys",
        "canonical",
        "kept",
    ] {
        let value = match &explained[name] {
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        };
        if !value.is_empty() && value != "[]" {
            say(format_args!("{name:<10} {value}"));
        }
    }
    say_near(&explained["near"]);
    Ok(ExitCode::SUCCESS)
}

/// The nearest questions, and what was said of each.
fn say_near(near: &Value) {
    let rows: Vec<Vec<String>> = near["neighbours"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|it| {
            let cell = |name: &str| match &it[name] {
                Value::Number(number) => format!("{:.4}", number.as_f64().unwrap_or_default()),
                Value::String(text) => text.clone(),
                _ => "-".to_owned(),
            };
            ["similarity", "counted", "verdict", "key"]
                .map(cell)
                .to_vec()
        })
        .collect();
    if near.is_null() {
        return;
    }
    let (bar, tokens) = (&near["bar"], &near["tokens"]);
    let declined = near["declined"].as_str().unwrap_or_default();
    say(format_args!(
        "near       bar {bar}, {tokens} tokens {declined}"
    ));
    if !rows.is_empty() {
        table::print(&["SIMILARITY", "COUNTED", "VERDICT", "KEY"], &rows);
    }
}

/// Asks the node to explain the request in a file.
pub(crate) async fn ask(
    node: &AdminClient,
    file: &Path,
    path: Option<&str>,
    tenant: Option<&str>,
    headers: &[String],
) -> anyhow::Result<Value> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    // Sent on byte for byte: what is explained is what was written.
    let body: Box<RawValue> =
        serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
    let headers: Vec<[&str; 2]> = headers
        .iter()
        .map(|header| {
            let (name, value) = header.split_once(':').context("headers: `Name: value`")?;
            Ok([name.trim(), value.trim()])
        })
        .collect::<anyhow::Result<_>>()?;
    let mut question = json!({ "headers": headers });
    for (name, given) in [("path", path), ("tenant", tenant)] {
        if let Some(given) = given {
            question[name] = given.into();
        }
    }
    let question = question.to_string();
    let rest = question.trim_start_matches('{');
    node.post_json_text("/explain", format!("{{\"body\":{},{rest}", body.get()))
        .await
}
