//! The one file of a replica: log, vote, agreed state and snapshot in one redb database. It reads
//! and writes rows and says in words what is wrong with a file; what rows mean is written in
//! `log.rs` and `machine.rs`. Everything here blocks: call it where blocking is allowed.

use std::fs::{File as Handle, OpenOptions};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use redb::{Builder, Database, DatabaseError, ReadableDatabase, TableDefinition, WriteTransaction};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::control::ControlError;

/// Log entries as JSON, by index.
pub(super) const LOG: TableDefinition<'static, u64, &[u8]> = TableDefinition::new("log");
/// Everything else as JSON, by name.
pub(super) const ROWS: TableDefinition<'static, &str, &[u8]> = TableDefinition::new("rows");

/// How the rows are laid out; raised when an older program would misread them.
const LAYOUT: u32 = 1;
/// The whole of it is small; what redb takes by itself would be a gibibyte.
const CACHE_BYTES_MAX: usize = 8 << 20;

/// Who wrote the file and for which cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Identity {
    pub(super) layout: u32,
    /// The number of this replica.
    pub(super) replica: u64,
    /// The number of the cluster; 0 until it belongs to one.
    pub(super) cluster: u64,
    /// How often the file was opened for work.
    pub(super) lives: u32,
}

/// Why a row could not be read or written.
#[derive(Debug)]
pub(super) enum RowError {
    Store(redb::Error),
    Json(serde_json::Error),
}

impl<E: Into<redb::Error>> From<E> for RowError {
    fn from(error: E) -> Self {
        RowError::Store(error.into())
    }
}

impl std::fmt::Display for RowError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            RowError::Store(error) => error.fmt(f),
            RowError::Json(error) => write!(f, "a row is not what was written: {error}"),
        }
    }
}

impl std::error::Error for RowError {}

/// The open file.
pub(super) struct File {
    pub(super) path: PathBuf,
    base: Database,
}

impl File {
    /// Opens the file of `replica`, or makes it.
    pub(super) fn open(path: &Path, replica: u64) -> Result<(File, Identity), ControlError> {
        let handle =
            open_private(path).map_err(|error| ControlError::Unreadable(path.to_owned(), error))?;
        let is_new = handle
            .metadata()
            .map_err(|error| ControlError::Unreadable(path.to_owned(), error))?
            .len()
            == 0;
        let mut base = Builder::new()
            .set_cache_size(CACHE_BYTES_MAX)
            .create_file(handle)
            .map_err(|error| unopened(path, error))?;
        // Checksums are compared on repair only; a file this small is read through at every start.
        if !is_new {
            match base.check_integrity() {
                Ok(true) => {}
                Ok(false) => return Err(damaged(path, "its checksums do not agree")),
                Err(error) => return Err(unopened(path, error)),
            }
        }
        let file = File {
            path: path.to_owned(),
            base,
        };
        let identity = file.begin_life(replica, is_new)?;
        Ok((file, identity))
    }

    /// The number in the file at `path`, if there is a file.
    pub(super) fn replica(path: &Path) -> Result<Option<u64>, ControlError> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(ControlError::Unreadable(path.to_owned(), error)),
            Ok(found) if found.len() == 0 => return Ok(None),
            Ok(_) => {}
        }
        let base = Builder::new()
            .set_cache_size(CACHE_BYTES_MAX)
            .open(path)
            .map_err(|error| unopened(path, error))?;
        let file = File {
            path: path.to_owned(),
            base,
        };
        let identity: Option<Identity> = file.row("identity").map_err(|e| damaged(path, e))?;
        Ok(identity.map(|identity| identity.replica))
    }

    fn begin_life(&self, replica: u64, is_new: bool) -> Result<Identity, ControlError> {
        let found: Option<Identity> = if is_new {
            None
        } else {
            self.row("identity").map_err(|e| damaged(&self.path, e))?
        };
        let mut identity = found.unwrap_or(Identity {
            layout: LAYOUT,
            replica,
            cluster: 0,
            lives: 0,
        });
        if identity.layout > LAYOUT {
            return Err(ControlError::Newer {
                path: self.path.clone(),
                found: identity.layout,
                known: LAYOUT,
            });
        }
        if identity.replica != replica {
            return Err(ControlError::OtherReplica {
                path: self.path.clone(),
                found: identity.replica,
                asked: replica,
            });
        }
        identity.lives = identity.lives.wrapping_add(1);
        self.write(|rows| {
            rows.open_table(LOG)?;
            put(rows, "identity", &identity)
        })
        .map_err(|error| ControlError::Refused(self.path.clone(), io::Error::other(error)))?;
        Ok(identity)
    }

    /// One row, if it is there.
    pub(super) fn row<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>, RowError> {
        match self.bytes(name)? {
            None => Ok(None),
            Some(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(RowError::Json),
        }
    }

    /// One row as it lies there.
    pub(super) fn bytes(&self, name: &str) -> Result<Option<Vec<u8>>, RowError> {
        let read = self.base.begin_read()?;
        let rows = match read.open_table(ROWS) {
            Ok(rows) => rows,
            Err(redb::TableError::TableDoesNotExist(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        Ok(rows.get(name)?.map(|row| row.value().to_vec()))
    }

    /// Reads with a view of one moment.
    pub(super) fn read<T>(
        &self,
        look: impl FnOnce(&redb::ReadTransaction) -> Result<T, RowError>,
    ) -> Result<T, RowError> {
        look(&self.base.begin_read()?)
    }

    /// Writes all of it or none of it; on disk once this returns.
    pub(super) fn write<T>(
        &self,
        change: impl FnOnce(&WriteTransaction) -> Result<T, RowError>,
    ) -> Result<T, RowError> {
        #[cfg(test)]
        full::check(&self.path)?;
        let write = self.base.begin_write()?;
        let came = change(&write)?;
        write.commit()?;
        Ok(came)
    }
}

/// Puts one row into a transaction.
pub(super) fn put<T: Serialize>(
    write: &WriteTransaction,
    name: &str,
    value: &T,
) -> Result<(), RowError> {
    let bytes = serde_json::to_vec(value).map_err(RowError::Json)?;
    write.open_table(ROWS)?.insert(name, bytes.as_slice())?;
    Ok(())
}

/// For the owner alone, as the file of a lone node is.
fn open_private(path: &Path) -> io::Result<Handle> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

pub(super) fn damaged(path: &Path, why: impl ToString) -> ControlError {
    ControlError::Damaged(path.to_owned(), why.to_string())
}

fn unopened(path: &Path, error: DatabaseError) -> ControlError {
    match error {
        DatabaseError::DatabaseAlreadyOpen => ControlError::InUse(path.to_owned()),
        DatabaseError::Storage(redb::StorageError::Io(error))
            if !matches!(
                error.kind(),
                ErrorKind::InvalidData | ErrorKind::UnexpectedEof
            ) =>
        {
            ControlError::Unreadable(path.to_owned(), error)
        }
        other => damaged(path, other),
    }
}

/// Disks that are full because a test says so: there is no way to fill one without the right to
/// mount another.
#[cfg(test)]
pub(super) mod full {
    use std::collections::HashSet;
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;

    use super::RowError;

    pub(in crate::control::raft) static FULL: Mutex<Option<HashSet<PathBuf>>> = Mutex::new(None);

    pub(super) fn check(path: &Path) -> Result<(), RowError> {
        let full = FULL.lock().unwrap();
        if full.as_ref().is_some_and(|full| full.contains(path)) {
            let error = std::io::Error::from(std::io::ErrorKind::StorageFull);
            return Err(RowError::Store(redb::Error::Io(error)));
        }
        Ok(())
    }
}
