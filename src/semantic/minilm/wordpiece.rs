//! Text into the numbers of BERT's vocabulary, small letters: cleaned, accents off, split at
//! spaces and punctuation, then each word into the longest pieces the vocabulary has. It reads a
//! text once, from its start, and stops when it has enough; it keeps nothing of what it read.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;
use unicode_normalization::UnicodeNormalization;
use unicode_properties::{GeneralCategory, GeneralCategoryGroup, UnicodeGeneralCategory};

use super::weights::Odd;

/// A piece's number, which is its row in the table of embeddings.
pub type Piece = u16;

/// A word of more letters is not looked up.
const WORD_LETTERS_MAX: usize = 100;

/// The vocabulary, ready to be looked up.
pub(super) struct WordPiece {
    /// Pieces that begin a word.
    beginnings: HashMap<Box<str>, Piece>,
    /// Pieces that go on with one.
    endings: HashMap<Box<str>, Piece>,
    /// Pieces that stand for themselves wherever they are written, such as `[MASK]`.
    marks: Vec<(Box<str>, Piece)>,
    /// Bytes of the longest piece: nothing longer need be tried.
    piece_bytes_max: usize,
    unknown: Piece,
    begin: Piece,
    end: Piece,
}

/// What is read of the vocabulary's file.
#[derive(Deserialize)]
struct File {
    added_tokens: Vec<Added>,
    normalizer: Normalizer,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: Piece,
    content: Box<str>,
}

#[derive(Deserialize)]
struct Normalizer {
    #[serde(rename = "type")]
    kind: String,
    lowercase: bool,
}

#[derive(Deserialize)]
struct Model {
    #[serde(rename = "type")]
    kind: Option<String>,
    continuing_subword_prefix: String,
    vocab: HashMap<Box<str>, Piece>,
}

impl WordPiece {
    /// Reads a `tokenizer.json`.
    pub(super) fn open(path: &Path) -> Result<Self, Odd> {
        let text = std::fs::read_to_string(path)?;
        Self::read(&text)
    }

    fn read(text: &str) -> Result<Self, Odd> {
        let file: File = serde_json::from_str(text)
            .map_err(|error| Odd::shape(format!("tokenizer.json ({error})")))?;
        let known = file.normalizer.kind == "BertNormalizer"
            && file.normalizer.lowercase
            && file.model.kind.as_deref().unwrap_or("WordPiece") == "WordPiece";
        if !known {
            return Err(Odd::shape("tokenizer.json"));
        }
        let number = |mark: &str| {
            let found = file.model.vocab.get(mark).copied();
            found.ok_or_else(|| Odd::shape(format!("tokenizer.json, without {mark}:")))
        };
        let (unknown, begin, end) = (number("[UNK]")?, number("[CLS]")?, number("[SEP]")?);
        let prefix = file.model.continuing_subword_prefix;
        let piece_bytes_max = file.model.vocab.keys().map(|piece| piece.len()).max();
        let (mut beginnings, mut endings) = (HashMap::new(), HashMap::new());
        for (piece, number) in file.model.vocab {
            match piece.strip_prefix(&prefix) {
                Some(ending) => endings.insert(ending.into(), number),
                None => beginnings.insert(piece, number),
            };
        }
        let marks = file.added_tokens.into_iter();
        Ok(Self {
            beginnings,
            endings,
            marks: marks.map(|mark| (mark.content, mark.id)).collect(),
            piece_bytes_max: piece_bytes_max.unwrap_or(0),
            unknown,
            begin,
            end,
        })
    }

    /// The pieces of a text between the marks of its beginning and its end, `most` at most, both
    /// included; what is beyond is cut off.
    pub(super) fn pieces(&self, text: &str, most: usize) -> Vec<Piece> {
        let mut pieces = vec![self.begin];
        let inside = most.saturating_sub(2);
        Reading::new(self, inside, |piece| pieces.push(piece)).read(text);
        pieces.push(self.end);
        pieces
    }

    /// How many pieces a text has, the two marks included; counting stops at `most`.
    pub(super) fn count(&self, text: &str, most: usize) -> usize {
        let mut reading = Reading::new(self, most.saturating_sub(2), |_| {});
        reading.read(text);
        reading.given + 2
    }

