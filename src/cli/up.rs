//! `fgy up`: a lone node on this machine, and the lines with which to try it.

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::{config, say};
use crate::config::{Environment, Mode, Settings};
use crate::mock::{self, Mock};
use crate::node::Node;
use crate::telemetry;

/// Run a lone node: SQLite, local, no peers.
#[derive(Args)]
#[command(
    after_help = "Example:\n  fgy up --demo\n  OPENAI_API_KEY=sk-… fgy up --listen 127.0.0.1:9000"
)]
pub(crate) struct UpArgs {
    /// Answer with a simulated provider
    #[arg(long)]
    demo: bool,
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<std::path::PathBuf>,
    #[command(flatten)]
    args: crate::config::Args,
}

pub(crate) async fn run(args: UpArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let mut given = args.args;
    let mock = if args.demo {
        Some(Mock::start(mock::Settings::default()).await?)
    } else {
        None
    };
    if let Some(mock) = &mock {
        given.upstream = Some(mock.base_url());
    }
    let mut settings = config::read(Mode::Up, &given, environment, args.config.as_deref())?;
    telemetry::for_a_node(&settings.log, settings.log_format);
    for warning in environment.warnings() {
        tracing::warn!("{warning}");
    }
    #[cfg(feature = "faults")]
    crate::faults::arm(environment.get("FGY_FAULTS").unwrap_or_default());
    // Nobody balances traffic to a lone node: there is nobody to wait for.
    settings.limits.drain_ready_seconds = 0;
    let model = local_model(&mut settings, environment);
    let mut node = Node::start(&settings).await?;
    let first_key = node.settled().await;
    greet(&node, first_key.as_deref(), environment, args.demo);
    tokio::select! {
        () = super::model::provide(model.as_deref(), environment) => {}
        () = interrupted() => {}
    }
    node.stop().await;
    drop(mock);
    Ok(ExitCode::SUCCESS)
}

/// Where the local model lies, if it is the one that is used.
pub(crate) fn local_model(
    settings: &mut Settings,
    environment: &Environment,
) -> Option<std::path::PathBuf> {
    let embedder = &settings.embedding.provider;
    if settings.providers.contains_key(embedder) {
        return None;
    }
    if settings.model_dir.is_none() {
        settings.model_dir = super::model::folder(None, environment).ok();
    }
    settings.model_dir.clone()
}

/// Resolves at SIGTERM or SIGINT.
pub(crate) async fn interrupted() {
    let signals = signal(SignalKind::terminate())
        .and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match signals.context("signals cannot be heard") {
        Ok((mut terminate, mut interrupt)) => {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        Err(error) => {
            tracing::warn!(%error, "running until killed");
            std::future::pending::<()>().await;
        }
    }
}

/// The lines with which to try the node.
fn greet(node: &Node, first_key: Option<&str>, environment: &Environment, demo: bool) {
    let mark = if demo {
        " (demo: answers are simulated)"
    } else {
        ""
    };
    let base = base_url(node.address);
    let key = first_key.unwrap_or("$FGY_KEY");
    say(format_args!("base URL    {base}{mark}"));
    match first_key {
        Some(key) => say(format_args!(
            "tenant key  {key}   shown once: keep it{mark}"
        )),
        None => say(format_args!(
            "tenant key  as before; another: fgy tenant rotate-key default{mark}"
        )),
    }
    say(format_args!(
        "admin       http://{}/admin/v1{mark}",
        node.admin_address
    ));
    let provider = provider_key(environment, demo);
    say(format_args!("\ntry it twice{mark}:"));
    say(format_args!(
        "  curl -si {base}/chat/completions -H 'Authorization: Bearer {key}' \
         -H \"X-Provider-Auth: Bearer {provider}\" -H 'Content-Type: application/json' \
         -d '{{\"model\":\"gpt-4o-mini\",\"messages\":[{{\"role\":\"user\",\"content\":\"What is a cache?\"}}]}}' \
         | grep -i -e x-fgy-cache -e content"
    ));
    say(format_args!("\nor from Python{mark}:"));
    let from = if demo {
        "\"demo\"".to_owned()
    } else {
        "os.environ['OPENAI_API_KEY']".to_owned()
    };
    say(format_args!(
        "  python3 -c \"import os, openai; print(openai.OpenAI(base_url='{base}', api_key='{key}', \
         default_headers={{'X-Provider-Auth': 'Bearer ' + {from}}}).chat.completions.create(\
         model='gpt-4o-mini', messages=[{{'role': 'user', 'content': 'What is a cache?'}}])\
         .choices[0].message.content)\"",
        from = from.replace('"', "'")
    ));
}

fn provider_key(environment: &Environment, demo: bool) -> &'static str {
    match (demo, environment.get("OPENAI_API_KEY")) {
        (true, _) => "demo",
        // Named, never printed.
        (false, Some(_)) => "$OPENAI_API_KEY",
        (false, None) => "${OPENAI_API_KEY:?set it to your own}",
    }
}

fn base_url(address: SocketAddr) -> String {
    format!("http://{address}/v1")
}
