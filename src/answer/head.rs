//! The first frame of every tape: where the answer came from and in which shape it lies. Small,
//! fixed binary, a version byte first. It never holds a header or a word of the answer.

use bytes::Bytes;
use fgy_cluster::{Frame, Key};

use super::Malformed;
use super::aside::Aside;
use super::bytes::Reader;
use super::stamp::Millis;
use crate::ledger::money::NanoUsd;

/// Raised when the layout changes; tapes of another version are treated as absent.
pub const HEAD_VERSION: u8 = 1;

/// How many reasons a head may name, and how long one may be.
pub const DECLINED_COUNT_MAX: usize = 16;
/// The longest reason token.
pub const REASON_BYTES_MAX: usize = 64;

/// In which shape the answer was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// one body, byte for byte
    Plain,
    /// the payloads of a stream
    Events,
}

/// Where the answer came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// the provider, to this very question
    Fresh,
    /// another question's answer, near enough in meaning
    Near {
        /// the entry it was promoted from
        source: Key,
        /// how near, in basis points
        similarity_bp: u16,
    },
}

/// What stands before an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    /// how the frames after it are to be read
    pub shape: Shape,
    /// from whom it is
    pub origin: Origin,
    /// the provider's status
    pub status: u16,
    /// when the provider's first byte was recorded
    pub filled: Millis,
    /// until when it is kept: `None` while it is being made, so that it also tells a kept answer
    /// from one made for this flight
    pub kept_until: Option<Millis>,
    /// what the owner declined on the way, as reason tokens
    pub declined: Vec<String>,
    /// what the provider said beside it; never kept
    pub aside: Aside,
    /// what was paid for embeddings on the way, billed to the leader; never kept
    pub paid: NanoUsd,
}

/// Of the second byte: the shape.
const EVENTS: u8 = 1;
/// Of the second byte: something was paid, and how much stands before the aside. Kept answers never
/// say so, and what says nothing reads as before.
const PAID: u8 = 2;

impl Head {
    /// The frame. Reasons past the limits are left out: they explain, they do not decide.
    pub fn encode(&self) -> Frame {
        let mut out = Vec::with_capacity(64);
        let shape = if self.shape == Shape::Events {
            EVENTS
        } else {
            0
        };
        let paid = if self.paid == NanoUsd::ZERO { 0 } else { PAID };
        out.extend_from_slice(&[HEAD_VERSION, shape | paid]);
        match self.origin {
            Origin::Fresh => out.push(0),
            Origin::Near {
                source,
                similarity_bp,
            } => {
                out.push(1);
                out.extend_from_slice(&source.0);
                out.extend_from_slice(&similarity_bp.to_le_bytes());
            }
        }
        out.extend_from_slice(&self.status.to_le_bytes());
        out.extend_from_slice(&self.filled.0.to_le_bytes());
        // No kept answer lives until the beginning of time: zero is free to mean none.
        out.extend_from_slice(&self.kept_until.unwrap_or_default().0.to_le_bytes());
        if self.paid != NanoUsd::ZERO {
            out.extend_from_slice(&self.paid.0.to_le_bytes());
        }
        let aside = self.aside.encode();
        out.extend_from_slice(&(aside.len() as u32).to_le_bytes());
        out.extend_from_slice(&aside);
        let fits = |reason: &&String| reason.len() <= REASON_BYTES_MAX;
        for reason in self.declined.iter().filter(fits).take(DECLINED_COUNT_MAX) {
            // Fits: the limit is below 256.
            out.push(u8::try_from(reason.len()).unwrap_or_default());
            out.extend_from_slice(reason.as_bytes());
        }
        Bytes::from(out)
    }

    /// Whether a frame is the head of another question's answer: one byte is looked at.
    pub fn is_near(frame: &[u8]) -> bool {
        frame.get(2) == Some(&1)
    }

