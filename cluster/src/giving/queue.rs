//! What waits to be given away: moved keys in their order, items of batches beside them, taken in
//! turn so that neither holds the other up. It counts what is underway, so that the end is known.
//! It sends nothing.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::Handoff;
use crate::key::Key;
use crate::placement::Placement;

/// What waits.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Default)]
struct Waiting {
    moved: VecDeque<Key>,
    items: VecDeque<Key>,
    /// Moved keys that were taken and not dealt with yet.
    underway: u64,
    /// The placement before the first change that was not looked at yet.
    before: Option<Arc<Placement>>,
    /// Being looked at.
    collecting: bool,
    /// The newest ring heard of.
    epoch: u64,
    done_at_epoch: u64,
    /// Whether the next one is an item, if there are both.
    item_next: bool,
}

/// A key that was taken to be given. Dropped, it is dealt with.
pub(super) struct Underway {
    pub(super) key: Key,
    /// Where it is counted, if it is a moved one.
    counted: Option<Arc<Queue>>,
}

impl Drop for Underway {
    fn drop(&mut self) {
        if let Some(queue) = &self.counted {
            queue.waiting().underway -= 1;
            // Whoever waits for more looks how far it has come.
            queue.filled.notify_one();
        }
    }
}

impl Queue {
    /// The ring that is in force from the start.
    pub(super) fn begin_at(&self, epoch: u64) {
        let mut waiting = self.waiting();
        waiting.epoch = waiting.epoch.max(epoch);
    }

    /// The ring has changed from this placement. Of several changes that were not looked at yet the
    /// first placement is the one before.
    pub(super) fn change(&self, before: Arc<Placement>, epoch: u64) {
        let mut waiting = self.waiting();
        waiting.before.get_or_insert(before);
        waiting.epoch = epoch;
        drop(waiting);
        self.filled.notify_one();
    }

    /// The placement before the change that is to be looked at.
    pub(super) fn begin_change(&self) -> Option<Arc<Placement>> {
        let mut waiting = self.waiting();
        let before = waiting.before.take()?;
        waiting.collecting = true;
        Some(before)
    }

    /// What moved with the change. What still waited from an earlier one comes after it.
    pub(super) fn collected(&self, moved: Vec<Key>, max: usize) {
        let mut waiting = self.waiting();
        let earlier = std::mem::replace(&mut waiting.moved, moved.into());
        waiting.moved.extend(earlier);
        waiting.moved.truncate(max);
        waiting.collecting = false;
    }

    /// Adds items, as many as there is room for; how many there was none for.
    pub(super) fn add_items(&self, keys: &[Key], max: usize) -> usize {
        let mut waiting = self.waiting();
        let room = max.saturating_sub(waiting.items.len());
        waiting.items.extend(keys.iter().take(room));
        drop(waiting);
        self.filled.notify_one();
        keys.len().saturating_sub(room)
    }

    /// The next one to be given.
    pub(super) fn next(self: &Arc<Self>) -> Option<Underway> {
        let mut waiting = self.waiting();
        waiting.item_next = !waiting.item_next;
        let item_first = waiting.item_next || waiting.moved.is_empty();
        if item_first && let Some(key) = waiting.items.pop_front() {
            return Some(Underway { key, counted: None });
        }
        let key = waiting.moved.pop_front()?;
        waiting.underway += 1;
        Some(Underway {
            key,
            counted: Some(self.clone()),
        })
    }

    /// Resolves when something may have come since the last time.
    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }

    /// How far it has come.
    pub(super) fn progress(&self) -> Handoff {
        let mut waiting = self.waiting();
        let pending = waiting.moved.len() as u64 + waiting.underway;
        if pending == 0 && waiting.before.is_none() && !waiting.collecting {
            waiting.done_at_epoch = waiting.epoch;
        }
        Handoff {
            pending,
            done_at_epoch: waiting.done_at_epoch,
        }
    }

    /// Every change under the lock leaves it whole.
    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rings::Rings;

    fn keys(numbers: std::ops::Range<u8>) -> Vec<Key> {
        numbers.map(|number| Key([number; 32])).collect()
    }

    fn placement() -> Arc<Placement> {
        Arc::new(Placement::of(&Rings::default()))
    }

    fn taken(queue: &Arc<Queue>) -> Option<u8> {
        queue.next().map(|underway| underway.key.0[0])
    }

    #[test]
    fn a_change_is_done_when_all_of_it_is_dealt_with() {
        let queue = Arc::new(Queue::default());
        queue.begin_at(3);
        assert_eq!(queue.progress().done_at_epoch, 3);
        let first = placement();
        queue.change(first.clone(), 4);
        queue.change(placement(), 5);
        assert_eq!(queue.progress().done_at_epoch, 3);
        let before = queue.begin_change().unwrap();
        assert!(Arc::ptr_eq(&before, &first), "nothing between was seen");
        assert!(queue.begin_change().is_none());
        assert_eq!(queue.progress().done_at_epoch, 3, "it is not known yet");
        queue.collected(keys(0..2), 10);
        let (one, two) = (queue.next().unwrap(), queue.next().unwrap());
        assert!(queue.next().is_none());
        drop(one);
        assert_eq!(
            (queue.progress().pending, queue.progress().done_at_epoch),
            (1, 3)
        );
        drop(two);
        assert_eq!(
            (queue.progress().pending, queue.progress().done_at_epoch),
            (0, 5)
        );
    }

    #[test]
    fn what_waited_comes_after_what_moved_later_and_the_coldest_are_left() {
        let queue = Arc::new(Queue::default());
        queue.collected(keys(0..3), 10);
        queue.collected(keys(10..12), 4);
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        assert_eq!(order, [10, 11, 0, 1]);
    }

    #[test]
    fn items_and_moved_keys_take_turns_and_items_beyond_the_limit_are_told() {
        let queue = Arc::new(Queue::default());
        queue.collected(keys(0..3), 10);
        assert_eq!(queue.add_items(&keys(20..25), 3), 2);
        assert_eq!(queue.progress().pending, 3, "items are nobody's hand-off");
        let order: Vec<_> = std::iter::from_fn(|| taken(&queue)).collect();
        assert_eq!(order, [20, 0, 21, 1, 22, 2]);
    }
}
