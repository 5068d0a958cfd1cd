//! The default store: one SQLite file in WAL mode, one connection that writes, a few that read.
//!
//! Entries are committed without waiting for the disk (they can be made again), ledger lines are
//! waited for. It needs a file system of this machine: WAL does not work over a network.

mod entries;
mod fault;
mod labels;
mod ledger;
mod vectors;

use std::fs::{self, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{Connection, Sqlite as Driver, Transaction};

use super::index::Index;
use super::{Error, Fact, Installation, Reply, Settings};
use crate::answer::stamp::Millis;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/sqlite");

/// The write-ahead log is cut back to this size after it has grown.
const WAL_BYTES_MAX: &str = "67108864";
const OPEN_WAIT_MAX: Duration = Duration::from_secs(10);

pub(super) struct Sqlite {
    path: PathBuf,
    writer: SqlitePool,
    readers: SqlitePool,
    /// The points of its answers, in memory. Changed while the writer is held, so that both change
    /// in the same order.
    index: Index,
    loading: vectors::Loading,
}

impl Sqlite {
    pub(super) async fn open(path: &Path, settings: &Settings) -> Result<Self, Error> {
        secure(path)?;
        let options = options(path, settings);
        let writer = pool(settings, 1).connect_lazy_with(options.clone());
        migrate(path, &writer).await?;
        let readers = pool(settings, settings.readers_max.max(1));
        let readers = readers.connect_lazy_with(options.pragma("query_only", "on"));
        Ok(Self {
            path: path.to_owned(),
            writer,
            readers,
            index: Index::new(settings.points_bytes_max),
            loading: vectors::Loading::default(),
        })
    }

    fn fault(&self, error: sqlx::Error) -> Error {
        fault::of(&self.path, error)
    }

    async fn writer(&self) -> Result<PoolConnection<Driver>, Error> {
        self.writer
            .acquire()
            .await
            .map_err(|error| self.fault(error))
    }

    /// Takes the write lock at once: a transaction that reads first could not be begun over again.
    async fn begin<'c>(
        &self,
        writer: &'c mut PoolConnection<Driver>,
    ) -> Result<Transaction<'c, Driver>, Error> {
        writer
            .begin_with("BEGIN IMMEDIATE")
            .await
            .map_err(|error| self.fault(error))
    }
}

impl Installation for Sqlite {
    fn settled(&self, fact: Fact, candidate: [u8; 32]) -> Reply<'_, [u8; 32]> {
        const OFFER: &str =
            "INSERT INTO installation (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
        const READ: &str = "SELECT value FROM installation WHERE name = ?1";
        Box::pin(async move {
            let mut writer = self.writer().await?;
            let offered = sqlx::query(OFFER)
                .bind(fact.name())
                .bind(candidate.to_vec())
                .execute(&mut *writer)
                .await;
            offered.map_err(|error| self.fault(error))?;
            let read = sqlx::query_scalar(READ).bind(fact.name());
            let read = read.fetch_one(&mut *writer).await;
            let value: Vec<u8> = read.map_err(|error| self.fault(error))?;
            let damaged = |_| fault::damaged(&self.path, fact.name());
            value.try_into().map_err(damaged)
        })
    }
}

fn options(path: &Path, settings: &Settings) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(false)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Normal)
        .busy_timeout(settings.lock_wait_max)
        .pragma("cache_size", format!("-{}", settings.cache_kib_max))
        .pragma("journal_size_limit", WAL_BYTES_MAX)
        .pragma("trusted_schema", "off")
}

/// Connections that stay: a local file needs no health check before each use.
fn pool(settings: &Settings, connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(settings.acquire_wait_max)
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// Makes the file, for its owner only, before SQLite does it for everyone. SQLite gives the files
/// beside it the same permissions.
fn secure(path: &Path) -> Result<(), Error> {
    if path.as_os_str().is_empty() || path.as_os_str() == ":memory:" {
        let text = "`sqlite:` needs the path of a file; `volatile:` keeps nothing".to_owned();
        return Err(Error::Unavailable(text));
    }
    let opened = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path);
    let file = opened.map_err(|error| unopened(path, &error))?;
    let mode = file
        .metadata()
        .map_err(|error| unopened(path, &error))?
        .permissions()
        .mode();
    if mode & 0o077 != 0 {
        let owner_only = Permissions::from_mode(mode & 0o700);
        fs::set_permissions(path, owner_only).map_err(|error| unopened(path, &error))?;
    }
    Ok(())
}

fn unopened(path: &Path, error: &io::Error) -> Error {
    let what_to_do = match error.kind() {
        io::ErrorKind::NotFound => "make its folder first",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give the user fgy runs as the right to write there, or name another file"
        }
        io::ErrorKind::IsADirectory => "that is a folder: name a file in it",
        io::ErrorKind::StorageFull => "make room on that disk",
        _ => "name a file on a disk of this machine",
    };
    let text = format!("cannot open {}: {error}; {what_to_do}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull => Error::Full(text),
        _ => Error::Unavailable(text),
    }
}

async fn migrate(path: &Path, writer: &SqlitePool) -> Result<(), Error> {
    let migrated = tokio::time::timeout(OPEN_WAIT_MAX, MIGRATIONS.run(writer)).await;
    let shown = path.display();
    match migrated {
        Ok(Ok(())) => Ok(()),
        Ok(Err(MigrateError::VersionMissing(number))) => Err(Error::Corrupt(format!(
            "{shown} was written by a newer fgy (its migration {number} is unknown here): \
             run that version again, or name another file",
        ))),
        Ok(Err(MigrateError::VersionMismatch(number))) => Err(Error::Corrupt(format!(
            "{shown} was made by another program or a build between releases (its migration \
             {number} differs): name another file",
        ))),
        Ok(Err(MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _))) => {
            Err(fault::of(path, error))
        }
        Ok(Err(error)) => Err(Error::Corrupt(format!(
            "{shown} cannot be migrated: {error}"
        ))),
        Err(_) => Err(Error::Unavailable(format!(
            "{shown} is locked: another process is writing to it; stop that one first",
        ))),
    }
}

/// As a column holds it: 63 bits. What lies beyond is the end of time either way.
fn column(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn millis(column: i64) -> Millis {
    Millis(column.max(0).unsigned_abs())
}

#[cfg(test)]
pub(super) mod tests;
