//! What is spelled for machines: addresses, paths, flags, versions, names in code, operators. Each
//! must be found on the other side, letter for letter; how it is punctuated does not count.

use super::letters::{Letters, Span};
use super::mark::Mark;
use super::{COUNT_MAX, Fingerprint, Reading};

/// The identifiers of a prompt, each once.
pub(super) fn read(reading: &Reading<'_>, letters: &mut Letters) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    for piece in Pieces::of(reading.plain) {
        let low = super::fold::lower(piece);
        let low = low.trim_matches(['`', '.']);
        if is_ordinary(low) {
            continue;
        }
        if let Some(span) = letters.hold(low)
            && !found.contains(&span)
            && found.len() < COUNT_MAX
        {
            found.push(span);
        }
    }
    found
}

/// Whether an identifier of one side is missing on the other, or both have operators and not the
/// same.
pub(super) fn differ(a: &Fingerprint, b: &Fingerprint) -> bool {
    let alone = |a: &Fingerprint, b: &Fingerprint| {
        a.identifiers
            .iter()
            .any(|span| !b.letters.contains(a.letters.at(*span)))
    };
    alone(a, b) || alone(b, a) || operators_differ(&a.operators, &b.operators)
}

/// What looks like an identifier in a text, from left to right.
struct Pieces<'t> {
    text: &'t str,
    at: usize,
    before: Option<char>,
}

impl<'t> Pieces<'t> {
    fn of(text: &'t str) -> Self {
        Self {
            text,
            at: 0,
            before: None,
        }
    }

    fn take(&mut self, length: usize) -> &'t str {
        let piece = &self.text[self.at..self.at + length];
        self.before = piece.chars().next_back();
        self.at += length;
        piece
    }
}

impl<'t> Iterator for Pieces<'t> {
    type Item = &'t str;

    fn next(&mut self) -> Option<&'t str> {
        while let Some(first) = self.text[self.at..].chars().next() {
            let rest = &self.text[self.at..];
            let inside = self.before.is_some_and(in_word);
            if in_word(first) && !inside {
                let length = word(rest);
                if let Some(length) = address(rest, length).or_else(|| code(rest, length)) {
                    return Some(self.take(length));
                }
                self.take(length);
            } else if let Some(length) = sign(rest, self.before) {
                return Some(self.take(length));
            } else {
                self.take(first.len_utf8());
            }
        }
        None
    }
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_ascii_alphanumeric() || !c.is_ascii() && c.is_alphanumeric()
}

/// How long the letters, digits and underscores are that a text begins with.
fn word(text: &str) -> usize {
    text.find(|c| !in_word(c)).unwrap_or(text.len())
}

/// An address of the web or of mail that begins with the word of this length.
fn address(text: &str, word: usize) -> Option<usize> {
    let web = matches!(&text[..word], "http" | "https") && text[word..].starts_with("://")
        || &text[..word] == "www" && text[word..].starts_with('.');
    if web {
        return Some(text.find(char::is_whitespace).unwrap_or(text.len()));
    }
    let local = |c: char| in_word(c) || matches!(c, '.' | '+' | '-');
    let at = text
        .find(|c| !local(c))
        .filter(|at| text[*at..].starts_with('@'))?;
    let host = text[at + 1..]
        .find(|c| !local(c) || c == '+')
        .unwrap_or(text.len() - at - 1);
    let host = text[at + 1..at + 1 + host].trim_end_matches(['.', '-']);
    host.contains('.').then_some(at + 1 + host.len())
}

/// A name in code that begins with the word of this length: `a.b`, `a/b`, `a_b`, `aB`, `a1`, `a()`.
fn code(text: &str, word: usize) -> Option<usize> {
    let mut end = word;
    loop {
        let rest = &text[end..];
        let Some(joint) = rest
            .chars()
            .next()
            .filter(|c| matches!(c, ':' | '.' | '/' | '\\' | '-'))
        else {
            break;
        };
        let more = rest[joint.len_utf8()..].find(|c| !(in_word(c) || matches!(c, '<' | '>')));
        let more = more.unwrap_or(rest.len() - joint.len_utf8());
        let part = rest[joint.len_utf8()..joint.len_utf8() + more].trim_end_matches(['<', '>']);
        if part.is_empty() {
            break;
        }
        end += joint.len_utf8() + part.len();
        if part.len() < more {
            break;
        }
    }
    let call = if text[end..].starts_with("()") { 2 } else { 0 };
    if end > word || is_snake(&text[..word]) || call > 0 {
        return Some(end + call);
    }
    let first = &text[..word];
    let generic = text[word..]
        .starts_with('<')
        .then(|| text[word..].find('>'))
        .flatten();
    if is_camel(first) || is_mixed(first) {
        return Some(word);
    }
    generic.map(|end| word + end + 1)
}

/// `snake_case`.
fn is_snake(word: &str) -> bool {
    let mut inner = word.chars();
    inner.next();
    inner.next_back();
    inner.as_str().contains('_')
}

/// `camelCase`.
fn is_camel(word: &str) -> bool {
    let small = word.bytes().take_while(u8::is_ascii_lowercase).count();
    small > 0
        && word
            .as_bytes()
            .get(small)
            .is_some_and(u8::is_ascii_uppercase)
}

