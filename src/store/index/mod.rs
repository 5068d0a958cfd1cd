//! Points in memory, by space and model: where the embedded store finds neighbours. A shelf holds
//! one space as one model sees it, cut into slices; most shelves hold a single point, some a hundred
//! thousand, and both are cheap. Bounded in bytes: the oldest make room. It reads no clock and no
//! disk, and forgets nothing by itself but for room.
//!
//! A scan through eight-bit codes behind a one-bit filter, and no graph. A graph of a well-kept
//! library was tried beside it (`hnsw_rs`, 16 links, 200 and 64 candidates; made-up questions as in
//! `tests/bench/vectors.rs`): at 10,000 points a look took 0.36 ms there and 0.06 ms here, at 100,000
//! 0.6 and 0.5 ms; the nearest came first 97 times of a hundred there, always here; adding a point
//! took a millisecond or more there, microseconds here. Nor can a graph take a point out again, which
//! a purge must, and it would cost most where most spaces are: with a single point in them.

mod code;
mod signs;
mod slice;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use fgy_cluster::Key;

pub(super) use code::{Code, Query};
use signs::Promising;
use slice::{SLICE_POINTS, Slice};

use super::{ModelKey, NEIGHBOURS_MAX, Neighbour};
use crate::answer::stamp::{Millis, Stamp};
use crate::key::Space;

/// Room of a point beside its code, its texts and [`Known`]: its place by key, its place in the
/// order of age, and its share of a shelf.
const AROUND_BYTES: usize = 320;

/// What is known of a point beside its direction.
#[derive(Debug, PartialEq)]
pub(super) struct Known {
    pub(super) key: Key,
    pub(super) stamp: Stamp,
    pub(super) fingerprint: Box<[u8]>,
    pub(super) message: Box<str>,
}

/// The points of a node.
pub(super) struct Index {
    bytes_max: u64,
    held: RwLock<Held>,
}

#[derive(Default)]
struct Held {
    /// Every model ever seen: one, or a few.
    models: Vec<ModelKey>,
    shelves: HashMap<Shelf, Vec<Slice>>,
    places: HashMap<Key, Place>,
    /// The oldest first.
    ages: BTreeMap<i64, Key>,
    bytes: u64,
    evicted: u64,
}

/// One space, as one model (by its number) sees it.
type Shelf = (Space, u16);

#[derive(Clone, Copy)]
struct Place {
    shelf: Shelf,
    slice: u32,
    at: u32,
    age: i64,
}

/// Who is to make room.
#[derive(Clone, Copy, PartialEq)]
enum Age {
    /// A new point: the oldest ones.
    Youngest,
    /// A point from an earlier time: nobody.
    Oldest,
}

/// What was found, slice by slice.
pub(super) struct Found {
    at_least: f32,
    limit: usize,
    promising: Promising,
    nearest: Vec<(f32, Arc<Known>)>,
}

impl Found {
    pub(super) fn new(at_least: f32, limit: usize) -> Self {
        Self {
            at_least,
            limit: limit.min(NEIGHBOURS_MAX),
            promising: Promising::default(),
            nearest: Vec::new(),
        }
    }

    /// The best of what was found; of equals the lower key first.
    fn cut(&mut self) {
        let order = |(similarity, known): &(f32, Arc<Known>)| (-similarity, known.key);
        self.nearest.sort_by(|one, other| {
            let (one, other) = (order(one), order(other));
            one.0.total_cmp(&other.0).then(one.1.cmp(&other.1))
        });
        self.nearest.dedup_by_key(|(_, known)| known.key);
        self.nearest.truncate(self.limit);
    }

    pub(super) fn neighbours(self) -> Vec<Neighbour> {
        let each = self.nearest.into_iter();
        each.map(|(similarity, known)| Neighbour {
            key: known.key,
            similarity,
            stamp: known.stamp.clone(),
            fingerprint: known.fingerprint.to_vec(),
            message: known.message.to_string(),
        })
        .collect()
    }
}

impl Index {
    pub(super) fn new(bytes_max: u64) -> Self {
        Self {
            bytes_max,
            held: RwLock::default(),
        }
    }

    /// Adds a new point, or replaces that of an answer whose fill began no later. Older points make
    /// room where there is none.
    pub(super) fn add(&self, space: Space, model: &ModelKey, code: &Code, known: Known) {
        let mut held = self.write();
        held.add((space, model), code, known, Age::Youngest);
        held.make_room(self.bytes_max);
    }

    /// Adds a point from an earlier time, if there is room; tells whether there was. One that is
    /// known already stays as it is.
    pub(super) fn add_older(
        &self,
        space: Space,
        model: &ModelKey,
        code: &Code,
        known: Known,
    ) -> bool {
        let mut held = self.write();
        if held.places.contains_key(&known.key) {
            return true;
        }
        if held.bytes + weight(code.values.len(), &known) > self.bytes_max {
            return false;
        }
        held.add((space, model), code, known, Age::Oldest);
        true
    }

    /// Whether it holds the point of the answer with this stamp.
    pub(super) fn holds(&self, key: Key, stamp: &Stamp) -> bool {
        self.read().known(key).is_some_and(|it| it.stamp == *stamp)
    }

    /// Removes points whose answers are gone.
    pub(super) fn remove(&self, keys: &[Key]) {
        if keys.is_empty() || self.read().places.is_empty() {
            return;
        }
        let mut held = self.write();
        keys.iter().for_each(|key| held.remove(*key));
    }

