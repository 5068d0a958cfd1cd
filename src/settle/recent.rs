//! Which entries answered lately by meaning: a line says what was asked, not whose answer was heard.
//! Bounded; what is not remembered any more is found through what is kept. No word of anything.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use fgy_cluster::Key;

use crate::ledger::line::LineId;

/// Replies remembered; the oldest make room.
const REPLIES_MAX: usize = 8_192;

/// The latest replies by meaning.
#[derive(Default)]
pub struct Recent {
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    keys: HashMap<LineId, Key>,
    order: VecDeque<LineId>,
}

impl Recent {
    /// Notes whose answer a reply was.
    pub(super) fn note(&self, id: LineId, key: Key) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.keys.insert(id, key).is_none() {
            held.order.push_back(id);
        }
        if held.order.len() > REPLIES_MAX
            && let Some(oldest) = held.order.pop_front()
        {
            held.keys.remove(&oldest);
        }
    }

    /// Where the answer of a reply lay.
    pub fn of(&self, id: LineId) -> Option<Key> {
        let held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.keys.get(&id).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_make_room() {
        let recent = Recent::default();
        let most = REPLIES_MAX as u128;
        for id in 0..=most {
            recent.note(LineId(id), Key([1; 32]));
        }
        recent.note(LineId(most), Key([2; 32]));
        assert_eq!(recent.of(LineId(0)), None);
        assert_eq!(recent.of(LineId(1)), Some(Key([1; 32])));
        assert_eq!(recent.of(LineId(most)), Some(Key([2; 32])));
    }
}
