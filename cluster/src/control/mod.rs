//! The small state that must never be lost or reordered, and the one way to change it: propose a
//! command, hear its outcome. What stands behind (a file on a lone node, agreement among peers) is
//! not to be seen from outside, and readers never wait for it: they look at the last published
//! state. This module never looks into the state it carries.

mod carry;
mod error;
mod raft;
mod shown;
mod solo;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

pub use self::carry::{Carry, Uncarried};
pub use self::error::ControlError;
use self::raft::Replica;
pub use self::raft::{ReplicaSettings, Standing, Timers};
use self::shown::Shown;
use self::solo::Solo;
pub use self::state::State;
use crate::fill::BoxFuture;
use crate::lease::Lease;
use crate::node::{Member, NodeId};
use crate::rings::Rings;
use crate::tasks::Tasks;

/// A handle on the agreed state; clones share it.
pub struct Control<S: State> {
    shown: Arc<Shown<S>>,
    lease: Arc<Lease>,
    keeper: Keeper<S>,
}

/// Who keeps the state. Readers never ask it.
enum Keeper<S: State> {
    Solo(Arc<Solo<S>>),
    Replica(Arc<Replica<S>>),
}

impl<S: State> Clone for Control<S> {
    fn clone(&self) -> Self {
        Self {
            shown: Arc::clone(&self.shown),
            lease: Arc::clone(&self.lease),
            keeper: match &self.keeper {
                Keeper::Solo(solo) => Keeper::Solo(Arc::clone(solo)),
                Keeper::Replica(replica) => Keeper::Replica(Arc::clone(replica)),
            },
        }
    }
}

impl<S: State> fmt::Debug for Control<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("index", &self.index())
            .finish_non_exhaustive()
    }
}

impl<S: State> Control<S> {
    /// The state of a node without peers, kept at `path`. A missing file is an empty state at
    /// index 0; nothing is written before the first proposal.
    ///
    /// # Errors
    /// [`ControlError::Unreadable`], [`ControlError::Corrupt`] or [`ControlError::Newer`]: starting
    /// with an empty state instead would lock every tenant out and forget every purge.
    pub async fn solo(path: impl Into<PathBuf>) -> Result<Self, ControlError> {
        let path = path.into();
        let opened = tokio::task::spawn_blocking(move || Solo::open(path)).await;
        opened
            .map_err(|_| ControlError::Panicked)?
            .map(Self::from_solo)
    }

    fn from_solo(solo: Solo<S>) -> Self {
        Self {
            shown: Arc::clone(solo.shown()),
            lease: Arc::new(Lease::always()),
            keeper: Keeper::Solo(Arc::new(solo)),
        }
    }

    /// The state of a node with peers, kept in one file and agreed on with them. What was agreed
    /// when the node last ran is there at once; whether it still holds is known after a
    /// [`Control::catch_up`]. Background parts run in `tasks` and end with them.
    ///
    /// # Errors
    /// [`ControlError::Unreadable`], [`ControlError::Damaged`], [`ControlError::InUse`],
    /// [`ControlError::OtherReplica`] or [`ControlError::Newer`].
    pub async fn replicated(
        settings: ReplicaSettings,
        carry: Arc<dyn Carry>,
        tasks: &Tasks,
    ) -> Result<Self, ControlError> {
        let replica = Replica::open(settings, carry, tasks).await?;
        Ok(Self {
            shown: Arc::clone(replica.shown()),
            lease: Arc::clone(replica.lease()),
            keeper: Keeper::Replica(replica),
        })
    }

    /// The replica number in the file at `path`; none where there is no file yet, so that a number
    /// has to be drawn.
    ///
    /// # Errors
    /// As [`Control::replicated`].
    pub async fn replica_at(path: impl Into<PathBuf>) -> Result<Option<u64>, ControlError> {
        let path = path.into();
        let read = tokio::task::spawn_blocking(move || raft::number_at(&path)).await;
        read.map_err(|_| ControlError::Panicked)?
    }

    /// Takes what `alone`, a node without peers, had agreed on into a new file of `replica`, as the
    /// first state of a cluster: for the one node that will initialise it, before it is opened.
    /// Indexes go on from where they were. `alone` must change no more.
    ///
    /// # Errors
    /// [`ControlError::Refused`] where there is such a file already, or it cannot be written.
    pub async fn found(
        path: impl Into<PathBuf>,
        replica: u64,
        me: &Member,
        alone: &Control<S>,
    ) -> Result<(), ControlError> {
        let (path, me, shown) = (path.into(), me.clone(), alone.shown.published());
        let written = tokio::task::spawn_blocking(move || {
            raft::found(&path, replica, &me, (shown.index, shown.state))
        });
        written.await.map_err(|_| ControlError::Panicked)?
    }

