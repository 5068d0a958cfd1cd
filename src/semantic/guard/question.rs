//! What is asked: who, when, where, why, how many. "What" and "how" ask for anything.

use std::sync::LazyLock;

use super::Reading;
use super::mark::Table;
use super::unit;
use super::word;

/// What a prompt asks, one bit each.
pub(super) type Questions = u16;

const WHO: u16 = 1;
const WHEN: u16 = 2;
const WHERE: u16 = 4;
const WHY: u16 = 8;
const MANY: u16 = 1 << 4;
const MUCH: u16 = 1 << 5;
const LONG: u16 = 1 << 6;

/// What follows "how", in the order of the bits from [`MANY`] on.
const HOW: [&str; 12] = [
    "many", "much", "long", "often", "old", "far", "big", "tall", "heavy", "loud", "fast", "deep",
];

pub(super) fn read(reading: &Reading<'_>) -> Questions {
    let words = reading
        .tokens
        .iter()
        .filter_map(|token| WORDS.get(token.mark));
    let asked = words.fold(0, |asked, one| asked | one);
    let text = |at: usize| reading.tokens.get(at).map_or("", |token| token.text);
    let hows = (0..reading.tokens.len()).filter(|at| text(*at) == "how");
    let how = hows
        .into_iter()
        .find_map(|at| how(text(at + 1), text(at + 2)));
    let counted = || if counts_of(reading) { MANY | MUCH } else { 0 };
    asked | how.unwrap_or_else(counted)
}

fn how(what: &str, of: &str) -> Option<u16> {
    let what = match what {
        "large" | "wide" => "big",
        "high" => "tall",
        what => what,
    };
    let at = HOW.iter().position(|word| *word == what)?;
    let asked = MANY << at;
    // How many years is how long, too.
    let time = ["second", "minute", "hour", "day", "week", "month", "year"];
    let spans = asked == MANY && time.iter().any(|unit| of.strip_suffix('s') == Some(unit));
    Some(if spans { MANY | LONG } else { asked })
}

/// "the number of", "count of"; not "the routing number of".
fn counts_of(reading: &Reading<'_>) -> bool {
    (0..reading.tokens.len()).any(|at| is_count_of(reading, at))
}

fn is_count_of(reading: &Reading<'_>, at: usize) -> bool {
    let text = |at: usize| reading.tokens.get(at).map_or("", |token| token.text);
    let counts =
        matches!(text(at), "number" | "count" | "total" | "amount") && text(at + 1) == "of";
    counts
        && at
            .checked_sub(1)
            .and_then(|before| reading.tokens.get(before))
            .is_none_or(|before| {
                word::is_stop(before.mark) || before.text == "total" || !before.speaks()
            })
}

/// Whether a number of things is wanted, not the things.
pub(super) fn wants_a_count(reading: &Reading<'_>) -> bool {
    let mut words = reading.tokens.iter().enumerate();
    words.any(|(at, token)| {
        let next = reading.tokens.get(at + 1).map_or("", |token| token.text);
        match token.text {
            "count" => at == 0 || matches!(next, "of" | "the" | "all" | "how"),
            "cuántos" | "cuántas" => !reading
                .tokens
                .get(at + 1)
                .is_some_and(|token| unit::is(token.mark)),
            // How many miles that is, is a measure, no count.
            "how" => {
                next == "many" && !reading.tokens.get(at + 2).is_some_and(|t| unit::is(t.mark))
            }
            "number" | "total" => is_count_of(reading, at),
            "wie" => next == "viele",
            "combien" => next == "de",
            _ => false,
        }
    }) || reading.low.replace("多少钱", "").contains("多少")
}

/// Whether both sides ask, and for things of other kinds. How many may be how much, and how
/// long: "how many days".
pub(super) fn exclude(a: Questions, b: Questions) -> bool {
    let alike = |amounts: u16| a & amounts != 0 && b & amounts != 0;
    differ(a, b) && !alike(MANY | MUCH) && !alike(MANY | LONG)
}

/// Whether both sides ask, and nothing that both ask.
pub(super) fn differ(a: Questions, b: Questions) -> bool {
    a != 0 && b != 0 && a & b == 0
}

static WORDS: LazyLock<Table<u16>> = LazyLock::new(|| {
    Table::of([
        ("who whom whose quién wer", WHO),
        ("when cuándo wann quand", WHEN),
        ("where dónde wo où", WHERE),
        ("why warum wieso weshalb pourquoi", WHY),
    ])
});
