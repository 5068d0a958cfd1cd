//! What questions mean, in PostgreSQL: points that come and go with their answers, looked through by
//! pgvector. A small space is read whole, through an index on spaces, and misses nothing; a large one
//! is walked along a graph, further and further until enough of that space is found, so that one
//! tenant's points never hide another's.
//!
//! Points whose answers still wait to be written lie in memory, so that they are found at once on
//! this node, and nowhere twice.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fgy_cluster::Key;
use pgvector::Vector;
use sqlx::postgres::PgRow;
use sqlx::{AssertSqlSafe, PgConnection, Row};
use tokio::time::Instant;

use super::models::{self, Models};
use super::{Postgres, column, entries, fault};
use crate::answer::stamp::Millis;
use crate::key::Space;
use crate::store::index::{Code, Found, Index, Known, Query};
use crate::store::{
    Error, Held, ModelKey, NEIGHBOURS_MAX, Neighbour, Point, Put, Reply, Settings, Vectors,
};

/// So many times as many are looked at as are asked for: some of them may have expired.
const SPARE: usize = 2;
/// How long a space that was found large is taken to be so.
const LARGE_FOR: Duration = Duration::from_secs(600);
/// Spaces kept in mind as large; beyond it, they are found out again.
const LARGE_MAX: usize = 4_096;

const DELETE: &str = "DELETE FROM points WHERE key = ANY($1)";

const INSERT: &str = "INSERT INTO points (model, key, space, direction, fingerprint, message) \
    SELECT model, key, space, direction::halfvec, fingerprint, message \
    FROM unnest($1::integer[], $2::bytea[], $3::bytea[], $4::vector[], $5::bytea[], $6::bytea[]) \
    AS new (model, key, space, direction, fingerprint, message)";

/// What this process knows of the points.
pub(super) struct Points {
    pub(super) models: Models,
    /// Those whose answers are not written yet.
    waiting: Index,
    /// Spaces found to be large, and when.
    large: Mutex<HashMap<(i32, Space), Instant>>,
    /// A space of more points is walked along the graph.
    scan_points_max: u32,
}

/// How a space is looked through.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Way {
    /// All of it, if it is not too large.
    Scan,
    /// The nearest along the graph.
    Graph,
}

/// What is asked of the database.
#[derive(Clone)]
pub(super) struct Asked {
    number: i32,
    dimensions: u32,
    space: Space,
    vector: Vec<f32>,
    at_least: f32,
    limit: usize,
    now: Millis,
}

impl Points {
    pub(super) fn new(settings: &Settings) -> Points {
        Points {
            models: Models::default(),
            waiting: Index::new(settings.points_bytes_max),
            large: Mutex::default(),
            scan_points_max: settings.scan_points_max,
        }
    }

    /// As the database is now: what waited for these answers waits no longer.
    pub(super) fn written(&self, puts: &[Put]) {
        for put in puts {
            self.waiting.replaced(put.key, put.stamp.began);
        }
    }

    fn way(&self, space: (i32, Space), model: &ModelKey) -> Way {
        let found = self.large().get(&space).copied();
        match found {
            Some(at) if at.elapsed() < LARGE_FOR && models::has_graph(model) => Way::Graph,
            _ => Way::Scan,
        }
    }

    fn found_large(&self, space: (i32, Space)) {
        let mut large = self.large();
        if large.len() >= LARGE_MAX {
            large.clear();
        }
        large.insert(space, Instant::now());
    }

    fn large(&self) -> MutexGuard<'_, HashMap<(i32, Space), Instant>> {
        self.large.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Vectors for Postgres {
    fn load(&self) -> Reply<'_, ()> {
        // What others stored is looked for where it is.
        Box::pin(std::future::ready(Ok(())))
    }

