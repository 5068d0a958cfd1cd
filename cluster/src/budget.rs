//! One allowance of bytes shared by everything that is being recorded. It counts and refuses; it
//! never waits, frees or evicts.

use crate::sync::{Arc, AtomicU64, Ordering};

/// An allowance of bytes. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    used: AtomicU64,
    bytes_max: u64,
}

impl Budget {
    /// An allowance of `bytes_max` bytes, all of it free.
    pub fn new(bytes_max: u64) -> Budget {
        Budget {
            shared: Arc::new(Shared {
                used: AtomicU64::new(0),
                bytes_max,
            }),
        }
    }

    /// An account that holds nothing yet. What it holds is given back when it is dropped.
    pub fn open(&self) -> Holding {
        Holding {
            budget: self.clone(),
            held: 0,
        }
    }

    /// The bytes in use now.
    pub fn used(&self) -> u64 {
        self.shared.used.load(Ordering::Relaxed)
    }

    /// Whether nothing is left.
    pub fn spent(&self) -> bool {
        self.used() >= self.shared.bytes_max
    }

    fn take(&self, bytes: u64) -> bool {
        let before = self.shared.used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before.saturating_add(bytes) <= self.shared.bytes_max;
        if !fits {
            self.shared.used.fetch_sub(bytes, Ordering::Relaxed);
        }
        fits
    }
}

/// What one recording has drawn.
#[derive(Debug)]
pub struct Holding {
    budget: Budget,
    held: u64,
}

impl Holding {
    /// Draws `bytes` more; false, and nothing drawn, where the budget has less.
    pub fn draw(&mut self, bytes: usize) -> bool {
        let taken = self.budget.take(bytes as u64);
        if taken {
            self.held += bytes as u64;
        }
        taken
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        self.budget
            .shared
            .used
            .fetch_sub(self.held, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[cfg(not(feature = "shuttle"))]
mod tests {
    use super::*;

    #[test]
    fn what_is_drawn_comes_back_and_no_more_than_all_is_drawn() {
        let budget = Budget::new(100);
        let mut first = budget.open();
        let mut second = budget.open();
        assert!(first.draw(60));
        assert!(!second.draw(41), "only 40 are left");
        assert!(second.draw(40));
        assert!(budget.spent());
        drop(first);
        assert_eq!(budget.used(), 40);
        assert!(second.draw(60));
        drop(second);
        assert_eq!(budget.used(), 0);
    }
}
