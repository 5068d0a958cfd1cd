//! The words of the log: what an entry asks for and what it came to. Commands and outcomes travel
//! as JSON values, so that one log serves every kind of state and outlives the programs that wrote
//! it. Nothing here shows what a command says.

use std::fmt;
use std::io::Cursor;

use openraft::impls::OneshotResponder;
use openraft::{RaftTypeConfig, TokioRuntime};
use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

use crate::node::{Member, NodeId};

/// The choices openraft leaves to its user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Types;

impl RaftTypeConfig for Types {
    type D = Order;
    type R = Answer;
    type NodeId = u64;
    type Node = Placed;
    type Entry = Entry;
    type SnapshotData = Cursor<Vec<u8>>;
    type AsyncRuntime = TokioRuntime;
    type Responder = OneshotResponder<Types>;
}

pub(super) type Entry = openraft::Entry<Types>;
pub(super) type LogId = openraft::LogId<u64>;
pub(super) type Vote = openraft::Vote<u64>;
pub(super) type Stored = openraft::StoredMembership<u64, Placed>;
pub(super) type Membership = openraft::Membership<u64, Placed>;
pub(super) type SnapshotMeta = openraft::SnapshotMeta<u64, Placed>;
pub(super) type Snapshot = openraft::Snapshot<Types>;
pub(super) type StorageError = openraft::StorageError<u64>;
pub(super) type StorageIOError = openraft::StorageIOError<u64>;

/// The node behind a replica number: its name and where it stands, never its address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Placed {
    pub(super) name: SmolStr,
    #[serde(default)]
    pub(super) region: SmolStr,
    #[serde(default)]
    pub(super) zone: SmolStr,
}

impl Placed {
    pub(super) fn of(member: &Member) -> Placed {
        Placed {
            name: member.id.as_str().into(),
            region: member.region.clone(),
            zone: member.zone.clone(),
        }
    }

    pub(super) fn id(&self) -> NodeId {
        NodeId::from(self.name.as_str())
    }
}

/// One proposal. It may reach the log twice (a leader was lost and the proposal repeated) and is
/// carried out once: origin and serial say which it is.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Order {
    /// The replica that proposes.
    pub(super) origin: u64,
    /// Its number there, never used twice.
    pub(super) serial: u64,
    /// The lowest number there that is still waited for.
    pub(super) floor: u64,
    /// What is to be done.
    pub(super) what: What,
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Order")
            .field("origin", &self.origin)
            .field("serial", &self.serial)
            .finish_non_exhaustive()
    }
}

/// Append-only: an order once released is understood for ever.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum What {
    /// A command of the state that is carried.
    App(serde_json::Value),
    /// Other members for the ring.
    Ring(Vec<Member>),
}

/// What an entry came to.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Answer {
    /// The index the order was carried out at.
    pub(super) index: u64,
    pub(super) verdict: Verdict,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("index", &self.index)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// Nothing was asked: an entry of the log's own.
    Blank,
    /// Carried out, with this outcome.
    Done(serde_json::Value),
    /// It stood in the log after its proposer had given it up, or too late to know.
    Stale,
    /// Applying it panicked; nothing has changed.
    Panicked,
}

impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verdict")
    }
}
