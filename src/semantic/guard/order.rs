//! The same words in another order: "does A eat B" and "does B eat A".

use super::Fingerprint;
use super::mark::Mark;
use super::word::{ARTICLE, COUNTED, Word};

/// Whether two content words, and nothing else, have changed places. Neighbours may: "sort list
/// python" is "sort python list".
pub(super) fn swapped(a: &Fingerprint, b: &Fingerprint) -> bool {
    if a.bag != b.bag {
        return false;
    }
    let (a, b) = (sequence(a), sequence(b));
    let mut apart = (0..a.len().min(b.len())).filter(|at| a[*at] != b[*at]);
    let (Some(first), Some(second), None) = (apart.next(), apart.next(), apart.next()) else {
        return false;
    };
    let exchanged = (a[first], a[second]) == (b[second], b[first]);
    let content = a[first].1 && a[second].1;
    a.len() == b.len() && exchanged && content && second - first > 1
}

/// The words but articles and numbers, each with whether it carries content.
fn sequence(side: &Fingerprint) -> Vec<(Mark, bool)> {
    let words = side.words.iter().filter(|word| !word.is(COUNTED | ARTICLE));
    let key = |word: &Word| match word.stem {
        Mark::NONE => (word.mark, false),
        stem => (stem, true),
    };
    words.map(key).collect()
}

/// Whether two prompts have the same words in the same order.
pub(super) fn same(a: &Fingerprint, b: &Fingerprint) -> bool {
    a.bag == b.bag && sequence(a) == sequence(b)
}
