//! Fingerprints as bytes, as they lie beside stored answers. One version byte first: bytes of any
//! other version are refused, and the reader takes the fingerprint anew from the text kept with
//! them. Bounded by what [`Fingerprint::of`] reads; no input makes decoding panic or grow.

use std::error::Error;
use std::fmt;

use super::entity::Name;
use super::letters::{Letters, Span};
use super::mark::Mark;
use super::number::{Measure, Numbers};
use super::particle::Turn;
use super::role::{Part, Role};
use super::time::Time;
use super::unit::Unit;
use super::word::{STEM, Word};
use super::{Fingerprint, TEXT_BYTES_MAX, TOKENS_MAX};

/// Raised with every change of the layout, of a list of words or of how a prompt is read.
pub(super) const VERSION: u8 = 1;

/// Bytes that are no fingerprint of this version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no fingerprint of this version; take it anew from the text")
    }
}

impl Error for Malformed {}

const DENIES: u8 = 1;
const COUNTS: u8 = 2;
const CUT: u8 = 4;

impl Fingerprint {
    /// The bytes to keep; about 200 for a prompt of 20 words.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Writer(Vec::with_capacity(
            64 + self.letters.0.len() + 4 * self.words.len(),
        ));
        out.byte(VERSION);
        let flag = |set: bool, flag: u8| if set { flag } else { 0 };
        out.byte(flag(self.denies, DENIES) | flag(self.counts, COUNTS) | flag(self.cut, CUT));
        out.byte(self.aggregates);
        out.short(self.quantifiers);
        out.short(self.questions);
        out.count(self.letters.0.len());
        out.0.extend_from_slice(self.letters.0.as_bytes());
        out.list(&self.words, Writer::word);
        out.list(&self.numbers.stated, Writer::mark);
        out.list(&self.numbers.loose, Writer::mark);
        out.list(&self.numbers.measured, |out, measure| {
            out.mark(&measure.value);
            out.unit(&measure.unit);
        });
        out.list(&self.units, Writer::unit);
        out.list(&self.times, |out, time| {
            out.byte(time.kind);
            out.mark(&time.name);
        });
        out.list(&self.periods, Writer::mark);
        out.list(&self.parts, |out, part| {
            out.byte(part.role as u8);
            out.mark(&part.word);
        });
        out.list(&self.turns, |out, turn| {
            out.mark(&turn.verb);
            out.byte(turn.particles);
        });
        out.list(&self.names, |out, name| {
            out.span(&name.span);
            out.mark(&name.stem);
        });
        out.list(&self.identifiers, Writer::span);
        out.list(&self.operators, Writer::mark);
        out.list(&self.quotes, Writer::span);
        out.0
    }

    /// Reads what [`Fingerprint::encode`] wrote.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are of another version or broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut input = Reader(bytes);
        if input.byte()? != VERSION {
            return Err(Malformed);
        }
        let flags = input.byte()?;
        let (aggregates, quantifiers, questions) = (input.byte()?, input.short()?, input.short()?);
        let letters = input.letters()?;
        let mut start = 0;
        let print = Self {
            words: input.list(|input| input.word(&letters, &mut start))?,
            letters,
            numbers: Numbers {
                stated: input.list(Reader::mark)?,
                loose: input.list(Reader::mark)?,
                measured: input.list(|input| {
                    Ok(Measure {
                        value: input.mark()?,
                        unit: input.unit()?,
                    })
                })?,
            },
            units: input.list(Reader::unit)?,
            times: input.list(|input| {
                Ok(Time {
                    kind: input.byte()?,
                    name: input.mark()?,
                })
            })?,
            periods: input.list(Reader::mark)?,
            parts: input.list(|input| {
                let role = *Role::ALL.get(usize::from(input.byte()?)).ok_or(Malformed)?;
                Ok(Part {
                    role,
                    word: input.mark()?,
                })
            })?,
            turns: input.list(|input| {
                Ok(Turn {
                    verb: input.mark()?,
                    particles: input.byte()?,
                })
            })?,
            names: input.list(|input| {
                Ok(Name {
                    span: input.span()?,
                    stem: input.mark()?,
                })
            })?,
            identifiers: input.list(Reader::span)?,
            operators: input.list(Reader::mark)?,
            quotes: input.list(Reader::span)?,
            aggregates,
            quantifiers,
            questions,
            denies: flags & DENIES != 0,
            counts: flags & COUNTS != 0,
            cut: flags & CUT != 0,
            ..Self::default()
        };
        match input.0 {
            [] => Ok(print.sorted()),
            _ => Err(Malformed),
        }
    }
}

