//! `fgy policy`: apply a file, list, remove.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use serde_json::Value;

use super::admin_client::{AdminClient, Target, segment};
use super::{Output, say, say_json, table};
use crate::config::Environment;

/// Policies: what is cached, for whom, for how long.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy policy apply -f policies.yaml")]
pub(crate) struct PolicyArgs {
    #[command(flatten)]
    target: Target,
    /// table or json
    #[arg(
        long,
        value_enum,
        hide_possible_values = true,
        default_value_t,
        global = true
    )]
    output: Output,
    #[command(subcommand)]
    command: PolicyCommand,
}

#[derive(Subcommand)]
enum PolicyCommand {
    /// Apply every policy of a YAML file
    Apply {
        /// The file
        #[arg(short, long)]
        file: PathBuf,
    },
    /// All policies, in the order that decides between equals
    List,
    /// Remove one
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) async fn run(args: PolicyArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    match args.command {
        PolicyCommand::Apply { file } => {
            let text = std::fs::read_to_string(&file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            let applied: Value = node.post_text("/policies", text).await?;
            if args.output == Output::Json {
                return say_json(&applied).map(|()| ExitCode::SUCCESS);
            }
            say(format_args!("{} applied", applied["applied"]));
            for warning in applied["warnings"].as_array().into_iter().flatten() {
                say(format_args!(
                    "warning: {}",
                    warning.as_str().unwrap_or_default()
                ));
            }
        }
        PolicyCommand::List => {
            let policies = node.list("/policies", "policies").await?;
            if args.output == Output::Json {
                return say_json(&policies).map(|()| ExitCode::SUCCESS);
            }
            let rows: Vec<Vec<String>> = policies.iter().map(row).collect();
            table::print(
                &["POLICY", "ENABLED", "TYPE", "AGENTS", "MODELS", "TTL"],
                &rows,
            );
        }
        PolicyCommand::Remove { name } => {
            let path = format!("/policies/{}", segment(&name));
            let removed: Value = node.delete(&path).await?;
            if args.output == Output::Json {
                return say_json(&removed).map(|()| ExitCode::SUCCESS);
            }
            say("removed");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn row(policy: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(",")
        }
        other => other.to_string(),
    };
    let ttl = &policy["config"]["ttl_seconds"];
    [
        &policy["name"],
        &policy["enabled"],
        &policy["type"],
        &policy["agents"],
        &policy["models"],
        ttl,
    ]
    .map(text)
    .to_vec()
}
