//! The frames after the head. A stream lies on the tape payload by payload, each as its difference
//! to the one before: of some 310 bytes of a chunk about 20 are new. What was recorded is played
//! back to the byte; the one thing told apart is `usage`, which only those hear who asked for it.

mod cut;
#[cfg(test)]
mod tests;

use bytes::Bytes;
use fgy_cluster::{Frame, Sealed};

use super::Malformed;
use super::bytes::{Reader, write_varint};
use super::usage::Usage;
use cut::Cut;

const PLAIN: u8 = 1;
const CHUNK: u8 = 2;
const USAGE: u8 = 3;
const TALLY: u8 = 4;

/// One frame after the head, read.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'r> {
    /// the whole body of a plain answer, as the provider sent it
    Plain(Bytes),
    /// one payload of a stream
    Chunk(Chunk<'r>),
    /// the payload that carries nothing but the usage: only for callers who asked for it
    Usage(&'r str),
    /// the last frame of a finished tape
    Tally(Tally),
}

/// One payload of a stream, with its top-level `usage` told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunk<'r> {
    before: &'r str,
    usage: &'r str,
    after: &'r str,
}

impl<'r> Chunk<'r> {
    /// The text in pieces, to be written one after the other: as recorded for those who asked for
    /// usage, without the member for others.
    pub fn parts(&self, asked_usage: bool) -> [&'r str; 3] {
        [
            self.before,
            if asked_usage { self.usage } else { "" },
            self.after,
        ]
    }

    /// The text in one piece.
    pub fn text(&self, asked_usage: bool) -> String {
        self.parts(asked_usage).concat()
    }
}

/// The sum at the end of a tape, readable without any JSON.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// what the provider said it took; `None` if it said nothing
    pub usage: Option<Usage>,
    /// whether the answer came to its own end: only such are kept
    pub complete: bool,
}

const TALLY_BYTES: usize = 14;
const COMPLETE: u8 = 1;
const COUNTED: u8 = 2;
const ESTIMATED: u8 = 4;

impl Tally {
    /// The frame, always of one size.
    pub fn encode(&self) -> Frame {
        let usage = self.usage.unwrap_or_default();
        let flag = |set: bool, bit: u8| if set { bit } else { 0 };
        let flags = flag(self.complete, COMPLETE)
            | flag(self.usage.is_some(), COUNTED)
            | flag(usage.estimated, ESTIMATED);
        let mut out = Vec::with_capacity(TALLY_BYTES);
        out.extend_from_slice(&[TALLY, flags]);
        for tokens in [usage.input, usage.cached_input, usage.output] {
            out.extend_from_slice(&tokens.to_le_bytes());
        }
        Bytes::from(out)
    }

    /// Reads the last frame of a tape; anything else is malformed.
    pub fn decode(frame: &[u8]) -> Result<Tally, Malformed> {
        let mut reader = Reader::of(frame);
        let [tag, flags] = reader.array()?;
        if tag != TALLY || flags & !(COMPLETE | COUNTED | ESTIMATED) != 0 {
            return Err(Malformed("the last frame is no tally"));
        }
        let mut tokens = || reader.array().map(u32::from_le_bytes);
        let usage = Usage {
            input: tokens()?,
            cached_input: tokens()?,
            output: tokens()?,
            estimated: flags & ESTIMATED != 0,
        };
        reader.end()?;
        let usage = (flags & COUNTED != 0).then_some(usage);
        Ok(Tally {
            usage,
            complete: flags & COMPLETE != 0,
        })
    }
}

/// The frame of a plain body.
pub fn plain(body: &[u8]) -> Frame {
    let mut out = Vec::with_capacity(1 + body.len());
    out.push(PLAIN);
    out.extend_from_slice(body);
    Bytes::from(out)
}

/// The body of a plain answer, sharing the recording's buffer; empty where there is none.
pub fn body(sealed: &Sealed) -> Bytes {
    let frame = sealed.look(1);
    sealed.bytes().slice_ref(frame.get(1..).unwrap_or_default())
}