    /// Reads the frame back.
    pub fn decode(frame: &[u8]) -> Result<Head, Malformed> {
        let mut reader = Reader::of(frame);
        if reader.byte()? != HEAD_VERSION {
            return Err(Malformed("a head of another version"));
        }
        let flags = reader.byte()?;
        let shape = match flags & !PAID {
            0 => Shape::Plain,
            EVENTS => Shape::Events,
            _ => return Err(Malformed("a head of an unknown shape")),
        };
        let origin = origin(&mut reader)?;
        let status = u16::from_le_bytes(reader.array()?);
        let filled = Millis(u64::from_le_bytes(reader.array()?));
        let kept_until = Some(Millis(u64::from_le_bytes(reader.array()?)));
        let kept_until = kept_until.filter(|until| *until != Millis::default());
        let paid = match flags & PAID {
            0 => NanoUsd::ZERO,
            _ => NanoUsd(u64::from_le_bytes(reader.array()?)),
        };
        let aside = u32::from_le_bytes(reader.array()?) as usize;
        let aside = Aside::decode(reader.take(aside)?);
        let declined = declined(reader)?;
        Ok(Head {
            shape,
            origin,
            status,
            filled,
            kept_until,
            declined,
            aside,
            paid,
        })
    }
}

fn origin(reader: &mut Reader<'_>) -> Result<Origin, Malformed> {
    match reader.byte()? {
        0 => Ok(Origin::Fresh),
        1 => {
            let source = Key(reader.array()?);
            Ok(Origin::Near {
                source,
                similarity_bp: u16::from_le_bytes(reader.array()?),
            })
        }
        _ => Err(Malformed("a head of an unknown origin")),
    }
}

/// The rest of the head, to its end.
fn declined(mut reader: Reader<'_>) -> Result<Vec<String>, Malformed> {
    let mut declined = Vec::new();
    while !reader.rest().is_empty() {
        let length = usize::from(reader.byte()?);
        if declined.len() == DECLINED_COUNT_MAX || length > REASON_BYTES_MAX {
            return Err(Malformed("a head names too many reasons"));
        }
        declined.push(reader.text(length)?.to_owned());
    }
    Ok(declined)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heads() -> [Head; 2] {
        let fresh = Head {
            shape: Shape::Plain,
            origin: Origin::Fresh,
            status: 200,
            filled: Millis(1_700_000_000_123),
            kept_until: None,
            declined: Vec::new(),
            aside: Aside::default(),
            paid: NanoUsd::ZERO,
        };
        let near = Head {
            shape: Shape::Events,
            origin: Origin::Near {
                source: Key([7; 32]),
                similarity_bp: 9_731,
            },
            status: 201,
            filled: Millis(u64::MAX),
            kept_until: Some(Millis(1_700_000_060_000)),
            declined: vec!["vetoed-number".to_owned(), "embedder-busy".to_owned()],
            aside: Aside(vec![("retry-after".to_owned(), "3".to_owned())]),
            paid: NanoUsd(20),
        };
        [fresh, near]
    }

    #[test]
    fn a_head_reads_back_what_was_written() {
        for head in heads() {
            assert_eq!(Head::decode(&head.encode()), Ok(head));
        }
    }

    #[test]
    fn every_cut_is_refused_or_names_fewer_reasons() {
        for head in heads() {
            let whole = head.encode();
            for end in 0..whole.len() {
                let cut = Head::decode(&whole.slice(..end));
                let fewer = |cut: &Head| cut.declined.len() < head.declined.len();
                assert!(cut.as_ref().map_or(true, fewer), "cut at {end}: {cut:?}");
            }
        }
    }

    #[test]
    fn foreign_bytes_are_refused() {
        let whole = heads()[0].encode();
        for at in 0..3 {
            let mut wrong = whole.to_vec();
            wrong[at] = 0xee;
            assert!(Head::decode(&Bytes::from(wrong)).is_err(), "byte {at}");
        }
    }

    #[test]
    fn reasons_past_the_limits_are_left_out() {
        let mut head = heads()[1].clone();
        head.declined = vec!["x".repeat(65); 3];
        head.declined.extend(vec!["y".to_owned(); 40]);
        let read = Head::decode(&head.encode()).expect("decodes");
        assert_eq!(read.declined, vec!["y".to_owned(); DECLINED_COUNT_MAX]);
    }

    #[test]
    fn the_layout_has_not_moved_unnoticed() {
        let bytes = heads()[0].encode();
        assert_eq!(
            &bytes[..],
            [
                1, 0, 0, 200, 0, 123, 104, 229, 207, 139, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                0
            ]
        );
    }
}
