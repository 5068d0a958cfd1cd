//! What is asked of many: their average, their sum, the largest, the smallest, the first, the last.

use std::sync::LazyLock;

use super::Reading;
use super::mark::Table;

const AVERAGE: u8 = 1;
const SUM: u8 = 2;
const MOST: u8 = 4;
const LEAST: u8 = 8;
const FIRST: u8 = 16;
const LAST: u8 = 32;

/// The aggregates a prompt asks for, one bit each.
pub(super) fn read(reading: &Reading<'_>) -> u8 {
    let text = |at: usize| reading.tokens.get(at).map_or("", |token| token.text);
    let (mut asked, mut before) = (0, "");
    for (at, token) in reading.tokens.iter().enumerate() {
        let after = text(at + 1);
        let found = match (before, token.text, after) {
            // "at least" counts, it does not choose.
            ("at", "least" | "most", _) => 0,
            (_, "top", "up") => 0,
            (_, "mean", _) if !is_noun(before, after) => 0,
            (_, "most", "expensive") | (_, "highest", "price" | "cost") => {
                asked &= !LEAST;
                MOST
            }
            _ => AGGREGATES.get(token.mark).unwrap_or(0),
        };
        asked |= found;
        before = token.text;
    }
    // From smallest to largest: an order, not a choice.
    if asked & (MOST | LEAST) == MOST | LEAST {
        asked & !(MOST | LEAST)
    } else {
        asked
    }
}

/// Whether "mean" is the average here and no verb.
fn is_noun(before: &str, after: &str) -> bool {
    matches!(
        before,
        "the" | "a" | "and" | "arithmetic" | "geometric" | "sample" | "weighted"
    ) || matches!(after, "of" | "value" | "and")
}

static AGGREGATES: LazyLock<Table<u8>> = LazyLock::new(|| {
    Table::of([
        ("average avg mean durchschnitt promedio moyenne", AVERAGE),
        ("sum total overall altogether summe suma somme", SUM),
        (
            "most highest largest longest greatest maximum max biggest tallest top heaviest",
            MOST,
        ),
        ("oldest fastest best", MOST),
        (
            "least lowest smallest shortest fewest minimum min cheapest lightest youngest",
            LEAST,
        ),
        ("slowest worst", LEAST),
        ("first earliest", FIRST),
        ("latest newest", LAST),
    ])
});
