//! The bodies of frames: the small part through bincode, what is carried raw behind it. Types that
//! other files own are mirrored here, so that moving a field there cannot change the wire.

use bincode::config::{Configuration, Limit, LittleEndian, Varint};
use bincode::enc::write::Writer;
use bincode::error::EncodeError;
use bytes::{BufMut, Bytes, BytesMut};
use serde::de::{DeserializeOwned, Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    BODY_BYTES_MAX, CopyAsk, FetchAsk, Frame, Garbled, Heading, LookAsk, Mode, Rank, RingStamp,
    kind,
};
use crate::fault::{Credential, Fault, HeardBy, Refusal};
use crate::fetch::Part;
use crate::fill::{Secret, Terms};
use crate::flight::Freshness;
use crate::key::Key;
use crate::sync::Arc;

/// What a body may make the decoder set aside.
const SPACE_BYTES_MAX: usize = 2 * BODY_BYTES_MAX;

type Coding = Configuration<LittleEndian, Varint, Limit<SPACE_BYTES_MAX>>;

fn coding() -> Coding {
    bincode::config::standard().with_limit::<SPACE_BYTES_MAX>()
}

/// Appends the body of `frame`.
pub(super) fn encode(frame: &Frame, out: &mut BytesMut) -> Result<(), Garbled> {
    match frame {
        Frame::Fetch(ask) => {
            put(&FetchBody::of(ask), out)?;
            out.put_slice(&ask.job);
        }
        Frame::Secret(secret) => out.put_slice(secret.reveal()),
        Frame::Look(ask) => put(&LookBody::of(ask), out)?,
        Frame::Ping(ping) => put(ping, out)?,
        Frame::Payload(bytes) | Frame::Chunk(bytes) => out.put_slice(bytes),
        Frame::Accepted(accepted) => put(accepted, out)?,
        Frame::Heartbeat | Frame::End | Frame::Absent => {}
        Frame::Head(heading) => {
            let part = PartBody::of(heading.part);
            put(
                &HeadBody {
                    part,
                    rate: heading.rate,
                    stamp: Raw(heading.stamp.clone()),
                },
                out,
            )?;
            out.put_slice(&heading.frame);
        }
        Frame::Elsewhere(elsewhere) => put(elsewhere, out)?,
        Frame::Fault(fault) => put(&FaultBody::of(fault), out)?,
        Frame::Pong(pong) => put(pong, out)?,
        Frame::Copy(copy) => {
            put(&CopyBody::of(copy), out)?;
            out.put_slice(&copy.bytes);
        }
    }
    Ok(())
}

/// The frame of this kind whose body is `body`, sharing its memory where it is carried raw.
pub(super) fn decode(kind: u8, mut body: Bytes) -> Result<Frame, Garbled> {
    Ok(match kind {
        kind::FETCH => {
            let small: FetchBody = take(&mut body)?;
            Frame::Fetch(small.with(body))
        }
        kind::SECRET => Frame::Secret(Secret::new(&body)),
        kind::LOOK => Frame::Look(whole::<LookBody>(body)?.ask()),
        kind::PING => Frame::Ping(whole(body)?),
        kind::PAYLOAD => Frame::Payload(body),
        kind::ACCEPTED => Frame::Accepted(whole(body)?),
        kind::HEARTBEAT => Frame::Heartbeat,
        kind::HEAD => {
            let HeadBody { part, rate, stamp } = take(&mut body)?;
            Frame::Head(Heading {
                part: part.part(),
                rate,
                stamp: stamp.0,
                frame: body,
            })
        }
        kind::CHUNK => Frame::Chunk(body),
        kind::END => Frame::End,
        kind::ABSENT => Frame::Absent,
        kind::ELSEWHERE => Frame::Elsewhere(whole(body)?),
        kind::FAULT => Frame::Fault(whole::<FaultBody>(body)?.fault()),
        kind::PONG => Frame::Pong(whole(body)?),
        kind::COPY => {
            let small: CopyBody = take(&mut body)?;
            Frame::Copy(small.with(body))
        }
        other => return Err(Garbled::Kind(other)),
    })
}

struct Growing<'a>(&'a mut BytesMut);

impl Writer for Growing<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<(), EncodeError> {
        self.0.put_slice(bytes);
        Ok(())
    }
}

fn put<T: Serialize>(value: &T, out: &mut BytesMut) -> Result<(), Garbled> {
    bincode::serde::encode_into_writer(value, Growing(out), coding()).map_err(|_| Garbled::Body)
}

/// Decodes the beginning of `body` and leaves the rest.
fn take<T: DeserializeOwned>(body: &mut Bytes) -> Result<T, Garbled> {
    let (value, used) =
        bincode::serde::decode_from_slice(body, coding()).map_err(|_| Garbled::Body)?;
    drop(body.split_to(used));
    Ok(value)
}

/// Decodes all of `body`: what is left over is a mistake.
fn whole<T: DeserializeOwned>(mut body: Bytes) -> Result<T, Garbled> {
    let value = take(&mut body)?;
    if body.is_empty() {
        Ok(value)
    } else {
        Err(Garbled::Body)
    }
}

#[derive(Serialize, Deserialize)]
struct TermsBody {
    age_millis_max: Option<u64>,
    nearness_min: Option<u16>,
}

impl TermsBody {
    fn of(terms: Terms) -> TermsBody {
        let Terms {
            age_millis_max,
            nearness_min,
        } = terms;
        TermsBody {
            age_millis_max,
            nearness_min,
        }
    }

