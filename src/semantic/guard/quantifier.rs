//! How many are meant: at least, at most, each, only, both, either; and whether things are joined
//! by "and" or by "or".

use super::Reading;

/// What a prompt says, one bit each.
pub(super) type Quantifiers = u16;

const ONLY: u16 = 1;
const EACH: u16 = 2;
const AT_LEAST: u16 = 4;
const AT_MOST: u16 = 8;
const MORE: u16 = 16;
const LESS: u16 = 32;
const EXACTLY: u16 = 64;
const INSTEAD: u16 = 128;
const BOTH: u16 = 256;
const EITHER: u16 = 512;
const AND: u16 = 1024;
const OR: u16 = 2048;
const ALL: u16 = 4096;
const THAN: u16 = 8192;
const BETWEEN: u16 = 16384;

/// Those that are compared one by one; the others say how things are joined.
const COUNTING: u16 = ONLY | EACH | AT_LEAST | AT_MOST | MORE | LESS | EXACTLY | INSTEAD;

pub(super) fn read(reading: &Reading<'_>) -> Quantifiers {
    let text = |at: usize| reading.tokens.get(at).map_or("", |token| token.text);
    let mut found = 0;
    let mut at = 0;
    while at < reading.tokens.len() {
        let (what, words) = phrase(text(at), text(at + 1), text(at + 2));
        found |= what;
        at += words;
    }
    found
}

/// Whether a word by itself says how many are meant.
pub(super) fn is(word: &str) -> bool {
    phrase(word, "", "").0 != 0
}

/// What the words say that stand at one place, and how many of them say it.
fn phrase(one: &str, two: &str, three: &str) -> (u16, usize) {
    match (one, two, three) {
        ("no", "more", "than") => (AT_MOST, 3),
        ("no", "less" | "fewer", "than") => (AT_LEAST, 3),
        ("at", "least", _) | ("or", "more" | "higher" | "above" | "over", _) => (AT_LEAST, 2),
        ("at", "most", _) | ("up", "to", _) => (AT_MOST, 2),
        ("or", "less" | "fewer" | "lower" | "below" | "under", _) => (AT_MOST, 2),
        ("instead", "of", _) => (INSTEAD, 2),
        (more, "than", _) | (more, _, "than") if comparative(more) != 0 => (comparative(more), 1),
        ("only", ..) => (ONLY, 1),
        ("each" | "every" | "per" | "hourly" | "daily" | "weekly" | "monthly" | "yearly", ..)
        | ("annual" | "annually", ..) => (EACH, 1),
        ("all", ..) => (ALL, 1),
        ("between", ..) => (BETWEEN, 1),
        ("than", ..) => (THAN, 1),
        ("exactly", ..) => (EXACTLY, 1),
        ("both", ..) => (BOTH, 1),
        ("either", ..) => (EITHER, 1),
        ("and", ..) => (AND, 1),
        ("or", ..) => (OR, 1),
        _ => (0, 1),
    }
}

/// Which way a comparative points: up, down, or nowhere.
fn comparative(word: &str) -> u16 {
    match word {
        "more" | "higher" | "greater" | "larger" | "bigger" | "longer" | "taller" | "older"
        | "heavier" | "faster" => MORE,
        "less" | "fewer" | "lower" | "smaller" | "shorter" | "cheaper" | "younger" | "lighter"
        | "slower" => LESS,
        _ => 0,
    }
}

/// Whether each side counts in a way that the other does not.
pub(super) fn differ(a: Quantifiers, b: Quantifiers) -> bool {
    a & !b & COUNTING != 0 && b & !a & COUNTING != 0
}

/// Whether one side counts where the other does not. "All" may stand for "every", and any
/// comparative for "more" and "less".
pub(super) fn one_sided(a: Quantifiers, b: Quantifiers) -> bool {
    let everything = if (a | b) & ALL != 0 { EACH } else { 0 };
    let compared = if a & b & THAN != 0 { MORE | LESS } else { 0 };
    (a ^ b) & COUNTING & !(everything | compared) != 0
}

/// Whether one side joins by "and" what the other parts by "or". "Between a and b" is a choice.
pub(super) fn joined_otherwise(a: Quantifiers, b: Quantifiers) -> bool {
    let chosen = |a: u16, b: u16| a & BOTH != 0 && b & EITHER != 0;
    chosen(a, b) || chosen(b, a) || (a ^ b) & (AND | OR) == AND | OR && (a | b) & BETWEEN == 0
}
