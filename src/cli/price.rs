//! `fgy price`: apply a price file, list what is in force.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::Value;

use super::admin_client::{AdminClient, Target};
use super::money::dollars;
use super::{Output, config, say, say_json, table};
use crate::config::Environment;

/// Prices: what tokens cost, for savings and statements from now on.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy price apply -f prices.toml\n\nDollars per million tokens; an empty [models] takes back what was applied:\n  [models]\n  \"gpt-4o\" = { input = 2.50, cached_input = 1.25, output = 10 }"
)]
pub(crate) struct PriceArgs {
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
    command: PriceCommand,
}

#[derive(Subcommand)]
enum PriceCommand {
    /// Apply a TOML file in place of the one before, over the built-in prices
    Apply {
        /// The file
        #[arg(short, long)]
        file: PathBuf,
    },
    /// The prices in force
    List,
}

pub(crate) async fn run(args: PriceArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    match args.command {
        PriceCommand::Apply { file } => {
            let applied: Value = node.post_text("/prices", config::text_of(&file)?).await?;
            if args.output == Output::Json {
                return say_json(&applied).map(|()| ExitCode::SUCCESS);
            }
            let (models, version) = (&applied["models"], &applied["version"]);
            say(format_args!("{models} applied, edition {version}"));
        }
        PriceCommand::List => {
            let prices = node.list("/prices", "prices").await?;
            if args.output == Output::Json {
                return say_json(&prices).map(|()| ExitCode::SUCCESS);
            }
            let rows: Vec<Vec<String>> = prices.iter().map(row).collect();
            table::print(&["MODEL", "INPUT", "CACHED", "OUTPUT"], &rows);
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// A price, in dollars per million tokens.
fn row(price: &Value) -> Vec<String> {
    let model = price["model"].as_str().unwrap_or_default().to_owned();
    let amounts = ["input", "cached_input", "output"].map(|column| dollars(&price[column]));
    [model].into_iter().chain(amounts).collect()
}
