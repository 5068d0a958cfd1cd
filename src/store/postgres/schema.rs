//! Whether a database is one this program can work in, and making it one: the server's age,
//! pgvector, the tables. Done once, at the first moment the server can be reached; until then the
//! store is there and refuses everything.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::Mutex;

use super::fault;
use crate::store::Error;

static MIGRATIONS: Migrator = sqlx::migrate!("migrations/postgres");

/// PostgreSQL 13, as the server numbers itself.
const SERVER_MIN: i32 = 13_00_00;
/// Iterative scans, without which one tenant's points hide another's.
const PGVECTOR_MIN: (u32, u32) = (0, 8);
const OPEN_WAIT_MAX: Duration = Duration::from_secs(10);

/// See the module.
pub(super) struct Schema {
    options: PgConnectOptions,
    shown: Arc<str>,
    ready: AtomicBool,
    /// One at a time prepares.
    preparing: Mutex<()>,
}

/// Why a database could not be prepared.
pub(super) enum Unprepared {
    /// It could not be asked: later it may.
    Away(Error),
    /// It was asked, and will not do as it is.
    Unfit(Error),
}

impl From<Unprepared> for Error {
    fn from(why: Unprepared) -> Error {
        match why {
            Unprepared::Away(error) | Unprepared::Unfit(error) => error,
        }
    }
}

impl Schema {
    pub(super) fn new(options: PgConnectOptions, shown: Arc<str>) -> Schema {
        Schema {
            options,
            shown,
            ready: AtomicBool::new(false),
            preparing: Mutex::default(),
        }
    }

    /// Whether the database was prepared.
    pub(super) fn ready(&self) -> bool {
        self.ready.load(Ordering::Acquire)
    }

    /// Prepares it, unless that was done.
    pub(super) async fn prepare(&self) -> Result<(), Unprepared> {
        let _one = self.preparing.lock().await;
        if self.ready() {
            return Ok(());
        }
        let prepared = tokio::time::timeout(OPEN_WAIT_MAX, self.prepare_now()).await;
        prepared.unwrap_or_else(|_| {
            let text = format!("{} did not answer within {OPEN_WAIT_MAX:?}", self.shown);
            Err(Unprepared::Away(Error::Unavailable(text)))
        })?;
        self.ready.store(true, Ordering::Release);
        Ok(())
    }

    async fn prepare_now(&self) -> Result<(), Unprepared> {
        let told = |error| self.told(&error);
        let mut connection = self.options.connect().await.map_err(told)?;
        self.check_server(&mut connection).await?;
        self.check_pgvector(&mut connection).await?;
        // It has done its work; how it ends is the server's affair.
        let _ = connection.close().await;
        // A pool of one, since a bare connection cannot be migrated from a task.
        // Otherwise the server tells each time that the table of migrations is there already.
        const QUIET: &str = "SET client_min_messages = warning";
        let pool = PgPoolOptions::new()
            .max_connections(1)
            .after_connect(|it, _| {
                Box::pin(async move { sqlx::raw_sql(QUIET).execute(it).await.map(drop) })
            });
        let pool = pool.connect_lazy_with(self.options.clone());
        let migrated = MIGRATIONS.run(&pool).await;
        pool.close().await;
        migrated.map_err(|error| self.unmigrated(error))
    }

    async fn check_server(&self, connection: &mut PgConnection) -> Result<(), Unprepared> {
        const ASK: &str = "SELECT current_setting('server_version_num')::int4";
        let version = sqlx::query_scalar::<_, i32>(ASK).fetch_one(connection);
        let version = version.await.map_err(|error| self.told(&error))?;
        if version >= SERVER_MIN {
            return Ok(());
        }
        Err(self.unfit(format!(
            "is PostgreSQL {}: run 13 or later",
            version / 10_000
        )))
    }

    /// Looks for pgvector and adds it to the database where the user may; never updates one.
    async fn check_pgvector(&self, connection: &mut PgConnection) -> Result<(), Unprepared> {
        const ASK: &str = "SELECT extversion FROM pg_extension WHERE extname = 'vector'";
        // Locked, since of two nodes that add it together one would hear that it is there already.
        const ADD: &str = "BEGIN; SELECT pg_advisory_xact_lock(7377084520893017446); \
            CREATE EXTENSION IF NOT EXISTS vector; COMMIT";
        let ask = || sqlx::query_scalar::<_, String>(ASK);
        let found = ask().fetch_optional(&mut *connection).await;
        let mut found = found.map_err(|error| self.told(&error))?;
        if found.is_none() {
            if let Err(error) = sqlx::raw_sql(ADD).execute(&mut *connection).await {
                return Err(self.without_pgvector(&error));
            }
            let added = ask().fetch_optional(&mut *connection).await;
            found = added.map_err(|error| self.told(&error))?;
        }
        let found = found.unwrap_or_default();
        if pgvector_will_do(&found) {
            return Ok(());
        }
        let (major, minor) = PGVECTOR_MIN;
        Err(self.unfit(format!(
            "has pgvector {found}: install {major}.{minor} or later there, then run \
             `ALTER EXTENSION vector UPDATE` in this database"
        )))
    }

    fn without_pgvector(&self, error: &sqlx::Error) -> Unprepared {
        let Some(told) = error.as_database_error() else {
            return self.told(error);
        };
        self.unfit(format!(
            "has no pgvector ({}): install pgvector 0.8 or later on its host (the package is \
             postgresql-NN-pgvector, hosted servers list it among their extensions), then run \
             `CREATE EXTENSION vector` in this database as a superuser",
            told.message()
        ))
    }

    fn unmigrated(&self, error: MigrateError) -> Unprepared {
        let shown = &self.shown;
        Unprepared::Unfit(match error {
            MigrateError::VersionMissing(number) => Error::Corrupt(format!(
                "{shown} was written by a newer fgy (its migration {number} is unknown here): \
                 run that version again, or name another database",
            )),
            MigrateError::VersionMismatch(number) => Error::Corrupt(format!(
                "{shown} was made by another program or a build between releases (its migration \
                 {number} differs): name another database",
            )),
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                return self.told(&error);
            }
            error => Error::Corrupt(format!("{shown} cannot be migrated: {error}")),
        })
    }

    fn unfit(&self, what: String) -> Unprepared {
        Unprepared::Unfit(Error::Unavailable(format!("{} {what}", self.shown)))
    }

    fn told(&self, error: &sqlx::Error) -> Unprepared {
        let text = fault::of(&self.shown, error);
        if fault::is_away(error) {
            Unprepared::Away(text)
        } else {
            Unprepared::Unfit(text)
        }
    }
}

/// Whether a version, as in `0.8.5`, is late enough.
fn pgvector_will_do(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (major, minor) = (parts.next().flatten(), parts.next().flatten());
    (major, minor) >= (Some(PGVECTOR_MIN.0), Some(PGVECTOR_MIN.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pgvector_is_asked_its_age() {
        for (version, will_do) in [
            ("0.8.0", true),
            ("0.8.5", true),
            ("0.10.1", true),
            ("1.0", true),
            ("0.7.4", false),
            ("0.5.1", false),
            ("", false),
            ("new", false),
        ] {
            assert_eq!(pgvector_will_do(version), will_do, "{version}");
        }
    }
}
