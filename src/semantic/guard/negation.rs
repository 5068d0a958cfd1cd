//! Whether a prompt denies: "without", "doesn't", "gluten-free". Two prompts of nearly the same
//! words, one of which denies, are opposites.

use std::sync::LazyLock;

use super::Reading;
use super::mark::{Mark, Table};
use super::token::{Kind, Token};

/// Whether a word denies by itself.
pub(super) fn is_negator(text: &str, mark: Mark) -> bool {
    NEGATORS.has(mark) || text.ends_with("n't") || text == "non"
}

/// Whether the prompt denies more than it takes back ("or not").
pub(super) fn read(reading: &Reading<'_>) -> bool {
    let tokens = &reading.tokens;
    let mut count = 0_i32;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", |token| token.text);
        count += i32::from(is_negator(token.text, token.mark) || is_free_of(tokens, at));
        count += i32::from(PAIRS.contains(&(token.text, next)) || token.text == "unless");
        count += i32::from(token.kind == Kind::Han && HAN.contains(token.text));
    }
    count -= i32::from(leaves_open(tokens));
    count -= han_questions(reading.low);
    count > 0
}

/// "gluten-free", which is cut into three.
fn is_free_of(tokens: &[Token<'_>], at: usize) -> bool {
    let before = at.checked_sub(1).map(|before| tokens[before].text);
    tokens[at].text == "free" && before == Some("-")
}

/// "or not", "and why not", "whether or not": both answers are asked for.
fn leaves_open(tokens: &[Token<'_>]) -> bool {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    (0..tokens.len()).any(|at| {
        matches!(text(at), "or" | "and")
            && (text(at + 1) == "not" || text(at + 1) == "why" && text(at + 2) == "not")
    })
}

/// How many negators stand in phrases that deny nothing.
fn han_questions(low: &str) -> i32 {
    if low.is_ascii() {
        return 0;
    }
    let phrases = HAN_HARMLESS.iter().map(|phrase| {
        let inside = phrase.chars().filter(|c| HAN.contains(*c)).count();
        low.matches(phrase).count() * inside
    });
    i32::try_from(phrases.sum::<usize>()).unwrap_or(i32::MAX)
}

static NEGATORS: LazyLock<Table<()>> = LazyLock::new(|| {
    Table::of([
        (
            "not no never without none nobody nothing neither nor cannot cant dont doesnt didnt",
            (),
        ),
        (
            "wont isnt arent wasnt werent hasnt havent hadnt shouldnt couldnt wouldnt aint",
            (),
        ),
        (
            "exclude excludes excluding excluded except lack lacks lacking unable",
            (),
        ),
        ("fail fails failed failing", ()),
        ("sin nunca jamás ni tampoco ningún ninguna excepto", ()),
        ("nicht kein keine keinen keiner ohne nie niemals außer", ()),
        ("pas sans jamais aucun aucune sauf", ()),
    ])
});

const PAIRS: [(&str, &str); 6] = [
    ("free", "of"),
    ("free", "from"),
    ("other", "than"),
    ("instead", "of"),
    ("rather", "than"),
    ("apart", "from"),
];

const HAN: &str = "不没無无未别非";

const HAN_HARMLESS: [&str; 19] = [
    "不同",
    "不错",
    "不久",
    "无线",
    "能不能",
    "是不是",
    "可不可以",
    "要不要",
    "会不会",
    "有没有",
    "好不好",
    "对不起",
    "别人",
    "特别",
    "非常",
    "区别",
    "无论",
    "不管",
    "差不多",
];
