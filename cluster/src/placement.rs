//! Where keys are placed now, and where they were placed before: the agreed ring, made ready for
//! look-ups, and the next step of one ask over it. Pure. It never decides who belongs to the ring.
//!
//! A key has an owner in each region, and one of them, the owner on the ring of all members, is its
//! home. An ask goes from where it came in to the owner in that region and from there home. Each
//! step is to a lower rank, here as between nodes, and that is why nothing waits in a circle: see
//! `fetch.rs`.

use crate::fetch::Coalesce;
use crate::key::Key;
use crate::node::NodeId;
use crate::ring::Ring;
use crate::rings::Rings;
use crate::wire::{Rank, RingStamp};

/// The ring in force and the one before it.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// Who owns what.
    pub(crate) ring: Ring,
    /// What every message says of it.
    pub(crate) stamp: RingStamp,
    /// Who owned it before; `None` where nobody did, or long enough ago.
    pub(crate) before: Option<Ring>,
    /// Whether its members are in more than one region: else there is no rank between where an ask
    /// comes in and the owner.
    pub(crate) apart: bool,
}

/// Who looks for the next step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Place<'a> {
    /// The node.
    pub(crate) me: &'a NodeId,
    /// Its region.
    pub(crate) region: &'a str,
    /// The rank at which it answers.
    pub(crate) at: Rank,
}

/// What becomes of an ask at one node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Step {
    /// The rank at which this node answers, the same or lower than that at which it was asked.
    pub(crate) at: Rank,
    /// Who is asked, and at which rank it shall answer, always a lower one; `None`: the answer is
    /// made here.
    pub(crate) to: Option<(NodeId, Rank)>,
    /// Whether the key's home cannot be asked and another region stands in for it.
    pub(crate) stands_in: bool,
}

impl Step {
    const MAKE: Step = Step {
        at: Rank::Home,
        to: None,
        stands_in: false,
    };

    fn ask(at: Rank, to: &NodeId, rank: Rank) -> Step {
        Step {
            at,
            to: Some((to.clone(), rank)),
            stands_in: false,
        }
    }
}

impl Placement {
    /// The placement that was agreed on.
    pub(crate) fn of(rings: &Rings) -> Placement {
        let ring = Ring::of(rings.current.members.iter().cloned());
        let apart = ring
            .members()
            .windows(2)
            .any(|two| two[0].region != two[1].region);
        Placement {
            stamp: RingStamp {
                epoch: rings.current.epoch,
                digest: ring.digest(),
            },
            ring,
            before: rings
                .previous
                .as_ref()
                .filter(|previous| !previous.members.is_empty())
                .map(|previous| Ring::of(previous.members.iter().cloned())),
            apart,
        }
    }

    /// The next step of an ask. Who cannot be used is walked over, within its region first.
    pub(crate) fn step(
        &self,
        key: &Key,
        place: Place<'_>,
        scope: Coalesce,
        usable: impl Fn(&NodeId) -> bool,
    ) -> Step {
        let usable = |id: &NodeId| id == place.me || usable(id);
        let last = |owner: Option<&NodeId>| match owner {
            Some(owner) if owner != place.me => Step::ask(Rank::Entry, owner, Rank::Home),
            _ => Step::MAKE,
        };
        let regional = || self.ring.owner_in(place.region, key, usable);
        match (place.at, scope) {
            (Rank::Home, _) | (_, Coalesce::Node) => Step::MAKE,
            (Rank::Entry, Coalesce::Region) => last(regional()),
            (Rank::Region, Coalesce::Region) => Step::MAKE,
            (Rank::Entry, Coalesce::World) if !self.apart => last(self.ring.owner(key, usable)),
            (Rank::Region, Coalesce::World) if !self.apart => Step::MAKE,
            (Rank::Entry, Coalesce::World) if self.ring.home(key) == Some(place.region) => {
                last(regional())
            }
            (Rank::Entry, Coalesce::World) => match regional() {
                Some(owner) if owner != place.me => Step::ask(Rank::Entry, owner, Rank::Region),
                Some(_) => self.homewards(key, Rank::Region, place.region, usable),
                // Nobody of this region is on the ring, this node neither.
                None => self.homewards(key, Rank::Entry, place.region, usable),
            },
            (Rank::Region, Coalesce::World) => {
                self.homewards(key, Rank::Region, place.region, usable)
            }
        }
    }

    /// From the owner in a region towards the key's home: to the first region with anybody who can
    /// be asked, in an order that is the same for all, so that those who are cut off from it together
    /// have one to stand in for it. Where that is this node's own region, whoever was asked makes it.
    fn homewards(
        &self,
        key: &Key,
        at: Rank,
        region: &str,
        usable: impl Fn(&NodeId) -> bool + Copy,
    ) -> Step {
        let homes = self.ring.homes(key);
        for (i, home) in homes.into_iter().enumerate() {
            let step = match self.ring.owner_in(home, key, usable) {
                None => continue,
                Some(_) if home == region => Step::MAKE,
                Some(owner) => Step::ask(at, owner, Rank::Home),
            };
            let stands_in = i > 0;
            return Step { stands_in, ..step };
        }
        Step {
            stands_in: true,
            ..Step::MAKE
        }
    }

    /// The owner in this region by the ring alone, whether it can be reached or not; where nobody of
    /// the region is on the ring, the one at home.
    pub(crate) fn owner(&self, key: &Key, region: &str) -> Option<&NodeId> {
        let regional = self.ring.owner_in(region, key, |_| true);
        regional.or_else(|| self.home_owner(key))
    }

    /// The owner at home by the ring alone.
    pub(crate) fn home_owner(&self, key: &Key) -> Option<&NodeId> {
        self.ring.owner(key, |_| true)
    }

    /// Who would have made the answer before in this node's place, where that was another: the owner
    /// at home for a key that is at home here, else the one who stood where this node stands, in its
    /// region. A key that keeps to its region is asked for in that region alone.
    pub(crate) fn owner_before(
        &self,
        key: &Key,
        place: Place<'_>,
        scope: Coalesce,
    ) -> Option<&NodeId> {
        let before = self.before.as_ref()?;
        let at_home = self.ring.home(key) == Some(place.region);
        let owner = match scope {
            Coalesce::Node => None,
            Coalesce::World if at_home || !self.apart => before.owner(key, |_| true),
            Coalesce::World | Coalesce::Region => before.owner_in(place.region, key, |_| true),
        };
        owner.filter(|owner| *owner != place.me)
    }
}

#[cfg(test)]
mod tests;
