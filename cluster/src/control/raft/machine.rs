//! What the log comes to, kept: the agreed value is on disk before it is shown, and shown before it
//! is told as applied. What an entry does to it is written in `agreed.rs`.

use std::io::Cursor;
use std::sync::Arc;

use openraft::storage::RaftStateMachine;
use openraft::{AnyError, EntryPayload, OptionalSend, RaftSnapshotBuilder};

use super::agreed::{Agreed, Unread};
use super::file::{RowError, damaged, put};
use super::log::{Kept, run};
use super::types::{
    Answer, Entry, LogId, Snapshot, SnapshotMeta, StorageError, StorageIOError, Stored, Types,
    Verdict,
};
use crate::control::shown::Shown;
use crate::control::{ControlError, State};

/// The state machine of one replica.
pub(super) struct Machine<S: State> {
    kept: Arc<Kept>,
    agreed: Arc<Agreed<S>>,
    applied: Option<LogId>,
    membership: Stored,
    shown: Arc<Shown<S>>,
}

impl<S: State> Machine<S> {
    /// The state as the file has it, shown: anew, or where it was shown before.
    pub(super) fn open(
        kept: Arc<Kept>,
        shown: Option<Arc<Shown<S>>>,
    ) -> Result<(Machine<S>, Arc<Shown<S>>), ControlError> {
        let path = kept.file.path.clone();
        let broken = |error: RowError| damaged(&path, error);
        let agreed = match kept.file.bytes("state").map_err(broken)? {
            None => Agreed::default(),
            Some(bytes) => Agreed::parse(&bytes).map_err(|unread| match unread {
                Unread::Json(error) => damaged(&path, error),
                Unread::Newer(found) => ControlError::Newer {
                    path: path.clone(),
                    found,
                    known: S::FORMAT,
                },
            })?,
        };
        let applied: Option<LogId> = kept.file.row("applied").map_err(broken)?.flatten();
        let membership = kept
            .file
            .row("membership")
            .map_err(broken)?
            .unwrap_or_default();
        let shown = shown.unwrap_or_else(|| {
            Arc::new(Shown::new(
                applied.map_or(0, |id| id.index),
                Arc::clone(&agreed.app),
                agreed.rings.clone(),
            ))
        });
        let machine = Machine {
            kept,
            agreed: Arc::new(agreed),
            applied,
            membership,
            shown: Arc::clone(&shown),
        };
        machine.show();
        Ok((machine, shown))
    }

    fn show(&self) {
        self.shown.show_rings(&self.agreed.rings);
        let index = self.applied.map_or(0, |id| id.index);
        self.shown.show(index, Arc::clone(&self.agreed.app));
    }
}

/// What a batch of entries came to.
struct Step<S: State> {
    agreed: Agreed<S>,
    has_changed: bool,
    applied: Option<LogId>,
    membership: Stored,
    answers: Vec<Answer>,
}

impl<S: State> Step<S> {
    fn take(&mut self, entry: Entry) -> Result<(), serde_json::Error> {
        let index = entry.log_id.index;
        let answer = match entry.payload {
            EntryPayload::Normal(order) => {
                self.has_changed = true;
                self.agreed.carry_out(index, order)?
            }
            EntryPayload::Membership(membership) => {
                self.membership = Stored::new(Some(entry.log_id), membership);
                Answer {
                    index,
                    verdict: Verdict::Blank,
                }
            }
            EntryPayload::Blank => Answer {
                index,
                verdict: Verdict::Blank,
            },
        };
        self.applied = Some(entry.log_id);
        self.answers.push(answer);
        Ok(())
    }
}

impl<S: State> RaftStateMachine<Types> for Machine<S> {
    type SnapshotBuilder = Builder<S>;

    async fn applied_state(&mut self) -> Result<(Option<LogId>, Stored), StorageError> {
        Ok((self.applied, self.membership.clone()))
    }