    /// The first mark of a text: where it begins, where it ends, its number.
    fn next_mark(&self, text: &str) -> Option<(usize, usize, Piece)> {
        for (at, _) in text.match_indices('[') {
            for (mark, number) in &self.marks {
                if text[at..].starts_with(&**mark) {
                    return Some((at, at + mark.len(), *number));
                }
            }
        }
        None
    }
}

/// A text being read.
struct Reading<'a, G> {
    vocabulary: &'a WordPiece,
    give: G,
    given: usize,
    most: usize,
    word: String,
}

impl<'a, G: FnMut(Piece)> Reading<'a, G> {
    fn new(vocabulary: &'a WordPiece, most: usize, give: G) -> Self {
        Self {
            vocabulary,
            give,
            given: 0,
            most,
            word: String::new(),
        }
    }

    fn read(&mut self, text: &str) {
        let mut rest = text;
        while let Some((begin, end, mark)) = self.vocabulary.next_mark(rest) {
            self.read_plain(&rest[..begin]);
            self.give(mark);
            rest = &rest[end..];
            if self.is_full() {
                return;
            }
        }
        self.read_plain(rest);
    }

    fn is_full(&self) -> bool {
        self.given >= self.most
    }

    fn give(&mut self, piece: Piece) {
        if !self.is_full() {
            self.given += 1;
            (self.give)(piece);
        }
    }

    /// Text without marks.
    fn read_plain(&mut self, text: &str) {
        let kept = text.chars().filter(|letter| !is_control(*letter));
        let bare = kept.nfd().filter(|letter| !is_accent(*letter));
        for letter in bare.flat_map(char::to_lowercase) {
            if letter.is_whitespace() {
                self.end_word();
            } else if is_punctuation(letter) || is_ideograph(letter) {
                self.end_word();
                self.word.push(letter);
                self.end_word();
            } else {
                self.word.push(letter);
            }
            if self.is_full() {
                self.word.clear();
                return;
            }
        }
        self.end_word();
    }

    /// Gives the pieces of the word that has been read, the longest first at each place; a word
    /// that has none somewhere is unknown as a whole.
    fn end_word(&mut self) {
        let word = std::mem::take(&mut self.word);
        if !word.is_empty() {
            let mut found = [0; WORD_LETTERS_MAX];
            match self.vocabulary.split(&word, &mut found) {
                Some(count) => found[..count].iter().for_each(|piece| self.give(*piece)),
                None => self.give(self.vocabulary.unknown),
            }
        }
        // Its room is used again.
        self.word = word;
        self.word.clear();
    }
}

impl WordPiece {
    fn split(&self, word: &str, found: &mut [Piece; WORD_LETTERS_MAX]) -> Option<usize> {
        if word.len() > WORD_LETTERS_MAX && word.chars().count() > WORD_LETTERS_MAX {
            return None;
        }
        let (mut begin, mut count) = (0, 0);
        while begin < word.len() {
            let pieces = if begin == 0 {
                &self.beginnings
            } else {
                &self.endings
            };
            let mut end = word.floor_char_boundary(begin + self.piece_bytes_max);
            let piece = loop {
                if end <= begin {
                    return None;
                }
                match pieces.get(&word[begin..end]) {
                    Some(piece) => break *piece,
                    None => end = word.floor_char_boundary(end - 1),
                }
            };
            found[count] = piece;
            (begin, count) = (end, count + 1);
        }
        Some(count)
    }
}

/// What is thrown away before anything else.
fn is_control(letter: char) -> bool {
    match letter {
        '\t' | '\n' | '\r' => false,
        ' '..='~' => false,
        '\0' | '\u{fffd}' => true,
        // What nobody has given a meaning yet is kept, and is unknown.
        _ => matches!(
            letter.general_category(),
            GeneralCategory::Control | GeneralCategory::Format | GeneralCategory::PrivateUse
        ),
    }
}

fn is_accent(letter: char) -> bool {
    letter > '~' && letter.general_category() == GeneralCategory::NonspacingMark
}

