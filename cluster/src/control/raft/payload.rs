//! What replicas say to one another, as bytes: a head that names cluster, sender and target by
//! number, then JSON, then what is carried raw. An address that came to belong to another node
//! must never make two leaders, so whoever is not meant refuses, and says which way it is not.

use bytes::{BufMut, Bytes, BytesMut};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Raised when an older program would misread a payload.
const VERSION: u8 = 1;
const HEAD_BYTES: usize = 2 + 3 * 8;

/// What is asked. Append-only, like everything that programs of two versions say to each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Kind {
    Append = 1,
    Vote = 2,
    Snapshot = 3,
    Propose = 4,
    ReadIndex = 5,
    Lease = 6,
    Settle = 7,
}

impl Kind {
    fn of(byte: u8) -> Option<Kind> {
        use Kind::{Append, Lease, Propose, ReadIndex, Settle, Snapshot, Vote};
        [Append, Vote, Snapshot, Propose, ReadIndex, Lease, Settle]
            .into_iter()
            .find(|kind| *kind as u8 == byte)
    }

    /// Whether it may be said to a replica that belongs to no cluster yet: only a leader that
    /// counts it among its own says these.
    pub(super) fn adopts(self) -> bool {
        matches!(self, Kind::Append | Kind::Snapshot)
    }
}

/// Who speaks to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) kind: Kind,
    pub(super) cluster: u64,
    pub(super) from: u64,
    pub(super) to: u64,
}

/// An ask as bytes.
pub(super) fn ask(head: Head, body: &impl Serialize, raw: &[u8]) -> Bytes {
    let body = serde_json::to_vec(body).unwrap_or_default();
    let mut bytes = BytesMut::with_capacity(HEAD_BYTES + 4 + body.len() + raw.len());
    bytes.put_u8(VERSION);
    bytes.put_u8(head.kind as u8);
    for number in [head.cluster, head.from, head.to] {
        bytes.put_u64_le(number);
    }
    bytes.put_u32_le(u32::try_from(body.len()).unwrap_or(u32::MAX));
    bytes.put_slice(&body);
    bytes.put_slice(raw);
    bytes.freeze()
}

/// An ask that was heard.
pub(super) struct Heard {
    pub(super) head: Head,
    body: Bytes,
    pub(super) raw: Bytes,
}

impl Heard {
    pub(super) fn parse(mut bytes: Bytes) -> Result<Heard, Refused> {
        if bytes.len() < HEAD_BYTES + 4 {
            return Err(Refused::Malformed);
        }
        let mut head = bytes.split_to(HEAD_BYTES + 4);
        let (version, kind) = (head[0], head[1]);
        if version != VERSION {
            return Err(Refused::Version);
        }
        let kind = Kind::of(kind).ok_or(Refused::Version)?;
        let _ = head.split_to(2);
        let mut number = || bytes::Buf::get_u64_le(&mut head);
        let (cluster, from, to) = (number(), number(), number());
        let length = bytes::Buf::get_u32_le(&mut head) as usize;
        if length > bytes.len() {
            return Err(Refused::Malformed);
        }
        let body = bytes.split_to(length);
        Ok(Heard {
            head: Head {
                kind,
                cluster,
                from,
                to,
            },
            body,
            raw: bytes,
        })
    }

    pub(super) fn body<T: DeserializeOwned>(&self) -> Result<T, Refused> {
        serde_json::from_slice(&self.body).map_err(|_| Refused::Malformed)
    }
}

/// Why an ask was not taken. Nothing was done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Refused {
    /// It was meant for another replica that was here, or will be.
    Target = 1,
    /// It comes from another cluster.
    Cluster = 2,
    /// The number it gives itself belongs to another node.
    Sender = 3,
    /// It is not what it says to be.
    Malformed = 4,
    /// It is of another version.
    Version = 5,
    /// The replica has stopped: its file failed, or the node is leaving.
    Stopped = 6,
}

impl Refused {
    fn of(byte: u8) -> Option<Refused> {
        use Refused::{Cluster, Malformed, Sender, Stopped, Target, Version};
        [Target, Cluster, Sender, Malformed, Version, Stopped]
            .into_iter()
            .find(|refused| *refused as u8 == byte)
    }

    pub(super) fn words(self) -> &'static str {
        match self {
            Refused::Target => "another replica answers under this name now",
            Refused::Cluster => "the node belongs to another cluster",
            Refused::Sender => "the sender goes by another node's number",
            Refused::Malformed => "the payload cannot be read",
            Refused::Version => "the payload is of another version",
            Refused::Stopped => "the node's agreement has stopped",
        }
    }
}

/// A reply as bytes.
pub(super) fn reply<T: Serialize>(said: Result<T, Refused>) -> Bytes {
    let mut bytes = vec![VERSION];
    match said {
        Err(refused) => bytes.push(refused as u8),
        Ok(body) => {
            bytes.push(0);
            if serde_json::to_writer(&mut bytes, &body).is_err() {
                bytes = vec![VERSION, Refused::Malformed as u8];
            }
        }
    }
    bytes.into()
}

/// A reply that was heard.
pub(super) fn replied<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refused> {
    match bytes {
        [VERSION, 0, body @ ..] => serde_json::from_slice(body).map_err(|_| Refused::Malformed),
        [VERSION, refused, ..] => Err(Refused::of(*refused).unwrap_or(Refused::Malformed)),
        _ => Err(Refused::Version),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_is_heard_and_what_is_cut_is_refused() {
        let head = Head {
            kind: Kind::Snapshot,
            cluster: 7,
            from: u64::MAX,
            to: 9,
        };
        let bytes = ask(head, &vec![1, 2], b"raw");
        let heard = Heard::parse(bytes.clone()).unwrap_or_else(|_| panic!("whole"));
        assert_eq!((heard.head, &*heard.raw), (head, b"raw".as_slice()));
        assert_eq!(heard.body::<Vec<u32>>(), Ok(vec![1, 2]));
        for cut in 0..bytes.len() - 3 {
            let refused = Heard::parse(bytes.slice(..cut)).err();
            assert_eq!(refused, Some(Refused::Malformed), "cut at {cut}");
        }
        let mut newer = bytes.to_vec();
        newer[0] = VERSION + 1;
        assert_eq!(Heard::parse(newer.into()).err(), Some(Refused::Version));
    }

    #[test]
    fn a_reply_is_a_word_or_a_refusal() {
        assert_eq!(replied::<u8>(&reply(Ok(5))), Ok(5));
        assert_eq!(
            replied::<u8>(&reply::<u8>(Err(Refused::Target))),
            Err(Refused::Target)
        );
        assert_eq!(replied::<u8>(b"\x01\x00no"), Err(Refused::Malformed));
        assert_eq!(replied::<u8>(b""), Err(Refused::Version));
    }
}
