//! What a word is without its endings: `cancelled`, `cancelling` and `cancels` are one. Rough on
//! purpose: it brings spellings together, and is never shown to anyone.

use super::mark::Mark;

/// Words longer than this are their own stem.
const WORD_BYTES_MAX: usize = 48;
/// Endings, the longer first.
const ENDINGS: [&[u8]; 10] = [
    b"ations", b"ation", b"ings", b"ing", b"edly", b"ed", b"ies", b"es", b"s", b"ly",
];

/// The stem of a word in lower case.
pub(super) struct Stem {
    bytes: [u8; WORD_BYTES_MAX],
    length: usize,
}

impl Stem {
    pub(super) fn of(word: &str) -> Self {
        let mut stem = Self {
            bytes: [0; WORD_BYTES_MAX],
            length: 0,
        };
        if word.len() > WORD_BYTES_MAX {
            stem.keep(&word.as_bytes()[..WORD_BYTES_MAX]);
            return stem;
        }
        stem.keep(word.as_bytes());
        stem.spell();
        stem.cut();
        stem.smooth();
        stem
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub(super) fn mark(&self) -> Mark {
        Mark::of_bytes(self.as_bytes())
    }

    fn keep(&mut self, word: &[u8]) {
        for (to, from) in self.bytes.iter_mut().zip(word) {
            *to = *from;
        }
        self.length = word.len();
    }

    /// One spelling for the two shores: organise, colour, metre.
    fn spell(&mut self) {
        let length = self.length;
        if length > 5 {
            for at in 1..length.saturating_sub(1) {
                let ise = &self.bytes[at - 1..at + 2] == b"ise";
                if ise || self.bytes[at - 1..length].starts_with(b"isation") {
                    self.bytes[at] = b'z';
                }
            }
        }
        if length > 4 {
            let word = &self.bytes[..length];
            if let Some(at) = word.windows(3).position(|three| three == b"our") {
                self.bytes.copy_within(at + 2..length, at + 1);
                self.length -= 1;
            }
        }
        if self.as_bytes().ends_with(b"tre") {
            let end = self.length;
            self.bytes[end - 2..end].copy_from_slice(b"er");
        }
    }

    fn cut(&mut self) {
        let fits =
            |ending: &&&[u8]| self.as_bytes().ends_with(ending) && self.length - ending.len() >= 3;
        if let Some(ending) = ENDINGS.iter().find(fits) {
            self.length -= ending.len();
        }
    }

    fn smooth(&mut self) {
        if self.length > 3 && matches!(self.bytes[self.length - 1], b'e' | b'i' | b'y') {
            self.length -= 1;
        }
        let end = self.length;
        if end > 3 && self.bytes[end - 1] == self.bytes[end - 2] {
            self.length -= 1;
        }
        // theatres, centres
        if end > 3 && end < WORD_BYTES_MAX && self.as_bytes().ends_with(b"tr") {
            self.bytes[end - 1..=end].copy_from_slice(b"er");
            self.length += 1;
        }
    }
}

/// A word without the possessive: `children's` is about children.
pub(super) fn owner(word: &str) -> &str {
    word.strip_suffix("'s").unwrap_or(word)
}
