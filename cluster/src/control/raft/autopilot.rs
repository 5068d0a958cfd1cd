//! Who should vote, who should listen and who should be on the ring: one picture in, at most one
//! change out. Pure; who draws the picture and makes the change is in `pilot.rs`. It never acts
//! without a majority, never makes two or four voters, and never lets the ring become empty.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use smol_str::SmolStr;

use super::settings::Timers;
use super::types::Placed;
use crate::node::{Member, NodeId, Phase};

/// A learner this many entries behind the leader does not vote yet.
const LAG_COUNT_MAX: u64 = 250;
/// Between two changes that touch learners only: a node that starts should listen at once.
const LEARNERS_PAUSE: Duration = Duration::from_secs(1);
/// From so many nodes on there are five voters.
const NODES_FOR_FIVE: usize = 7;

/// A node that is here now.
#[derive(Debug, Clone)]
pub(super) struct Here {
    pub(super) member: Member,
    pub(super) replica: u64,
    pub(super) phase: Phase,
    /// How long it has been here as this replica and in this phase.
    pub(super) steady: Duration,
}

/// Everything a decision rests on.
#[derive(Debug, Clone)]
pub(super) struct Picture {
    /// The leader's own replica.
    pub(super) me: u64,
    /// Who votes: one set, or two while they change.
    pub(super) sets: Vec<BTreeSet<u64>>,
    /// Whether the newest membership is agreed.
    pub(super) is_settled: bool,
    /// Voters and learners.
    pub(super) nodes: BTreeMap<u64, Placed>,
    pub(super) here: BTreeMap<NodeId, Here>,
    /// How long names that are not here have been missed.
    pub(super) gone: BTreeMap<NodeId, Duration>,
    /// How many entries each replica is behind, where known.
    pub(super) behind: BTreeMap<u64, u64>,
    pub(super) ring: Vec<Member>,
    /// Since the membership last changed.
    pub(super) since_change: Duration,
    /// Since a majority last answered the leader.
    pub(super) quorum_contact: Duration,
    /// Where voters may stand; none: where the leader is.
    pub(super) voter_region: Option<SmolStr>,
    pub(super) timers: Timers,
}

/// What should be changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    /// These are on the ring.
    Ring(Vec<Member>),
    /// These begin to listen.
    Learners(BTreeMap<u64, Placed>),
    /// These are given the log no longer.
    Forget(BTreeSet<u64>),
    /// These vote, and nobody else.
    Voters(BTreeSet<u64>),
}

/// The one change that is due, if any.
pub(super) fn decide(picture: &Picture) -> Option<Change> {
    // A leader that has not heard from a majority may not be one.
    if picture.quorum_contact > picture.timers.election.1 {
        return None;
    }
    if let Some(ring) = ring(picture) {
        return Some(Change::Ring(ring));
    }
    if !picture.is_settled {
        return None;
    }
    // An earlier leader was lost between the two steps of its change.
    if let [_, wanted] = picture.sets.as_slice() {
        return Some(Change::Voters(wanted.clone()));
    }
    let [voters] = picture.sets.as_slice() else {
        return None;
    };
    if picture.since_change >= LEARNERS_PAUSE
        && let Some(change) = learners(picture, voters)
    {
        return Some(change);
    }
    if picture.since_change >= picture.timers.change_pause {
        return wanted_voters(picture, voters).map(Change::Voters);
    }
    None
}

/// The ring as it should be, if it is not.
fn ring(picture: &Picture) -> Option<Vec<Member>> {
    let timers = &picture.timers;
    let mut wanted = Vec::new();
    for member in &picture.ring {
        let gone = picture.gone.get(&member.id).copied().unwrap_or_default();
        match picture.here.get(&member.id) {
            Some(here) if here.phase == Phase::Draining => {}
            // It moved to another zone, or was given another weight.
            Some(here) if here.phase == Phase::Ready => wanted.push(here.member.clone()),
            Some(_) => wanted.push(member.clone()),
            None if gone < timers.gone_after => wanted.push(member.clone()),
            None => {}
        }
    }
    for (name, here) in &picture.here {
        let is_new = !picture.ring.iter().any(|member| member.id == *name);
        if is_new && here.phase == Phase::Ready && here.steady >= timers.join_after {
            wanted.push(here.member.clone());
        }
    }
    wanted.sort_by(|a, b| a.id.cmp(&b.id));
    (!wanted.is_empty() && wanted != picture.ring).then_some(wanted)
}

fn learners(picture: &Picture, voters: &BTreeSet<u64>) -> Option<Change> {
    let missing: BTreeMap<u64, Placed> = picture
        .here
        .values()
        .filter(|here| here.phase != Phase::Draining && !picture.nodes.contains_key(&here.replica))
        .map(|here| (here.replica, Placed::of(&here.member)))
        .collect();
    if !missing.is_empty() {
        return Some(Change::Learners(missing));
    }
    let lost: BTreeSet<u64> = picture
        .nodes
        .keys()
        .filter(|replica| !voters.contains(replica) && picture.is_lost(**replica))
        .copied()
        .collect();
    (!lost.is_empty()).then_some(Change::Forget(lost))
}