    /// Removes the point of an answer that was replaced by one whose fill began at `began`.
    pub(super) fn replaced(&self, key: Key, began: Millis) {
        let replaced = |held: &Held| held.known(key).is_some_and(|it| it.stamp.began <= began);
        if replaced(&self.read()) {
            let mut held = self.write();
            if replaced(&held) {
                held.remove(key);
            }
        }
    }

    /// Looks through one slice of a space; tells whether there are more behind it. Points that move
    /// between two slices while somebody looks may be missed.
    pub(super) fn scan(
        &self,
        (space, model): (Space, &ModelKey),
        slice: usize,
        query: &Query,
        now: Millis,
        found: &mut Found,
    ) -> bool {
        let held = self.read();
        let Some(model) = held.models.iter().position(|known| known == model) else {
            return false;
        };
        let Some(slices) = held.shelves.get(&(space, model as u16)) else {
            return false;
        };
        if let Some(slice) = slices.get(slice) {
            let Found {
                at_least,
                promising,
                nearest,
                ..
            } = found;
            slice.scan(query, promising, *at_least, now, |similarity, known| {
                nearest.push((similarity, known.clone()));
            });
            found.cut();
        }
        slice + 1 < slices.len()
    }

    /// Points, their weight, and how many made room for others.
    pub(super) fn held(&self) -> (u64, u64, u64) {
        let held = self.read();
        (held.places.len() as u64, held.bytes, held.evicted)
    }

    /// Every change below is whole before the lock is let go, so a panic elsewhere spoils nothing.
    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a point takes in memory, about.
fn weight(dimensions: usize, known: &Known) -> u64 {
    let code = dimensions + dimensions.div_ceil(8) + size_of::<f32>();
    let texts = known.fingerprint.len() + known.message.len();
    (code + texts + size_of::<Known>() + AROUND_BYTES) as u64
}

impl Held {
    fn known(&self, key: Key) -> Option<&Arc<Known>> {
        let Place {
            shelf, slice, at, ..
        } = *self.places.get(&key)?;
        let slice = self.shelves.get(&shelf)?.get(slice as usize)?;
        slice.known(at as usize)
    }

    fn add(&mut self, (space, model): (Space, &ModelKey), code: &Code, known: Known, age: Age) {
        let key = known.key;
        if let Some(earlier) = self.known(key) {
            if earlier.stamp.began > known.stamp.began {
                return;
            }
            self.remove(key);
        }
        let Some(model) = self.number(model) else {
            return;
        };
        self.bytes += weight(code.values.len(), &known);
        let age = match age {
            Age::Youngest => self.ages.last_key_value().map_or(0, |(last, _)| last + 1),
            Age::Oldest => self
                .ages
                .first_key_value()
                .map_or(0, |(first, _)| first - 1),
        };
        self.ages.insert(age, key);
        let (slice, at) = self.put((space, model), code, known);
        let shelf = (space, model);
        self.places.insert(
            key,
            Place {
                shelf,
                slice,
                at,
                age,
            },
        );
    }

    /// A model's number. There is none left after 65,535 of them.
    fn number(&mut self, model: &ModelKey) -> Option<u16> {
        let known = self.models.iter().position(|known| known == model);
        let number = known.unwrap_or(self.models.len());
        let number = u16::try_from(number).ok()?;
        if known.is_none() {
            self.models.push(model.clone());
        }
        Some(number)
    }

    /// Into the first slice with room; tells which, and where in it.
    fn put(&mut self, shelf: Shelf, code: &Code, known: Known) -> (u32, u32) {
        let slices = self
            .shelves
            .entry(shelf)
            // Most shelves never hold a second slice.
            .or_insert_with(|| Vec::with_capacity(1));
        let room = slices.iter().position(|it| it.points() < SLICE_POINTS);
        let number = room.unwrap_or(slices.len());
        if room.is_none() {
            slices.push(Slice::default());
        }
        let slice = &mut slices[number];
        slice.push(Arc::new(known), code);
        (number as u32, (slice.points() - 1) as u32)
    }

    fn remove(&mut self, key: Key) {
        let Some(place) = self.places.remove(&key) else {
            return;
        };
        let Place {
            shelf,
            slice,
            at,
            age,
        } = place;
        self.ages.remove(&age);
        let Some(slices) = self.shelves.get_mut(&shelf) else {
            return;
        };
        let in_slice = &mut slices[slice as usize];
        let dimensions = in_slice.dimensions();
        let known = in_slice.remove(at as usize);
        self.bytes = self.bytes.saturating_sub(weight(dimensions, &known));
        let moved = in_slice.known(at as usize).map(|moved| moved.key);
        if let Some(place) = moved.and_then(|moved| self.places.get_mut(&moved)) {
            place.at = at;
        }
        while slices.last().is_some_and(|last| last.points() == 0) {
            slices.pop();
        }
        if slices.is_empty() {
            self.shelves.remove(&shelf);
        }
    }

    fn make_room(&mut self, bytes_max: u64) {
        while self.bytes > bytes_max {
            let Some((_, oldest)) = self.ages.first_key_value() else {
                return;
            };
            self.remove(*oldest);
            self.evicted += 1;
        }
    }
}

#[cfg(test)]
mod tests;
