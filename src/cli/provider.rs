//! `fgy provider`: apply the providers of a file, list, remove.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Target, segment};
use super::{Output, config, say, say_json, table};
use crate::config::{Environment, providers};

/// Providers: where a miss goes, and whose key it is called with.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy provider apply -f fgy.toml\n\nThe file has the form of a node's own:\n  [providers.ollama]\n  base_url = \"http://127.0.0.1:11434/v1\"\n  models = [\"llama3*\"]\n  auth = \"none\""
)]
pub(crate) struct ProviderArgs {
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
    command: ProviderCommand,
}

#[derive(Subcommand)]
enum ProviderCommand {
    /// Apply every [providers.NAME] of a TOML file
    Apply {
        /// The file
        #[arg(short, long)]
        file: PathBuf,
    },
    /// All providers, in the order in which models are looked for
    List,
    /// Remove one
    Remove {
        /// Its name
        name: String,
    },
}

pub(crate) async fn run(args: ProviderArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let answer: Value = match args.command {
        ProviderCommand::Apply { file } => {
            let text = config::text_of(&file)?;
            let providers = providers(&text).map_err(|all| config::complaint(&file, &all))?;
            if providers.is_empty() {
                bail!("{} has no [providers.NAME] section", file.display());
            }
            node.post("/providers", &json!({ "providers": providers }))
                .await?
        }
        ProviderCommand::List => {
            let providers = node.list("/providers", "providers").await?;
            if args.output == Output::Table {
                let rows: Vec<Vec<String>> = providers.iter().map(row).collect();
                table::print(&["PROVIDER", "KIND", "BASE URL", "MODELS", "AUTH"], &rows);
                return Ok(ExitCode::SUCCESS);
            }
            providers.into()
        }
        ProviderCommand::Remove { name } => {
            node.delete(&format!("/providers/{}", segment(&name)))
                .await?
        }
    };
    match (args.output, answer.get("applied")) {
        (Output::Json, _) => say_json(&answer)?,
        (Output::Table, Some(applied)) => say(format_args!("{applied} applied")),
        (Output::Table, None) => say("removed"),
    }
    Ok(ExitCode::SUCCESS)
}

fn row(provider: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::Array(items) => {
            let items: Vec<&str> = items.iter().filter_map(Value::as_str).collect();
            items.join(",")
        }
        other => other.as_str().unwrap_or_default().to_owned(),
    };
    ["name", "kind", "base_url", "models", "auth"]
        .map(|column| text(&provider[column]))
        .to_vec()
}
