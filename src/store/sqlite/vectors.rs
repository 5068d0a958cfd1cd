//! What questions mean, in SQLite: rows that are written and deleted with their answers, and read
//! once, after the start, into the index that is looked through. No look ever asks the database.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use fgy_cluster::Key;
use sqlx::Row;
use sqlx::sqlite::{SqliteRow, SqliteTransaction};

use super::Sqlite;
use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;
use crate::names::Name;
use crate::store::index::{Code, Found, Known, Query};
use crate::store::{Error, Held, ModelKey, Neighbour, Point, Put, Reply, Vectors};

const INSERT: &str = "INSERT INTO points (key, space, model_name, model_revision, dimensions, \
    scale, vector, fingerprint, message) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";

const COUNT: &str = "SELECT count(*), max(id) FROM points";

// The latest first: should there not be room for all, those stay behind that a look misses least.
pub(super) const PAGE: &str = "SELECT entries.key, tenant, agent, model, namespace, policy, source, epoch, \
    began, until, points.id, space, model_name, model_revision, dimensions, scale, vector, \
    fingerprint, message FROM points CROSS JOIN entries ON entries.key = points.key \
    WHERE points.id < ?1 ORDER BY points.id DESC LIMIT ?2";

/// Rows read while the writer waits: some milliseconds.
const PAGE_POINTS: usize = 512;
/// Points between two lines in the log.
const PROGRESS_POINTS: u64 = 25_600;

/// How far the stored points have been read.
pub(super) struct Loading {
    /// Below this id nothing was read yet.
    above: AtomicI64,
    done: AtomicBool,
}

impl Default for Loading {
    fn default() -> Self {
        Self {
            above: AtomicI64::new(i64::MAX),
            done: AtomicBool::new(false),
        }
    }
}

impl Vectors for Sqlite {
    fn load(&self) -> Reply<'_, ()> {
        Box::pin(async move {
            if self.loading.done.load(Ordering::Relaxed) {
                return Ok(());
            }
            let stored = sqlx::query_scalar::<_, i64>(COUNT).fetch_one(&self.readers);
            let stored = stored.await.map_err(|error| self.fault(error))?;
            let (mut read, mut told) = (0, 0);
            while let Some(points) = self.load_page().await? {
                read += points;
                if read - told >= PROGRESS_POINTS {
                    told = read;
                    tracing::info!(read, stored, "reading what earlier questions meant");
                }
            }
            self.loading.done.store(true, Ordering::Relaxed);
            let (points, bytes, _) = self.index.held();
            if stored > 0 {
                tracing::info!(points, bytes, "earlier questions are found by meaning");
            }
            Ok(())
        })
    }

    fn add(&self, point: Arc<Point>) -> Result<(), Error> {
        point.fits()?;
        self.index_point(point.key, &point.stamp, &point);
        Ok(())
    }

    fn withdraw(&self, key: Key) {
        self.index.remove(&[key]);
    }

    fn nearest<'a>(
        &'a self,
        space: Space,
        model: &'a ModelKey,
        vector: Vec<f32>,
        at_least: f32,
        limit: usize,
        now: Millis,
    ) -> Reply<'a, Vec<Neighbour>> {
        Box::pin(async move {
            model.fits(&vector)?;
            let query = Query::of(&vector);
            let mut found = Found::new(at_least, limit);
            let mut slice = 0;
            while self
                .index
                .scan((space, model), slice, &query, now, &mut found)
            {
                slice += 1;
                // Whoever only wants a stored answer does not wait for a large space.
                tokio::task::yield_now().await;
            }
            Ok(found.neighbours())
        })
    }

    fn held(&self) -> Held {
        let (points, bytes, evicted) = self.index.held();
        let ready = self.loading.done.load(Ordering::Relaxed);
        Held {
            points,
            bytes,
            evicted,
            ready,
        }
    }
}

