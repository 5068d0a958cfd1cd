//! What is remembered of every node, and what follows from it. Pure: events and time come in,
//! reasons come out.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;

use crate::node::{Incarnation, NodeId, Phase};
use crate::view::View;

use super::{Event, Reason};

/// Pings that may stay unanswered in a row before a node is masked, and that one.
const MISSED_COUNT_MAX: u32 = 2;

/// A node that failed so often within so long rests so long.
const FAILURES_COUNT_MAX: usize = 3;
const FAILURES_SPAN: Duration = Duration::from_secs(10);
const REST: Duration = Duration::from_secs(2);

/// The marks of every node in the view, and of those that left it a moment ago.
#[derive(Default)]
pub(super) struct Marks {
    nodes: BTreeMap<NodeId, Node>,
}

struct Node {
    /// The life and phase as the view has them; none once it is gone.
    seen: Option<(Incarnation, Phase)>,
    /// Which life the rest is about.
    life: Incarnation,
    /// The phase it told since the view last changed about it: fresher than the rumour.
    told: Option<Phase>,
    /// Why it is masked until it answers.
    down: Option<Reason>,
    missed: u32,
    /// When it went from usable to masked by failing; the last few.
    failures: VecDeque<Instant>,
    rests_until: Option<Instant>,
}

impl Node {
    fn of(life: Incarnation) -> Node {
        Node {
            seen: None,
            life,
            told: None,
            down: None,
            missed: 0,
            failures: VecDeque::new(),
            rests_until: None,
        }
    }

    fn why(&self, now: Instant) -> Option<Reason> {
        let Some((_, phase)) = self.seen else {
            return Some(Reason::Gone);
        };
        let by_phase = match self.told.unwrap_or(phase) {
            Phase::Joining => Some(Reason::Joining),
            Phase::Draining => Some(Reason::Draining),
            Phase::Ready => None,
        };
        by_phase
            .or(self.down)
            .or_else(|| self.rests(now).then_some(Reason::Resting))
    }

    fn rests(&self, now: Instant) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    fn answered(&mut self) {
        self.down = None;
        self.missed = 0;
    }

    /// One failure however many callers tell of it: only what was usable can fail.
    fn failed(&mut self, reason: Reason, now: Instant) {
        if self.down.is_none() && !self.rests(now) {
            self.failures.push_back(now);
            if self.failures.len() > FAILURES_COUNT_MAX {
                self.failures.pop_front();
            }
            let first = self.failures.front().copied();
            let close = first.is_some_and(|first| now.duration_since(first) <= FAILURES_SPAN);
            if self.failures.len() == FAILURES_COUNT_MAX && close {
                self.rests_until = Some(now + REST);
            }
        }
        self.down = Some(reason);
    }

    fn worth_keeping(&self, now: Instant) -> bool {
        let last = self.failures.back();
        self.seen.is_some() || last.is_some_and(|last| now.duration_since(*last) <= FAILURES_SPAN)
    }
}

impl Marks {
    pub(super) fn hear(&mut self, id: &NodeId, event: Event, now: Instant) {
        let Some(node) = self.nodes.get_mut(id) else {
            return;
        };
        match event {
            Event::Answered => node.answered(),
            Event::Told(phase) => {
                node.answered();
                node.told = Some(phase);
            }
            Event::Reset => node.failed(Reason::Reset, now),
            Event::Silent => node.failed(Reason::Silent, now),
            Event::Missed => {
                node.missed = node.missed.saturating_add(1);
                if node.missed >= MISSED_COUNT_MAX {
                    // What was first found out stays the reason.
                    node.failed(node.down.unwrap_or(Reason::Missed), now);
                }
            }
        }
    }

    pub(super) fn see(&mut self, view: &View, now: Instant) {
        for (id, node) in &mut self.nodes {
            if view.get(id).is_none() {
                node.seen = None;
                node.told = None;
            }
        }
        for seen in view.iter() {
            let life = seen.incarnation;
            let node = self.nodes.entry(seen.member.id.clone());
            let node = node.or_insert_with(|| Node::of(life));
            if node.life != life {
                // A new life owes nothing for the one before.
                *node = Node::of(life);
            }
            let now_seen = Some((life, seen.phase));
            if node.seen != now_seen {
                node.seen = now_seen;
                node.told = None;
            }
        }
        self.nodes.retain(|_, node| node.worth_keeping(now));
    }

    #[cfg(test)]
    pub(super) fn iter_all(&self) -> usize {
        self.nodes.len()
    }

    /// Everybody in the view: why it is masked, and whether an answer would change anything.
    pub(super) fn iter(
        &self,
        now: Instant,
    ) -> impl Iterator<Item = (&NodeId, Option<Reason>, bool)> {
        self.nodes
            .iter()
            .filter(|(_, node)| node.seen.is_some())
            .map(move |(id, node)| {
                let blemished = node.down.is_some() || node.missed > 0;
                (id, node.why(now), blemished)
            })
    }
}
