//! What is asked during a run: purges with their windows, and writes to what is agreed.

pub(crate) mod purges;
pub(crate) mod target;
pub(crate) mod writes;

use std::sync::Arc;

use crate::clock::Clock;
use crate::history::History;
use crate::nodes::Nodes;
use crate::rng::Rng;
use crate::upstream::Upstream;

/// Everything of one run.
pub(crate) struct World {
    pub(crate) nodes: Nodes,
    pub(crate) upstream: Upstream,
    pub(crate) clock: Clock,
    pub(crate) history: Arc<History>,
    pub(crate) rng: Rng,
    /// How many have to vote before a window begins.
    pub(crate) voters: usize,
    /// Whether steps are told as they are taken.
    pub(crate) is_told: bool,
}

/// The middle and the worst of some times, in milliseconds, in words.
pub(crate) fn spread(mut micros: Vec<u64>) -> String {
    micros.sort_unstable();
    let millis = |at: usize| micros.get(at).map_or(0.0, |micros| *micros as f64 / 1e3);
    let last = micros.len().saturating_sub(1);
    format!(
        "{} times, p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms",
        micros.len(),
        millis(last / 2),
        millis(last * 99 / 100),
        millis(last)
    )
}
