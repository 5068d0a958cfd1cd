//! What waits for the embedder: bounded in texts and in pieces, taken by threads in batches. Who
//! comes when it is full is told so at once. It knows nothing of models and of time.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How much one who waits asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Size {
    pub(super) texts: usize,
    /// Two bytes each.
    pub(super) pieces: usize,
}

/// There is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Full;

pub(super) struct Queue<T> {
    most: Size,
    inside: Mutex<Inside<T>>,
    /// Something waits, or nothing ever will.
    changed: Condvar,
    /// Apart from the other: whoever waits here takes nothing, and must not be woken in the place
    /// of one who would.
    closed: Condvar,
}

struct Inside<T> {
    waiting: VecDeque<(T, Size)>,
    size: Size,
    closed: bool,
}

impl<T> Queue<T> {
    pub(super) fn new(most: Size) -> Self {
        let inside = Inside {
            waiting: VecDeque::new(),
            size: Size::default(),
            closed: false,
        };
        Self {
            most,
            inside: Mutex::new(inside),
            changed: Condvar::new(),
            closed: Condvar::new(),
        }
    }

    /// Lets one wait. Into an empty queue goes whatever comes, so that nothing is too big for ever.
    pub(super) fn push(&self, one: T, size: Size) -> Result<(), Full> {
        let mut inside = self.lock();
        let after = Size {
            texts: inside.size.texts + size.texts,
            pieces: inside.size.pieces + size.pieces,
        };
        let fits = after.texts <= self.most.texts && after.pieces <= self.most.pieces;
        if inside.closed || !(fits || inside.waiting.is_empty()) {
            return Err(Full);
        }
        inside.size = after;
        inside.waiting.push_back((one, size));
        drop(inside);
        self.changed.notify_one();
        Ok(())
    }

    /// Waits until there is something and takes the first, with those behind it as long as they
    /// have no more than `pieces` together. `None`: closed.
    pub(super) fn take(&self, pieces: usize) -> Option<Vec<T>> {
        let mut inside = self.lock();
        while inside.waiting.is_empty() && !inside.closed {
            let woken = self.changed.wait(inside);
            inside = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let (mut taken, mut sum) = (Vec::new(), 0);
        while let Some((_, size)) = inside.waiting.front() {
            sum += size.pieces;
            if inside.closed || (!taken.is_empty() && sum > pieces) {
                break;
            }
            if let Some((one, size)) = inside.waiting.pop_front() {
                inside.size.texts -= size.texts;
                inside.size.pieces -= size.pieces;
                taken.push(one);
            }
        }
        (!inside.closed).then_some(taken)
    }

    /// Ends all waiting; who still waits is dropped.
    pub(super) fn close(&self) {
        let mut inside = self.lock();
        inside.closed = true;
        inside.size = Size::default();
        let dropped = std::mem::take(&mut inside.waiting);
        drop(inside);
        drop(dropped);
        self.changed.notify_all();
        self.closed.notify_all();
    }

    /// Waits as long as this, or until it is closed, which it tells.
    pub(super) fn closed_within(&self, time: Duration) -> bool {
        let open = |inside: &mut Inside<T>| !inside.closed;
        let waited = self.closed.wait_timeout_while(self.lock(), time, open);
        waited.unwrap_or_else(PoisonError::into_inner).0.closed
    }

    /// Nothing that holds it can leave it half changed.
    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn size(texts: usize, pieces: usize) -> Size {
        Size { texts, pieces }
    }

    #[test]
    fn it_is_bounded_in_texts_and_in_pieces() {
        let queue = Queue::new(size(3, 100));
        assert_eq!(queue.push('a', size(1, 60)), Ok(()));
        assert_eq!(queue.push('b', size(1, 41)), Err(Full));
        assert_eq!(queue.push('c', size(3, 3)), Err(Full));
        assert_eq!(queue.push('d', size(2, 40)), Ok(()));
        assert_eq!(queue.push('e', size(1, 0)), Err(Full));
        assert_eq!(queue.take(1000), Some(vec!['a', 'd']));
        assert_eq!(queue.push('f', size(9, 900)), Ok(()), "into an empty one");
        assert_eq!(queue.push('g', size(1, 1)), Err(Full));
        assert_eq!(queue.take(0), Some(vec!['f']));
        assert_eq!(queue.push('h', size(3, 100)), Ok(()));
    }

    #[test]
    fn batches_are_taken_in_order_and_within_their_bound() {
        let queue = Queue::new(size(9, 1000));
        for (name, pieces) in [('a', 10), ('b', 20), ('c', 40), ('d', 5)] {
            queue.push(name, size(1, pieces)).unwrap();
        }
        assert_eq!(queue.take(64), Some(vec!['a', 'b']));
        assert_eq!(queue.take(8), Some(vec!['c']), "one at least");
        assert_eq!(queue.take(8), Some(vec!['d']));
    }

    #[test]
    fn closing_wakes_who_waits_and_drops_what_waits() {
        let queue = Queue::<Box<u8>>::new(size(9, 9));
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| queue.take(9));
            let looks = scope.spawn(|| queue.closed_within(Duration::from_secs(600)));
            queue.close();
            assert_eq!(waits.join().unwrap(), None);
            assert!(looks.join().unwrap());
        });
        assert_eq!(queue.push(Box::new(1), size(1, 1)), Err(Full));
        assert_eq!(queue.take(9), None);
    }

    #[test]
    fn an_open_one_is_not_closed_in_time() {
        let queue = Queue::<u8>::new(size(9, 9));
        assert!(!queue.closed_within(Duration::ZERO));
    }
}
