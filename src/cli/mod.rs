//! The command line: one binary, a command each for running a node and for asking one. It prints
//! for people, and JSON where asked; it never prints a secret but the one key that a command has
//! just made.

mod admin_client;
mod cluster;

mod config;
mod explain;
mod model;
mod money;
mod policy;
mod price;
mod progress;
mod provider;
mod purge;
mod serve;
mod table;
mod tenant;
mod up;

use std::process::ExitCode;

use anyhow::Context;
use clap::{Parser, Subcommand, ValueEnum};
use tokio::net::TcpListener;

use crate::config::Environment;
use crate::mock::MockArgs;
use crate::telemetry;

/// A distributed inference cache: ask twice, pay once.
#[derive(Parser)]
#[command(
    name = "fgy",
    version,
    after_help = "Example:\n  fgy up --demo\n\nPoint an OpenAI SDK at the printed base URL with the printed key as\n`api_key` and the provider's own key in the header X-Provider-Auth."
)]
struct Fgy {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// A lone node: SQLite, no peers, nothing else to install
    Up(Box<up::UpArgs>),
    /// One node of a cluster
    Serve(Box<serve::ServeArgs>),
    /// A simulated provider, for demos, tests and benchmarks
    MockProvider(MockArgs),
    /// Tenants and their keys
    Tenant(tenant::TenantArgs),
    /// Policies
    Policy(policy::PolicyArgs),
    /// Providers
    Provider(provider::ProviderArgs),
    /// Price tables
    Price(price::PriceArgs),
    /// Invalidation
    Purge(purge::PurgeArgs),
    /// What would happen to a request, and why
    Explain(explain::ExplainArgs),
    /// The nodes, and who owns what
    Cluster(cluster::ClusterArgs),
    /// Hit rates and money
    Stats(money::StatsArgs),
    /// A tenant's bill for a month
    Statement(money::StatementArgs),
    /// The local sentence model
    Model(model::ModelArgs),
    /// The configuration file
    Config(config::ConfigArgs),
}

/// How a table is printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people.
    #[default]
    Table,
    /// For programs.
    Json,
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let fgy = Fgy::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::anyhow!("no runtime: {error}")),
    };
    // Told once in the process, for whoever speaks TLS.
    let _told = rustls::crypto::ring::default_provider().install_default();
    match runtime.block_on(run(fgy.command, Environment::of_process())) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command, environment: Environment) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(args) => up::run(*args, &environment).await,
        Command::Serve(args) => serve::run(*args, &environment).await,
        Command::MockProvider(args) => mock_provider(&args).await,
        Command::Tenant(args) => tenant::run(args, &environment).await,
        Command::Policy(args) => policy::run(args, &environment).await,
        Command::Provider(args) => provider::run(args, &environment).await,
        Command::Price(args) => price::run(args, &environment).await,
        Command::Purge(args) => purge::run(args, &environment).await,
        Command::Explain(args) => explain::run(args, &environment).await,
        Command::Cluster(args) => cluster::run(args, &environment).await,
        Command::Stats(args) => money::stats(args, &environment).await,
        Command::Statement(args) => money::statement(args, &environment).await,
        Command::Model(args) => model::run(args, &environment).await,
        Command::Config(args) => Ok(config::run(&args)),
    }
}

async fn mock_provider(args: &MockArgs) -> anyhow::Result<ExitCode> {
    telemetry::for_people();
    let settings = args.settings()?;
    let listener = TcpListener::bind(&args.listen).await.with_context(|| {
        format!(
            "cannot listen on {}: give --listen a free address",
            args.listen
        )
    })?;
    say(format_args!(
        "base URL    http://{}/v1 (simulated)",
        listener.local_addr()?
    ));
    tokio::select! {
        served = crate::mock::serve(listener, settings) => served?,
        () = up::interrupted() => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Status 1: the answer is no, or the input is bad. (Clap ends with 2 on bad usage.)
#[expect(clippy::print_stderr, reason = "this is the command line's own voice")]
fn failed(error: &anyhow::Error) -> ExitCode {
    eprintln!("fgy: {error:#}");
    ExitCode::FAILURE
}

/// Prints a line for people or programs.
#[expect(clippy::print_stdout, reason = "this is the command line's own voice")]
pub(crate) fn say(line: impl std::fmt::Display) {
    println!("{line}");
}

/// Prints a value as JSON.
pub(crate) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(serde_json::to_string_pretty(value)?);
    Ok(())
}
