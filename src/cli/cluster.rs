//! `fgy cluster`: who is here, who owns what, who agrees; the first start by hand; and leaving.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Target};
use super::{Output, say, say_json, table};
use crate::config::Environment;

/// The nodes of the cluster.
#[derive(Args)]
#[command(after_help = "Example:\n  fgy cluster status\n  fgy cluster drain")]
pub(crate) struct ClusterArgs {
    #[command(flatten)]
    target: Target,
    #[command(subcommand)]
    command: ClusterCommand,
}

#[derive(Subcommand)]
enum ClusterCommand {
    /// Members, ring, shares, who agrees, lease: as the asked node sees them
    Status {
        /// table or json
        #[arg(long, value_enum, hide_possible_values = true, default_value_t)]
        output: Output,
    },
    /// Begin a new cluster with the asked node, where the store did not choose who begins
    Bootstrap,
    /// Let the asked node leave: its keys go to others, then its process ends
    Drain,
}

pub(crate) async fn run(args: ClusterArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    match args.command {
        ClusterCommand::Status { output } => {
            let status: Value = node.get("/cluster").await?;
            match output {
                Output::Json => say_json(&status)?,
                Output::Table => show(&status),
            }
        }
        ClusterCommand::Bootstrap => {
            let _begun: Value = node.post("/cluster/bootstrap", &json!({})).await?;
            say("the cluster has begun with this node");
        }
        ClusterCommand::Drain => {
            let _leaving: Value = node.post("/cluster/drain", &json!({})).await?;
            say("the node is leaving; its process ends when its streams have");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn show(status: &Value) {
    let text = |value: &Value| match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let lease = &status["lease"];
    let lease = match (lease["holds"].as_bool(), lease["left_millis"].as_u64()) {
        (Some(true), Some(left)) => format!("holds a lease for {left} ms"),
        (Some(true), None) => "needs no lease".to_owned(),
        _ => "holds NO lease: nothing kept is served".to_owned(),
    };
    say(format_args!(
        "{} ({}): {lease}, {} flights in the air",
        text(&status["node"]),
        text(&status["phase"]),
        text(&status["flights"]),
    ));
    say(format_args!(
        "ring {}, digest {}",
        text(&status["ring"]["epoch"]),
        text(&status["ring"]["digest"]),
    ));
    let left = match status["handoff_done"].as_bool() {
        Some(true) => "done".to_owned(),
        _ => format!("{} answers to give", text(&status["handoff_pending"])),
    };
    say(format_args!("hand-off: {left}"));
    let agreed = &status["agreement"];
    let trouble = agreed["trouble"].as_str();
    say(format_args!(
        "{}: leader {}, term {}, applied {} of {} written{}",
        text(&agreed["role"]),
        text(&agreed["leader"]),
        text(&agreed["term"]),
        text(&agreed["applied"]),
        text(&agreed["written"]),
        trouble.map(|why| format!("; {why}")).unwrap_or_default(),
    ));
    let members = status["members"].as_array().cloned().unwrap_or_default();
    let rows: Vec<Vec<String>> = members
        .iter()
        .map(|member| {
            [
                "node", "phase", "region", "zone", "share", "part", "address", "masked",
            ]
            .iter()
            .map(|column| text(&member[*column]))
            .collect()
        })
        .collect();
    let head = [
        "node",
        "phase",
        "region",
        "zone",
        "share",
        "agrees as",
        "address",
        "masked",
    ];
    table::print(&head, &rows);
}