    /// Makes a new cluster of this node; the others are let in as they are seen. For exactly one
    /// node of a new cluster: two would be two clusters. A node that belongs to one already
    /// changes nothing.
    ///
    /// # Errors
    /// As [`Control::propose`].
    pub async fn initialise(&self) -> Result<(), ControlError> {
        match &self.keeper {
            Keeper::Solo(_) => Ok(()),
            Keeper::Replica(replica) => replica.initialise().await,
        }
    }

    /// Takes a payload that [`Carry`] brought from `from`, whose name the transport has proven;
    /// the reply, refusals included, is for whoever sent it. Dropped, it leaves nothing half done.
    pub fn hear(&self, from: NodeId, payload: Bytes) -> BoxFuture<'static, Bytes> {
        match &self.keeper {
            Keeper::Solo(_) => Box::pin(async { Bytes::new() }),
            Keeper::Replica(replica) => Box::pin(Arc::clone(replica).hear(from, payload)),
        }
    }

    /// Waits until everything agreed before the call is in [`Control::state`]; the index it came
    /// to. At most `patience`.
    ///
    /// # Errors
    /// [`ControlError::Away`] where no majority was found in time.
    pub async fn catch_up(&self, patience: Duration) -> Result<u64, ControlError> {
        match &self.keeper {
            Keeper::Solo(_) => Ok(self.index()),
            Keeper::Replica(replica) => replica.catch_up(patience).await,
        }
    }

    /// Who is on the ring, as agreed. A node alone has what [`Control::of`] said.
    #[must_use]
    pub fn rings(&self) -> watch::Receiver<Arc<Rings>> {
        self.shown.rings()
    }

    /// A node alone is a ring of its own.
    #[must_use]
    pub fn of(self, me: Member) -> Self {
        if matches!(self.keeper, Keeper::Solo(_)) {
            self.shown.show_rings(&Rings::alone(me));
        }
        self
    }

    /// Whether this node may serve what it has kept: looked at before a kept answer is taken, and
    /// once more before its first byte leaves.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Waits until no node, not even one that is cut off or frozen, can serve without `index`: each
    /// has it in its state, or its lease has run out. `index` is one that [`Control::propose`]
    /// answered with. A node that cannot be reached costs about three seconds.
    ///
    /// # Errors
    /// [`ControlError::Unsettled`] after `patience`: the command is in force and stays so, and may
    /// be settled again.
    pub async fn settle(&self, index: u64, patience: Duration) -> Result<(), ControlError> {
        match &self.keeper {
            Keeper::Solo(_) => Ok(()),
            Keeper::Replica(replica) => replica.settle(index, patience).await,
        }
    }

    /// How the agreement stands, for people.
    #[must_use]
    pub fn standing(&self) -> Standing {
        match &self.keeper {
            Keeper::Solo(_) => Standing::alone(self.index()),
            Keeper::Replica(replica) => replica.standing(),
        }
    }

    /// Puts `command` in its place in the order, makes it durable, and only then publishes the new
    /// state and answers: the index the command was given and what it came to. A caller that goes
    /// away while it waits does not undo the command.
    ///
    /// # Errors
    /// After [`ControlError::Refused`], [`ControlError::TooLarge`], [`ControlError::Away`] and
    /// [`ControlError::Panicked`] nothing has changed; after [`ControlError::Unsure`] the command
    /// is in force, but may be forgotten by a power failure; after [`ControlError::Unknown`] it
    /// may or may not be in force.
    pub async fn propose(&self, command: S::Command) -> Result<(u64, S::Outcome), ControlError> {
        let solo = match &self.keeper {
            Keeper::Solo(solo) => solo,
            Keeper::Replica(replica) => return replica.propose(command).await,
        };
        let turn = Arc::clone(solo).turn().await;
        let solo = Arc::clone(solo);
        let applied = tokio::task::spawn_blocking(move || {
            // The turn travels with the work: were it left with the caller's future, a dropped
            // caller would let the next command overtake this one half way to the disk.
            let _turn = turn;
            solo.apply(command)
        });
        applied.await.map_err(|_| ControlError::Panicked)?
    }

    /// The last published state. Never waits, never locks.
    #[must_use]
    pub fn state(&self) -> Arc<S> {
        self.shown.published().state
    }

    /// Looks at the last published state without counting one more holder of it: for what every
    /// request asks on every core. What looks must be quick; it holds nobody up.
    pub fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.shown.look().state)
    }

    /// The index of the last command in [`Control::state`]; 0 before the first.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.shown.published().index
    }
}
