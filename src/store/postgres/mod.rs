//! The shared store: PostgreSQL 13 or later with pgvector 0.8 or later, any number of nodes on one
//! database.
//!
//! Two ways lead to the server, each with its own few connections, deadline and breaker: *looks*,
//! which a caller waits for, and *chores*, which nobody does. A server that is frozen, slow, full or
//! gone costs a look its deadline a few times, then nothing until it answers again. It reads no
//! environment of ours; what a URL leaves out is taken from libpq's variables, as everywhere.

mod breaker;
mod entries;
mod fault;
mod gate;
mod labels;
mod ledger;
mod models;
mod schema;
mod text;
mod vectors;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use fgy_cluster::BoxFuture;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, PgPool, PgTransaction};

use self::gate::{Gate, Terms, Work};
use self::schema::{Schema, Unprepared};
use self::vectors::Points;
use super::{Error, Fact, Installation, Reply, Settings};
use crate::answer::stamp::Millis;

/// A connection that nobody used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(10 * 60);
/// No connection gets older: what a server leaks, it leaks so long.
const LIFE_MAX: Duration = Duration::from_secs(30 * 60);
/// Fewer connections cannot be divided.
const CONNECTIONS_MIN: u32 = 3;

/// See the module.
pub(super) struct Postgres {
    shown: Arc<str>,
    schema: Arc<Schema>,
    looks: Arc<Gate>,
    chores: Arc<Gate>,
    points: Points,
}

impl Postgres {
    /// Opens the database a URL names. One that is away is opened all the same, and asked again
    /// behind the calls' backs; one that will not do as it is, is refused.
    pub(super) async fn open(url: &str, settings: &Settings) -> Result<Self, Error> {
        let options = options(url)?;
        let shown = shown(&options);
        let schema = Arc::new(Schema::new(options.clone(), shown.clone()));
        let store = Self {
            looks: looks(&options, &shown, settings),
            chores: chores(&options, &shown, settings),
            points: Points::new(settings),
            schema,
            shown,
        };
        match store.schema.prepare().await {
            Ok(()) => Ok(store),
            Err(Unprepared::Unfit(error)) => Err(error),
            Err(Unprepared::Away(error)) => {
                tracing::warn!(%error, "starting without the store");
                store.looks.trip();
                Ok(store)
            }
        }
    }

    /// Whether looks are refused for now.
    pub(super) fn away(&self) -> Arc<AtomicBool> {
        self.looks.shut()
    }

    /// What a caller waits for.
    async fn look<T>(&self, work: impl Work<T>) -> Result<T, Error> {
        self.looks.call_if_well(|| self.probe(), work).await
    }

    /// What nobody waits for. Chores come all the time, looks perhaps not, where everything asked is
    /// in memory: so it is they who see that a lost server is found again.
    async fn chore<T>(&self, work: impl Work<T>) -> Result<T, Error> {
        self.looks.nudge(|| self.probe());
        if !self.schema.ready() {
            return Err(self.unprepared());
        }
        self.chores.call(work).await
    }

    fn unprepared(&self) -> Error {
        Error::Unavailable(format!("{} was not reached yet", self.shown))
    }

    /// Whether the server is there and quick enough for a look.
    fn probe(&self) -> BoxFuture<'static, bool> {
        let (schema, looks) = (self.schema.clone(), self.looks.clone());
        Box::pin(async move {
            if let Err(Unprepared::Unfit(error)) = schema.prepare().await {
                tracing::error!(%error, "the store will not do");
            }
            schema.ready() && looks.ask(|it| Box::pin(it.ping())).await.is_ok()
        })
    }
}

impl Installation for Postgres {
    fn settled(&self, fact: Fact, candidate: [u8; 32]) -> Reply<'_, [u8; 32]> {
        const OFFER: &str =
            "INSERT INTO installation (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING";
        const READ: &str = "SELECT value FROM installation WHERE name = $1";
        Box::pin(async move {
            // Asked at start alone, and worth the exact reason.
            self.schema.prepare().await?;
            let value: Vec<u8> = self
                .chore(move |connection| {
                    Box::pin(async move {
                        let offer = sqlx::query(OFFER).bind(fact.name()).bind(candidate);
                        offer.execute(&mut *connection).await?;
                        let read = sqlx::query_scalar(READ).bind(fact.name());
                        read.fetch_one(connection).await
                    })
                })
                .await?;
            let damaged = |_| fault::damaged(&self.shown, fact.name());
            value.try_into().map_err(damaged)
        })
    }
}

