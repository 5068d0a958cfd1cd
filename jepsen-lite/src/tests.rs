//! One small run of each scenario against real processes, so that every change of the product meets
//! them. The long ones are commands.

use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use tokio::sync::Mutex;

use crate::nodes::Ground;
use crate::run::{Order, Outcomes, run};
use crate::scenario::Scenario;
use crate::verdict::Verdict;

/// One cluster at a time: the times that are looked at are those of one.
static TURN: Mutex<()> = Mutex::const_new(());

/// The binary that FGY_BIN names, else one that is built now.
#[expect(
    clippy::disallowed_methods,
    reason = "a test is told its binary as the command is"
)]
fn binary() -> PathBuf {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    let build = || {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
        let args = [
            "build",
            "--locked",
            "--bin",
            "fgy",
            "--message-format",
            "json",
            "--manifest-path",
            root,
        ];
        let built = Command::new(env!("CARGO")).args(args).output().unwrap();
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let said = String::from_utf8(built.stdout).unwrap();
        let executable = |line: &str| {
            let line: serde_json::Value = serde_json::from_str(line).ok()?;
            line["executable"].as_str().map(PathBuf::from)
        };
        said.lines().filter_map(executable).next_back().unwrap()
    };
    let named = || std::env::var_os("FGY_BIN").map(PathBuf::from);
    BINARY.get_or_init(|| named().unwrap_or_else(build)).clone()
}

async fn once(scenario: Scenario, windows: usize, faults: usize, is_stale_ok: bool) -> Outcomes {
    let _turn = TURN.lock().await;
    let order = Order {
        scenario,
        seed: 20_261,
        windows,
        purges: 12,
        faults,
        is_stale_ok,
        ground: Ground {
            binary: binary(),
            nodes: scenario.nodes(),
            store: None,
        },
        is_told: true,
    };
    let outcomes = run(&order).await;
    println!("{}:\n  {}", scenario.name(), outcomes.figures.join("\n  "));
    outcomes
}

async fn holds(scenario: Scenario, windows: usize, faults: usize) {
    let verdict = once(scenario, windows, faults, false).await.verdict;
    assert!(matches!(verdict, Verdict::Held), "{verdict}");
}

/// Who asked for `stale_ok` is served old answers by a node without a lease: a judge who does not
/// see that sees nothing.
#[tokio::test(flavor = "multi_thread")]
async fn an_old_answer_is_seen_where_there_is_one() {
    let verdict = once(Scenario::Frozen, 1, 0, true).await.verdict;
    assert!(
        matches!(&verdict, Verdict::Broken(lines) if lines[0].contains("OLD")),
        "{verdict}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_where_nothing_is_disturbed() {
    holds(Scenario::Calm, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_on_a_node_that_slept_through_them() {
    // Two windows: in the last of them everything is purged, and nobody has neighbours.
    holds(Scenario::Frozen, 2, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_on_a_node_that_was_dead_meanwhile() {
    holds(Scenario::Restarted, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_where_the_leader_dies_of_them() {
    holds(Scenario::Leader, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn purges_hold_where_the_leader_dies_and_another_sleeps() {
    holds(Scenario::LeaderFrozen, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_begun_before_a_purge_are_not_kept_after_it() {
    holds(Scenario::SlowFill, 2, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_writes_survive_and_stand_in_one_order() {
    holds(Scenario::Writes, 0, 6).await;
}
