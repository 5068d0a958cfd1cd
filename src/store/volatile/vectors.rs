//! What questions mean, in a store that forgets: every point of every space is compared in full, as
//! it was given. The plainest reading of the contract, and the one others are measured against.

use std::sync::Arc;

use fgy_cluster::Key;

use super::{Held, Volatile, now};
use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;
use crate::store::{self, Error, ModelKey, NEIGHBOURS_MAX, Neighbour, Point, Reply, Vectors};

impl Vectors for Volatile {
    fn load(&self) -> Reply<'_, ()> {
        now(Ok(()))
    }

    fn add(&self, point: Arc<Point>) -> Result<(), Error> {
        point.fits()?;
        let mut held = self.held();
        let is_new = !held.points.contains_key(&point.key);
        if is_new && held.points.len() >= self.entries_max {
            let text = format!("it holds {} points; use sqlite:PATH", held.points.len());
            return Err(Error::Full(text));
        }
        let (key, stamp) = (point.key, point.stamp.clone());
        let later = |began: Millis| began > stamp.began;
        let entry = held.entries.get(&key);
        let known = held.points.get(&key);
        if entry.is_none_or(|it| !later(it.stored.stamp.began))
            && known.is_none_or(|it| !later(it.stamp.began))
        {
            held.place(key, &stamp, Some(point));
        }
        Ok(())
    }

    fn withdraw(&self, key: Key) {
        self.held().points.remove(&key);
    }

    fn nearest<'a>(
        &'a self,
        space: Space,
        model: &'a ModelKey,
        vector: Vec<f32>,
        at_least: f32,
        limit: usize,
        at: Millis,
    ) -> Reply<'a, Vec<Neighbour>> {
        if let Err(error) = model.fits(&vector) {
            return now(Err(error));
        }
        let held = self.held();
        let there = |point: &&Arc<Point>| {
            point.space == space && point.model == *model && point.stamp.until > at
        };
        let each = held.points.values().filter(there);
        let mut found: Vec<Neighbour> = each
            .map(|point| neighbour(point, cosine(&vector, &point.vector)))
            .filter(|it| it.similarity >= at_least)
            .collect();
        found.sort_by(|one, other| {
            let by_similarity = other.similarity.total_cmp(&one.similarity);
            by_similarity.then(one.key.cmp(&other.key))
        });
        found.truncate(limit.min(NEIGHBOURS_MAX));
        now(Ok(found))
    }

    fn held(&self) -> store::Held {
        let held = Volatile::held(self);
        let bytes: usize = held.points.values().map(|point| point.bytes()).sum();
        store::Held {
            points: held.points.len() as u64,
            bytes: bytes as u64,
            evicted: 0,
            ready: true,
        }
    }
}

impl Held {
    /// An answer's point, or that it has none.
    pub(super) fn place(&mut self, key: Key, stamp: &Stamp, point: Option<Arc<Point>>) {
        let Some(point) = point else {
            self.points.remove(&key);
            return;
        };
        let same = point.key == key && point.stamp == *stamp;
        let point = if same {
            point
        } else {
            Arc::new(Point {
                key,
                stamp: stamp.clone(),
                ..(*point).clone()
            })
        };
        self.points.insert(key, point);
    }
}

fn neighbour(point: &Point, similarity: f32) -> Neighbour {
    Neighbour {
        key: point.key,
        similarity,
        stamp: point.stamp.clone(),
        fingerprint: point.fingerprint.clone(),
        message: point.message.clone(),
    }
}

fn cosine(one: &[f32], other: &[f32]) -> f32 {
    let dot = |a: &[f32], b: &[f32]| -> f32 { a.iter().zip(b).map(|(a, b)| a * b).sum() };
    let lengths = (dot(one, one) * dot(other, other)).sqrt();
    (dot(one, other) / lengths).clamp(-1.0, 1.0)
}
