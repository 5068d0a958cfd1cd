//! The learner against tables, and against traffic whose truth is known.

use super::*;
use crate::answer::stamp::Millis;
use crate::ledger::line::LineId;
use crate::semantic::guard::Rules;

fn label(entry: u8, similarity_bp: u16, wrong: bool, weight: u16) -> Label {
    Label {
        id: LineId(0),
        at: Millis(0),
        tenant: "t".into(),
        namespace: "".into(),
        policy: "".into(),
        entry: Some(Key([entry; 32])),
        similarity_bp: Some(similarity_bp),
        verdict: if wrong {
            Verdict::Wrong
        } else {
            Verdict::Right
        },
        judge: Judge::Node,
        weight,
    }
}

/// One that no label is about.
const NEW: Key = Key([255; 32]);

fn taught(labels: &[(u16, usize, usize)]) -> Learner {
    let mut learner = Learner::default();
    for (similarity_bp, right, wrong) in labels {
        for n in 0..right + wrong {
            // An entry each, so that what is learned of entries is not in the way.
            let mut label = label(0, *similarity_bp, n < *wrong, 1);
            label.entry = None;
            learner.learn(&label);
        }
    }
    learner
}

#[test]
fn the_bar_is_the_lowest_that_is_surely_right_often_enough() {
    for (what, labels, aim_bp, bar) in [
        ("nothing is known", &[][..], 500, Some(9_500)),
        ("too little is known", &[(9_700, 20, 0)], 500, Some(9_500)),
        ("all is right", &[(8_000, 100, 0)], 500, Some(8_000)),
        (
            "right, and not below the least",
            &[(7_100, 500, 0)],
            500,
            Some(9_500),
        ),
        (
            "right above, wrong below",
            &[(9_200, 100, 0), (8_200, 50, 50)],
            500,
            Some(9_200),
        ),
        (
            "too few to be sure of 2 %",
            &[(9_200, 30, 0)],
            200,
            Some(9_500),
        ),
        (
            "enough to be sure of 2 %",
            &[(9_200, 60, 0)],
            200,
            Some(9_200),
        ),
        ("wrong even when near", &[(9_600, 60, 20)], 500, Some(9_900)),
        ("wrong even when the same", &[(10_000, 60, 20)], 500, None),
    ] {
        assert_eq!(taught(labels).bar(aim_bp), bar, "{what}");
    }
}

#[test]
fn an_entry_has_a_bar_of_its_own() {
    let base = [(9_000, 100, 0)];
    for (what, seen, bar) in [
        ("never judged", &[][..], Some(9_000)),
        ("confirmed once", &[(9_100, false)], Some(9_000)),
        ("confirmed twice", &[(9_100, false); 2], Some(8_700)),
        ("confirmed for ever", &[(9_100, false); 9], Some(8_400)),
        ("wrong", &[(9_100, true)], None),
        (
            "wrong, and right as often",
            &[(9_100, true), (9_300, false)],
            None,
        ),
        (
            "wrong, and right three times",
            &[
                (9_100, true),
                (9_300, false),
                (9_300, false),
                (9_300, false),
            ],
            Some(9_300),
        ),
    ] {
        let mut learner = taught(&base);
        for (similarity_bp, wrong) in seen {
            learner.seen(Key([1; 32]), *similarity_bp, *wrong);
        }
        assert_eq!(learner.bar_of(Key([1; 32]), 500), bar, "{what}");
        assert_eq!(learner.bar_of(NEW, 500), Some(9_000), "{what}: others");
    }
}

#[test]
fn entries_are_remembered_so_far_and_no_farther() {
    let mut learner = Learner::default();
    for n in 0..ENTRIES_MAX as u32 + 10 {
        let mut key = [0; 32];
        key[..4].copy_from_slice(&n.to_le_bytes());
        learner.seen(Key(key), 9_000, true);
    }
    assert_eq!(
        (learner.entries.len(), learner.order.len()),
        (ENTRIES_MAX, ENTRIES_MAX)
    );
    assert!(!learner.entries.contains_key(&0), "the oldest");
}

#[test]
fn the_first_are_judged_and_then_one_of_twenty() {
    let mut learner = taught(&[(9_000, 100, 0)]);
    for _ in 0..SHADOWED_COUNT {
        assert_eq!(learner.decide(NEW, 9_400, 0, 500), Decision::Sample(1));
    }
    assert_eq!(learner.decide(NEW, 8_900, 0, 500), Decision::Miss);
    assert_eq!(
        learner.decide(NEW, 9_400, 9_700, 500),
        Decision::Miss,
        "a caller's own bar"
    );
    let mut sampled = 0;
    for _ in 0..20_000 {
        match learner.decide(NEW, 9_400, 0, 500) {
            Decision::Sample(weight) => {
                assert_eq!(weight, SAMPLED_ONE_OF);
                sampled += 1;
            }
            decision => assert_eq!(decision, Decision::Serve),
        }
    }
    assert!((980..1_020).contains(&sampled), "{sampled}");
    // Who was met before is not met for the first time.
    let mut again = Learner::default();
    for _ in 0..SHADOWED_COUNT {
        again.remember(&label(1, 9_400, false, 1));
    }
    assert!(matches!(
        again.decide(NEW, 9_600, 0, 500),
        Decision::Serve | Decision::Sample(20)
    ));
}

