//! What nodes say to one another, as bytes: frames in an envelope that carries its version and its
//! length, checked before anything is decoded. The encoding is positional, so nothing here is ever
//! changed in place: a new meaning is a new kind. It knows no connection and keeps nothing.

mod body;
mod decoder;
#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::fault::{Credential, Fault};
use crate::fetch::Part;
use crate::fill::{Secret, Terms};
use crate::flight::Freshness;
use crate::key::Key;
use crate::node::{NodeId, Phase};

pub(crate) use decoder::Decoder;

/// The first two bytes of every frame, in the order they are sent.
const MAGIC: [u8; 2] = *b"fG";

/// Raised when an older node cannot read what a newer one sends.
pub(crate) const MAJOR: u8 = 1;

/// The envelope: magic, major, kind, and the length of what follows, little end first.
const ENVELOPE_BYTES: usize = 8;

/// The longest body of a frame. A longer one is refused by its envelope.
pub(crate) const BODY_BYTES_MAX: usize = 16 * 1024 * 1024;

/// The longest body of a frame that carries neither an answer nor an ask.
const SMALL_BODY_BYTES_MAX: usize = 64 * 1024;

/// One thing said.
pub(crate) enum Frame {
    /// Asks for an answer, kept or made.
    Fetch(FetchAsk),
    /// What pays for it.
    Secret(Secret),
    /// Asks for kept answers.
    Look(LookAsk),
    /// Asks whether one is there.
    Ping(Ping),
    /// The application's own, or agreement's: ask and reply alike.
    Payload(Bytes),
    /// The ask is taken up.
    Accepted(Accepted),
    /// Nothing yet, and still at it.
    Heartbeat,
    /// The first frame of an answer.
    Head(Heading),
    /// A further frame.
    Chunk(Bytes),
    /// The answer is whole.
    End,
    /// There is none.
    Absent,
    /// The key is another's.
    Elsewhere(Elsewhere),
    /// The answer broke.
    Fault(Fault),
    /// One is there.
    Pong(Pong),
    /// A kept answer, for who owns its key now.
    Copy(CopyAsk),
}

/// Which ring a node goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RingStamp {
    /// Rises with every change.
    pub(crate) epoch: u64,
    /// Of its members; two rings of one epoch with two digests are a mistake.
    pub(crate) digest: [u8; 16],
}

/// On which step of its way an ask is. It may only go down.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Rank {
    /// Where the caller is.
    Entry,
    /// The owner in the caller's region.
    Region,
    /// The owner in the world.
    Home,
}

/// What is asked of an owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mode {
    /// To answer if it is the owner, and else to say who is.
    Owner,
    /// To answer whoever the owner is.
    Force,
    /// To answer from what it has, or not at all.
    Peek,
}

/// Asks for an answer.
pub(crate) struct FetchAsk {
    pub(crate) key: Key,
    pub(crate) terms: Terms,
    pub(crate) freshness: Freshness,
    /// Not to be shared in the air.
    pub(crate) alone: bool,
    pub(crate) credential: Credential,
    /// How long the caller would keep it, in the application's unit.
    pub(crate) wish: u64,
    /// How long the caller waits for the first frame from now on.
    pub(crate) patience_millis: u64,
    pub(crate) rank: Rank,
    pub(crate) mode: Mode,
    pub(crate) ring: RingStamp,
    /// See [`crate::Want::since`].
    pub(crate) since: u64,
    /// See [`crate::Filling::job`].
    pub(crate) job: Bytes,
}

/// Asks for kept answers, answered key by key: `Absent`, or `Head`, `Chunk`s and `End`.
pub(crate) struct LookAsk {
    pub(crate) keys: Vec<Key>,
    pub(crate) terms: Terms,
    pub(crate) ring: RingStamp,
}

/// An ask was taken up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Accepted {
    pub(crate) ring: RingStamp,
}