    fn add(&self, point: Arc<Point>) -> Result<(), Error> {
        point.fits()?;
        let known = Known {
            key: point.key,
            stamp: point.stamp.clone(),
            fingerprint: point.fingerprint.as_slice().into(),
            message: point.message.as_str().into(),
        };
        let code = Code::of(&point.vector);
        let waiting = &self.points.waiting;
        waiting.add(point.space, &point.model, &code, known);
        Ok(())
    }

    fn withdraw(&self, key: Key) {
        self.points.waiting.remove(&[key]);
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
            let limit = limit.min(NEIGHBOURS_MAX);
            if limit == 0 {
                return Ok(Vec::new());
            }
            let waiting = self.waiting(space, model, &vector, at_least, limit, now);
            let Some(number) = self.number(model).await? else {
                return Ok(waiting);
            };
            let asked = Asked {
                number,
                dimensions: model.dimensions,
                space,
                vector: unit(vector),
                at_least,
                limit,
                now,
            };
            let stored = self.stored_near(model, asked).await?;
            Ok(together(waiting, stored, limit))
        })
    }

    fn held(&self) -> Held {
        let (points, bytes, evicted) = self.points.waiting.held();
        Held {
            points,
            bytes,
            evicted,
            ready: true,
        }
    }
}

impl Postgres {
    /// Those whose answers are not written yet.
    fn waiting(
        &self,
        space: Space,
        model: &ModelKey,
        vector: &[f32],
        at_least: f32,
        limit: usize,
        now: Millis,
    ) -> Vec<Neighbour> {
        let (query, mut found) = (Query::of(vector), Found::new(at_least, limit));
        let waiting = &self.points.waiting;
        let mut slice = 0;
        while waiting.scan((space, model), slice, &query, now, &mut found) {
            slice += 1;
        }
        found.neighbours()
    }

    /// A model's number in the database, if any point of it was ever stored.
    async fn number(&self, model: &ModelKey) -> Result<Option<i32>, Error> {
        if let Some(number) = self.points.models.known(model) {
            return Ok(Some(number));
        }
        let asked = model.clone();
        let number = self
            .look(move |connection| Box::pin(async move { models::find(connection, &asked).await }))
            .await?;
        if let Some(number) = number {
            self.points.models.learn(model, number);
        }
        Ok(number)
    }

    /// One round trip; two where a space turns out to be large.
    async fn stored_near(&self, model: &ModelKey, asked: Asked) -> Result<Vec<Neighbour>, Error> {
        let place = (asked.number, asked.space);
        let way = self.points.way(place, model);
        let rows = self.rows_near(way, asked.clone()).await?;
        let seen = rows.first().map_or(0, |row| row.get::<i64, _>(13));
        if way == Way::Scan
            && seen > i64::from(self.points.scan_points_max)
            && models::has_graph(model)
        {
            self.points.found_large(place);
            let rows = self.rows_near(Way::Graph, asked.clone()).await?;
            return self.neighbours(&rows, asked.at_least);
        }
        self.neighbours(&rows, asked.at_least)
    }

    async fn rows_near(&self, way: Way, asked: Asked) -> Result<Vec<PgRow>, Error> {
        let text = match way {
            // Without a graph there is no other way, however long it takes.
            Way::Scan if asked.dimensions <= models::GRAPH_DIMENSIONS_MAX => {
                scan(&asked, Some(self.points.scan_points_max))
            }
            Way::Scan => scan(&asked, None),
            Way::Graph => walk(&asked),
        };
        self.ask_near(text, asked).await
    }

    async fn ask_near(&self, text: String, asked: Asked) -> Result<Vec<PgRow>, Error> {
        self.look(move |connection| {
            Box::pin(async move {
                let query = sqlx::query(AssertSqlSafe(text))
                    .bind(asked.space.0)
                    .bind(Vector::from(asked.vector))
                    .bind(1.0 - f64::from(asked.at_least))
                    .bind(column(asked.now.0));
                query.fetch_all(connection).await
            })
        })
        .await
    }