/// Letters and digits in one: `w2a`, `3090ti`.
fn is_mixed(word: &str) -> bool {
    word.chars().nth(2).is_some()
        && word.bytes().any(|byte| byte.is_ascii_digit())
        && word.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// What begins with a sign: a span in backticks, a flag, a mention, an anchored pattern.
fn sign(text: &str, before: Option<char>) -> Option<usize> {
    let first = text.chars().next()?;
    let rest = &text[first.len_utf8()..];
    let inside = before.is_some_and(in_word);
    match first {
        '`' => rest.find('`').filter(|end| *end > 0).map(|end| end + 2),
        '-' if before.is_some_and(char::is_whitespace) => {
            let dashes = 1 + usize::from(rest.starts_with('-'));
            let name = &text[dashes..];
            let long = name
                .find(|c| !(in_word(c) || c == '-'))
                .unwrap_or(name.len());
            name.starts_with(|c: char| c.is_ascii_alphabetic())
                .then_some(dashes + long)
        }
        '#' | '@' if !inside => Some(word(rest))
            .filter(|word| *word > 0)
            .map(|word| 1 + word),
        '^' => {
            let long = text.find(char::is_whitespace).unwrap_or(text.len());
            text[..long]
                .rfind('$')
                .filter(|at| *at > 1)
                .map(|at| at + 1)
        }
        _ => None,
    }
}

/// What looks like an identifier and is none: numbers with a unit, hyphenated words, `and/or`,
/// `a.m`, `24/7`.
fn is_ordinary(piece: &str) -> bool {
    is_amount(piece) || is_compound(piece) || is_pair(piece)
}

fn is_amount(piece: &str) -> bool {
    const UNITS: [&str; 27] = [
        "", "k", "m", "st", "nd", "rd", "th", "gb", "mb", "kb", "ms", "kg", "mg", "pm", "am", "h",
        "s", "x", "rs", "inr", "usd", "eur", "yr", "yrs", "hrs", "min", "mins",
    ];
    let digits = piece
        .bytes()
        .take_while(|b| b.is_ascii_digit() || b".,/".contains(b))
        .count();
    let (number, unit) = piece.split_at(digits);
    let slashes = number.matches('/').count();
    let whole = !number.is_empty()
        && number.split(['.', ',', '/']).all(|group| !group.is_empty())
        && (slashes == 0 || slashes == 1 && unit.is_empty() && !number.contains(['.', ',']));
    whole && (UNITS.contains(&unit) || matches!(unit, "day" | "days" | "%"))
}

/// `well-known`, `30-year-old`.
fn is_compound(piece: &str) -> bool {
    let letters = |part: &str| !part.is_empty() && part.chars().all(char::is_alphabetic);
    let Some((first, rest)) = piece.split_once('-') else {
        return false;
    };
    let number = !first.is_empty() && first.bytes().all(|byte| byte.is_ascii_digit());
    (letters(first) || number) && rest.split('-').all(letters)
}

/// `and/or`, `p.m`.
fn is_pair(piece: &str) -> bool {
    let small = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    match (piece.split_once('/'), piece.split_once('.')) {
        (Some((one, other)), _) => small(one) && small(other),
        (None, Some((one, other))) => {
            one.len() == 1 && other.len() == 1 && small(one) && small(other)
        }
        (None, None) => false,
    }
}

/// The operators of a prompt, each once. Words have no signs, so these are compared by mark.
pub(super) fn operators(reading: &Reading<'_>) -> Vec<Mark> {
    let mut found: Vec<Mark> = Vec::new();
    let mut rest = reading.plain;
    while let Some(at) = rest.find(is_operator) {
        let spaced = rest[..at]
            .chars()
            .next_back()
            .is_none_or(char::is_whitespace);
        let run = rest[at..]
            .find(|c| !is_operator(c))
            .unwrap_or(rest.len() - at);
        let (operator, after) = rest[at..].split_at(run);
        let ends = after
            .chars()
            .next()
            .is_none_or(|c| c.is_whitespace() || "?,.)`".contains(c));
        if counts(operator, spaced && ends) {
            let mark = operator.bytes().fold(Mark::of("operator"), |mark, sign| {
                mark.and(Mark(u32::from(sign)))
            });
            if !found.contains(&mark) && found.len() < COUNT_MAX {
                found.push(mark);
            }
        }
        rest = after;
    }
    found
}

fn is_operator(c: char) -> bool {
    matches!(
        c,
        '=' | '<' | '>' | '!' | '+' | '*' | '/' | '&' | '|' | '%' | '-' | '^' | '~' | '?'
    )
}

/// Whether a run of signs is an operator; a single one only between spaces.
fn counts(run: &str, alone: bool) -> bool {
    let run = run.trim_end_matches('?');
    match run.len() {
        0 => false,
        1 => alone && "=<>+*%".contains(run),
        2..=3 => {
            run.bytes()
                .all(|b| b == run.as_bytes()[0] && !b"!-".contains(&b))
                || run.contains('=')
                || matches!(run, "->" | "<-" | "--")
        }
        _ => false,
    }
}

/// Whether both sides name operators, and not the same.
fn operators_differ(a: &[Mark], b: &[Mark]) -> bool {
    !a.is_empty() && !b.is_empty() && (super::mark::lacks(a, b) || super::mark::lacks(b, a))
}