    fn terms(self) -> Terms {
        let TermsBody {
            age_millis_max,
            nearness_min,
        } = self;
        Terms {
            age_millis_max,
            nearness_min,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct FetchBody {
    key: [u8; 32],
    terms: TermsBody,
    fresh: bool,
    alone: bool,
    credential: [u8; 16],
    wish: u64,
    patience_millis: u64,
    rank: Rank,
    mode: Mode,
    ring: RingStamp,
    since: u64,
}

impl FetchBody {
    fn of(ask: &FetchAsk) -> FetchBody {
        FetchBody {
            key: ask.key.0,
            terms: TermsBody::of(ask.terms),
            fresh: ask.freshness == Freshness::Fresh,
            alone: ask.alone,
            credential: ask.credential.0,
            wish: ask.wish,
            patience_millis: ask.patience_millis,
            rank: ask.rank,
            mode: ask.mode,
            ring: ask.ring,
            since: ask.since,
        }
    }

    fn with(self, job: Bytes) -> FetchAsk {
        FetchAsk {
            key: Key(self.key),
            terms: self.terms.terms(),
            freshness: if self.fresh {
                Freshness::Fresh
            } else {
                Freshness::Any
            },
            alone: self.alone,
            credential: Credential(self.credential),
            wish: self.wish,
            patience_millis: self.patience_millis,
            rank: self.rank,
            mode: self.mode,
            ring: self.ring,
            since: self.since,
            job,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct LookBody {
    keys: Vec<[u8; 32]>,
    terms: TermsBody,
    ring: RingStamp,
}

impl LookBody {
    fn of(ask: &LookAsk) -> LookBody {
        LookBody {
            keys: ask.keys.iter().map(|key| key.0).collect(),
            terms: TermsBody::of(ask.terms),
            ring: ask.ring,
        }
    }

    fn ask(self) -> LookAsk {
        LookAsk {
            keys: self.keys.into_iter().map(Key).collect(),
            terms: self.terms.terms(),
            ring: self.ring,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct CopyBody {
    key: [u8; 32],
    ring: RingStamp,
    stamp: Raw,
    ends: Vec<u32>,
}

impl CopyBody {
    fn of(ask: &CopyAsk) -> CopyBody {
        CopyBody {
            key: ask.key.0,
            ring: ask.ring,
            stamp: Raw(ask.stamp.clone()),
            ends: ask.ends.clone(),
        }
    }

    fn with(self, bytes: Bytes) -> CopyAsk {
        CopyAsk {
            key: Key(self.key),
            ring: self.ring,
            stamp: self.stamp.0,
            ends: self.ends,
            bytes,
        }
    }
}

#[derive(Serialize, Deserialize)]
struct HeadBody {
    part: PartBody,
    rate: u32,
    stamp: Raw,
}

#[derive(Serialize, Deserialize)]
enum PartBody {
    Kept,
    Led,
    Followed,
}

impl PartBody {
    fn of(part: Part) -> PartBody {
        match part {
            Part::Kept => PartBody::Kept,
            Part::Led => PartBody::Led,
            Part::Followed => PartBody::Followed,
        }
    }

    fn part(self) -> Part {
        match self {
            PartBody::Kept => Part::Kept,
            PartBody::Led => Part::Led,
            PartBody::Followed => Part::Followed,
        }
    }
}

#[derive(Serialize, Deserialize)]
enum FaultBody {
    Abandoned,
    TooLong,
    TooSlow,
    NoRoom,
    Lost,
    Refused(RefusalBody),
    OwnerLost,
}

#[derive(Serialize, Deserialize)]
struct RefusalBody {
    status: u16,
    /// The credential of those it concerns; `None`: everybody.
    holders: Option<[u8; 16]>,
    head: Raw,
    aside: Raw,
    body: Raw,
}

impl FaultBody {
    fn of(fault: &Fault) -> FaultBody {
        match fault {
            Fault::Abandoned => FaultBody::Abandoned,
            Fault::TooLong => FaultBody::TooLong,
            Fault::TooSlow => FaultBody::TooSlow,
            Fault::NoRoom => FaultBody::NoRoom,
            Fault::Lost => FaultBody::Lost,
            Fault::OwnerLost => FaultBody::OwnerLost,
            Fault::Refused(refusal) => FaultBody::Refused(RefusalBody {
                status: refusal.status,
                holders: match refusal.heard_by {
                    HeardBy::All => None,
                    HeardBy::Holders(credential) => Some(credential.0),
                },
                head: Raw(refusal.head.clone()),
                aside: Raw(refusal.aside.clone()),
                body: Raw(refusal.body.clone()),
            }),
        }
    }

    fn fault(self) -> Fault {
        match self {
            FaultBody::Abandoned => Fault::Abandoned,
            FaultBody::TooLong => Fault::TooLong,
            FaultBody::TooSlow => Fault::TooSlow,
            FaultBody::NoRoom => Fault::NoRoom,
            FaultBody::Lost => Fault::Lost,
            FaultBody::OwnerLost => Fault::OwnerLost,
            FaultBody::Refused(refusal) => Fault::Refused(Arc::new(Refusal {
                status: refusal.status,
                head: refusal.head.0,
                aside: refusal.aside.0,
                body: refusal.body.0,
                heard_by: match refusal.holders {
                    None => HeardBy::All,
                    Some(credential) => HeardBy::Holders(Credential(credential)),
                },
            })),
        }
    }
}

/// Bytes as bytes: a length and then they.
struct Raw(Bytes);

impl Serialize for Raw {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_byte_buf(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("bytes")
    }

    fn visit_bytes<E: Error>(self, bytes: &[u8]) -> Result<Raw, E> {
        Ok(Raw(Bytes::copy_from_slice(bytes)))
    }

    fn visit_byte_buf<E: Error>(self, bytes: Vec<u8>) -> Result<Raw, E> {
        Ok(Raw(bytes.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Raw, A::Error> {
        Err(A::Error::custom("bytes are not a sequence"))
    }
}