    /// How the server would look through a space.
    #[cfg(test)]
    pub(super) async fn plan_near(&self, way: Way, space: Space, model: &ModelKey) -> String {
        let asked = Asked {
            number: self.points.models.known(model).unwrap(),
            dimensions: model.dimensions,
            space,
            vector: unit(vec![1.0; model.dimensions as usize]),
            at_least: 0.9,
            limit: 8,
            now: Millis(0),
        };
        let text = match way {
            Way::Scan => scan(&asked, Some(self.points.scan_points_max)),
            Way::Graph => walk(&asked),
        };
        let rows = self.ask_near(format!("EXPLAIN {text}"), asked).await;
        let lines: Vec<String> = rows.unwrap().iter().map(|row| row.get(0)).collect();
        lines.join("\n")
    }

    fn neighbours(&self, rows: &[PgRow], at_least: f32) -> Result<Vec<Neighbour>, Error> {
        let mut found = Vec::with_capacity(rows.len());
        for row in rows {
            let read = neighbour(row).map_err(|error| fault::of(&self.shown, &error))?;
            found.extend(read.filter(|it| it.similarity >= at_least));
        }
        Ok(found)
    }

    /// The numbers of these points' models, by the points' keys.
    pub(super) async fn numbers(&self, puts: &[Put]) -> Result<HashMap<Key, i32>, Error> {
        let mut numbers = HashMap::new();
        for put in puts {
            let Some(point) = &put.point else { continue };
            let number = match self.points.models.known(&point.model) {
                Some(number) => number,
                None => self.new_number(&point.model).await?,
            };
            numbers.insert(put.key, number);
        }
        Ok(numbers)
    }

    async fn new_number(&self, model: &ModelKey) -> Result<i32, Error> {
        let asked = model.clone();
        let number = self
            .chore(move |connection| {
                Box::pin(async move { models::find_or_add(connection, &asked).await })
            })
            .await?
            .ok_or_else(|| {
                Error::Refused(format!(
                    "points of {model} are not kept: {} knows too many models already; give the \
                     embedder a name that stays",
                    self.shown
                ))
            })?;
        self.points.models.learn(model, number);
        Ok(number)
    }
}

/// Puts points in place of those that were there, of answers that were just written.
pub(super) async fn replace(
    connection: &mut PgConnection,
    puts: &[&Put],
    numbers: &HashMap<Key, i32>,
) -> Result<(), sqlx::Error> {
    let keys: Vec<[u8; 32]> = puts.iter().map(|put| put.key.0).collect();
    sqlx::query(DELETE)
        .bind(keys)
        .execute(&mut *connection)
        .await?;
    let points: Vec<(i32, Key, &Point)> = puts
        .iter()
        .filter_map(|put| {
            let point = put.point.as_deref()?;
            Some((*numbers.get(&put.key)?, put.key, point))
        })
        .collect();
    if points.is_empty() {
        return Ok(());
    }
    let vectors = points
        .iter()
        .map(|it| Vector::from(unit(it.2.vector.clone())));
    let query = sqlx::query(INSERT)
        .bind(points.iter().map(|it| it.0).collect::<Vec<_>>())
        .bind(points.iter().map(|it| it.1.0).collect::<Vec<_>>())
        .bind(points.iter().map(|it| it.2.space.0).collect::<Vec<_>>())
        .bind(vectors.collect::<Vec<_>>())
        .bind(
            points
                .iter()
                .map(|it| &it.2.fingerprint[..])
                .collect::<Vec<_>>(),
        )
        .bind(
            points
                .iter()
                .map(|it| it.2.message.as_bytes())
                .collect::<Vec<_>>(),
        );
    query.execute(connection).await.map(drop)
}

