//! A text as a row of known words, fast enough for every request: 64 bytes at a time become masks
//! of letters and signs, words are cut from the masks and told apart by their bytes as one number.
//! No branch depends on a single byte. Knows nothing of what words mean.

/// Words of more bytes are never known.
const WORD_BYTES_MAX: usize = 16;
const SLOTS: usize = 1_024;
/// Bytes that become one mask.
const BLOCK: usize = 64;
/// Sets the bit that tells small letters from capitals, in every byte. Apostrophes and digits have
/// it; of letters outside ASCII it changes some, on both sides alike.
const SMALL: u128 = u128::from_ne_bytes([0x20; 16]);

/// What a word counts as.
pub(super) type Code = u8;
/// A word that is not known.
pub(super) const OTHER: Code = 0;
/// Marks the code of a word that matters to the words behind it alone.
pub(super) const QUIET: Code = 0x80;
/// What parts two words that do not belong together: a full stop, a bracket.
const BREAK: Code = 0xff;

/// The codes of the four words before, the last one first.
pub(super) type Before = [Code; 4];

/// The words that matter, each by 64 bits of its bytes: small enough to stay in the nearest cache.
pub(super) struct Lexicon {
    /// 0: free.
    words: Box<[u64; SLOTS]>,
    codes: Box<[Code; SLOTS]>,
    /// By first byte, one bit a length: whether a known word begins so. Most words of a text are
    /// passed over for this.
    begins: Box<[u32; 256]>,
}

impl Lexicon {
    /// From lists of words in lower case; at most half as many as there are slots.
    pub(super) fn of(lists: &[(&str, Code)]) -> Self {
        let mut lexicon = Self {
            words: Box::new([0; SLOTS]),
            codes: Box::new([OTHER; SLOTS]),
            begins: Box::new([0; 256]),
        };
        for (list, code) in lists {
            for word in list.split_whitespace() {
                let at = lexicon.slot(number(word.as_bytes(), word.len()));
                lexicon.words[at] = number(word.as_bytes(), word.len());
                lexicon.codes[at] = *code;
                let first = word.as_bytes()[0];
                for first in [first, first.to_ascii_uppercase()] {
                    lexicon.begins[usize::from(first)] |= 1 << word.len();
                }
            }
        }
        lexicon
    }

    /// Where the word stands, or would.
    #[inline]
    fn slot(&self, word: u64) -> usize {
        let mut at = (word >> 54) as usize;
        while self.words[at] != 0 && self.words[at] != word {
            at = (at + 1) % SLOTS;
        }
        at
    }

    /// What the word of this length counts as that `text` begins with.
    #[inline]
    fn code(&self, text: &[u8], length: usize) -> Code {
        let begins = self.begins[usize::from(text[0])];
        if length > WORD_BYTES_MAX || begins & (1 << length) == 0 {
            return OTHER;
        }
        self.codes[self.slot(number(text, length))]
    }

    /// Tells each known word that is not [`QUIET`] with the words before it, in order, until it is
    /// told to stop. Words that a sign parts are not before one another; spaces and hyphens are no
    /// signs.
    #[inline]
    pub(super) fn walk(&self, text: &str, mut tell: impl FnMut(Code, Before) -> bool) {
        let bytes = text.as_bytes();
        let mut before = u32::from(BREAK);
        // The last bytes of the block before: whether a letter, whether signs since the last word.
        let (mut inside, mut parted) = (0, false);
        for start in (0..bytes.len()).step_by(BLOCK) {
            let masks = Masks::of(&bytes[start..]);
            let mut words = masks.letters & !(masks.letters << 1 | inside);
            let mut signs = masks.signs;
            while words != 0 {
                let at = words.trailing_zeros();
                words &= words - 1;
                parted |= signs & below(at) != 0;
                signs &= !below(at);
                let rest = &bytes[start + at as usize..];
                let code = self.word(rest, &masks, at);
                before = if parted {
                    before << 8 | u32::from(BREAK)
                } else {
                    before
                };
                parted = false;
                let known = code.wrapping_sub(1) < QUIET - 1;
                if known && !tell(code, before.to_le_bytes()) {
                    return;
                }
                before = before << 8 | u32::from(code);
            }
            parted |= signs != 0;
            inside = masks.letters >> (BLOCK - 1);
        }
    }