impl Picture {
    fn here_as(&self, replica: u64) -> Option<&Here> {
        let placed = self.nodes.get(&replica)?;
        self.here
            .get(&placed.id())
            .filter(|here| here.replica == replica)
    }

    /// It will not come back as this replica: its node is here as another one, or gone too long.
    fn is_lost(&self, replica: u64) -> bool {
        if replica == self.me {
            return false;
        }
        let Some(placed) = self.nodes.get(&replica) else {
            return true;
        };
        match self.here.get(&placed.id()) {
            Some(here) => here.replica != replica,
            None => {
                let gone = self.gone.get(&placed.id()).copied().unwrap_or_default();
                gone >= self.timers.gone_after
            }
        }
    }

    fn is_draining(&self, replica: u64) -> bool {
        self.here_as(replica)
            .is_some_and(|here| here.phase == Phase::Draining)
    }

    fn home(&self) -> SmolStr {
        let leader = || self.nodes.get(&self.me).map(|placed| placed.region.clone());
        self.voter_region
            .clone()
            .or_else(leader)
            .unwrap_or_default()
    }

    fn has_majority(&self, voters: &BTreeSet<u64>) -> bool {
        let alive = voters
            .iter()
            .filter(|voter| **voter == self.me || self.here_as(**voter).is_some());
        alive.count() * 2 > voters.len()
    }

    fn zone(&self, replica: u64) -> SmolStr {
        let placed = self.nodes.get(&replica);
        placed.map(|placed| placed.zone.clone()).unwrap_or_default()
    }
}

/// The voters as they should be, if they are not.
fn wanted_voters(picture: &Picture, voters: &BTreeSet<u64>) -> Option<BTreeSet<u64>> {
    let home = picture.home();
    let stays = |voter: &u64| !picture.is_lost(*voter) && !picture.is_draining(*voter);
    let mut wanted: BTreeSet<u64> = voters.iter().copied().filter(stays).collect();
    let is_leaving = voters.iter().any(|voter| picture.is_draining(*voter));

    let fit = |replica: u64| {
        let behind = picture.behind.get(&replica);
        picture.here_as(replica).is_some_and(|here| {
            here.phase == Phase::Ready
                && here.steady >= picture.timers.stable_after
                && here.member.region == home
        }) && behind.is_some_and(|behind| *behind <= LAG_COUNT_MAX)
    };
    let mut candidates: Vec<u64> = picture
        .nodes
        .keys()
        .copied()
        .filter(|replica| !voters.contains(replica) && fit(*replica))
        .collect();

    let nodes = picture
        .here
        .values()
        .filter(|here| here.phase != Phase::Draining && here.member.region == home)
        .count();
    let size = match nodes {
        0..=2 => 1,
        3..NODES_FOR_FIVE => 3,
        _ => 5,
    };
    let size = voters.len().max(size);
    while wanted.len() < size && !candidates.is_empty() {
        let apart = |replica: &u64| {
            let zone = picture.zone(*replica);
            !wanted.iter().any(|voter| picture.zone(*voter) == zone)
        };
        let at = candidates.iter().position(apart).unwrap_or(0);
        wanted.insert(candidates.remove(at));
    }
    if wanted.len() < size {
        wanted = fewer(picture, voters, wanted, is_leaving)?;
    }
    let changes = wanted != *voters;
    let is_safe = picture.has_majority(voters) && picture.has_majority(&wanted);
    (changes && is_safe && !wanted.is_empty()).then_some(wanted)
}

/// With too few to fill every place: grow as far as an odd number allows, let who leaves go even
/// if fewer remain, and of the lost ones only as many as five may lose.
fn fewer(
    picture: &Picture,
    voters: &BTreeSet<u64>,
    mut wanted: BTreeSet<u64>,
    is_leaving: bool,
) -> Option<BTreeSet<u64>> {
    let odd = match wanted.len() {
        0 => return None,
        1 | 2 => 1,
        3 | 4 => 3,
        _ => 5,
    };
    let grows = odd >= voters.len();
    if !grows && !is_leaving && odd < 3 {
        return None;
    }
    while wanted.len() > odd {
        // Those who share a zone with another go first, newcomers before old ones; who leads stays.
        let shares = |voter: &u64| {
            let zone = picture.zone(*voter);
            wanted
                .iter()
                .any(|other| other != voter && picture.zone(*other) == zone)
        };
        let of = |kind: bool, alone: bool| {
            wanted.iter().copied().find(|voter| {
                *voter != picture.me && voters.contains(voter) != kind && (alone || shares(voter))
            })
        };
        let out = of(true, false)
            .or_else(|| of(true, true))
            .or_else(|| of(false, false))
            .or_else(|| of(false, true))?;
        wanted.remove(&out);
    }
    Some(wanted)
}

#[cfg(test)]
mod tests;
