//! The log and the vote, kept so that what was told as written is on disk. One write at a time;
//! none of them runs on the runtime's own threads.

use std::fmt::Debug;
use std::ops::RangeBounds;
use std::sync::Arc;

use openraft::storage::{LogFlushed, RaftLogStorage};
use openraft::{AnyError, EntryPayload, LogState, OptionalSend, RaftLogReader};
use redb::ReadableTable;
use tokio::sync::watch;
use tokio::time::Instant;

use super::electorate::Electorate;
use super::file::{File, LOG, RowError, put};
use super::types::{Entry, LogId, Membership, StorageError, StorageIOError, Stored, Types, Vote};

/// One answer carries at most this much of the log (and always one entry).
const READ_BYTES_MAX: usize = 1 << 20;

/// What log and state machine share: the file, and who votes by it.
pub(super) struct Kept {
    pub(super) file: File,
    pub(super) electorate: Arc<Voting>,
}

/// Who votes, for whoever waits for a change; it outlives a file that has to be opened again.
pub(super) type Voting = watch::Sender<Arc<Electorate>>;

impl Kept {
    pub(super) fn open(file: File, electorate: Arc<Voting>) -> Result<Kept, RowError> {
        let kept = Kept { file, electorate };
        kept.recall(true)?;
        Ok(kept)
    }

    /// Takes the voters anew from what is written.
    pub(super) fn recall(&self, skipped: bool) -> Result<(), RowError> {
        let logged = self.file.read(|read| {
            let log = read.open_table(LOG)?;
            for row in log.range::<u64>(..)?.rev() {
                let entry: Entry = decode(row?.1.value())?;
                if let EntryPayload::Membership(membership) = entry.payload {
                    return Ok(Some((Some(entry.log_id), membership)));
                }
            }
            Ok(None)
        })?;
        let stored: Stored = self.file.row("membership")?.unwrap_or_default();
        // The newer of the two: a snapshot may be ahead of what is left of an old log.
        let (id, membership) = match logged {
            Some((id, membership)) if id >= *stored.log_id() => (id, membership),
            _ => (*stored.log_id(), stored.membership().clone()),
        };
        self.elect(id, &membership, skipped);
        Ok(())
    }

    fn elect(&self, id: Option<LogId>, membership: &Membership, skipped: bool) {
        self.electorate.send_modify(|electorate| {
            *electorate = Arc::new(electorate.next(id, membership, Instant::now(), skipped));
        });
    }
}

fn decode<T: serde::de::DeserializeOwned>(bytes: &[u8]) -> Result<T, RowError> {
    serde_json::from_slice(bytes).map_err(RowError::Json)
}

/// Where the log lies; clones are the same log.
#[derive(Clone)]
pub(super) struct Log {
    kept: Arc<Kept>,
}

impl Log {
    pub(super) fn new(kept: Arc<Kept>) -> Log {
        Log { kept }
    }

    /// Runs a piece of disk work where it may block.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Kept) -> Result<T, RowError> + Send + 'static,
    ) -> Result<T, AnyError> {
        run(&self.kept, work).await
    }
}

pub(super) async fn run<T: Send + 'static>(
    kept: &Arc<Kept>,
    work: impl FnOnce(&Kept) -> Result<T, RowError> + Send + 'static,
) -> Result<T, AnyError> {
    let kept = Arc::clone(kept);
    match tokio::task::spawn_blocking(move || work(&kept)).await {
        Ok(done) => done.map_err(|error| AnyError::new(&error)),
        Err(_) => Err(AnyError::error("reading or writing the file panicked")),
    }
}

impl RaftLogReader<Types> for Log {
    async fn try_get_log_entries<R: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: R,
    ) -> Result<Vec<Entry>, StorageError> {
        let range = (range.start_bound().cloned(), range.end_bound().cloned());
        let entries = self.run(move |kept| entries(&kept.file, range, usize::MAX));
        Ok(entries.await.map_err(StorageIOError::read_logs)?)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, StorageError> {
        let entries = self.run(move |kept| entries(&kept.file, start..end, READ_BYTES_MAX));
        Ok(entries.await.map_err(StorageIOError::read_logs)?)
    }
}

fn entries(
    file: &File,
    range: impl RangeBounds<u64>,
    bytes_max: usize,
) -> Result<Vec<Entry>, RowError> {
    let bounds = (range.start_bound().cloned(), range.end_bound().cloned());
    file.read(|read| {
        let log = read.open_table(LOG)?;
        let (mut entries, mut bytes) = (Vec::new(), 0);
        for row in log.range::<u64>(bounds)? {
            let row = row?.1;
            bytes += row.value().len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(decode(row.value())?);
        }
        Ok(entries)
    })
}

impl RaftLogStorage<Types> for Log {
    type LogReader = Log;

    async fn get_log_state(&mut self) -> Result<LogState<Types>, StorageError> {
        let state = self.run(|kept| {
            let last_purged_log_id: Option<LogId> = kept.file.row("purged")?;
            let last = kept.file.read(|read| {
                let log = read.open_table(LOG)?;
                let last = log.last()?;
                last.map(|row| decode::<Entry>(row.1.value())).transpose()
            })?;
            Ok(LogState {
                last_log_id: last.map(|entry| entry.log_id).or(last_purged_log_id),
                last_purged_log_id,
            })
        });
        Ok(state.await.map_err(StorageIOError::read_logs)?)
    }

    async fn get_log_reader(&mut self) -> Log {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), StorageError> {
        let vote = *vote;
        let written = self.run(move |kept| kept.file.write(|rows| put(rows, "vote", &vote)));
        Ok(written.await.map_err(StorageIOError::write_vote)?)
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, StorageError> {
        let vote = self.run(|kept| kept.file.row("vote"));
        Ok(vote.await.map_err(StorageIOError::read_vote)?)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: LogFlushed<Types>,
    ) -> Result<(), StorageError>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries: Vec<Entry> = entries.into_iter().collect();
        let written = self.run(move |kept| {
            kept.file.write(|write| {
                let mut log = write.open_table(LOG)?;
                for entry in &entries {
                    let bytes = serde_json::to_vec(entry).map_err(RowError::Json)?;
                    log.insert(entry.log_id.index, bytes.as_slice())?;
                }
                Ok(())
            })?;
            for entry in &entries {
                if let EntryPayload::Membership(membership) = &entry.payload {
                    kept.elect(Some(entry.log_id), membership, false);
                }
            }
            Ok(())
        });
        match written.await {
            Ok(()) => {
                callback.log_io_completed(Ok(()));
                Ok(())
            }
            Err(error) => {
                callback.log_io_completed(Err(std::io::Error::other(error.to_string())));
                Err(StorageIOError::write_logs(error).into())
            }
        }
    }

    async fn truncate(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let cut = self.run(move |kept| {
            kept.file.write(|write| {
                let mut log = write.open_table(LOG)?;
                log.retain_in::<u64, _>(log_id.index.., |_, _| false)?;
                Ok(())
            })?;
            kept.recall(false)
        });
        Ok(cut.await.map_err(StorageIOError::write_logs)?)
    }

    async fn purge(&mut self, log_id: LogId) -> Result<(), StorageError> {
        let cut = self.run(move |kept| {
            kept.file.write(|write| {
                write
                    .open_table(LOG)?
                    .retain_in::<u64, _>(..=log_id.index, |_, _| false)?;
                put(write, "purged", &log_id)
            })
        });
        Ok(cut.await.map_err(StorageIOError::write_logs)?)
    }
}
