//! The same frame around another filling: "the population of Norway", "the area of Norway". Seen
//! where two prompts agree but for one or two words in one place.

use super::mark::Mark;
use super::rules::Rules;
use super::stem::Stem;
use super::unit;
use super::word::{COMMON, Word};
use super::{Fingerprint, quantifier};

/// How many words of each side may differ for the rest to be a frame.
const FILLING_WORDS_MAX: usize = 2;

/// What was put in the place of what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Substitution {
    /// Common words on both sides.
    Common,
    /// A word among them that is seldom used: most often a name or a term.
    Rare,
}

/// What was substituted, if that is all that differs.
pub(super) fn between(a: &Fingerprint, b: &Fingerprint, rules: &Rules) -> Option<Substitution> {
    let (this, that) = fillings(&a.words, &b.words)?;
    // "wi-fi", "wi fi"
    let written = |filling: &[Word], side: &Fingerprint| -> String {
        filling
            .iter()
            .map(|word| side.letters.at(word.span))
            .collect()
    };
    if written(this, a) == written(that, b) {
        return None;
    }
    // Quantities, units, quantifiers and negators are compared as such.
    let content = |filling: &[Word], side: &Fingerprint| -> Vec<Word> {
        let words = filling
            .iter()
            .copied()
            .filter(|word| word.stem != Mark::NONE);
        let compared = |word: &Word| {
            let letters = side.letters.at(word.span);
            unit::of(letters, word.mark).is_some() || quantifier::is(letters)
        };
        words.filter(|word| !compared(word)).collect()
    };
    let (this, that) = (content(this, a), content(that, b));
    let related = this.iter().any(|one| {
        that.iter().any(|other| {
            one.stem != Mark::NONE && rules.same(one.stem, other.stem)
                || alike(a.letters.at(one.span), b.letters.at(other.span))
        })
    });
    if this.is_empty() || that.is_empty() || related {
        return None;
    }
    let common = this.iter().chain(&that).all(|word| word.is(COMMON));
    Some(if common {
        Substitution::Common
    } else {
        Substitution::Rare
    })
}

/// What is left between the common beginning and the common end, if that is short and they are not.
fn fillings<'w>(a: &'w [Word], b: &'w [Word]) -> Option<(&'w [Word], &'w [Word])> {
    let same = |(one, other): &(&Word, &Word)| one.mark == other.mark;
    let head = a.iter().zip(b).take_while(same).count();
    let tail = a[head..]
        .iter()
        .rev()
        .zip(b[head..].iter().rev())
        .take_while(same)
        .count();
    let (this, that) = (&a[head..a.len() - tail], &b[head..b.len() - tail]);
    let longer = this.len().max(that.len());
    let short = !this.is_empty() && !that.is_empty() && longer <= FILLING_WORDS_MAX;
    (short && head + tail >= longer).then_some((this, that))
}

/// Whether two words are forms of one: they begin alike and differ in length.
fn alike(one: &str, other: &str) -> bool {
    let (one, other) = (Stem::of(one), Stem::of(other));
    let (one, other) = (one.as_bytes(), other.as_bytes());
    let shortest = one.len().min(other.len());
    shortest > 3 && one.len() != other.len() && one[..4] == other[..4]
}
