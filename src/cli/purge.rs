//! `fgy purge`: what it names is never served again.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::admin_client::{AdminClient, Target};
use super::{Output, explain, say, say_json};
use crate::clock::Clock;
use crate::config::Environment;

/// Invalidate: whatever is named is never served again, from the moment this returns.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy purge --tenant acme --model gpt-4o --dry-run\n  fgy purge --older-than 24h"
)]
pub(crate) struct PurgeArgs {
    #[command(flatten)]
    target: Target,
    /// Of this tenant
    #[arg(long)]
    tenant: Option<String>,
    /// Of this agent
    #[arg(long)]
    agent: Option<String>,
    /// Of this model
    #[arg(long)]
    model: Option<String>,
    /// Of this namespace and those inside it
    #[arg(long)]
    namespace: Option<String>,
    /// Made before: an RFC 3339 time, or an age such as 24h
    #[arg(long, value_name = "TIME")]
    older_than: Option<String>,
    /// One entry, by the key that `fgy explain` prints
    #[arg(long, conflicts_with = "request")]
    key: Option<String>,
    /// One entry, by a file with its request
    #[arg(long, value_name = "FILE")]
    request: Option<PathBuf>,
    /// Everything
    #[arg(long)]
    all: bool,
    /// Only count
    #[arg(long)]
    dry_run: bool,
    /// table or json
    #[arg(long, value_enum, hide_possible_values = true, default_value_t)]
    output: Output,
}

pub(crate) async fn run(args: PurgeArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let node = AdminClient::new(&args.target, environment)?;
    let older_than = args.older_than.as_deref().map(moment).transpose()?;
    let key = match &args.request {
        None => args.key.clone(),
        Some(file) => Some(key_of(&node, file, args.tenant.as_deref()).await?),
    };
    let body = json!({
        "tenant": args.tenant, "agent": args.agent, "model": args.model,
        "namespace": args.namespace, "older_than": older_than, "key": key,
        "all": args.all, "dry_run": args.dry_run,
    });
    let purged: Value = node.post("/purge", &body).await?;
    if args.output == Output::Json {
        say_json(&purged)?;
    } else {
        let entries = &purged["entries"];
        let done = if args.dry_run {
            "would be purged"
        } else {
            "purged"
        };
        say(format_args!("{entries} stored entries {done}"));
    }
    Ok(ExitCode::SUCCESS)
}

async fn key_of(
    node: &AdminClient,
    file: &std::path::Path,
    tenant: Option<&str>,
) -> anyhow::Result<String> {
    let explained = explain::ask(node, file, None, tenant, &[]).await?;
    match explained["keys"][0].as_str() {
        Some(key) => Ok(key.to_owned()),
        None => bail!(
            "this request has no key: {}",
            explained["reason"].as_str().unwrap_or_default()
        ),
    }
}

/// Unix milliseconds of an RFC 3339 time, or of so long ago.
fn moment(text: &str) -> anyhow::Result<u64> {
    if let Ok(time) = text.parse::<Timestamp>() {
        return u64::try_from(time.as_millisecond()).context("a time before 1970");
    }
    let age = age(text).map_err(|why| anyhow::anyhow!("--older-than: {why}"))?;
    Ok(Clock.now().minus_millis(age.saturating_mul(1_000)).0)
}

/// Seconds of an age such as `24h`, `90m`, `7d`.
pub(crate) fn age(text: &str) -> Result<u64, String> {
    let days = text
        .strip_suffix('d')
        .and_then(|days| days.parse::<u64>().ok());
    if let Some(days) = days {
        return Ok(days.saturating_mul(86_400));
    }
    let age = text.parse::<SignedDuration>();
    age.ok()
        .and_then(|age| u64::try_from(age.as_secs()).ok())
        .ok_or_else(|| "give an age such as 24h or 7d, or an RFC 3339 time".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ages_are_understood_and_nothing_else() {
        assert_eq!(moment("1970-01-02T00:00:00Z").unwrap(), 86_400_000);
        assert_eq!(age("24h"), Ok(86_400));
        assert_eq!(age("7d"), Ok(7 * 86_400));
        assert_eq!(age("1h 30m"), Ok(5_400));
        for text in ["", "yesterday", "-3h", "24"] {
            assert!(moment(text).is_err(), "{text}");
        }
    }
}