fn is_punctuation(letter: char) -> bool {
    letter.is_ascii_punctuation()
        || letter > '~' && letter.general_category_group() == GeneralCategoryGroup::Punctuation
}

/// The ranges of ideographs that the vocabulary was made with, each of which is a word.
fn is_ideograph(letter: char) -> bool {
    matches!(letter,
        '\u{4e00}'..='\u{9fff}' | '\u{3400}'..='\u{4dbf}' | '\u{20000}'..='\u{2a6df}'
        | '\u{2a700}'..='\u{2b73f}' | '\u{2b740}'..='\u{2b81f}' | '\u{2b920}'..='\u{2ceaf}'
        | '\u{f900}'..='\u{faff}' | '\u{2f800}'..='\u{2fa1f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vocabulary of a few pieces in the file's form.
    fn small() -> WordPiece {
        let pieces = [
            "[PAD]",
            "[UNK]",
            "[CLS]",
            "[SEP]",
            "[MASK]",
            "how",
            "do",
            "i",
            "can",
            "##cel",
            "##s",
            "cafe",
            "?",
            "un",
            "##aff",
            "##able",
            "中",
            "3",
            ".",
            "\u{3c3}",
            "##\u{3c3}",
        ];
        let vocab: HashMap<&str, usize> = pieces.iter().zip(0..).map(|(p, n)| (*p, n)).collect();
        let text = serde_json::json!({
            "added_tokens": [{"id": 4, "content": "[MASK]"}],
            "normalizer": {"type": "BertNormalizer", "lowercase": true},
            "model": {"type": "WordPiece", "continuing_subword_prefix": "##", "vocab": vocab},
        });
        WordPiece::read(&text.to_string()).unwrap()
    }

    #[test]
    fn words_become_their_longest_pieces() {
        let vocabulary = small();
        for (text, pieces) in [
            ("", vec![]),
            (" \t\n", vec![]),
            ("How do I cancel?", vec![5, 6, 7, 8, 9, 12]),
            ("HOW\u{a0}DO", vec![5, 6]),
            ("ho\0w\u{200d} do", vec![5, 6]),
            ("unaffable unaffablex", vec![13, 14, 15, 1]),
            ("Café cafe\u{301} CAFÉS", vec![11, 11, 11, 10]),
            ("中中how", vec![16, 16, 5]),
            ("3.3", vec![17, 18, 17]),
            ("how[MASK]do [mask]", vec![5, 4, 6, 1, 1, 1]),
            // A capital sigma has one small form here, wherever in a word it stands.
            ("ΣΣ", vec![19, 20]),
            ("do™", vec![1]),
        ] {
            let mut right = vec![2];
            right.extend(&pieces);
            right.push(3);
            assert_eq!(vocabulary.pieces(text, 256), right, "{text:?}");
            assert_eq!(vocabulary.count(text, 256), right.len(), "{text:?}");
        }
    }

    #[test]
    fn what_is_beyond_the_end_is_cut_off() {
        let vocabulary = small();
        let text = "how do i cancel ".repeat(1000);
        assert_eq!(vocabulary.pieces(&text, 8), [2, 5, 6, 7, 8, 9, 5, 3]);
        assert_eq!(vocabulary.pieces(&text, 6), [2, 5, 6, 7, 8, 3]);
        assert_eq!(vocabulary.count(&text, 8), 8);
        assert_eq!(vocabulary.count(&text, usize::MAX), 5002);
    }

    #[test]
    fn a_word_too_long_to_be_one_is_unknown() {
        let vocabulary = small();
        for (text, pieces) in [
            ("can".to_owned() + &"s".repeat(97), 98),
            ("can".to_owned() + &"s".repeat(98), 1),
            ("σ".repeat(100), 100),
            ("σ".repeat(101), 1),
        ] {
            assert_eq!(vocabulary.count(&text, 256), pieces + 2, "{text}");
        }
    }

    #[test]
    fn another_kind_of_vocabulary_is_refused() {
        for text in ["", "{}", "[]", r#"{"model":{"type":"BPE","vocab":{}}}"#] {
            assert!(WordPiece::read(text).is_err(), "{text}");
        }
    }
}
