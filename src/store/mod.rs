//! Where answers, their meanings and ledger lines outlive the process. Five narrow traits, spoken in
//! entries, points, lines and labels, never in rows or transactions; every implementation passes the suite
//! in `contract`.
//!
//! The caller brings whatever could differ between databases: times, ids, digests, bytes. A store
//! never reads a clock, never draws a random number and never looks inside an entry's bytes.

mod error;
mod index;
mod point;
mod postgres;
mod scope;
mod settings;
mod sqlite;
mod volatile;

#[cfg(any(test, feature = "contract"))]
pub mod contract;

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use bytes::Bytes;
use fgy_cluster::Key;

pub use error::Error;
pub use point::{ModelKey, Neighbour, Point};
pub use scope::Scope;
pub use settings::Settings;

use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;
use crate::label::Label;
use crate::ledger::line::{Line, LineId};
use crate::ledger::totals::{Period, Place, Totals};
use crate::names::{Name, TenantId};

/// What every call to a store gives: one boxed future per round trip.
pub type Reply<'a, T> = Pin<Box<dyn Future<Output = Result<T, Error>> + Send + 'a>>;

/// Keys asked for in one [`Entries::get_many`]; more are refused as unavailable.
pub const KEYS_MAX: usize = 4_096;
/// Neighbours given by one [`Vectors::nearest`], whatever was asked for.
pub const NEIGHBOURS_MAX: usize = 64;
/// Labels kept of one tenant; the oldest make room.
pub const LABELS_PER_TENANT_MAX: u32 = 10_000;
/// Lines given by one [`Ledger::page`], whatever was asked for.
pub const PAGE_LINES_MAX: u32 = 10_000;

/// An answer as it is kept. The first byte is its codec version, the second the key it is sealed
/// with (0 = none); what follows is nobody's business here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Whose it is and how long it may be served.
    pub stamp: Stamp,
    /// The answer.
    pub bytes: Bytes,
}

/// An answer to be kept.
#[derive(Clone, Debug, PartialEq)]
pub struct Put {
    /// What it answers.
    pub key: Key,
    /// Whose it is; `stamp.began` counts as its first use.
    pub stamp: Stamp,
    /// The answer, codec version first.
    pub bytes: Bytes,
    /// What its question means, for an answer that others may be given by meaning. Stored with the
    /// answer or not at all; of its own key and stamp, the answer's count.
    pub point: Option<Arc<Point>>,
}

/// Answers, by key. They can all be made again, so losing the latest to a power cut is lawful;
/// handing out a wrong or an expired one never is.
pub trait Entries: Send + Sync {
    /// The answer under a key, unless it expires at `now` or before.
    fn get(&self, key: Key, now: Millis) -> Reply<'_, Option<Stored>>;

    /// As [`Entries::get`] for several keys in one round trip; as many replies as keys, in their
    /// order.
    fn get_many<'a>(&'a self, keys: &'a [Key], now: Millis) -> Reply<'a, Vec<Option<Stored>>>;

    /// Keeps all of these or none. Of two answers under one key the one whose fill began later
    /// stays; the later put does where they began together.
    fn put(&self, puts: Vec<Put>) -> Reply<'_, ()>;

    /// Notes when entries were last used. It never goes back; unknown keys are passed over.
    fn touch(&self, uses: Vec<(Key, Millis)>) -> Reply<'_, ()>;

    /// How many stored entries a scope covers, those expired but not yet forgotten included.
    fn count(&self, scope: Scope) -> Reply<'_, u64>;

    /// Removes at most `limit` entries of a scope and tells how many; fewer than `limit` means
    /// that none is left.
    fn forget(&self, scope: Scope, limit: u32) -> Reply<'_, u64>;

    /// Removes at most `limit` entries that expire at `now` or before; tells how many.
    fn forget_expired(&self, now: Millis, limit: u32) -> Reply<'_, u64>;

    /// Leaves a policy's `keep_max` most recently used entries of a tenant and removes at most
    /// `limit` of the others, the least recently used first; tells how many.
    fn trim(&self, policy: Name, tenant: TenantId, keep_max: u64, limit: u32) -> Reply<'_, u64>;
}

/// What the questions of stored answers mean. A point is stored by [`Entries::put`] together with
/// its answer, and goes when that answer goes: purged, expired, trimmed, or replaced by one without
/// a point. A look may miss what is there; it never gives what is not.
pub trait Vectors: Send + Sync {
    /// Reads what an earlier process stored, as far as that is needed; until then a look misses it.
    /// Resumed by calling it again after an error.
    fn load(&self) -> Reply<'_, ()>;

    /// Makes a point a neighbour to be found at once on this node, while its answer still waits to
    /// be stored. Never waits. Of two under one key the one whose fill began later stays.
    fn add(&self, point: Arc<Point>) -> Result<(), Error>;

    /// Takes a point back whose answer is not there: it could not be stored, or is gone elsewhere.
    fn withdraw(&self, key: Key);