impl Sqlite {
    /// Writes the point of an answer that was just written.
    pub(super) async fn insert_point(
        &self,
        all: &mut SqliteTransaction<'_>,
        key: Key,
        point: &Point,
    ) -> Result<(), Error> {
        point.fits()?;
        let ModelKey {
            name,
            revision,
            dimensions,
        } = &point.model;
        let Code { scale, values } = Code::of(&point.vector);
        let bytes: Vec<u8> = values.iter().map(|it| it.cast_unsigned()).collect();
        let query = sqlx::query(INSERT)
            .bind(key.0.to_vec())
            .bind(point.space.0.to_vec())
            .bind(name.to_string())
            .bind(revision.to_string())
            .bind(*dimensions)
            .bind(scale)
            .bind(bytes)
            .bind(point.fingerprint.clone())
            .bind(point.message.clone());
        let done = query.execute(&mut **all).await;
        done.map(drop).map_err(|error| self.fault(error))
    }

    /// As the database is now: an answer's point, or none. (One that was added when the answer was
    /// offered stays as it is.)
    pub(super) fn index_put(&self, put: &Put) {
        match &put.point {
            Some(point) => self.index_point(put.key, &put.stamp, point),
            None => self.index.replaced(put.key, put.stamp.began),
        }
    }

    fn index_point(&self, key: Key, stamp: &Stamp, point: &Point) {
        if self.index.holds(key, stamp) {
            return;
        }
        let known = Known {
            key,
            stamp: stamp.clone(),
            fingerprint: point.fingerprint.as_slice().into(),
            message: point.message.as_str().into(),
        };
        let code = Code::of(&point.vector);
        self.index.add(point.space, &point.model, &code, known);
    }

    /// Reads some stored points; `None` when all were read, or when there is no room for more. The
    /// writer waits so long, so that nothing is read that was deleted meanwhile.
    async fn load_page(&self) -> Result<Option<u64>, Error> {
        let above = self.loading.above.load(Ordering::Relaxed);
        let query = sqlx::query(PAGE).bind(above).bind(PAGE_POINTS as i64);
        let mut writer = self.writer().await?;
        let rows = query.fetch_all(&mut *writer).await;
        let rows = rows.map_err(|error| self.fault(error))?;
        for row in &rows {
            let id = row.try_get::<i64, _>(10);
            let id = id.map_err(|error| self.fault(error))?;
            if !self.load_point(row)? {
                tracing::warn!("no room for what earlier questions meant: raise points_bytes_max");
                return Ok(None);
            }
            self.loading.above.store(id, Ordering::Relaxed);
        }
        Ok((!rows.is_empty()).then_some(rows.len() as u64))
    }

    /// Adds a stored point to the index; tells whether there was room.
    fn load_point(&self, row: &SqliteRow) -> Result<bool, Error> {
        let (key, stamp) = self.stamp(row)?;
        let read = || -> Result<_, sqlx::Error> {
            let Ok(space) = <[u8; 32]>::try_from(row.try_get::<&[u8], _>(11)?) else {
                return Ok(None);
            };
            let model = ModelKey {
                name: Name::from(row.try_get::<&str, _>(12)?),
                revision: Name::from(row.try_get::<&str, _>(13)?),
                dimensions: row.try_get(14)?,
            };
            let bytes: &[u8] = row.try_get(16)?;
            let code = Code {
                scale: row.try_get(15)?,
                values: bytes.iter().map(|it| it.cast_signed()).collect(),
            };
            let known = Known {
                key,
                stamp,
                fingerprint: row.try_get::<&[u8], _>(17)?.into(),
                message: row.try_get::<&str, _>(18)?.into(),
            };
            let length = code.values.len();
            let whole = length > 0 && length == model.dimensions as usize;
            Ok(whole.then_some((Space(space), model, code, known)))
        };
        let Some((space, model, code, known)) = read().map_err(|error| self.fault(error))? else {
            tracing::warn!(%key, "a stored point is damaged and passed over");
            return Ok(true);
        };
        Ok(self.index.add_older(space, &model, &code, known))
    }
}
