//! `fgy serve`: one node of a cluster, told everything by its file and its environment.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{config, say, up};
use crate::config::{Environment, Mode};
use crate::node::Node;
use crate::telemetry;

/// Run one node of a cluster.
#[derive(Args)]
#[command(
    after_help = "Example:\n  FGY_CLUSTER_SECRET=… FGY_ADMIN_TOKEN=… fgy serve --config fgy.toml \\\n    --seeds 10.0.0.1:8083,10.0.0.2:8083 --store postgres://…"
)]
pub(crate) struct ServeArgs {
    /// Configuration file
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    args: crate::config::Args,
}

pub(crate) async fn run(args: ServeArgs, environment: &Environment) -> anyhow::Result<ExitCode> {
    let file = args.config.as_deref();
    let mut settings = config::read(Mode::Serve, &args.args, environment, file)?;
    telemetry::for_a_node(&settings.log, settings.log_format);
    for warning in environment.warnings() {
        tracing::warn!("{warning}");
    }
    #[cfg(feature = "faults")]
    crate::faults::arm(environment.get("FGY_FAULTS").unwrap_or_default());
    let model = up::local_model(&mut settings, environment);
    let mut node = Node::start(&settings).await?;
    say(format_args!("base URL    http://{}/v1", node.address));
    say(format_args!(
        "admin       http://{}/admin/v1",
        node.admin_address
    ));
    let told = async {
        if let Some(key) = node.settled().await {
            say(format_args!("tenant key  {key}   shown once: keep it"));
        }
        node.left().await;
    };
    tokio::select! {
        () = super::model::provide(model.as_deref(), environment) => {}
        () = told => {}
        () = up::interrupted() => {}
    }
    node.stop().await;
    Ok(ExitCode::SUCCESS)
}