fn options(url: &str) -> Result<PgConnectOptions, Error> {
    // Whatever the parser says of a URL, it might say with a password in it.
    let options = url.parse::<PgConnectOptions>().map_err(|_| {
        let form = "postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=verify-full";
        Error::Unavailable(format!("the store's URL cannot be read: write {form}"))
    })?;
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("fgy"),
    };
    Ok(options.disable_statement_logging())
}

/// Where the server is, without who asks.
fn shown(options: &PgConnectOptions) -> Arc<str> {
    let database = options.get_database().unwrap_or_default();
    let place = match options.get_socket() {
        Some(socket) => socket.display().to_string(),
        None => format!("{}:{}", options.get_host(), options.get_port()),
    };
    format!("PostgreSQL at {place}/{database}").into()
}

/// How the connections are divided: those of looks, those of chores.
fn division(settings: &Settings) -> (u32, u32) {
    let all = settings.connections_max.max(CONNECTIONS_MIN);
    let chores = (all * 3 / 10).max(1);
    (all - chores, chores)
}

fn looks(options: &PgConnectOptions, shown: &Arc<str>, settings: &Settings) -> Arc<Gate> {
    let (connections, _) = division(settings);
    // The server gives up soon after we did. Every look goes through an index and is short: no
    // compiling, no reading of whole tables, and no planning, which takes as long as a small one.
    // Nothing is sorted that the graph gives in order.
    let session = format!(
        "SET statement_timeout = {}; SET jit = off; SET enable_seqscan = off; \
         SET enable_sort = off; SET plan_cache_mode = force_generic_plan; SET hnsw.iterative_scan = strict_order",
        settings.look_wait_max.as_millis() * 2
    );
    let terms = Terms {
        name: "looking up",
        shown: shown.clone(),
        places: places(connections),
        wait_max: settings.look_wait_max,
        seed: settings.jitter_seed,
    };
    Gate::new(pool(options, connections, session, settings), terms)
}

fn chores(options: &PgConnectOptions, shown: &Arc<str>, settings: &Settings) -> Arc<Gate> {
    let (_, connections) = division(settings);
    let wait = settings.chore_wait_max.as_millis();
    let session = format!(
        "SET statement_timeout = {wait}; SET idle_in_transaction_session_timeout = {wait}; \
         SET jit = off"
    );
    let terms = Terms {
        name: "writing",
        shown: shown.clone(),
        places: places(connections),
        wait_max: settings.chore_wait_max,
        seed: !settings.jitter_seed,
    };
    Gate::new(pool(options, connections, session, settings), terms)
}

/// One fewer than there are connections: a connection that was given up is replaced while the
/// others are in use.
fn places(connections: u32) -> u32 {
    connections.saturating_sub(1).max(1)
}

/// A pool that never asks a connection whether it is well before lending it: that would be a second
/// round trip for each first one.
fn pool(
    options: &PgConnectOptions,
    connections: u32,
    session: String,
    settings: &Settings,
) -> PgPool {
    let session: Arc<str> = session.into();
    PgPoolOptions::new()
        .max_connections(connections)
        .min_connections(0)
        .acquire_timeout(settings.connect_wait_max)
        .acquire_slow_threshold(Duration::MAX)
        .test_before_acquire(false)
        .idle_timeout(IDLE_MAX)
        .max_lifetime(LIFE_MAX)
        .after_connect(move |connection, _| {
            let session = session.to_string();
            Box::pin(async move {
                let set = sqlx::raw_sql(AssertSqlSafe(session));
                set.execute(connection).await.map(drop)
            })
        })
        .connect_lazy_with(options.clone())
}

/// Begins a transaction whose commit need not wait for the disk: of what can be made again.
async fn begin_hurried(connection: &mut PgConnection) -> Result<PgTransaction<'_>, sqlx::Error> {
    let begin = "BEGIN; SET LOCAL synchronous_commit = off";
    connection.begin_with(begin).await
}

/// Begins a transaction whose commit waits for the disk, whatever the server was told in general.
async fn begin_durable(connection: &mut PgConnection) -> Result<PgTransaction<'_>, sqlx::Error> {
    let begin = "BEGIN; SET LOCAL synchronous_commit = on";
    connection.begin_with(begin).await
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
