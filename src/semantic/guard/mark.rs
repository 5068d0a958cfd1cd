//! A word or a value known by 32 bits: what fingerprints are made of and compared by. Stored with
//! answers, so the arithmetic is fixed for ever; never used where a clash would matter for safety
//! (a clash of two words makes two prompts look more alike than they are once in four billion).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A word by its letters, digits and apostrophes, or a number by its value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Mark(pub(super) u32);

impl Mark {
    /// Nothing: what a word that carries no content has for a stem.
    pub(super) const NONE: Self = Self(0);

    /// The mark of a text: hyphens, dots and spaces do not count, so that `e-mail` is `email`.
    pub(super) const fn of(text: &str) -> Self {
        Self::of_bytes(text.as_bytes())
    }

    /// FNV-1a over what counts.
    pub(super) const fn of_bytes(bytes: &[u8]) -> Self {
        let (mut hash, mut at) = (0x811c_9dc5_u32, 0);
        while at < bytes.len() {
            if counts(bytes[at]) {
                hash = (hash ^ bytes[at] as u32).wrapping_mul(0x0100_0193);
            }
            at += 1;
        }
        Self(hash)
    }

    /// The mark of a quantity: 5,000, 5000.0 and "five thousand" are one.
    pub(super) fn of_value(value: f64) -> Self {
        let bits = value.to_bits();
        let folded = bits ^ (bits >> 32);
        Self((folded.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32) as u32 | 1)
    }

    /// The mark of a pair of words, in this order.
    pub(super) const fn and(self, other: Self) -> Self {
        Self((self.0 ^ other.0.rotate_left(16)).wrapping_mul(0x0100_0193))
    }
}

/// Whether a byte is part of what a word is known by.
pub(super) const fn counts(byte: u8) -> bool {
    byte >= 0x80 || byte.is_ascii_alphanumeric() || byte == b'\''
}

/// What is known of some words. Built once from the lists that stand in the source.
pub(super) struct Table<T>(HashMap<Mark, T, BuildHasherDefault<Spread>>);

impl<T: Copy> Table<T> {
    /// From lists of words with what they stand for. Of a word named twice the last stands.
    pub(super) fn of<'w>(lists: impl IntoIterator<Item = (&'w str, T)>) -> Self {
        let mut words = HashMap::default();
        for (list, what) in lists {
            words.extend(list.split_whitespace().map(|word| (Mark::of(word), what)));
        }
        Self(words)
    }

    /// From words looked up by something other than themselves.
    pub(super) fn keyed(words: impl IntoIterator<Item = (Mark, T)>) -> Self {
        Self(words.into_iter().collect())
    }

    /// What a word stands for.
    pub(super) fn get(&self, word: Mark) -> Option<T> {
        self.0.get(&word).copied()
    }

    /// Whether the word is in the table.
    pub(super) fn has(&self, word: Mark) -> bool {
        self.0.contains_key(&word)
    }
}

/// Marks are hashes already: one multiplication spreads them over a table.
#[derive(Default)]
pub(super) struct Spread(u64);

impl Hasher for Spread {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u32(u32::from(*byte));
        }
    }

    fn write_u32(&mut self, mark: u32) {
        self.0 = (self.0 ^ u64::from(mark)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// How many of `these` (in order) are not among `those` (in order).
pub(super) fn missing(these: &[Mark], those: &[Mark]) -> usize {
    outside(these, those).count()
}

/// Those of `these` (in order) that are not among `those` (in order).
pub(super) fn outside<'m>(these: &'m [Mark], those: &'m [Mark]) -> impl Iterator<Item = Mark> + 'm {
    let mut rest = those;
    these.iter().copied().filter(move |mark| {
        while let [first, more @ ..] = rest
            && first < mark
        {
            rest = more;
        }
        rest.first() != Some(mark)
    })
}

/// Whether two short lists have something in common.
pub(super) fn meet<T: PartialEq>(these: &[T], those: &[T]) -> bool {
    these.iter().any(|one| those.contains(one))
}

/// Whether each of two short lists has something that the other has not.
pub(super) fn cross<T: PartialEq>(these: &[T], those: &[T]) -> bool {
    lacks(these, those) && lacks(those, these)
}

/// Whether `these` has something that `those` has not.
pub(super) fn lacks<T: PartialEq>(these: &[T], those: &[T]) -> bool {
    these.iter().any(|one| !those.contains(one))
}
