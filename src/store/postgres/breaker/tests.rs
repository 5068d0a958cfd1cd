//! The breaker's life, told in calls and moments.

use super::*;

const fn at(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn pass(breaker: &mut Breaker, now: Duration) -> Ticket {
    match breaker.admit(now) {
        Admission::Pass(ticket) => ticket,
        other => panic!("{other:?} at {now:?}"),
    }
}

fn probe(breaker: &mut Breaker, now: Duration) -> Ticket {
    match breaker.admit(now) {
        Admission::Probe(ticket) => ticket,
        other => panic!("{other:?} at {now:?}"),
    }
}

/// One call that ends at once.
fn call(breaker: &mut Breaker, now: Duration, well: bool) -> Option<Change> {
    let ticket = pass(breaker, now);
    breaker.settle(now, ticket, well)
}

/// A breaker that opened at `now`, and its pause.
fn opened(now: Duration, seed: u64) -> (Breaker, Duration) {
    let mut breaker = Breaker::new(seed);
    for _ in 1..IN_A_ROW {
        assert_eq!(call(&mut breaker, now, false), None);
    }
    match call(&mut breaker, now, false) {
        Some(Change::Opened { pause }) => (breaker, pause),
        other => panic!("{other:?}"),
    }
}

fn assert_about(pause: Duration, expected: Duration) {
    let least = expected * (100 - JITTER_PERCENT as u32) / 100;
    let most = expected * (100 + JITTER_PERCENT as u32) / 100;
    assert!(
        (least..=most).contains(&pause),
        "{pause:?} is not about {expected:?}"
    );
}

#[test]
fn five_failures_in_a_row_open_it_and_a_success_begins_the_row_anew() {
    let mut breaker = Breaker::new(1);
    for well in [false, false, false, false, true, false, false, false, false] {
        assert_eq!(call(&mut breaker, at(10), well), None);
    }
    assert!(matches!(
        call(&mut breaker, at(10), false),
        Some(Change::Opened { .. })
    ));
    assert_eq!(breaker.admit(at(11)), Admission::Refused);
    assert!(!breaker.is_closed());
}

#[test]
fn half_of_twenty_calls_in_ten_seconds_open_it() {
    // (calls before, each second failing with well ones between; does the last failure open it)
    for (story, every, calls, opens) in [
        ("every second one fails, twenty calls", 2, 20, true),
        ("every second one fails, nineteen calls", 2, 19, false),
        ("every third one fails, sixty calls", 3, 60, false),
    ] {
        let mut breaker = Breaker::new(1);
        let mut changes = (1..=calls).filter_map(|n| call(&mut breaker, at(n), n % every != 0));
        assert_eq!(changes.next().is_some(), opens, "{story}");
    }
}

#[test]
fn what_is_long_past_does_not_count() {
    let mut breaker = Breaker::new(1);
    // Nine failures among eighteen in the first second, eleven seconds later two more calls.
    for n in 0..18 {
        assert_eq!(call(&mut breaker, at(n), n % 2 == 0), None);
    }
    for n in 0..2 {
        assert_eq!(call(&mut breaker, at(11_000 + n), n == 0), None);
    }
    // The same within the window does open it.
    let mut breaker = Breaker::new(1);
    let last = (0..20).filter_map(|n| call(&mut breaker, at(n * 450), n % 2 == 0));
    assert_eq!(last.count(), 1);
}

#[test]
fn one_probe_goes_after_the_pause_and_decides_for_all() {
    let (mut breaker, pause) = opened(at(1_000), 3);
    assert_about(pause, PAUSE_FIRST);
    let due = at(1_000) + pause;
    assert_eq!(breaker.admit(due - at(1)), Admission::Refused);
    let ticket = probe(&mut breaker, due);
    assert_eq!(breaker.admit(due + at(9)), Admission::Refused, "one alone");
    let change = breaker.settle(due + at(20), ticket, true);
    let after = pause + at(20);
    assert_eq!(change, Some(Change::Closed { after }));
    assert!(breaker.is_closed());
    assert_eq!(call(&mut breaker, due + at(30), false), None, "a new row");
}

#[test]
fn pauses_double_up_to_their_maximum_and_say_nothing_more() {
    let (mut breaker, mut pause) = opened(at(0), 7);
    let (mut now, mut expected) = (at(0), PAUSE_FIRST);
    for _ in 0..8 {
        assert_about(pause, expected);
        now += pause;
        let ticket = probe(&mut breaker, now);
        assert_eq!(breaker.settle(now, ticket, false), None, "no line a probe");
        expected = (expected * 2).min(PAUSE_MAX);
        // Found by asking until it is let through.
        pause = (1..)
            .map(at)
            .find(|wait| matches!(breaker.admit(now + *wait), Admission::Probe(_)))
            .unwrap();
        // That probe fails too, so that the next round begins where this one did.
        let ticket = Ticket(breaker.round);
        let _ = breaker.settle(now + pause, ticket, false);
        assert_about(pause, expected);
        now += pause;
        expected = (expected * 2).min(PAUSE_MAX);
        pause = (1..)
            .map(at)
            .find(|wait| {
                let State::Open { until, .. } = breaker.state else {
                    panic!("not open")
                };
                now + *wait >= until
            })
            .unwrap();
    }
    assert_eq!(expected, PAUSE_MAX);
}

#[test]
fn a_relapse_pauses_longer_and_a_steady_server_is_forgiven() {
    for (well_for, expected) in [(at(3_000), PAUSE_FIRST * 2), (at(60_000), PAUSE_FIRST)] {
        let (mut breaker, pause) = opened(at(0), 11);
        let ticket = probe(&mut breaker, pause);
        assert!(breaker.settle(pause, ticket, true).is_some());
        let now = pause + well_for;
        let mut changes = (0..IN_A_ROW).filter_map(|_| call(&mut breaker, now, false));
        let Some(Change::Opened { pause }) = changes.next() else {
            panic!("did not open")
        };
        assert_about(pause, expected);
    }
}

#[test]
fn calls_of_an_earlier_time_say_nothing() {
    let mut breaker = Breaker::new(1);
    let early = pass(&mut breaker, at(0));
    let also = pass(&mut breaker, at(0));
    for _ in 0..IN_A_ROW {
        call(&mut breaker, at(1), false);
    }
    assert_eq!(breaker.settle(at(2), early, true), None);
    assert!(!breaker.is_closed(), "an old success does not close it");
    let ticket = probe(&mut breaker, at(4_000));
    assert_eq!(breaker.settle(at(4_000), also, false), None);
    assert!(
        breaker.settle(at(4_001), ticket, true).is_some(),
        "nor does an old failure undo the probe"
    );
}

#[test]
fn it_can_be_opened_for_what_is_known_otherwise() {
    let mut breaker = Breaker::new(1);
    assert!(breaker.trip(at(0)).is_some());
    assert_eq!(breaker.trip(at(1)), None, "once");
    assert_eq!(breaker.admit(at(1)), Admission::Refused);
}

#[test]
fn two_nodes_do_not_come_back_together() {
    let pauses: std::collections::BTreeSet<Duration> =
        (0..32).map(|seed| opened(at(0), seed).1).collect();
    assert!(pauses.len() > 16, "{} different pauses", pauses.len());
}
