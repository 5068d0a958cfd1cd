//! A scenario is a name, the nodes it needs, and the steps of one window, given who plays whom.

use crate::rng::Rng;
use crate::step::Step;

/// The scenarios there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Scenario {
    /// Purges without any fault
    Calm,
    /// Purges while the node that served the answers is stopped (SIGSTOP), asked the moment it wakes
    Frozen,
    /// Purges while it is dead (SIGKILL), asked the moment it is back
    Restarted,
    /// Purges whose leader is killed right after they were sent to another node
    Leader,
    /// The same while a node without a vote is stopped; five nodes
    LeaderFrozen,
    /// Answers of ten seconds that begin before the purge and end after it
    SlowFill,
    /// Writes to what is agreed while voters are killed, stopped and started again
    Writes,
}

/// Who plays whom in a window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Cast {
    /// Who is disturbed, or asked, after it served the old answers.
    pub(crate) victim: usize,
    pub(crate) leader: usize,
    /// Who hears the purge: neither of these.
    pub(crate) purger: usize,
}

impl Scenario {
    #[cfg(test)]
    pub(crate) const PURGES: [Scenario; 6] = [
        Scenario::Calm,
        Scenario::Frozen,
        Scenario::Restarted,
        Scenario::Leader,
        Scenario::LeaderFrozen,
        Scenario::SlowFill,
    ];

    /// As on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Scenario::Calm => "calm",
            Scenario::Frozen => "frozen",
            Scenario::Restarted => "restarted",
            Scenario::Leader => "leader",
            Scenario::LeaderFrozen => "leader-frozen",
            Scenario::SlowFill => "slow-fill",
            Scenario::Writes => "writes",
        }
    }

    /// The fewest nodes that make sense.
    pub(crate) fn nodes(self) -> usize {
        if self == Scenario::LeaderFrozen { 5 } else { 3 }
    }

    /// Whether the victim has to be without a vote, so that the others are a majority without it
    /// and without the leader.
    pub(crate) fn spares_voters(self) -> bool {
        self == Scenario::LeaderFrozen
    }

    /// Whether the victim must not be the leader, who has a part of its own.
    pub(crate) fn spares_leader(self) -> bool {
        matches!(self, Scenario::Leader | Scenario::LeaderFrozen)
    }

    /// Whether the victim serves nothing during the purge.
    pub(crate) fn disturbs_victim(self) -> bool {
        matches!(
            self,
            Scenario::Frozen | Scenario::Restarted | Scenario::LeaderFrozen
        )
    }

    /// The longest an acknowledgement should take, in milliseconds.
    pub(crate) fn ack_millis_max(self) -> u64 {
        match self {
            Scenario::Calm | Scenario::SlowFill | Scenario::Writes => 50,
            Scenario::Frozen | Scenario::Restarted => 3_500,
            Scenario::Leader | Scenario::LeaderFrozen => 6_500,
        }
    }

    /// One window's steps.
    pub(crate) fn steps(self, cast: Cast, rng: &mut Rng) -> Vec<Step> {
        let Cast {
            victim,
            leader,
            purger,
        } = cast;
        let purge = Step::Purge { at: purger };
        // From before the proposal can have left the node that heard it to after it is settled.
        let after_micros = rng.next() % 12_000;
        let kill = Step::PurgeAndKill {
            at: purger,
            kill: leader,
            after_micros,
        };
        let (warm, hit, ask) = (Step::Warm, Step::Hit(victim), Step::Ask(victim));
        let mut steps = match self {
            Scenario::Calm => vec![warm, hit, purge, ask],
            Scenario::Frozen => {
                let (stop, wake) = (Step::Pause(victim), Step::Resume(victim));
                vec![warm, hit, stop, purge, Step::Early(victim), wake, ask]
            }
            Scenario::Restarted => {
                vec![
                    warm,
                    hit,
                    Step::Kill(victim),
                    purge,
                    Step::Start(victim),
                    ask,
                ]
            }
            Scenario::Leader => vec![warm, hit, kill, ask, Step::Start(leader), Step::Ask(leader)],
            Scenario::LeaderFrozen => {
                let (stop, wake) = (Step::Pause(victim), Step::Resume(victim));
                let start = [Step::Start(leader), Step::Ask(leader)];
                let mut steps = vec![warm, hit, stop, kill, Step::Early(victim), wake, ask];
                steps.extend(start);
                steps
            }
            Scenario::SlowFill => vec![Step::Begin(victim), purge, ask, Step::Finish, ask],
            Scenario::Writes => Vec::new(),
        };
        steps.extend([Step::Heal, ask]);
        // What was kept by a process that was killed may have died with it.
        if matches!(self, Scenario::Calm | Scenario::Frozen) {
            steps.extend([Step::Spared(victim), Step::Spared(purger)]);
        }
        steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_window_purges_once_between_old_answers_and_questions() {
        let cast = Cast {
            victim: 0,
            leader: 1,
            purger: 2,
        };
        for scenario in Scenario::PURGES {
            let steps = scenario.steps(cast, &mut Rng::new(1));
            let at = |is: &dyn Fn(&Step) -> bool| steps.iter().position(is);
            let purge = at(&|step| matches!(step, Step::Purge { .. } | Step::PurgeAndKill { .. }));
            let old = at(&|step| matches!(step, Step::Hit(0) | Step::Begin(0)));
            let ask = at(&|step| matches!(step, Step::Ask(0)));
            assert!(old < purge && purge < ask, "{}", scenario.name());
            let count = |word: &str| {
                steps
                    .iter()
                    .filter(|step| step.to_string().starts_with(word))
                    .count()
            };
            assert_eq!(count("stop"), count("wake"), "{}", scenario.name());
        }
    }
}
