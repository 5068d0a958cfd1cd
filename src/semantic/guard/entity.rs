//! Names: words with a capital where no sentence begins. A prompt about another person, place or
//! product is another prompt.

use std::sync::LazyLock;

use super::letters::{Letters, Span};
use super::mark::{Mark, Table};
use super::stem::owner;
use super::unit::{self, MONEY};
use super::{COUNT_MAX, Fingerprint, Reading, time, word};

/// A name: its letters, and its stem.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name {
    pub(super) span: Span,
    pub(super) stem: Mark,
}

/// The names of a prompt, each once.
pub(super) fn read(reading: &Reading<'_>, letters: &mut Letters) -> Vec<Name> {
    let mut names: Vec<Name> = Vec::new();
    // German writes every noun with a capital: there, a capital says nothing.
    let german = reading
        .tokens
        .iter()
        .filter(|token| GERMAN.has(token.mark))
        .count()
        > 1;
    let capitals = capitalised(reading.plain).filter(|word| !is_courtesy(word));
    for word in capitals.filter(|word| !german || is_all_capitals(word)) {
        let low = super::fold::lower(word);
        let low = owner(&low);
        // What things are measured in is compared as a unit, and when as a time.
        if unit::is(Mark::of(low)) || time::is_date(Mark::of(low)) {
            continue;
        }
        let Some(span) = letters.hold(low) else {
            continue;
        };
        let name = Name {
            span,
            stem: word::content_mark(low),
        };
        if !names.contains(&name) && names.len() < COUNT_MAX {
            names.push(name);
        }
    }
    names
}

/// Words with a capital that do not owe it to their place; all-capital ones wherever they stand.
fn capitalised(text: &str) -> impl Iterator<Item = &str> {
    let mut at = 0;
    let mut before = None;
    std::iter::from_fn(move || {
        while let Some(first) = text[at..].chars().next() {
            if !(first.is_alphabetic() || first.is_numeric() && !first.is_ascii()) {
                if !first.is_whitespace() {
                    before = Some(first);
                }
                at += first.len_utf8();
                continue;
            }
            let length = text[at..].find(|c| !in_word(c)).unwrap_or(text.len() - at);
            let word = &text[at..at + length];
            let begins = matches!(before, None | Some('.' | '?' | '!' | ':' | '¿' | '¡'));
            let degrees = before == Some('°');
            before = word.chars().next_back();
            at += length;
            let half_day = matches!(word, "A" | "P")
                && (text[at..].starts_with(".M") || text[at..].starts_with(".m"));
            if half_day {
                at += 2;
            } else if first.is_uppercase() && !degrees && (!begins || is_all_capitals(word)) {
                return Some(word);
            }
        }
        None
    })
}

fn in_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '\'' | '-')
}

fn is_all_capitals(word: &str) -> bool {
    word.chars().nth(1).is_some() && !word.chars().any(char::is_lowercase)
}

/// Words that are written with a capital and name nobody.
fn is_courtesy(word: &str) -> bool {
    const WORDS: [&str; 22] = [
        "i",
        "i'm",
        "i'd",
        "i'll",
        "i've",
        "mr",
        "mrs",
        "ms",
        "dr",
        "prof",
        "professor",
        "am",
        "pm",
        "ok",
        "faq",
        "pc",
        "tv",
        "id",
        "asap",
        "please",
        "hi",
        "hello",
    ];
    word.len() <= 9
        && (word.eq_ignore_ascii_case("dear")
            || WORDS
                .iter()
                .any(|courtesy| word.eq_ignore_ascii_case(courtesy)))
}

/// Which sides name something that the other does not speak of.
pub(super) fn differ(a: &Fingerprint, b: &Fingerprint) -> (bool, bool) {
    let alone = |a: &Fingerprint, b: &Fingerprint| {
        a.names
            .iter()
            .any(|name| !speaks_of(b, a.letters.at(name.span), *name))
    };
    (alone(a, b), alone(b, a))
}

/// Whether the other side has the name among its words, in whatever case, or a form of it.
fn speaks_of(other: &Fingerprint, letters: &str, name: Name) -> bool {
    other.bag.binary_search(&name.stem).is_ok()
        || other.names.iter().any(|named| named.stem == name.stem)
        || other
            .words
            .iter()
            .any(|word| is_form(letters, other.letters.at(word.span)))
        || is_spelled(other, letters)
        || is_currency_of(other, letters)
}

/// Whether one of two words is the other, or the other with another ending: Brazil and Brazilian,
/// Italy and Italian, but not Java and JavaScript, nor Austria and Australia.
fn is_form(one: &str, other: &str) -> bool {
    const ENDING_MAX: usize = 3;
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    let same = short
        .bytes()
        .zip(long.bytes())
        .take_while(|(a, b)| a == b)
        .count();
    one == other
        || same >= 4
            && same + 1 >= short.len()
            && long.len() - short.len() <= ENDING_MAX
            && (same == short.len() || long.len() > short.len())
}

/// Whether words of the other side, written together, are the name: "wi fi".
fn is_spelled(other: &Fingerprint, letters: &str) -> bool {
    let mut starts = other.words.iter().map(|word| usize::from(word.span.start));
    let ends = |end: usize| other.words.iter().any(|word| word.span.end() == end);
    letters.len() > 1
        && starts.any(|start| {
            other
                .letters
                .0
                .get(start..)
                .is_some_and(|rest| rest.starts_with(letters))
                && ends(start + letters.len())
        })
}

fn is_currency_of(other: &Fingerprint, letters: &str) -> bool {
    // "US dollars"
    let letters = if letters == "us" { "usd" } else { letters };
    let unit = unit::of(letters, Mark::of(letters));
    unit.is_some_and(|unit| unit.dimension == MONEY && other.units.contains(&unit))
}

static GERMAN: LazyLock<Table<()>> = LazyLock::new(|| {
    Table::of([
        (
            "der das dem den ist sind ich wie kann welche welcher welches wird nicht ein eine einen",
            (),
        ),
        (
            "einem einer meine meinen mein für mit und auf zu zum zur von vom im wo wann warum",
            (),
        ),
    ])
});
