//! What a policy's `guard` section adds to the guard or takes from it, compiled once. Applied when
//! two fingerprints are compared, never when one is made: a policy changed today holds for
//! yesterday's entries.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::BuildHasherDefault;

use super::Fingerprint;
use super::antonym::Opposites;
use super::cause::{Cause, Causes};
use super::mark::{Mark, Spread};
use super::word;
use crate::policy::Guard;

/// A policy's guard section, ready for use. The default adds nothing and takes nothing.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    off: Causes,
    pub(super) antonyms: Opposites,
    synonyms: HashMap<Mark, Mark, BuildHasherDefault<Spread>>,
    /// Names that must agree, in lower case without spaces, and how many bytes they have.
    entities: HashSet<String>,
    lengths: BTreeSet<usize>,
}

impl Rules {
    /// Compiles a guard section. A word in `off` that names no cause has no effect; groups of one
    /// word say nothing.
    #[must_use]
    pub fn of(guard: &Guard) -> Self {
        let pairs = guard.antonyms.iter().flat_map(|group| {
            let pairs = group.iter().enumerate();
            pairs.flat_map(|(at, one)| group[at + 1..].iter().map(move |other| (one, other)))
        });
        let pairs: Vec<(String, String)> = pairs
            .map(|(one, other)| (one.to_lowercase(), other.to_lowercase()))
            .collect();
        let mut synonyms = HashMap::default();
        for group in &guard.synonyms {
            let mut group = group
                .iter()
                .map(|word| word::content_mark(&word.to_lowercase()));
            let Some(first) = group.next() else { continue };
            let first = *synonyms.get(&first).unwrap_or(&first);
            synonyms.extend(group.map(|word| (word, first)));
        }
        let entities: HashSet<String> = guard
            .entities
            .iter()
            .filter_map(|name| folded(name))
            .collect();
        Self {
            off: guard
                .off
                .iter()
                .filter_map(|token| Cause::named(token))
                .collect(),
            antonyms: Opposites::of(pairs.iter().map(|(one, other)| (&**one, &**other))),
            synonyms,
            lengths: entities.iter().map(String::len).collect(),
            entities,
        }
    }

    /// Whether a cause is not asked.
    #[must_use]
    pub fn is_off(&self, cause: Cause) -> bool {
        self.off.contains(cause)
    }

    /// Whether one side names an entity of the policy's that the other does not.
    pub(super) fn entities_differ(&self, a: &Fingerprint, b: &Fingerprint) -> bool {
        !self.entities.is_empty() && self.named(a) != self.named(b)
    }

    /// The policy's entities that a prompt names, however they are spaced there.
    fn named<'f>(&self, print: &'f Fingerprint) -> BTreeSet<&'f str> {
        let mut named = BTreeSet::new();
        for word in &print.words {
            let rest = print
                .letters
                .0
                .get(usize::from(word.span.start)..)
                .unwrap_or_default();
            let pieces = self.lengths.iter().filter_map(|length| rest.get(..*length));
            let known = pieces.filter(|piece| self.entities.contains(*piece));
            named.extend(known.filter(|piece| {
                let end = usize::from(word.span.start) + piece.len();
                print.words.iter().any(|word| word.span.end() == end)
            }));
        }
        named
    }

    /// Whether the policy says that two words mean the same.
    pub(super) fn same(&self, one: Mark, other: Mark) -> bool {
        let of = |word: Mark| *self.synonyms.get(&word).unwrap_or(&word);
        one == other || !self.synonyms.is_empty() && of(one) == of(other)
    }
}

fn folded(name: &str) -> Option<String> {
    let low = super::fold::lower(&super::fold::plain(name));
    let letters: String = low
        .chars()
        .filter(|c| c.is_alphanumeric() || *c == '\'')
        .collect();
    (!letters.is_empty()).then_some(letters)
}
