//! What a scenario does, one thing at a time, in words that can be printed.

use std::fmt;

/// One thing that is done, or waited for. Numbers are nodes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Every target and its neighbour is asked for until it is kept.
    Warm,
    /// Every target is served as a hit by this node, which may hold a copy of its own by then.
    Hit(usize),
    /// A slow answer to every target begins at this node.
    Begin(usize),
    /// The slow answers come to their end.
    Finish,
    Pause(usize),
    Resume(usize),
    Kill(usize),
    Start(usize),
    /// All purges of the window at once, and their acknowledgements.
    Purge {
        at: usize,
    },
    /// The same, and another node killed after so many microseconds.
    PurgeAndKill {
        at: usize,
        kill: usize,
        after_micros: u64,
    },
    /// Every target is asked for once while the node sleeps: heard when it wakes.
    Early(usize),
    /// Every target is asked for many times.
    Ask(usize),
    /// Until every node is ready, holds its lease and masks nobody.
    Heal,
    /// What was not purged is still served, with the words it had.
    Spared(usize),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Warm => f.write_str("warm"),
            Step::Hit(at) => write!(f, "hit at {at}"),
            Step::Begin(at) => write!(f, "begin slow answers at {at}"),
            Step::Finish => f.write_str("slow answers end"),
            Step::Pause(at) => write!(f, "stop {at}"),
            Step::Resume(at) => write!(f, "wake {at}"),
            Step::Kill(at) => write!(f, "kill {at}"),
            Step::Start(at) => write!(f, "start {at}"),
            Step::Purge { at } => write!(f, "purge at {at}"),
            Step::PurgeAndKill {
                at,
                kill,
                after_micros,
            } => {
                write!(f, "purge at {at}, kill {kill} after {after_micros} us")
            }
            Step::Early(at) => write!(f, "ask {at}, asleep"),
            Step::Ask(at) => write!(f, "ask {at}"),
            Step::Heal => f.write_str("heal"),
            Step::Spared(at) => write!(f, "spared at {at}"),
        }
    }
}
