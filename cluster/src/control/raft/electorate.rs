//! Who votes, as this node's own log has it: the newest membership that was written, agreed yet or
//! not, and since when this node has known its voters. Changed before a write is told as done, so
//! that nobody who was told can meet a node that still counts the old voters.

use std::collections::{BTreeMap, BTreeSet};

use tokio::time::Instant;

use crate::lease::{VotersMark, is_majority};

use super::types::{LogId, Membership, Placed};

/// The voters in force on this node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Electorate {
    /// The entry that says so; none before the first.
    pub(super) id: Option<LogId>,
    /// One set, or two while they change: a majority is one of each.
    pub(super) sets: Vec<BTreeSet<u64>>,
    /// Everybody who is given the log, voters and learners.
    pub(super) nodes: BTreeMap<u64, Placed>,
    /// Since when this node counts these voters.
    pub(super) since: Instant,
}

impl Electorate {
    pub(super) fn new(now: Instant) -> Electorate {
        Electorate {
            id: None,
            sets: Vec::new(),
            nodes: BTreeMap::new(),
            since: now,
        }
    }

    /// After a membership was written, or an earlier one came back. `skipped`: others may have
    /// been in force in between that this node never saw.
    pub(super) fn next(
        &self,
        id: Option<LogId>,
        membership: &Membership,
        now: Instant,
        skipped: bool,
    ) -> Electorate {
        let sets = membership.get_joint_config().clone();
        let same = sets == self.sets && !skipped;
        Electorate {
            id,
            since: if same { self.since } else { now },
            sets,
            nodes: membership
                .nodes()
                .map(|(replica, placed)| (*replica, placed.clone()))
                .collect(),
        }
    }

    /// Every voter once.
    pub(super) fn voters(&self) -> BTreeSet<u64> {
        self.sets.iter().flatten().copied().collect()
    }

    /// What tells these voters from others.
    pub(super) fn mark(&self) -> VotersMark {
        self.id.map_or((0, 0, 0), |id| {
            (id.index, id.leader_id.term, id.leader_id.node_id)
        })
    }

    /// Whether these are enough to decide.
    pub(super) fn is_majority(&self, some: &BTreeSet<u64>) -> bool {
        is_majority(&self.sets, |voter| some.contains(&voter))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(sets: &[&[u64]]) -> Electorate {
        Electorate {
            sets: sets
                .iter()
                .map(|set| set.iter().copied().collect())
                .collect(),
            ..Electorate::new(Instant::now())
        }
    }

    #[tokio::test]
    async fn a_majority_is_one_of_every_set() {
        type Case<'a> = (&'a [&'a [u64]], &'a [u64], bool);
        let table: &[Case] = &[
            (&[], &[1], false),
            (&[&[]], &[1], false),
            (&[&[1]], &[1], true),
            (&[&[1]], &[2], false),
            (&[&[1, 2, 3]], &[1, 9], false),
            (&[&[1, 2, 3]], &[1, 3], true),
            (&[&[1, 2]], &[1], false),
            (&[&[1, 2, 3], &[3, 4, 5]], &[1, 2], false),
            (&[&[1, 2, 3], &[3, 4, 5]], &[1, 3, 4], true),
        ];
        for (of, some, expected) in table {
            let some = some.iter().copied().collect();
            assert_eq!(sets(of).is_majority(&some), *expected, "{some:?} of {of:?}");
        }
    }
}
