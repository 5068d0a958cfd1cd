//! The append-only record of a run: who asked what when, and how it came out. An answer that never
//! came is *unknown*, which is not the same as failed: what it asked for may have happened.

use std::sync::{Mutex, PoisonError};

use crate::clock::Micros;

/// How an operation came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Ok,
    /// It was surely not done: nobody was there to hear it.
    Fail,
    /// It may have been done, now or later.
    Unknown,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// A chat: what the cache said of it, and the provider's calls whose words are in the answer.
    Ask {
        target: usize,
        cache: String,
        calls: Vec<u64>,
    },
    /// A purge of what this target lies in; `None`: of everything.
    Purge { target: Option<usize> },
    /// A write to what is agreed, by its unique name.
    Write { name: String },
    /// A node was disturbed so that it served nothing, until it was woken (complete).
    Fault { what: &'static str },
}

/// One operation, by the run's clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Op {
    pub(crate) act: Act,
    pub(crate) node: usize,
    pub(crate) window: usize,
    pub(crate) invoke: Micros,
    pub(crate) complete: Micros,
    pub(crate) outcome: Outcome,
}

impl Op {
    pub(crate) fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }
}

/// One call that reached the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Call {
    pub(crate) began: Micros,
    /// When its last byte was written; none before that.
    pub(crate) ended: Option<Micros>,
}

/// Operations as they end.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<Vec<Op>>);

impl History {
    pub(crate) fn push(&self, op: Op) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(op);
    }

    pub(crate) fn ops(&self) -> Vec<Op> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}