/// The first frame of an answer.
pub(crate) struct Heading {
    /// How the owner came by it.
    pub(crate) part: Part,
    /// Asks of this key a second, as the owner sees it.
    pub(crate) rate: u32,
    /// What must travel with a copy of it, in the application's encoding; empty: it is not to be
    /// copied.
    pub(crate) stamp: Bytes,
    pub(crate) frame: Bytes,
}

impl Heading {
    /// The first frame of an answer that is not to be copied.
    pub(crate) fn of(part: Part) -> Heading {
        Heading {
            part,
            rate: 0,
            stamp: Bytes::new(),
            frame: Bytes::new(),
        }
    }
}

/// Whose a key is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Elsewhere {
    pub(crate) ring: RingStamp,
    pub(crate) owner: NodeId,
}

/// Asks whether a node is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ping {
    pub(crate) ring: RingStamp,
    pub(crate) phase: Phase,
}

/// Says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pong {
    pub(crate) ring: RingStamp,
    pub(crate) phase: Phase,
}

/// A kept answer, whole, in one frame: an ask has few of them. Answered by `Accepted` where it was
/// taken in, `Absent` where it is void, `Elsewhere` where another owns the key.
pub(crate) struct CopyAsk {
    pub(crate) key: Key,
    pub(crate) ring: RingStamp,
    /// See [`Heading::stamp`].
    pub(crate) stamp: Bytes,
    /// Where each of its frames ends in `bytes`; not yet known to be true.
    pub(crate) ends: Vec<u32>,
    pub(crate) bytes: Bytes,
}

/// Why bytes are not a frame, or a frame cannot be bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Garbled {
    /// They begin as no frame does.
    Magic,
    /// They are of another major version.
    Major(u8),
    /// A kind this release does not know.
    Kind(u8),
    /// The body is longer than its kind may be.
    TooLong,
    /// The body is not what its kind says.
    Body,
}

impl fmt::Display for Garbled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Garbled::Magic => "not a frame",
            Garbled::Major(_) => "a frame of another version",
            Garbled::Kind(_) => "a frame of an unknown kind",
            Garbled::TooLong => "a frame is too long",
            Garbled::Body => "a frame is not what it says it is",
        })
    }
}

impl std::error::Error for Garbled {}

