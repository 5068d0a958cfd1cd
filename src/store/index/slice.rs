//! Some thousand points of one space and one model, side by side. A look first compares one bit a
//! dimension, then the most promising exactly; it takes some tens of microseconds, so that whoever
//! looks through many slices can let others go first in between. It judges no expiry but that of
//! what it is about to give.

use std::sync::Arc;

use super::Known;
use super::code::{Code, Query};
use super::signs::{PROMISING_POINTS, Promising, Signs};
use crate::answer::stamp::Millis;

/// Points of one slice: what is looked through in one go. (Fewer in tests, which count in debug.)
pub(super) const SLICE_POINTS: usize = if cfg!(test) { 1_024 } else { 16_384 };

#[derive(Default)]
pub(super) struct Slice {
    known: Vec<Arc<Known>>,
    scales: Vec<f32>,
    /// One code behind the other.
    codes: Vec<i8>,
    /// Nothing while all points are compared exactly.
    signs: Signs,
}

impl Slice {
    pub(super) fn points(&self) -> usize {
        self.known.len()
    }

    pub(super) fn known(&self, at: usize) -> Option<&Arc<Known>> {
        self.known.get(at)
    }

    /// Puts one behind the others.
    pub(super) fn push(&mut self, known: Arc<Known>, code: &Code) {
        self.known.push(known);
        self.scales.push(code.scale);
        self.codes.extend_from_slice(&code.values);
        if self.points() > PROMISING_POINTS {
            let first = if self.signs.is_empty() {
                0
            } else {
                self.points() - 1
            };
            for at in first..self.points() {
                self.sign(at);
            }
        }
    }

    /// Takes one out; the last one takes its place.
    pub(super) fn remove(&mut self, at: usize) -> Arc<Known> {
        let dimensions = self.dimensions();
        let last = self.points() - 1;
        let known = self.known.swap_remove(at);
        self.scales.swap_remove(at);
        self.codes
            .copy_within(last * dimensions..(last + 1) * dimensions, at * dimensions);
        self.codes.truncate(last * dimensions);
        if last <= PROMISING_POINTS {
            self.signs = Signs::default();
        } else {
            if at < last {
                self.sign(at);
            }
            self.signs.truncate(last, dimensions);
        }
        if self.codes.capacity() > 4 * self.codes.len() {
            self.known.shrink_to(2 * last);
            self.scales.shrink_to(2 * last);
            self.codes.shrink_to(2 * last * dimensions);
        }
        known
    }

    /// Gives all points that are near enough and have not expired, in no order.
    pub(super) fn scan(
        &self,
        query: &Query,
        promising: &mut Promising,
        at_least: f32,
        now: Millis,
        mut give: impl FnMut(f32, &Arc<Known>),
    ) {
        let look = |at: usize| {
            let similarity = query.cosine(self.scales[at], self.code(at));
            if similarity >= at_least && self.known[at].stamp.until > now {
                give(similarity, &self.known[at]);
            }
        };
        if self.points() <= PROMISING_POINTS {
            (0..self.points()).for_each(look);
        } else {
            let points = self.points();
            self.signs.compare(points, &query.signs, promising);
            promising.take().for_each(look);
        }
    }

    pub(super) fn dimensions(&self) -> usize {
        self.codes.len() / self.points().max(1)
    }

    /// Room taken, used or not.
    #[cfg(test)]
    pub(super) fn bytes(&self) -> usize {
        let around = self.known.capacity() * size_of::<Arc<Known>>();
        let codes = self.codes.capacity() + self.scales.capacity() * size_of::<f32>();
        around + codes + self.signs.bytes()
    }

    fn code(&self, at: usize) -> &[i8] {
        let dimensions = self.dimensions();
        &self.codes[at * dimensions..(at + 1) * dimensions]
    }

    fn sign(&mut self, at: usize) {
        let dimensions = self.dimensions();
        let values = &self.codes[at * dimensions..(at + 1) * dimensions];
        self.signs.set(at, values);
    }
}