#[test]
fn an_aim_below_the_judges_own_error_is_refused() {
    let mut learner = taught(&[(8_000, 500, 0)]);
    for n in 0..100 {
        let again = Label {
            similarity_bp: None,
            entry: None,
            ..label(0, 0, n < 3, 1)
        };
        learner.learn(&again);
    }
    let report = |aim_bp| learner.report("t".into(), "".into(), aim_bp);
    assert!(report(200).refused && !report(500).refused);
    assert_eq!((report(200).bar, report(500).bar), (Some(0.95), Some(0.80)));
    assert_eq!(report(200).judge_error, Some(0.03));
    // What callers say of answers to their own questions is not about the judge.
    let mut spoken = Learner::default();
    for _ in 0..100 {
        spoken.learn(&Label {
            similarity_bp: None,
            judge: Judge::Caller,
            ..label(0, 0, true, 1)
        });
    }
    assert!(!spoken.is_refused(1));
}

#[test]
fn the_interval_is_wilsons() {
    let (low, high) = wilson(0.1, 100.0, 1.96);
    assert!(
        (low - 0.0552).abs() < 1e-3 && (high - 0.1744).abs() < 1e-3,
        "{low} {high}"
    );
    assert_eq!(wilson(0.0, 50.0, 1.96).0, 0.0);
}

/// Traffic in which a candidate is right with a chance that grows with how near it is.
struct Traffic {
    state: u64,
    /// The similarity at which half are right, and how steep it goes there.
    half: f64,
    steep: f64,
    /// How many are wrong however near.
    floor: f64,
    /// How often the judge errs.
    noise: f64,
}

impl Traffic {
    fn draw(&mut self) -> f64 {
        self.state = self
            .state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.state >> 33) as f64 / (1_u64 << 31) as f64
    }

    /// Hits and wrong ones of the second half of so many look-ups; the learner after them.
    fn run(&mut self, count: usize, aim_bp: u16) -> (usize, usize, Learner) {
        let (mut learner, mut hits, mut wrongs) = (Learner::default(), 0, 0);
        for n in 0..count {
            let similarity = 0.70 + 0.30 * self.draw();
            let right = (1.0 - self.floor) / (1.0 + (-(similarity - self.half) * self.steep).exp());
            let wrong = self.draw() >= right;
            let entry = (self.draw() * 5_000.0) as u32;
            let mut key = [0; 32];
            key[..4].copy_from_slice(&entry.to_le_bytes());
            let similarity_bp = (similarity * 10_000.0) as u16;
            let decision = learner.decide(Key(key), similarity_bp, 0, aim_bp);
            let weight = match decision {
                Decision::Serve => {
                    hits += usize::from(n > count / 2);
                    wrongs += usize::from(n > count / 2 && wrong);
                    continue;
                }
                Decision::Sample(weight) => weight,
                Decision::Miss => 1,
            };
            let said = wrong != (self.draw() < self.noise);
            learner.learn(&Label {
                entry: Some(Key(key)),
                ..label(0, similarity_bp, said, weight)
            });
        }
        (hits, wrongs, learner)
    }
}

#[test]
fn what_is_served_is_wrong_no_more_often_than_aimed_at() {
    let count = 20_000;
    for (what, half, steep, floor, noise, hits_min) in [
        ("easy", 0.75, 60.0, 0.0, 0.0, 3_000),
        ("as it often is", 0.85, 60.0, 0.005, 0.0, 1_000),
        ("steep and far", 0.95, 100.0, 0.0, 0.0, 50),
        ("nothing is right", 2.0, 10.0, 0.0, 0.0, 0),
        ("one in ten is wrong however near", 0.80, 60.0, 0.10, 0.0, 0),
        ("a judge that errs", 0.75, 60.0, 0.0, 0.02, 500),
    ] {
        for seed in [3, 5, 7] {
            let mut traffic = Traffic {
                state: seed,
                half,
                steep,
                floor,
                noise,
            };
            let (hits, wrongs, learner) = traffic.run(count, 500);
            let share = wrongs as f64 / hits.max(1) as f64;
            let report = learner.report("t".into(), "".into(), 500);
            println!("{what} ({seed}): {hits} hits, {share:.4} wrong, {report:?}");
            assert!(hits >= hits_min, "{what}: {hits} hits");
            // A few hits say nothing about a rate.
            assert!(hits < 60 || share <= 0.05 * 1.3, "{what}: {share}");
            if let Some([low, _, high]) = report.wrong_share.filter(|_| hits > 500) {
                // A judge that errs calls right ones wrong more often than the reverse.
                let low = if noise > 0.0 { 0.0 } else { low };
                let inside = low - 0.01 <= share && share <= high + 0.01;
                assert!(inside, "{what}: {share}, {report:?}");
            }
        }
    }
}

#[test]
fn answers_are_compared_by_what_they_say() {
    let rules = Rules::of(&crate::policy::Guard::default());
    for (one, other, expected) in [
        ("Blue.", "  blue ", Sameness::Same),
        (
            r#"{"a": 1, "b": [2]}"#,
            r#"{"b":[2],"a":1}"#,
            Sameness::Same,
        ),
        (r#"{"a": 1}"#, r#"{"a": 2}"#, Sameness::Different),
        (
            "It costs 5 euros.",
            "It costs 7 euros.",
            Sameness::Different,
        ),
        ("Yes, you can.", "Yes, you can do that.", Sameness::Open),
    ] {
        assert_eq!(compare(one, other, &rules), expected, "{one} / {other}");
    }
    let chat = br#"{"choices":[{"message":{"role":"assistant","content":"hi"}}]}"#;
    assert_eq!(said(chat).as_deref(), Some("hi"));
    assert_eq!(
        said(br#"{"choices":[{"text":"hi"}]}"#).as_deref(),
        Some("hi")
    );
    for none in [
        &br#"{"choices":[]}"#[..],
        br#"{"choices":[{"text":"a"},{"text":"b"}]}"#,
        br#"{"choices":[{"message":{"content":"x","tool_calls":[{}]}}]}"#,
        b"junk",
    ] {
        assert_eq!(said(none), None);
    }
}