impl fmt::Debug for Frame {
    /// Only the kind: frames carry what people ask.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The number of a kind on the wire; append only.
mod kind {
    pub(super) const FETCH: u8 = 1;
    pub(super) const SECRET: u8 = 2;
    pub(super) const LOOK: u8 = 3;
    pub(super) const PING: u8 = 4;
    pub(super) const PAYLOAD: u8 = 5;
    pub(super) const ACCEPTED: u8 = 6;
    pub(super) const HEARTBEAT: u8 = 7;
    pub(super) const HEAD: u8 = 8;
    pub(super) const CHUNK: u8 = 9;
    pub(super) const END: u8 = 10;
    pub(super) const ABSENT: u8 = 11;
    pub(super) const ELSEWHERE: u8 = 12;
    pub(super) const FAULT: u8 = 13;
    pub(super) const PONG: u8 = 14;
    pub(super) const COPY: u8 = 15;
}

impl Frame {
    /// Its kind in a word.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Frame::Fetch(_) => "fetch",
            Frame::Secret(_) => "secret",
            Frame::Look(_) => "look",
            Frame::Ping(_) => "ping",
            Frame::Payload(_) => "payload",
            Frame::Accepted(_) => "accepted",
            Frame::Heartbeat => "heartbeat",
            Frame::Head(_) => "head",
            Frame::Chunk(_) => "chunk",
            Frame::End => "end",
            Frame::Absent => "absent",
            Frame::Elsewhere(_) => "elsewhere",
            Frame::Fault(_) => "fault",
            Frame::Pong(_) => "pong",
            Frame::Copy(_) => "copy",
        }
    }

    /// About as many bytes as it takes, never fewer than what it carries raw.
    pub(crate) fn bytes_about(&self) -> usize {
        let raw = match self {
            Frame::Fetch(ask) => ask.job.len() + 160,
            Frame::Secret(secret) => secret.reveal().len(),
            Frame::Look(ask) => ask.keys.len() * 32 + 64,
            Frame::Payload(bytes) | Frame::Chunk(bytes) => bytes.len(),
            Frame::Head(heading) => heading.frame.len() + 8,
            Frame::Copy(copy) => copy.bytes.len() + copy.stamp.len() + copy.ends.len() * 5 + 80,
            Frame::Fault(Fault::Refused(refusal)) => {
                refusal.head.len() + refusal.aside.len() + refusal.body.len() + 48
            }
            Frame::Heartbeat | Frame::End | Frame::Absent => 0,
            _ => 48,
        };
        raw + ENVELOPE_BYTES
    }

    /// Appends the frame. What is too long is refused and leaves `out` as it was.
    pub(crate) fn encode(&self, out: &mut BytesMut) -> Result<(), Garbled> {
        let start = out.len();
        out.reserve(self.bytes_about());
        out.extend_from_slice(&MAGIC);
        out.extend_from_slice(&[MAJOR, self.kind()]);
        out.extend_from_slice(&[0; 4]);
        let written = body::encode(self, out);
        let length = out.len() - start - ENVELOPE_BYTES;
        if written.is_err() || length > body_bytes_max(self.kind()) {
            out.truncate(start);
            return Err(Garbled::TooLong);
        }
        // The limit checked above is far below 4 GiB.
        out[start + 4..start + ENVELOPE_BYTES].copy_from_slice(&(length as u32).to_le_bytes());
        Ok(())
    }

    fn kind(&self) -> u8 {
        match self {
            Frame::Fetch(_) => kind::FETCH,
            Frame::Secret(_) => kind::SECRET,
            Frame::Look(_) => kind::LOOK,
            Frame::Ping(_) => kind::PING,
            Frame::Payload(_) => kind::PAYLOAD,
            Frame::Accepted(_) => kind::ACCEPTED,
            Frame::Heartbeat => kind::HEARTBEAT,
            Frame::Head(_) => kind::HEAD,
            Frame::Chunk(_) => kind::CHUNK,
            Frame::End => kind::END,
            Frame::Absent => kind::ABSENT,
            Frame::Elsewhere(_) => kind::ELSEWHERE,
            Frame::Fault(_) => kind::FAULT,
            Frame::Pong(_) => kind::PONG,
            Frame::Copy(_) => kind::COPY,
        }
    }
}

/// An envelope, read and found good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Envelope {
    kind: u8,
    body_bytes: usize,
}

impl Envelope {
    fn read(bytes: [u8; ENVELOPE_BYTES]) -> Result<Envelope, Garbled> {
        let [m0, m1, major, kind, length @ ..] = bytes;
        if [m0, m1] != MAGIC {
            return Err(Garbled::Magic);
        }
        if major != MAJOR {
            return Err(Garbled::Major(major));
        }
        if !(kind::FETCH..=kind::COPY).contains(&kind) {
            return Err(Garbled::Kind(kind));
        }
        let body_bytes = u32::from_le_bytes(length) as usize;
        if body_bytes > body_bytes_max(kind) {
            return Err(Garbled::TooLong);
        }
        Ok(Envelope { kind, body_bytes })
    }
}

fn body_bytes_max(kind: u8) -> usize {
    match kind {
        kind::FETCH
        | kind::LOOK
        | kind::PAYLOAD
        | kind::HEAD
        | kind::CHUNK
        | kind::FAULT
        | kind::COPY => BODY_BYTES_MAX,
        kind::HEARTBEAT | kind::END | kind::ABSENT => 0,
        _ => SMALL_BODY_BYTES_MAX,
    }
}
