//! The words of a prompt as they stand: each with its mark, its stem where it carries content, and
//! whether it is common. What a word means beyond that is not decided here.

use std::sync::LazyLock;

use super::Fingerprint;
use super::letters::Span;
use super::mark::{Mark, Table};
use super::negation;
use super::stem::{Stem, owner};
use super::synonym;
use super::token::{Kind, Token};

/// One word, number or Chinese character of a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) mark: Mark,
    /// Of a content word its stem (or its synonyms' common mark); else [`Mark::NONE`].
    pub(super) stem: Mark,
    /// Where its letters lie.
    pub(super) span: Span,
    pub(super) kind: u8,
}

/// A word that only holds others together.
pub(super) const STOP: u8 = 1;
/// A word that everybody uses: to replace it by another is seldom to speak of another thing.
pub(super) const COMMON: u8 = 2;
/// A number, or part of one.
pub(super) const COUNTED: u8 = 4;
/// An article: says nothing that its noun does not.
pub(super) const ARTICLE: u8 = 8;
/// A word that may be another behind a prefix that denies it.
pub(super) const PREFIXED: u8 = 16;
/// What denies when it stands before a word: `uninstall`, `disconnect`.
pub(super) const PREFIXES: [&str; 8] = ["un", "dis", "de", "in", "im", "ir", "non", "mis"];
/// A word with a stem; only where it lies as bytes.
pub(super) const STEM: u8 = 128;

impl Word {
    pub(super) fn is(&self, kind: u8) -> bool {
        self.kind & kind != 0
    }
}

/// What a token is as a word; its letters lie at `span`.
pub(super) fn read(token: &Token<'_>, span: Span) -> Word {
    let (text, mark) = (token.text, token.mark);
    let stop = STOPS.has(mark);
    let word = owner(text);
    let stem = Stem::of(word).mark();
    let content = !token.counted && !stop && !negation::is_negator(text, mark);
    let same = || {
        if word.len() == text.len() {
            mark
        } else {
            Mark::of(word)
        }
    };
    let bits = [
        (STOP, stop),
        (COMMON, stop || COMMONS.has(stem)),
        (ARTICLE, stop && ARTICLES.has(mark)),
        (COUNTED, token.counted || token.kind == Kind::Number),
        (
            PREFIXED,
            PREFIXES.iter().any(|prefix| text.starts_with(prefix)),
        ),
    ];
    let kind = bits
        .iter()
        .fold(0, |kind, (bit, set)| if *set { kind | bit } else { kind });
    let stem = if content {
        synonym::of(same()).unwrap_or(stem)
    } else {
        Mark::NONE
    };
    Word {
        mark,
        stem,
        span,
        kind,
    }
}

/// The mark that a content word is compared by.
pub(super) fn content_mark(word: &str) -> Mark {
    let word = owner(word);
    synonym::of(Mark::of(word)).unwrap_or_else(|| Stem::of(word).mark())
}

/// What a word is looked up by in lists of meanings: its stem, so that `increased` is the opposite of
/// `reduces`; a word that only holds others together stands for itself.
pub(super) fn key(word: &str) -> Mark {
    let mark = Mark::of(word);
    if is_stop(mark) || negation::is_negator(word, mark) {
        mark
    } else {
        content_mark(word)
    }
}

/// The keys of the words that each of two prompts has alone.
pub(super) struct Alone {
    pub(super) a: Vec<Mark>,
    pub(super) b: Vec<Mark>,
}

impl Alone {
    pub(super) fn of(a: &Fingerprint, b: &Fingerprint) -> Self {
        Self {
            a: alone(a, b),
            b: alone(b, a),
        }
    }
}

fn alone(of: &Fingerprint, other: &Fingerprint) -> Vec<Mark> {
    let words = of.words.iter().filter(|word| !word.is(COUNTED));
    let keys = words.filter_map(|word| match word.stem {
        Mark::NONE => other
            .vocabulary
            .binary_search(&word.mark)
            .is_err()
            .then_some(word.mark),
        stem => other.bag.binary_search(&stem).is_err().then_some(stem),
    });
    keys.chain(of.turns.iter().filter_map(|turn| turn.meaning()))
        .collect()
}

pub(super) fn is_stop(word: Mark) -> bool {
    STOPS.has(word)
}

/// Stems of the words that English text is mostly made of.
static COMMONS: LazyLock<Table<()>> =
    LazyLock::new(|| Table::of([(include_str!("common.txt"), ())]));

static ARTICLES: LazyLock<Table<()>> = LazyLock::new(|| {
    Table::of([(
        "a an the l le la les un une des der die das den dem ein eine einen el los las una",
        (),
    )])
});

static STOPS: LazyLock<Table<()>> = LazyLock::new(|| Table::of(STOP_LISTS.map(|list| (list, ()))));

const STOP_LISTS: [&str; 4] = [
    "a an the is are was were be been being am do does did doing done have has had having of to in \
     on at for from by with as and or but if then than that this these those it its it's i i'm i'd \
     i'll i've me my mine we us our you your he she they them their his her",
    "what what's which who whom whose when where why how can could may might will would shall \
     should must please tell give show list find get let know want need like explain describe \
     write make some any there here just so very really also too about into onto out up off over",
    "many much way ways steps step possible s t m d ll re ve l j n c qu",
    "que qué cómo como cuál cuáles es el la los las un una de del en y o a al por para con mi me \
     se lo su puedo puede ist sind das der die den dem des ein eine einen ich mein meine wie was \
     welche welcher kann man zu im in und oder mit für von est le les du à au aux je mon ma mes \
     comment quel quelle quels quelles peut on et ou ce qui",
];