struct Writer(Vec<u8>);

impl Writer {
    fn byte(&mut self, byte: u8) {
        self.0.push(byte);
    }

    fn short(&mut self, short: u16) {
        self.0.extend_from_slice(&short.to_le_bytes());
    }

    /// Seven bits a byte, the lowest first.
    fn count(&mut self, mut count: usize) {
        while count >= 0x80 {
            self.byte((count & 0x7f) as u8 | 0x80);
            count >>= 7;
        }
        self.byte(count as u8);
    }

    fn mark(&mut self, mark: &Mark) {
        self.0.extend_from_slice(&mark.0.to_le_bytes());
    }

    fn unit(&mut self, unit: &Unit) {
        self.byte(unit.dimension);
        self.mark(&unit.name);
    }

    fn span(&mut self, span: &Span) {
        self.count(usize::from(span.start));
        self.count(usize::from(span.length));
    }

    /// Words lie one behind the other: a length says where, and the mark follows from the letters.
    fn word(&mut self, word: &Word) {
        let stem = if word.stem == Mark::NONE { 0 } else { STEM };
        self.byte(word.kind | stem);
        self.count(usize::from(word.span.length));
        if stem != 0 {
            self.mark(&word.stem);
        }
    }

    fn list<T>(&mut self, list: &[T], one: impl Fn(&mut Self, &T)) {
        self.count(list.len());
        for item in list {
            one(self, item);
        }
    }
}

struct Reader<'b>(&'b [u8]);

impl Reader<'_> {
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*first)
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn short(&mut self) -> Result<u16, Malformed> {
        self.array().map(u16::from_le_bytes)
    }

    fn count(&mut self) -> Result<usize, Malformed> {
        let mut count = 0;
        for shift in [0, 7, 14] {
            let byte = self.byte()?;
            count |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(count);
            }
        }
        Err(Malformed)
    }

    fn mark(&mut self) -> Result<Mark, Malformed> {
        self.array().map(|bytes| Mark(u32::from_le_bytes(bytes)))
    }

    fn unit(&mut self) -> Result<Unit, Malformed> {
        Ok(Unit {
            dimension: self.byte()?,
            name: self.mark()?,
        })
    }

    fn span(&mut self) -> Result<Span, Malformed> {
        let mut short = || u16::try_from(self.count()?).map_err(|_| Malformed);
        Ok(Span {
            start: short()?,
            length: short()?,
        })
    }

    fn letters(&mut self) -> Result<Letters, Malformed> {
        let length = self.count()?;
        if length > 4 * TEXT_BYTES_MAX {
            return Err(Malformed);
        }
        let (letters, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
        self.0 = rest;
        let letters = std::str::from_utf8(letters).map_err(|_| Malformed)?;
        Ok(Letters(letters.to_owned()))
    }

    fn word(&mut self, letters: &Letters, start: &mut u16) -> Result<Word, Malformed> {
        let kind = self.byte()?;
        let length = u16::try_from(self.count()?).map_err(|_| Malformed)?;
        let span = Span {
            start: *start,
            length,
        };
        *start = start.checked_add(length).ok_or(Malformed)?;
        let stem = if kind & STEM == 0 {
            Mark::NONE
        } else {
            self.mark()?
        };
        let mark = Mark::of(letters.at(span));
        Ok(Word {
            mark,
            stem,
            span,
            kind: kind & !STEM,
        })
    }

    fn list<T>(
        &mut self,
        mut one: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count()?;
        if count > TOKENS_MAX {
            return Err(Malformed);
        }
        (0..count).map(|_| one(self)).collect()
    }
}