/// Payloads to frames: one writer records one stream from its beginning.
#[derive(Debug, Default)]
pub struct ChunkWriter {
    previous: Vec<u8>,
    cut: Cut,
}

impl ChunkWriter {
    /// A writer at the start of a stream.
    pub fn new() -> ChunkWriter {
        ChunkWriter::default()
    }

    /// The frame of the next payload. Text that is not JSON is recorded as it stands.
    pub fn write(&mut self, payload: &str) -> Frame {
        let mut out = Vec::with_capacity(32 + payload.len() / 4);
        let found = cut::find(payload);
        if matches!(found, cut::Found::Alone) {
            out.push(USAGE);
            self.write_difference(payload.as_bytes(), &mut out);
            return Bytes::from(out);
        }
        out.push(CHUNK);
        match found {
            cut::Found::Member(span) => {
                let next = Cut::of(payload, span.clone());
                next.write_after(&self.cut, &mut out);
                self.cut = next;
                let mut text = payload.as_bytes().to_vec();
                text.drain(span);
                self.write_difference(&text, &mut out);
            }
            cut::Found::Nothing | cut::Found::Alone => {
                cut::write_nothing(&mut out);
                self.write_difference(payload.as_bytes(), &mut out);
            }
        }
        Bytes::from(out)
    }

    /// What is common at both ends is told by its length.
    fn write_difference(&mut self, text: &[u8], out: &mut Vec<u8>) {
        let pairs = self.previous.iter().zip(text);
        let prefix = pairs.take_while(|(old, new)| old == new).count();
        let (_, old) = self.previous.split_at(prefix);
        let (_, new) = text.split_at(prefix);
        let pairs = old.iter().rev().zip(new.iter().rev());
        let suffix = pairs.take_while(|(old, new)| old == new).count();
        write_varint(prefix, out);
        write_varint(suffix, out);
        let (middle, _) = new.split_at(new.len() - suffix);
        out.extend_from_slice(middle);
        self.previous.clear();
        self.previous.extend_from_slice(text);
    }
}

/// Frames to events: one reader plays one tape, always from the first frame after the head.
#[derive(Debug, Default)]
pub struct ChunkReader {
    previous: String,
    cut: Cut,
}

impl ChunkReader {
    /// A reader at the start of a tape.
    pub fn new() -> ChunkReader {
        ChunkReader::default()
    }

    /// Reads the next frame. What it gives lives until the one after it is read. After an error the
    /// rest of the tape cannot be read.
    pub fn read(&mut self, frame: &Frame) -> Result<Event<'_>, Malformed> {
        let mut reader = Reader::of(frame);
        match reader.byte()? {
            PLAIN => Ok(Event::Plain(frame.slice(1..))),
            CHUNK => self.read_chunk(reader),
            USAGE => {
                self.restore(reader)?;
                Ok(Event::Usage(&self.previous))
            }
            TALLY => Tally::decode(frame).map(Event::Tally),
            _ => Err(Malformed("a frame of an unknown kind")),
        }
    }

    fn read_chunk(&mut self, mut reader: Reader<'_>) -> Result<Event<'_>, Malformed> {
        let is_cut = self.cut.read(&mut reader)?;
        self.restore(reader)?;
        let text = self.previous.as_str();
        let whole = Chunk {
            before: text,
            usage: "",
            after: "",
        };
        Ok(Event::Chunk(if is_cut {
            self.cut.split(text)?
        } else {
            whole
        }))
    }

    /// Puts the text together again from the one before.
    fn restore(&mut self, mut reader: Reader<'_>) -> Result<(), Malformed> {
        let (prefix, suffix) = (reader.varint()?, reader.varint()?);
        let old = std::mem::take(&mut self.previous).into_bytes();
        let kept = prefix.checked_add(suffix).filter(|kept| *kept <= old.len());
        if kept.is_none() {
            return Err(Malformed("a chunk refers to more than the one before it"));
        }
        let mut text = old;
        let end = text.len() - suffix;
        text.splice(prefix..end, reader.rest().iter().copied());
        self.previous = String::from_utf8(text).map_err(|_| Malformed("a chunk is not UTF-8"))?;
        Ok(())
    }
}
