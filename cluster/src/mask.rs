//! Whom this node would ask now: what it found out itself about reaching the others, and what they
//! say of their phase. It is this node's opinion alone: it changes nobody's place on the ring, it
//! is told to nobody, and it sends nothing.

mod marks;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use arc_swap::ArcSwap;
use tokio::time::Instant;

use crate::node::{NodeId, Phase};
use crate::view::View;

use marks::Marks;

/// What was found out about a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// It answered: any reply to anything.
    Answered,
    /// It answered a ping, and said how far it is.
    Told(Phase),
    /// A connection to it broke or was refused.
    Reset,
    /// It did not acknowledge in time, or fell silent within a reply.
    Silent,
    /// A ping was not answered in time.
    Missed,
}

/// Why a node should not be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nobody has heard of it lately.
    Gone,
    /// It has not said yet that it may be asked.
    Joining,
    /// It is leaving.
    Draining,
    /// A connection to it broke, and it has not answered since.
    Reset,
    /// It fell silent, and has not answered since.
    Silent,
    /// It did not answer two pings in a row, and nothing since.
    Missed,
    /// It failed three times within ten seconds and rests for two, whatever it answers.
    Resting,
}

impl Reason {
    /// The reason as people read it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Gone => "gone",
            Reason::Joining => "joining",
            Reason::Draining => "draining",
            Reason::Reset => "reset",
            Reason::Silent => "silent",
            Reason::Missed => "missed pings",
            Reason::Resting => "resting",
        }
    }
}

/// The mask: written by few, read on every ask without waiting.
pub struct Mask {
    marks: Mutex<Marks>,
    /// What readers see: everybody in the view.
    shown: ArcSwap<HashMap<NodeId, Shown>>,
}

/// A node as readers see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Shown {
    why: Option<Reason>,
    /// Whether an answer would change anything; most change nothing and need no lock.
    blemished: bool,
}

impl Mask {
    /// Nothing is known of the nodes of `view` but what they say.
    pub fn of(view: &View, now: Instant) -> Mask {
        let mask = Mask {
            marks: Mutex::default(),
            shown: ArcSwap::default(),
        };
        mask.see(view, now);
        mask
    }

    /// Whether to ask it; nobody outside the view is asked.
    pub fn usable(&self, id: &NodeId) -> bool {
        let shown = self.shown.load();
        shown.get(id).is_some_and(|shown| shown.why.is_none())
    }

    /// Why it should not be asked; none where it may be.
    pub fn why(&self, id: &NodeId) -> Option<Reason> {
        let shown = self.shown.load();
        shown.get(id).map_or(Some(Reason::Gone), |shown| shown.why)
    }

    /// Something was found out about a node. Of nodes outside the view nothing is kept.
    pub fn hear(&self, id: &NodeId, event: Event, now: Instant) {
        if event == Event::Answered {
            let shown = self.shown.load();
            if shown.get(id).is_none_or(|shown| !shown.blemished) {
                return;
            }
        }
        self.change(now, |marks| marks.hear(id, event, now));
    }

    /// The view is new.
    pub fn see(&self, view: &View, now: Instant) {
        self.change(now, |marks| marks.see(view, now));
    }

    /// Time has passed: who rested enough is asked again. To be called a few times a second.
    pub fn pass(&self, now: Instant) {
        self.change(now, |_| {});
    }

    fn change(&self, now: Instant, change: impl FnOnce(&mut Marks)) {
        let mut marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut marks);
        let shown: HashMap<_, _> = marks
            .iter(now)
            .map(|(id, why, blemished)| (id.clone(), Shown { why, blemished }))
            .collect();
        if **self.shown.load() != shown {
            // Still under the lock, so that an older picture cannot replace a newer one.
            self.shown.store(shown.into());
        }
    }
}

#[cfg(test)]
mod tests;
