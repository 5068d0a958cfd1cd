//! Statements, told as lines in and amounts out.

use super::*;
use crate::ledger::line::Outcome;
use crate::ledger::money::BasisPoints;
use crate::ledger::samples::line;

const SHARE: BasisPoints = BasisPoints(1500);
const MINUTE: u64 = 60_000;

fn period() -> Period {
    Period::month("2026-11").unwrap()
}

/// A hit `minutes` into the month that saved so many nano-dollars.
fn hit(number: u128, minutes: f64, saved: u64) -> Line {
    let mut line = line(number);
    let offset = (minutes * MINUTE as f64) as i64;
    line.at = Millis(period().from.0.saturating_add_signed(offset));
    line.outcome = Outcome::Hit;
    (line.cost, line.saved) = (NanoUsd(saved), NanoUsd(saved));
    line.fee = SHARE.of(line.saved);
    line.idempotency = None;
    line
}

fn retried(number: u128, minutes: f64, mark: u8, request: u8) -> Line {
    let marks = (Some([mark; 32]), Some(Key([request; 32])));
    let mut line = hit(number, minutes, 1000);
    (line.idempotency, line.key) = marks;
    line
}

fn statement(lines: &[Line]) -> Statement {
    let mut fold = Fold::new(lines[0].tenant.clone(), period());
    for line in lines {
        fold.add(line);
    }
    fold.finish()
}

#[test]
fn the_parts_sum_to_the_whole_whatever_the_amounts() {
    let models = ["a", "b", "c", "d", "e", "f", "g"];
    let mut seed = 7_u64;
    for embedding in [0, 1, 999, 12_345, u64::MAX >> 2] {
        let lines: Vec<Line> = (0..200)
            .map(|number| {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                let mut line = hit(number, number as f64, seed >> 40);
                line.model = models[(seed >> 33) as usize % models.len()].into();
                line.outcome = Outcome::ALL[(seed >> 20) as usize % 3];
                line.embedding = NanoUsd(if number == 7 { embedding } else { 0 });
                line
            })
            .collect();
        let whole = statement(&lines);
        let share_of_net = SHARE.of(whole.saved.less(whole.embedding));
        let by_outcome: NanoUsd = whole.totals.by_outcome().values().map(|sum| sum.fee).sum();
        let by_model: NanoUsd = whole.totals.by_model().values().map(|sum| sum.fee).sum();
        assert_eq!(
            (by_outcome, by_model),
            (whole.fee, whole.fee),
            "embedding {embedding}"
        );
        assert_eq!(whole.totals.whole().saved, whole.saved);
        assert_eq!(whole.saved, lines.iter().map(|line| line.saved).sum());
        // In the customer's favour, and by no more than a nano-dollar a line.
        assert!(whole.fee <= share_of_net, "{} {share_of_net}", whole.fee);
        assert!(share_of_net.less(whole.fee) <= NanoUsd(lines.len() as u64 + 1));
    }
}

#[test]
fn without_embeddings_the_fee_is_the_sum_of_the_lines_fees() {
    let lines = [hit(1, 0.0, 6), hit(2, 1.0, 7), hit(3, 2.0, 13)];
    let whole = statement(&lines);
    // 15 % of 26 is 3.9; line by line 0 + 1 + 1.
    assert_eq!((whole.saved, whole.fee), (NanoUsd(26), NanoUsd(2)));
}

#[test]
fn embeddings_come_off_the_saving_and_never_turn_it_negative() {
    for (embedding, fee) in [(0, 150), (500, 75), (999, 0), (1000, 0), (5000, 0)] {
        let mut miss = hit(1, 0.0, 0);
        (miss.outcome, miss.embedding) = (Outcome::Miss, NanoUsd(embedding));
        let whole = statement(&[miss, hit(2, 1.0, 1000)]);
        assert_eq!(
            (whole.saved, whole.fee),
            (NanoUsd(1000), NanoUsd(fee)),
            "{embedding}"
        );
    }
}

