//! Hurts a cluster of real processes on this machine and judges what it said meanwhile: a seed and a
//! scenario in, a verdict out, and the command that makes the same choices again. Exit 0: it held;
//! 1: it is broken; 2: unknown, because the run could not prove its faults or asked too little.
#![expect(clippy::print_stdout, reason = "a command's results go to its output")]

mod checks;
mod client;
mod clock;
mod history;
mod nodes;
mod rng;
mod run;
mod scenario;
mod step;
mod tasks;
#[cfg(test)]
mod tests;
mod upstream;
mod verdict;
mod workload;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;

use nodes::Ground;
use run::{Order, run};
use scenario::Scenario;

/// Hurts a cluster and judges what it said
#[derive(Parser)]
struct Args {
    /// What is done to it
    #[arg(value_enum)]
    scenario: Scenario,
    /// The binary that is judged
    #[arg(long, env = "FGY_BIN", default_value = "target/debug/fgy")]
    bin: PathBuf,
    /// What all choices are drawn from [default: a new one]
    #[arg(long)]
    seed: Option<u64>,
    /// Nodes [default: 3, or what the scenario needs]
    #[arg(long)]
    nodes: Option<usize>,
    /// Fault windows of purges
    #[arg(long, default_value_t = 10)]
    windows: usize,
    /// Purges in each window, of scopes apart
    #[arg(long, default_value_t = 20)]
    purges_per_window: usize,
    /// Faults under writes
    #[arg(long, default_value_t = 50)]
    faults: usize,
    /// Make tenants with stale_ok, who are served old answers: has to be found BROKEN by `frozen`
    #[arg(long)]
    stale_ok: bool,
    /// A postgres:// that all nodes share [default: a file for each node]
    #[arg(long)]
    store: Option<String>,
    /// Tell no steps
    #[arg(long)]
    quiet: bool,
}

impl Args {
    fn order(&self) -> Order {
        Order {
            scenario: self.scenario,
            seed: self.seed.unwrap_or_else(rng::Rng::seed),
            windows: self.windows,
            purges: self.purges_per_window.max(1),
            faults: self.faults,
            is_stale_ok: self.stale_ok,
            ground: Ground {
                binary: self.bin.clone(),
                nodes: self.nodes.unwrap_or_default().max(self.scenario.nodes()),
                store: self.store.clone(),
            },
            is_told: !self.quiet,
        }
    }
}

/// The command that makes the same choices again.
fn again(order: &Order) -> String {
    let Order {
        scenario,
        seed,
        windows,
        purges,
        faults,
        ground,
        ..
    } = order;
    let (name, bin, nodes) = (scenario.name(), ground.binary.display(), ground.nodes);
    let mut command = format!("jepsen-lite {name} --bin {bin} --seed {seed} --nodes {nodes}");
    match scenario {
        Scenario::Writes => command.push_str(&format!(" --faults {faults}")),
        _ => command.push_str(&format!(
            " --windows {windows} --purges-per-window {purges}"
        )),
    }
    if order.is_stale_ok {
        command.push_str(" --stale-ok");
    }
    if ground.store.is_some() {
        // The address may hold a password.
        command.push_str(" --store URL");
    }
    command
}

#[tokio::main]
async fn main() -> ExitCode {
    let order = Args::parse().order();
    println!("{}", again(&order));
    let outcomes = run(&order).await;
    for line in &outcomes.figures {
        println!("{line}");
    }
    println!("{}: {}", order.scenario.name(), outcomes.verdict);
    println!("again: {}", again(&order));
    outcomes.verdict.code()
}
