//! A prompt cut into words, numbers and signs, once, for all that look at it. Knows no language.

use super::mark::Mark;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Letters, with apostrophes and hyphens inside.
    Word,
    /// Digits, with dots and commas inside.
    Number,
    /// One Chinese character.
    Han,
    /// Anything else that is not space.
    Sign,
}

/// A piece of a prompt in lower case.
#[derive(Clone, Copy, Debug)]
pub(super) struct Token<'t> {
    pub(super) text: &'t str,
    pub(super) mark: Mark,
    pub(super) kind: Kind,
    /// Read as a number or part of one, `million` and `percent` too: no word any more.
    pub(super) counted: bool,
}

impl Token<'_> {
    /// Whether it says something by itself: a word, a number, a Chinese character.
    pub(super) fn speaks(&self) -> bool {
        self.kind != Kind::Sign
    }
}

/// Cuts a text in lower case. The second value is whether some was left because of `count_max`.
pub(super) fn tokens(text: &str, count_max: usize) -> (Vec<Token<'_>>, bool) {
    let mut found = Vec::with_capacity(text.len() / 4 + 4);
    let mut at = 0;
    while let Some(first) = text[at..].chars().next() {
        if found.len() >= count_max {
            return (found, true);
        }
        let (length, kind) = match first {
            c if c.is_whitespace() || c == '_' => {
                at += c.len_utf8();
                continue;
            }
            c if is_han(c) => (c.len_utf8(), Kind::Han),
            c if c.is_ascii_digit() => (number(&text[at..]), Kind::Number),
            c if is_letter(c) => {
                let rest = &text[at..];
                (half_day(rest).unwrap_or_else(|| word(rest)), Kind::Word)
            }
            c => (c.len_utf8(), Kind::Sign),
        };
        let text = &text[at..at + length];
        found.push(Token {
            text,
            mark: Mark::of(text),
            kind,
            counted: false,
        });
        at += length;
    }
    (found, false)
}

pub(super) fn is_han(c: char) -> bool {
    ('\u{4e00}'..='\u{9fff}').contains(&c)
}

pub(super) fn is_letter(c: char) -> bool {
    c.is_ascii_alphabetic() || !c.is_ascii() && c.is_alphabetic() && !is_han(c)
}

/// How long the digits are that the text begins with, `1,000.50` as one.
fn number(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).is_some_and(u8::is_ascii_digit);
    let mut at = 0;
    while digit(at) || (matches!(bytes.get(at), Some(b'.' | b',')) && digit(at + 1)) {
        at += 1;
    }
    at
}

/// "a.m", "p.m", as long as they are written.
fn half_day(text: &str) -> Option<usize> {
    let half = text.starts_with("a.m") || text.starts_with("p.m");
    (half && !text[3..].starts_with(is_letter)).then_some(3)
}

/// How long the word is that the text begins with. `non-` and `-free` are words of their own: they deny;
/// and so is what French leaves of an article: `l'anglais`.
fn word(text: &str) -> usize {
    let mut end = letters(text);
    loop {
        let rest = &text[end..];
        let elided = matches!(
            &text[..end],
            "l" | "d" | "j" | "m" | "n" | "s" | "t" | "c" | "qu"
        );
        let denies = &text[..end] == "non" && rest.starts_with('-')
            || rest
                .strip_prefix("-free")
                .is_some_and(|rest| !rest.starts_with(is_letter));
        if denies || elided && rest.starts_with('\'') {
            return end;
        }
        let Some(joint @ ('\'' | '-')) = rest.chars().next() else {
            return end;
        };
        match letters(&rest[joint.len_utf8()..]) {
            0 => return end,
            more => end += joint.len_utf8() + more,
        }
    }
}

fn letters(text: &str) -> usize {
    let bytes = text.bytes().take_while(u8::is_ascii_lowercase).count();
    match text.as_bytes().get(bytes) {
        Some(next) if !next.is_ascii() => text.find(|c| !is_letter(c)).unwrap_or(text.len()),
        _ => bytes,
    }
}