#[test]
fn retries_are_billed_as_one() {
    for (story, lines, folded, billed) in [
        (
            "no mark, no folding",
            vec![hit(1, 0.0, 1000), hit(2, 0.1, 1000)],
            0,
            2,
        ),
        (
            "a retry",
            vec![retried(1, 0.0, 1, 1), retried(2, 1.0, 1, 1)],
            1,
            1,
        ),
        (
            "another request",
            vec![retried(1, 0.0, 1, 1), retried(2, 1.0, 1, 2)],
            0,
            2,
        ),
        (
            "another mark",
            vec![retried(1, 0.0, 1, 1), retried(2, 1.0, 2, 1)],
            0,
            2,
        ),
        (
            "ten minutes to the dot",
            vec![retried(1, 0.0, 1, 1), retried(2, 10.0, 1, 1)],
            1,
            1,
        ),
        (
            "later than that",
            vec![retried(1, 0.0, 1, 1), retried(2, 10.001, 1, 1)],
            0,
            2,
        ),
        (
            "ten minutes count from the first, not from the last",
            vec![
                retried(1, 0.0, 1, 1),
                retried(2, 9.0, 1, 1),
                retried(3, 18.0, 1, 1),
            ],
            1,
            2,
        ),
        (
            "five at most",
            (0..11).map(|n| retried(n, n as f64 * 0.01, 1, 1)).collect(),
            8,
            3,
        ),
        (
            "a first one before midnight was billed by the month before",
            vec![retried(1, -1.0, 1, 1), retried(2, 1.0, 1, 1)],
            1,
            0,
        ),
        (
            "a group opened anew is closed by its own time",
            (0..6)
                .map(|n| retried(n, n as f64, 1, 1))
                .chain([retried(6, 11.0, 2, 2), retried(7, 12.0, 1, 1)])
                .collect(),
            5,
            3,
        ),
    ] {
        let whole = statement(&lines);
        let inside = lines
            .iter()
            .filter(|line| period().contains(line.at))
            .count() as u64;
        assert_eq!(
            (whole.folded, whole.saved),
            (folded, NanoUsd(billed * 1000)),
            "{story}"
        );
        assert_eq!(
            whole.totals.whole().replies,
            inside,
            "{story}: every reply is still shown"
        );
    }
}

#[test]
fn what_was_not_billable_uses_up_no_retry() {
    let mut lost = retried(1, 0.0, 1, 1);
    (lost.delivered, lost.saved, lost.fee) = (false, NanoUsd::ZERO, NanoUsd::ZERO);
    let whole = statement(&[lost, retried(2, 0.5, 1, 1), retried(3, 1.0, 1, 1)]);
    assert_eq!((whole.folded, whole.saved), (1, NanoUsd(1000)));
}

#[test]
fn lines_of_others_and_of_other_months_add_nothing() {
    let mut other = hit(2, 1.0, 1000);
    other.tenant = "other".into();
    let early = hit(3, -0.001, 1000);
    let mut late = hit(4, 0.0, 1000);
    late.at = period().to;
    let whole = statement(&[hit(1, 0.0, 1000), early, other, late]);
    assert_eq!(
        (whole.totals.whole().replies, whole.saved),
        (1, NanoUsd(1000))
    );
}

#[test]
fn remembered_retries_do_not_outlive_their_window() {
    let tenant = line(0).tenant;
    let mut fold = Fold::new(tenant, period());
    for number in 0..5_000_u64 {
        let mut line = retried(number.into(), number as f64, 1, 1);
        line.key = Some(Key(*blake3::hash(&number.to_le_bytes()).as_bytes()));
        fold.add(&line);
        assert!(fold.groups.len() <= 11 && fold.opened.len() <= 11);
    }
    assert_eq!(fold.finish().folded, 0);
}