/// All points of a space, unless there are more than `most`: then some of them, and one more row
/// counted than that.
fn scan(asked: &Asked, most: Option<u32>) -> String {
    let Asked {
        number, dimensions, ..
    } = asked;
    let few = most.map_or_else(String::new, |most| format!("LIMIT {}", u64::from(most) + 1));
    let near = format!(
        "there AS MATERIALIZED (SELECT key, direction::halfvec({dimensions}) <=> \
         ($2::vector)::halfvec({dimensions}) AS distance FROM points_{number} WHERE space = $1 \
         {few}), near AS MATERIALIZED (SELECT key, distance FROM there WHERE distance <= $3 \
         ORDER BY distance, key LIMIT {})",
        asked.limit * SPARE
    );
    found(asked, &near, "SELECT count(*) AS points FROM there")
}

/// The nearest points of a space along the graph. The condition is one that the index on spaces does
/// not answer, so that the graph is walked.
fn walk(asked: &Asked) -> String {
    let Asked {
        number, dimensions, ..
    } = asked;
    let distance =
        format!("direction::halfvec({dimensions}) <=> ($2::vector)::halfvec({dimensions})");
    let near = format!(
        "walked AS MATERIALIZED (SELECT key, {distance} AS distance FROM points_{number} \
         WHERE space IS NOT DISTINCT FROM $1 ORDER BY {distance} LIMIT {}), \
         near AS MATERIALIZED (SELECT key, distance FROM walked WHERE distance <= $3)",
        asked.limit * SPARE
    );
    found(asked, &near, "SELECT 0::bigint AS points")
}

/// What is near, with what is kept of it, and in any case one row that counts the points seen.
fn found(asked: &Asked, near: &str, seen: &str) -> String {
    let Asked { number, limit, .. } = asked;
    format!(
        "WITH {near}, whole AS MATERIALIZED (SELECT entries.key, tenant, agent, entries.model, \
         namespace, policy, source, epoch, began, until, near.distance, fingerprint, message \
         FROM near JOIN entries ON entries.key = near.key \
         JOIN points_{number} AS kept ON kept.key = near.key \
         WHERE until > $4 ORDER BY near.distance, near.key LIMIT {limit}), \
         seen AS ({seen}) \
         SELECT whole.*, seen.points FROM seen LEFT JOIN whole ON TRUE \
         ORDER BY whole.distance, whole.key"
    )
}

/// `None` in the row that only counts, and for what was never written.
fn neighbour(row: &PgRow) -> Result<Option<Neighbour>, sqlx::Error> {
    if row.try_get::<Option<&[u8]>, _>(0)?.is_none() {
        return Ok(None);
    }
    let Some((key, stamp)) = entries::stamp(row)? else {
        return Ok(None);
    };
    let distance: f64 = row.try_get(10)?;
    let message = row.try_get::<Vec<u8>, _>(12)?;
    let Ok(message) = String::from_utf8(message) else {
        return Ok(None);
    };
    Ok(Some(Neighbour {
        key,
        similarity: (1.0 - distance).clamp(-1.0, 1.0) as f32,
        stamp,
        fingerprint: row.try_get(11)?,
        message,
    }))
}

/// Those that wait and those that are written, each once: the later of two under one key.
fn together(waiting: Vec<Neighbour>, stored: Vec<Neighbour>, limit: usize) -> Vec<Neighbour> {
    if waiting.is_empty() {
        return stored;
    }
    let mut all: HashMap<Key, Neighbour> = stored.into_iter().map(|it| (it.key, it)).collect();
    for it in waiting {
        let known = all.get(&it.key);
        if known.is_none_or(|known| known.stamp.began < it.stamp.began) {
            all.insert(it.key, it);
        }
    }
    let mut all: Vec<Neighbour> = all.into_values().collect();
    all.sort_by(|one, other| {
        let nearer = other.similarity.total_cmp(&one.similarity);
        nearer.then(one.key.cmp(&other.key))
    });
    all.truncate(limit);
    all
}

/// The same direction, of length one: what two bytes hold best.
fn unit(mut vector: Vec<f32>) -> Vec<f32> {
    let length = vector.iter().map(|it| it * it).sum::<f32>().sqrt();
    vector.iter_mut().for_each(|it| *it /= length);
    vector
}