    async fn apply<I>(&mut self, entries: I) -> Result<Vec<Answer>, StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let mut step = Step {
            agreed: Agreed::clone(&self.agreed),
            has_changed: false,
            applied: self.applied,
            membership: self.membership.clone(),
            answers: Vec::with_capacity(entries.len()),
        };
        let done = run(&self.kept, move |kept| {
            for entry in entries {
                step.take(entry).map_err(RowError::Json)?;
            }
            kept.file.write(|rows| {
                if step.has_changed {
                    put(rows, "state", &step.agreed)?;
                }
                put(rows, "membership", &step.membership)?;
                put(rows, "applied", &step.applied)
            })?;
            Ok(step)
        });
        let step = done.await.map_err(StorageIOError::write_state_machine)?;
        (self.applied, self.membership) = (step.applied, step.membership);
        if step.has_changed {
            self.agreed = Arc::new(step.agreed);
        }
        self.show();
        Ok(step.answers)
    }

    async fn get_snapshot_builder(&mut self) -> Builder<S> {
        Builder {
            kept: Arc::clone(&self.kept),
            agreed: Arc::clone(&self.agreed),
            applied: self.applied,
            membership: self.membership.clone(),
        }
    }

    async fn begin_receiving_snapshot(&mut self) -> Result<Box<Cursor<Vec<u8>>>, StorageError> {
        Ok(Box::default())
    }

    async fn install_snapshot(
        &mut self,
        meta: &SnapshotMeta,
        snapshot: Box<Cursor<Vec<u8>>>,
    ) -> Result<(), StorageError> {
        let bytes = snapshot.into_inner();
        let agreed = Agreed::<S>::parse(&bytes).map_err(|unread| {
            let error = match unread {
                Unread::Json(error) => AnyError::new(&error),
                Unread::Newer(found) => AnyError::error(format!(
                    "the snapshot has format {found} and this program reads up to {}; start the \
                     newer version",
                    S::FORMAT
                )),
            };
            StorageIOError::read_snapshot(Some(meta.signature()), error)
        })?;
        let row = meta.clone();
        let written = run(&self.kept, move |kept| {
            kept.file.write(|write| {
                write
                    .open_table(super::file::ROWS)?
                    .insert("state", bytes.as_slice())?;
                put(write, "membership", &row.last_membership)?;
                put(write, "applied", &row.last_log_id)?;
                save(write, &row, &bytes)
            })?;
            kept.recall(true)
        });
        written
            .await
            .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), error))?;
        self.agreed = Arc::new(agreed);
        (self.applied, self.membership) = (meta.last_log_id, meta.last_membership.clone());
        self.show();
        Ok(())
    }

    async fn get_current_snapshot(&mut self) -> Result<Option<Snapshot>, StorageError> {
        let found = run(&self.kept, |kept| {
            let meta: Option<SnapshotMeta> = kept.file.row("snapshot")?;
            Ok(meta.zip(kept.file.bytes("snapshot-state")?))
        });
        let found = found
            .await
            .map_err(|error| StorageIOError::read_snapshot(None, error))?;
        Ok(found.map(|(meta, bytes)| Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(bytes)),
        }))
    }
}

/// Puts a snapshot into a transaction.
pub(super) fn save(
    write: &redb::WriteTransaction,
    meta: &SnapshotMeta,
    bytes: &[u8],
) -> Result<(), RowError> {
    put(write, "snapshot", meta)?;
    write
        .open_table(super::file::ROWS)?
        .insert("snapshot-state", bytes)?;
    Ok(())
}

/// A state of one moment, to be written out as a snapshot.
pub(super) struct Builder<S: State> {
    kept: Arc<Kept>,
    agreed: Arc<Agreed<S>>,
    applied: Option<LogId>,
    membership: Stored,
}

impl<S: State> RaftSnapshotBuilder<Types> for Builder<S> {
    async fn build_snapshot(&mut self) -> Result<Snapshot, StorageError> {
        let meta = SnapshotMeta {
            last_log_id: self.applied,
            last_membership: self.membership.clone(),
            snapshot_id: self.applied.map_or_else(String::new, |id| {
                format!(
                    "{}-{}-{}",
                    id.leader_id.term, id.leader_id.node_id, id.index
                )
            }),
        };
        let (row, agreed) = (meta.clone(), Arc::clone(&self.agreed));
        let bytes = run(&self.kept, move |kept| {
            let bytes = serde_json::to_vec(&*agreed).map_err(RowError::Json)?;
            kept.file.write(|write| save(write, &row, &bytes))?;
            Ok(bytes)
        });
        let bytes = bytes
            .await
            .map_err(|error| StorageIOError::write_snapshot(Some(meta.signature()), error))?;
        Ok(Snapshot {
            meta,
            snapshot: Box::new(Cursor::new(bytes)),
        })
    }
}