    /// The nearest points of a space, as this model sees them, the most similar first: none below
    /// `at_least`, none that expires at `now` or before, at most `limit` and never more than
    /// [`NEIGHBOURS_MAX`]. Whether one was purged is for the caller to ask of its stamp.
    fn nearest<'a>(
        &'a self,
        space: Space,
        model: &'a ModelKey,
        vector: Vec<f32>,
        at_least: f32,
        limit: usize,
        now: Millis,
    ) -> Reply<'a, Vec<Neighbour>>;

    /// What of it lies in this process.
    fn held(&self) -> Held;
}

/// How much of the points lies in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Points.
    pub points: u64,
    /// Their weight.
    pub bytes: u64,
    /// Points that made room for later ones, since the start.
    pub evicted: u64,
    /// Whether everything stored earlier was read: until then looks may miss it.
    pub ready: bool,
}

/// Ledger lines. They are never changed and never removed.
pub trait Ledger: Send + Sync {
    /// Adds all of these or none; a line whose id is known already adds nothing and changes
    /// nothing. When it returns, the lines would survive a power cut.
    fn post(&self, lines: Vec<Line>) -> Reply<'_, ()>;

    /// The line of this id.
    fn line(&self, id: LineId) -> Reply<'_, Option<Line>>;

    /// Sums over a tenant's lines of a period, retries not folded.
    fn totals(&self, tenant: TenantId, period: Period) -> Reply<'_, Totals>;

    /// A tenant's lines of a period in the order of their places, from behind `after` on; empty
    /// at the end. At most `limit`, and never more than [`PAGE_LINES_MAX`].
    fn page(
        &self,
        tenant: TenantId,
        period: Period,
        after: Option<Place>,
        limit: u32,
    ) -> Reply<'_, Vec<Line>>;
}

/// What was said of answers. The latest [`LABELS_PER_TENANT_MAX`] of a tenant are kept; a loss costs a
/// little of what is learned from them.
pub trait Labels: Send + Sync {
    /// Adds all of these or none. Of two of one reply the later counts.
    fn label(&self, labels: Vec<Label>) -> Reply<'_, ()>;

    /// A tenant's labels, the latest first, at most `limit`.
    fn labels(&self, tenant: TenantId, limit: u32) -> Reply<'_, Vec<Label>>;

    /// Removes all labels of a tenant.
    fn forget_labels(&self, tenant: TenantId) -> Reply<'_, ()>;
}

/// What belongs to the installation as a whole and never changes.
pub trait Installation: Send + Sync {
    /// A fact about the installation: the first candidate ever offered, for ever, whoever asks.
    fn settled(&self, fact: Fact, candidate: [u8; 32]) -> Reply<'_, [u8; 32]>;
}

/// What is settled once for an installation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The key from which all request keys are derived.
    Key,
    /// Which node's volume began the cluster: exactly one may.
    Founder,
}

impl Fact {
    /// Its name in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Founder => "founder",
        }
    }
}

/// The five together, as the rest of the program holds them.
#[derive(Clone)]
pub struct Stores {
    /// Answers.
    pub entries: Arc<dyn Entries>,
    /// What their questions mean.
    pub vectors: Arc<dyn Vectors>,
    /// Ledger lines.
    pub ledger: Arc<dyn Ledger>,
    /// What was said of answers.
    pub labels: Arc<dyn Labels>,
    /// What is settled once for all.
    pub installation: Arc<dyn Installation>,
    /// Whether looking things up is given up for now, for the probes: a shared store that does not
    /// answer. An embedded one always does.
    pub away: Arc<AtomicBool>,
}

impl Stores {
    fn of<S: Entries + Vectors + Ledger + Labels + Installation + 'static>(store: Arc<S>) -> Self {
        Self {
            entries: store.clone(),
            vectors: store.clone(),
            ledger: store.clone(),
            labels: store.clone(),
            installation: store,
            away: Arc::default(),
        }
    }
}

/// Opens the store a URL names: `sqlite:PATH`, `postgres://…`, or `volatile:` for one that forgets.
/// The only place that looks at the scheme.
pub async fn open(url: &str, settings: &Settings) -> Result<Stores, Error> {
    match url.split_once(':') {
        Some(("sqlite", path)) => {
            let path = path.strip_prefix("//").unwrap_or(path);
            Ok(Stores::of(Arc::new(
                sqlite::Sqlite::open(Path::new(path), settings).await?,
            )))
        }
        Some(("postgres" | "postgresql", _)) => {
            let store = postgres::Postgres::open(url, settings).await?;
            let away = store.away();
            Ok(Stores {
                away,
                ..Stores::of(Arc::new(store))
            })
        }
        Some(("volatile", "")) => Ok(Stores::of(Arc::new(volatile::Volatile::new(settings)))),
        // A URL may hold a password: only its scheme is repeated.
        other => Err(Error::Unavailable(format!(
            "there is no store of kind `{}`: give sqlite:PATH, postgres://... or volatile:",
            other.map_or("", |(scheme, _)| scheme),
        ))),
    }
}

#[cfg(test)]
mod tests;