    /// What the word counts as that `rest` begins with, `at` bits into the masks.
    #[inline]
    fn word(&self, rest: &[u8], masks: &Masks, at: u32) -> Code {
        let run = (!(masks.letters >> at)).trailing_zeros();
        let mut length = run as usize;
        let mut abroad = masks.abroad & !below(at) & below(at + run) != 0;
        if at + run == BLOCK as u32 {
            let more = rest[length.min(rest.len())..]
                .iter()
                .take_while(|byte| is_letter(**byte));
            for byte in more {
                length += 1;
                abroad |= *byte >= 0x80;
            }
        }
        if abroad {
            self.abroad(&rest[..length])
        } else {
            self.code(rest, length)
        }
    }

    /// A word with letters outside ASCII, or with a curly apostrophe.
    #[cold]
    fn abroad(&self, word: &[u8]) -> Code {
        let text = String::from_utf8_lossy(word)
            .replace(['’', '‘', 'ʼ'], "'")
            .to_lowercase();
        let inner = text.trim_matches(|c: char| !c.is_alphanumeric());
        if inner.is_empty() {
            BREAK
        } else {
            self.code(inner.as_bytes(), inner.len())
        }
    }
}

/// The word of 1 to 16 bytes that `text` begins with, as a number, the same for either case.
#[inline]
fn number(text: &[u8], length: usize) -> u64 {
    let bytes = match text.first_chunk() {
        Some(chunk) => u128::from_le_bytes(*chunk),
        None => {
            let mut bytes = [0; WORD_BYTES_MAX];
            bytes[..text.len()].copy_from_slice(text);
            u128::from_le_bytes(bytes)
        }
    };
    let bytes = bytes & (u128::MAX >> (128 - 8 * length)) | SMALL;
    let (high, low) = ((bytes >> 64) as u64, bytes as u64);
    (low ^ high.rotate_left(29)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1
}

/// The bits below this one.
#[inline]
fn below(at: u32) -> u64 {
    if at >= 64 { u64::MAX } else { (1 << at) - 1 }
}

fn is_letter(byte: u8) -> bool {
    byte >= 0x80 || byte.is_ascii_alphanumeric() || byte == b'\'' || byte == b'_'
}

/// One bit for each of up to 64 bytes.
struct Masks {
    /// Letters, digits, apostrophes, underscores, and all bytes outside ASCII.
    letters: u64,
    /// Neither letters nor spaces nor hyphens.
    signs: u64,
    /// Outside ASCII.
    abroad: u64,
}

impl Masks {
    #[inline]
    fn of(bytes: &[u8]) -> Self {
        match bytes.first_chunk() {
            Some(block) => Self::of_block(block),
            None => {
                let mut block = [b' '; BLOCK];
                block[..bytes.len()].copy_from_slice(bytes);
                Self::of_block(&block)
            }
        }
    }

    #[inline]
    fn of_block(block: &[u8; BLOCK]) -> Self {
        let mut masks = Self {
            letters: 0,
            signs: 0,
            abroad: 0,
        };
        let (words, _) = block.as_chunks::<8>();
        for (at, word) in words.iter().enumerate() {
            let eight = u64::from_le_bytes(*word);
            let (plain, abroad) = (eight & !TOPS, eight & TOPS);
            let small = plain | each(0x20);
            let letters = between(small, b'a', b'z')
                | between(plain, b'0', b'9')
                | between(plain, b'\'', b'\'')
                | between(plain, b'_', b'_');
            let letters = letters & !abroad | abroad;
            let spaces = between(plain, b'\t', b'\r')
                | between(plain, b' ', b' ')
                | between(plain, b'-', b'-');
            masks.letters |= gather(letters) << (8 * at);
            masks.signs |= gather(!(letters | spaces) & TOPS) << (8 * at);
            masks.abroad |= gather(abroad) << (8 * at);
        }
        masks
    }
}

const TOPS: u64 = each(0x80);

const fn each(byte: u8) -> u64 {
    u64::from_ne_bytes([byte; 8])
}

/// The top bit of each of eight bytes below 0x80 that lies between two others.
#[inline]
const fn between(bytes: u64, low: u8, high: u8) -> u64 {
    (bytes + each(0x80 - low)) & !(bytes + each(0x7f - high)) & TOPS
}

/// The top bits of eight bytes side by side.
#[inline]
const fn gather(tops: u64) -> u64 {
    (tops >> 7).wrapping_mul(0x0102_0408_1020_4080) >> 56
}
