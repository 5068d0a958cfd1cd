//! Where keys are placed now, and where they were placed before: the agreed ring, made ready for
//! look-ups, and the route of one ask over it. Pure but for the cell in which the latest placement
//! lies. It never decides who belongs to the ring.

use crate::key::Key;
use crate::node::NodeId;
use crate::ring::Ring;
use crate::rings::Rings;
use crate::wire::RingStamp;

/// The ring in force and the one before it.
#[derive(Debug, Clone)]
pub(crate) struct Placement {
    /// Who owns what.
    pub(crate) ring: Ring,
    /// What every message says of it.
    pub(crate) stamp: RingStamp,
    /// Who owned it before; `None` where nobody did, or long enough ago.
    pub(crate) before: Option<Ring>,
}

/// Who is to answer an ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Route {
    /// This node.
    Here,
    /// Another.
    There(NodeId),
}

impl Placement {
    /// The placement that was agreed on.
    pub(crate) fn of(rings: &Rings) -> Placement {
        let ring = Ring::of(rings.current.members.iter().cloned());
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
        }
    }

    /// Who is to answer: the first successor that can be used, or this node where nobody else can.
    pub(crate) fn route(&self, key: &Key, me: &NodeId, usable: impl Fn(&NodeId) -> bool) -> Route {
        match self.ring.owner(key, |id| id == me || usable(id)) {
            Some(owner) if owner != me => Route::There(owner.clone()),
            _ => Route::Here,
        }
    }

    /// The owner by the ring alone, whether it can be reached or not.
    pub(crate) fn owner(&self, key: &Key) -> Option<&NodeId> {
        self.ring.owner(key, |_| true)
    }

    /// Who owned the key before, where that was another than `me`.
    pub(crate) fn owner_before(&self, key: &Key, me: &NodeId) -> Option<&NodeId> {
        let owner = self.before.as_ref()?.owner(key, |_| true)?;
        (owner != me).then_some(owner)
    }
}
