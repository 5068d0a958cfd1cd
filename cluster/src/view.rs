//! Who is here, as this node last heard: a picture that is replaced whole and never changed. It is
//! a rumour: it may be seconds old, and it says nothing of who can be reached.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::node::{Incarnation, Member, NodeId, Phase};

/// A node that is thought alive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Its name and place, as the ring would take them.
    pub member: Member,
    /// Which of its lives this is.
    pub incarnation: Incarnation,
    /// How far it is.
    pub phase: Phase,
    /// Where it answers its peers; another after a move.
    pub address: SocketAddr,
    /// Its number among those who agree (see `control`); another where its volume was lost.
    pub replica: u64,
}

/// The nodes thought alive, this one among them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct View {
    seen: BTreeMap<NodeId, Seen>,
}

impl View {
    /// Of two lives of one node the later counts.
    pub fn of(seen: impl IntoIterator<Item = Seen>) -> View {
        let mut view = View::default();
        for seen in seen {
            let id = seen.member.id.clone();
            let held = view.seen.get(&id);
            if held.is_none_or(|held| held.incarnation < seen.incarnation) {
                view.seen.insert(id, seen);
            }
        }
        view
    }

    /// One node.
    pub fn get(&self, id: &NodeId) -> Option<&Seen> {
        self.seen.get(id)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Seen> {
        self.seen.values()
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.seen.len()
    }
}
