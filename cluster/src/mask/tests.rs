//! What masks a node and what takes the mask off again, as tables.

use super::*;
use crate::node::{Incarnation, Member};
use crate::view::Seen;
use std::time::Duration;

use Event::*;

fn seen(name: &str, life: u64, phase: Phase) -> Seen {
    Seen {
        member: Member {
            id: NodeId::from(name),
            region: "".into(),
            zone: "".into(),
            weight: Member::WEIGHT,
        },
        incarnation: Incarnation(life),
        phase,
        address: ([127, 0, 0, 1], 1).into(),
        replica: 1,
    }
}

/// A mask of the nodes `a` and `b`, both ready, and a clock that only the story moves.
struct Story {
    mask: Mask,
    now: Instant,
    a: NodeId,
}

impl Story {
    fn new() -> Story {
        #[expect(
            clippy::disallowed_methods,
            reason = "any instant will do to begin with"
        )]
        let now = Instant::from_std(std::time::Instant::now());
        let view = View::of([seen("a", 1, Phase::Ready), seen("b", 1, Phase::Ready)]);
        Story {
            mask: Mask::of(&view, now),
            now,
            a: NodeId::from("a"),
        }
    }

    fn hear(&self, events: &[Event]) -> Option<Reason> {
        for event in events {
            self.mask.hear(&self.a, *event, self.now);
        }
        self.why()
    }

    fn see(&self, life: u64, phase: Phase) -> Option<Reason> {
        let view = View::of([seen("a", life, phase), seen("b", 1, Phase::Ready)]);
        self.mask.see(&view, self.now);
        self.why()
    }

    fn lose(&self) -> Option<Reason> {
        let view = View::of([seen("b", 1, Phase::Ready)]);
        self.mask.see(&view, self.now);
        self.why()
    }

    fn pass(&mut self, millis: u64) -> Option<Reason> {
        self.now += Duration::from_millis(millis);
        self.mask.pass(self.now);
        self.why()
    }

    /// What it says of `a`; `b` is never concerned.
    fn why(&self) -> Option<Reason> {
        let why = self.mask.why(&self.a);
        assert_eq!(self.mask.usable(&self.a), why.is_none());
        assert!(self.mask.usable(&NodeId::from("b")));
        why
    }
}

#[test]
fn who_failed_is_masked_until_it_answers() {
    for (events, reason) in [
        (&[Reset][..], Reason::Reset),
        (&[Silent], Reason::Silent),
        (&[Missed, Missed], Reason::Missed),
        (&[Reset, Missed, Missed, Missed], Reason::Reset),
        (&[Reset, Silent], Reason::Silent),
    ] {
        for answer in [Answered, Told(Phase::Ready)] {
            let mut story = Story::new();
            assert_eq!(story.why(), None);
            assert_eq!(story.hear(events), Some(reason), "{events:?}");
            assert_eq!(story.pass(3_600_000), Some(reason), "time does not heal");
            assert_eq!(story.hear(&[answer]), None);
        }
    }
}

#[test]
fn one_missed_ping_is_forgiven_and_two_in_a_row_are_not() {
    let story = Story::new();
    assert_eq!(story.hear(&[Missed]), None);
    assert_eq!(story.hear(&[Answered, Missed]), None);
    assert_eq!(story.hear(&[Told(Phase::Ready), Missed]), None);
    assert_eq!(story.hear(&[Missed]), Some(Reason::Missed));
}

#[test]
fn the_third_failure_in_ten_seconds_brings_a_rest_whatever_it_answers() {
    let mut story = Story::new();
    for _ in 0..2 {
        story.hear(&[Reset]);
        assert_eq!(story.hear(&[Answered]), None);
        story.pass(4_000);
    }
    assert_eq!(story.hear(&[Silent]), Some(Reason::Silent));
    assert_eq!(story.hear(&[Answered]), Some(Reason::Resting));
    assert_eq!(story.hear(&[Told(Phase::Ready)]), Some(Reason::Resting));
    assert_eq!(story.pass(1_999), Some(Reason::Resting));
    assert_eq!(story.pass(1), None);
    // The two before are still remembered: it takes but one more.
    story.hear(&[Missed, Missed, Answered]);
    assert_eq!(story.why(), Some(Reason::Resting));
}

