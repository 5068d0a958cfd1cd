//! The last state made visible: what readers look at without waiting. It never decides what is
//! shown; whoever keeps the state stores it here once it is on disk.

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use tokio::sync::watch;

use crate::rings::Rings;

/// A state and the index of the last command in it.
pub(super) struct Published<S> {
    pub(super) index: u64,
    pub(super) state: Arc<S>,
}

impl<S> Clone for Published<S> {
    fn clone(&self) -> Self {
        Self {
            index: self.index,
            state: Arc::clone(&self.state),
        }
    }
}

/// What readers see, replaced whole.
pub(super) struct Shown<S> {
    published: ArcSwap<Published<S>>,
    rings: watch::Sender<Arc<Rings>>,
    /// The index of what is published, for those who wait for one.
    applied: watch::Sender<u64>,
}

impl<S> Shown<S> {
    pub(super) fn new(index: u64, state: Arc<S>, rings: Rings) -> Self {
        Self {
            published: ArcSwap::from_pointee(Published { index, state }),
            rings: watch::Sender::new(Arc::new(rings)),
            applied: watch::Sender::new(index),
        }
    }

    pub(super) fn look(&self) -> Guard<Arc<Published<S>>> {
        self.published.load()
    }

    pub(super) fn published(&self) -> Published<S> {
        Published::clone(&self.published.load())
    }

    /// The state first, then its index: who waited for the index finds the state.
    pub(super) fn show(&self, index: u64, state: Arc<S>) {
        self.published.store(Arc::new(Published { index, state }));
        self.applied.send_replace(index);
    }

    pub(super) fn show_rings(&self, rings: &Rings) {
        self.rings.send_if_modified(|shown| {
            let is_new = **shown != *rings;
            if is_new {
                *shown = Arc::new(rings.clone());
            }
            is_new
        });
    }

    pub(super) fn rings(&self) -> watch::Receiver<Arc<Rings>> {
        self.rings.subscribe()
    }

    pub(super) fn applied(&self) -> watch::Receiver<u64> {
        self.applied.subscribe()
    }
}
