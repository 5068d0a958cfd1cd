//! Texts in quotation marks: what is to be translated, spelled or searched for. Each must stand on
//! the other side, quoted or not.

use super::letters::{Letters, Span};
use super::{COUNT_MAX, Fingerprint, Reading};

/// The longest text between two marks that counts as quoted.
const QUOTE_CHARS_MAX: usize = 80;

/// The quoted texts of a prompt, each once.
pub(super) fn read(reading: &Reading<'_>, letters: &mut Letters) -> Vec<Span> {
    let mut found: Vec<Span> = Vec::new();
    let mut rest = reading.plain;
    let mut before = None;
    while let Some(first) = rest.chars().next() {
        let length = match quoted(rest, first, before) {
            Some(quote) => {
                if let Some(span) = letters.hold(&super::fold::lower(quote))
                    && !found.contains(&span)
                    && found.len() < COUNT_MAX
                {
                    found.push(span);
                }
                let mark = first.len_utf8();
                let close = rest[mark + quote.len()..]
                    .chars()
                    .next()
                    .map_or(0, char::len_utf8);
                mark + quote.len() + close
            }
            None => first.len_utf8(),
        };
        before = rest[..length].chars().next_back();
        rest = &rest[length..];
    }
    found
}

/// The text between the mark that `rest` begins with and the one that closes it.
fn quoted(rest: &str, first: char, before: Option<char>) -> Option<&str> {
    let close = match first {
        '"' => '"',
        '“' => '”',
        '«' => '»',
        '\'' if before.is_none_or(|c| !in_word(c)) => '\'',
        _ => return None,
    };
    let inside = &rest[first.len_utf8()..];
    let end = inside.find(close)?;
    let quote = &inside[..end];
    let after = inside[end..].chars().nth(1);
    let closed = close != '\'' || after.is_none_or(|c| !in_word(c));
    let long = quote.chars().nth(QUOTE_CHARS_MAX).is_some();
    (closed && !quote.is_empty() && !long).then_some(quote)
}

fn in_word(c: char) -> bool {
    c == '_' || c.is_alphanumeric()
}

/// Whether a quoted text of one side is missing on the other.
pub(super) fn differ(a: &Fingerprint, b: &Fingerprint) -> bool {
    let alone = |a: &Fingerprint, b: &Fingerprint| {
        a.quotes
            .iter()
            .any(|span| !b.letters.contains(a.letters.at(*span)))
    };
    alone(a, b) || alone(b, a)
}