#[test]
fn a_rest_ends_no_other_mask() {
    let mut story = Story::new();
    story.hear(&[Reset, Answered, Reset, Answered, Reset]);
    assert_eq!(story.why(), Some(Reason::Reset));
    assert_eq!(story.pass(2_000), Some(Reason::Reset));
    assert_eq!(story.hear(&[Answered]), None);
}

#[test]
fn failures_far_apart_bring_no_rest() {
    let mut story = Story::new();
    for _ in 0..10 {
        story.hear(&[Reset]);
        assert_eq!(story.hear(&[Answered]), None);
        story.pass(5_001);
    }
}

#[test]
fn one_reset_told_by_a_hundred_callers_is_one_failure() {
    let story = Story::new();
    for _ in 0..2 {
        story.hear(&[Reset; 100]);
        assert_eq!(story.hear(&[Answered]), None);
    }
    story.hear(&[Reset; 100]);
    assert_eq!(story.hear(&[Answered]), Some(Reason::Resting));
}

#[test]
fn who_strays_into_a_rest_does_not_make_it_longer() {
    let mut story = Story::new();
    story.hear(&[Reset, Answered, Reset, Answered, Reset, Answered]);
    story.pass(1_500);
    story.hear(&[Reset, Answered, Reset, Answered]);
    assert_eq!(story.pass(500), None);
}

#[test]
fn only_who_is_ready_is_asked() {
    let story = Story::new();
    assert_eq!(story.see(1, Phase::Draining), Some(Reason::Draining));
    assert_eq!(story.hear(&[Answered]), Some(Reason::Draining));
    assert_eq!(story.lose(), Some(Reason::Gone));
    assert_eq!(story.hear(&[Answered]), Some(Reason::Gone));
    assert_eq!(story.see(2, Phase::Joining), Some(Reason::Joining));
    assert_eq!(story.see(2, Phase::Ready), None);
    assert_eq!(story.mask.why(&NodeId::from("c")), Some(Reason::Gone));
}

#[test]
fn what_a_node_tells_itself_is_fresher_than_the_rumour() {
    let story = Story::new();
    assert_eq!(story.hear(&[Told(Phase::Draining)]), Some(Reason::Draining));
    // The same rumour again, because something else in the view is new.
    assert_eq!(story.see(1, Phase::Ready), Some(Reason::Draining));
    assert_eq!(story.see(1, Phase::Draining), Some(Reason::Draining));
    // It was called back.
    assert_eq!(story.see(1, Phase::Ready), None);
    story.see(2, Phase::Joining);
    assert_eq!(story.hear(&[Told(Phase::Ready)]), None);
}

#[test]
fn a_new_life_owes_nothing() {
    let story = Story::new();
    story.hear(&[Reset, Answered, Reset, Answered, Reset]);
    assert_eq!(story.see(2, Phase::Ready), None);
    // And a life that left the view and came back does.
    story.hear(&[Silent]);
    assert_eq!(story.lose(), Some(Reason::Gone));
    assert_eq!(story.see(2, Phase::Ready), Some(Reason::Silent));
}

#[test]
fn the_gone_are_forgotten_and_strangers_never_kept() {
    let mut story = Story::new();
    let kept = |story: &Story| story.mask.marks.lock().unwrap().iter_all();
    story.mask.hear(&NodeId::from("nobody"), Reset, story.now);
    assert_eq!(kept(&story), 2);
    story.hear(&[Reset]);
    story.lose();
    assert_eq!(kept(&story), 2, "it may be back in a moment");
    story.pass(10_001);
    story.lose();
    assert_eq!(kept(&story), 1);
    assert_eq!(story.see(1, Phase::Ready), None);
}

#[test]
fn an_answer_of_an_unblemished_node_takes_no_lock() {
    let story = Story::new();
    let held = story.mask.marks.lock().unwrap();
    assert_eq!(story.hear(&[Answered; 1_000]), None);
    drop(held);
}
