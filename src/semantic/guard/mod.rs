//! The guard: what two prompts must agree in, whatever their vectors say. A prompt becomes a small
//! fingerprint once; two fingerprints give a verdict. Pure string work; knows no vector, no
//! threshold, no store, and never lets a match pass that the similarity does not carry by itself.
//!
//! One file a noun: how it is read from a prompt, and when two prompts differ in it. A new reason
//! to refuse is a new file, a field of [`Fingerprint`], a row in `judge.rs` and a [`Cause`].

mod aggregate;
mod antonym;
mod cause;
mod codec;
mod contrast;
mod entity;
mod fold;
mod identifier;
mod judge;
mod letters;
mod mark;
mod negation;
mod number;
mod order;
mod particle;
mod quantifier;
mod question;
mod quote;
mod role;
mod rules;
mod stem;
mod substitution;
mod synonym;
#[cfg(test)]
mod tests;
mod time;
mod token;
mod unit;
mod word;

pub use self::cause::{Cause, Causes};
pub use self::codec::Malformed;
pub use self::judge::{Verdict, judge};
pub use self::rules::Rules;

use self::entity::Name;
use self::letters::{Letters, Span};
use self::mark::Mark;
use self::number::Numbers;
use self::particle::Turn;
use self::quantifier::Quantifiers;
use self::question::Questions;
use self::role::Part;
use self::time::Time;
use self::token::{Token, tokens};
use self::unit::Unit;
use self::word::Word;

/// Bytes of a prompt that are read. What is longer cannot be compared in full, and is refused.
const TEXT_BYTES_MAX: usize = 16_384;
/// Words of a prompt that are read.
const TOKENS_MAX: usize = 4_096;
/// Names, identifiers, quotes, operators of one prompt that are kept. A prompt with
/// more cannot be compared in full.
const COUNT_MAX: usize = 64;

/// A prompt, as far as another must agree with it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint {
    letters: Letters,
    words: Vec<Word>,
    /// Stems of the content words, in order of mark, each once.
    bag: Vec<Mark>,
    /// All words but numbers, in order of mark.
    vocabulary: Vec<Mark>,
    numbers: Numbers,
    units: Vec<Unit>,
    times: Vec<Time>,
    periods: Vec<Mark>,
    parts: Vec<Part>,
    turns: Vec<Turn>,
    names: Vec<Name>,
    identifiers: Vec<Span>,
    operators: Vec<Mark>,
    quotes: Vec<Span>,
    aggregates: u8,
    quantifiers: Quantifiers,
    questions: Questions,
    denies: bool,
    counts: bool,
    cut: bool,
}

/// A prompt while its fingerprint is taken.
struct Reading<'t> {
    /// In plain form, its case kept.
    plain: &'t str,
    /// The same in lower case.
    low: &'t str,
    tokens: Vec<Token<'t>>,
}

impl Fingerprint {
    /// Takes the fingerprint of a prompt: any text, of any length.
    #[must_use]
    pub fn of(text: &str) -> Self {
        let (text, long) = beginning(text);
        let plain = fold::plain(text);
        let (plain, longer) = beginning(&plain);
        let low = fold::lower(plain);
        let (tokens, longest) = tokens(&low, TOKENS_MAX);
        let mut reading = Reading {
            plain,
            low: &low,
            tokens,
        };
        let numbers = Numbers::read(&mut reading);
        let mut letters = Letters::default();
        let speaking = reading.tokens.iter().filter(|token| token.speaks());
        let words = speaking
            .map(|token| word::read(token, letters.push(token.text)))
            .collect();
        let names = entity::read(&reading, &mut letters);
        let identifiers = identifier::read(&reading, &mut letters);
        let quotes = quote::read(&reading, &mut letters);
        let print = Self {
            words,
            names,
            identifiers,
            quotes,
            letters,
            numbers,
            units: unit::read(&reading),
            times: time::read(&reading),
            periods: time::periods(&reading),
            parts: role::read(&reading),
            turns: particle::read(&reading),
            operators: identifier::operators(&reading),
            aggregates: aggregate::read(&reading),
            quantifiers: quantifier::read(&reading),
            questions: question::read(&reading),
            denies: negation::read(&reading),
            counts: question::wants_a_count(&reading),
            cut: long || longer || longest,
            ..Self::default()
        };
        let full = [
            print.names.len(),
            print.identifiers.len(),
            print.operators.len(),
            print.quotes.len(),
        ];
        let cut = print.cut || full.contains(&COUNT_MAX);
        Self { cut, ..print }.sorted()
    }

    /// With what follows from the words.
    fn sorted(mut self) -> Self {
        let stems = self.words.iter().map(|word| word.stem);
        self.bag = stems.filter(|stem| *stem != Mark::NONE).collect();
        self.bag.sort_unstable();
        self.bag.dedup();
        let spoken = self.words.iter().filter(|word| !word.is(word::COUNTED));
        self.vocabulary = spoken.map(|word| word.mark).collect();
        self.vocabulary.sort_unstable();
        self
    }
}

/// As much of a text as is read, and whether there is more.
fn beginning(text: &str) -> (&str, bool) {
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    (&text[..end], end < text.len())
}
