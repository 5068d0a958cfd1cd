//! Room for requests being answered at once: a count, taken and given back. Nobody waits for room.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The room there is.
pub struct Places {
    taken: AtomicUsize,
    places_max: usize,
}

/// One place, given back when it is dropped.
pub(super) struct Place<'p>(&'p Places);

impl Places {
    /// Room for `places_max`.
    pub fn new(places_max: usize) -> Places {
        Places {
            taken: AtomicUsize::new(0),
            places_max,
        }
    }

    /// A place, unless all are taken.
    pub(super) fn take(&self) -> Option<Place<'_>> {
        let place = Place(self);
        // Dropping it on the way out gives back what was taken here.
        (self.taken.fetch_add(1, Ordering::Relaxed) < self.places_max).then_some(place)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.taken.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_room_for_so_many_and_it_comes_back() {
        let places = Places::new(2);
        let (one, two) = (places.take(), places.take());
        assert!(one.is_some() && two.is_some() && places.take().is_none());
        drop(one);
        assert!(places.take().is_some());
        assert_eq!(places.taken.load(Ordering::Relaxed), 1);
    }
}
