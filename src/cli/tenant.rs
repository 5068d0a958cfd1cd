//! `fgy tenant`: create, list, rotate and revoke keys, delete.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Target, segment};
use super::{Output, say, say_json, table};
use crate::config::Environment;

/// Tenants and their keys: a key is shown once and kept as a digest.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy tenant create acme\n  fgy tenant create-key acme --agent faq-bot\n  fgy tenant rotate-key acme --overlap 24h"
)]
pub(crate) struct TenantArgs {
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
    command: TenantCommand,
}

#[derive(Subcommand)]
enum TenantCommand {
    /// A new tenant and its first key
    Create {
        /// Its id, for good
        id: String,
        /// Its name for people
        #[arg(long)]
        name: Option<String>,
        /// Bind the key to this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// All tenants
    List,
    /// One more key
    CreateKey {
        /// The tenant
        id: String,
        /// Bind the key to this agent
        #[arg(long)]
        agent: Option<String>,
    },
    /// A new key in place of the old ones
    RotateKey {
        /// The tenant
        id: String,
        /// Bind the key to this agent, and replace that agent's keys
        #[arg(long)]
        agent: Option<String>,
        /// How long the old keys stay good
        #[arg(long, default_value = "1h", value_parser = super::purge::age)]
        overlap: u64,
    },
    /// End a key now
    RevokeKey {
        /// The tenant
        id: String,
        /// The key's id, as `fgy tenant list` shows it
        key: String,
    },
    /// End a tenant, its keys and its answers
    Delete {
        /// The tenant
        id: String,
    },
}

pub(crate) async fn run(args: TenantArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let answer: Value = match args.command {
        TenantCommand::List => {
            let tenants = node.list("/tenants", "tenants").await?;
            return list(&tenants, args.output);
        }
        TenantCommand::Create { id, name, agent } => {
            node.post(
                "/tenants",
                &json!({ "id": id, "name": name, "agent": agent }),
            )
            .await?
        }
        TenantCommand::CreateKey { id, agent } => {
            node.post(
                &format!("/tenants/{}/keys", segment(&id)),
                &json!({ "agent": agent }),
            )
            .await?
        }
        TenantCommand::RotateKey { id, agent, overlap } => {
            let body = json!({ "agent": agent, "overlap_seconds": overlap });
            node.post(&format!("/tenants/{}/rotate", segment(&id)), &body)
                .await?
        }
        TenantCommand::RevokeKey { id, key } => {
            node.delete(&format!("/tenants/{}/keys/{}", segment(&id), segment(&key)))
                .await?
        }
        TenantCommand::Delete { id } => node.delete(&format!("/tenants/{}", segment(&id))).await?,
    };
    if args.output == Output::Json {
        say_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    match answer.get("key").and_then(Value::as_str) {
        Some(key) => say(format_args!("{key}\nshown once: keep it")),
        None => say("done"),
    }
    Ok(ExitCode::SUCCESS)
}

fn list(tenants: &[Value], output: Output) -> anyhow::Result<ExitCode> {
    if output == Output::Json {
        say_json(&tenants)?;
        return Ok(ExitCode::SUCCESS);
    }
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut rows = Vec::new();
    for tenant in tenants {
        let keys = tenant["keys"].as_array().cloned().unwrap_or_default();
        if keys.is_empty() {
            rows.push(vec![
                text(&tenant["id"]),
                text(&tenant["name"]),
                String::new(),
                String::new(),
            ]);
        }
        for key in keys {
            let agent = text(&key["agent"]);
            rows.push(vec![
                text(&tenant["id"]),
                text(&tenant["name"]),
                text(&key["id"]),
                agent,
            ]);
        }
    }
    table::print(&["TENANT", "NAME", "KEY", "AGENT"], &rows);
    Ok(ExitCode::SUCCESS)
}
