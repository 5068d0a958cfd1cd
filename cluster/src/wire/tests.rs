//! What is said comes out as it went in, however the stream is cut; the bytes of this release are
//! written down, so that a change that would part it from its neighbours fails here; and no bytes
//! whatever do more than be refused.

use super::*;
use crate::fault::{HeardBy, Refusal};
use crate::sync::Arc;

fn stamp() -> RingStamp {
    RingStamp {
        epoch: 300,
        digest: [0xd1; 16],
    }
}

/// One of every kind, and of every variant that has its own shape.
fn every_frame() -> Vec<(&'static str, Frame)> {
    let terms = Terms {
        age_millis_max: Some(60_000),
        nearness_min: Some(9_500),
    };
    let fetch = |freshness, rank, mode, job: &'static [u8]| {
        Frame::Fetch(FetchAsk {
            key: Key([0x11; 32]),
            terms,
            freshness,
            alone: freshness == Freshness::Fresh,
            credential: Credential([0x22; 16]),
            wish: 86_400,
            patience_millis: 30_000,
            rank,
            mode,
            ring: stamp(),
            since: 42,
            job: Bytes::from_static(job),
        })
    };
    let refused = |heard_by| {
        Frame::Fault(Fault::Refused(Arc::new(Refusal {
            status: 429,
            head: Bytes::from_static(b"head"),
            aside: Bytes::new(),
            body: Bytes::from_static(b"slow down"),
            heard_by,
        })))
    };
    let head = |part| {
        Frame::Head(Heading {
            part,
            rate: 7,
            stamp: Bytes::from_static(b"stamp"),
            frame: Bytes::from_static(b"first"),
        })
    };
    vec![
        (
            "fetch",
            fetch(Freshness::Any, Rank::Entry, Mode::Owner, b"job"),
        ),
        (
            "fetch force",
            fetch(Freshness::Fresh, Rank::Region, Mode::Force, b""),
        ),
        (
            "fetch peek",
            fetch(Freshness::Any, Rank::Home, Mode::Peek, b""),
        ),
        ("secret", Frame::Secret(Secret::new(b"sk-not-a-key"))),
        (
            "look",
            Frame::Look(LookAsk {
                keys: vec![Key([0x44; 32]), Key([0x55; 32])],
                terms: Terms::default(),
                ring: stamp(),
            }),
        ),
        (
            "ping",
            Frame::Ping(Ping {
                ring: stamp(),
                phase: Phase::Joining,
            }),
        ),
        ("payload", Frame::Payload(Bytes::from_static(b"payload"))),
        ("accepted", Frame::Accepted(Accepted { ring: stamp() })),
        ("heartbeat", Frame::Heartbeat),
        ("head kept", head(Part::Kept)),
        ("head led", head(Part::Led)),
        ("head followed", head(Part::Followed)),
        ("chunk", Frame::Chunk(Bytes::from_static(b"chunk"))),
        ("end", Frame::End),
        ("absent", Frame::Absent),
        (
            "elsewhere",
            Frame::Elsewhere(Elsewhere {
                ring: stamp(),
                owner: "n2".into(),
            }),
        ),
        ("abandoned", Frame::Fault(Fault::Abandoned)),
        ("too long", Frame::Fault(Fault::TooLong)),
        ("too slow", Frame::Fault(Fault::TooSlow)),
        ("no room", Frame::Fault(Fault::NoRoom)),
        ("lost", Frame::Fault(Fault::Lost)),
        ("owner lost", Frame::Fault(Fault::OwnerLost)),
        ("refused", refused(HeardBy::All)),
        (
            "refused holders",
            refused(HeardBy::Holders(Credential([0x66; 16]))),
        ),
        (
            "pong",
            Frame::Pong(Pong {
                ring: stamp(),
                phase: Phase::Ready,
            }),
        ),
        (
            "pong draining",
            Frame::Pong(Pong {
                ring: stamp(),
                phase: Phase::Draining,
            }),
        ),
        (
            "copy",
            Frame::Copy(CopyAsk {
                key: Key([0x77; 32]),
                ring: stamp(),
                stamp: Bytes::from_static(b"stamp"),
                ends: vec![4, 4, 300],
                bytes: Bytes::from_static(b"head and body"),
            }),
        ),
    ]
}

fn bytes_of(frame: &Frame) -> Bytes {
    let mut out = BytesMut::new();
    frame.encode(&mut out).unwrap();
    out.freeze()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_all(bytes: &[u8], piece_bytes: usize) -> Result<Vec<Frame>, Garbled> {
    let (mut decoder, mut frames) = (Decoder::default(), Vec::new());
    for piece in bytes.chunks(piece_bytes) {
        decoder.push(Bytes::copy_from_slice(piece));
        while let Some(frame) = decoder.frame()? {
            frames.push(frame);
        }
    }
    assert_eq!(
        decoder.in_the_middle(),
        bytes.len() != frames.iter().map(|f| bytes_of(f).len()).sum::<usize>()
    );
    Ok(frames)
}

#[test]
fn what_is_said_comes_out_as_it_went_in_however_it_is_cut() {
    let mut stream = BytesMut::new();
    for (_, frame) in every_frame() {
        frame.encode(&mut stream).unwrap();
    }
    for piece_bytes in [1, 2, 3, 7, 8, 9, 64, 200, stream.len()] {
        let mut again = BytesMut::new();
        let frames = decode_all(&stream, piece_bytes).unwrap();
        assert_eq!(frames.len(), every_frame().len());
        for frame in frames {
            frame.encode(&mut again).unwrap();
        }
        assert_eq!(again, stream, "in pieces of {piece_bytes}");
    }
}

#[test]
fn an_ask_keeps_its_fields() {
    let (_, ask) = every_frame().swap_remove(1);
    let frames = decode_all(&bytes_of(&ask), 1_000).unwrap();
    let [Frame::Fetch(ask)] = frames.as_slice() else {
        panic!("not one ask");
    };
    assert_eq!(ask.key, Key([0x11; 32]));
    assert_eq!(ask.terms.nearness_min, Some(9_500));
    assert_eq!((ask.freshness, ask.alone), (Freshness::Fresh, true));
    assert_eq!((ask.rank, ask.mode), (Rank::Region, Mode::Force));
    assert_eq!((ask.wish, ask.patience_millis), (86_400, 30_000));
    assert_eq!(ask.ring, stamp());
}

#[test]
fn a_whole_piece_is_not_copied() {
    let bytes = bytes_of(&Frame::Chunk(Bytes::from(vec![7; 4_096])));
    let mut decoder = Decoder::default();
    decoder.push(bytes.clone());
    let Ok(Some(Frame::Chunk(chunk))) = decoder.frame() else {
        panic!("not a chunk");
    };
    assert_eq!(chunk.as_ptr(), bytes[ENVELOPE_BYTES..].as_ptr());
}

#[test]
fn the_bytes_of_this_release_are_kept() {
    let golden = include_str!("golden/1.txt");
    let told: Vec<(&str, &str)> = golden
        .lines()
        .filter_map(|line| line.rsplit_once(": "))
        .collect();
    let now = every_frame();
    let written: Vec<String> = now
        .iter()
        .map(|(name, frame)| format!("{name}: {}", hex(&bytes_of(frame))))
        .collect();
    assert_eq!(
        told.len(),
        now.len(),
        "what this release writes:\n{}",
        written.join("\n")
    );
    for ((name, bytes), line) in told.iter().zip(&written) {
        assert_eq!(
            &format!("{name}: {bytes}"),
            line,
            "the wire has changed: old nodes cannot read it"
        );
    }
}

#[test]
fn a_hostile_length_is_refused_before_it_is_believed() {
    let envelope = |kind: u8, length: u32| {
        let mut bytes = vec![MAGIC[0], MAGIC[1], MAJOR, kind];
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes
    };
    for kind in kind::FETCH..=kind::COPY {
        let longest = body_bytes_max(kind) as u32;
        for length in [longest + 1, u32::MAX] {
            let refused = decode_all(&envelope(kind, length), 64);
            assert_eq!(refused.err(), Some(Garbled::TooLong), "kind {kind}");
        }
        let waits = decode_all(&envelope(kind, longest.max(1)), 64);
        assert!(waits.is_ok_and(|frames| frames.is_empty()) || longest == 0);
    }
    // Lengths inside a body: a list of 2^40 keys, and a refusal whose text is as long.
    let huge = [0xfd, 0, 0, 0, 0, 0, 1, 0, 0];
    let mut look = envelope(kind::LOOK, huge.len() as u32);
    look.extend_from_slice(&huge);
    assert_eq!(decode_all(&look, 64).err(), Some(Garbled::Body));
    let mut refusal = envelope(kind::FAULT, 4 + huge.len() as u32);
    refusal.extend_from_slice(&[5, 1, 0, 0]);
    refusal.extend_from_slice(&huge);
    assert_eq!(decode_all(&refusal, 64).err(), Some(Garbled::Body));
    // And 2^40 ends of frames behind a key, a ring and an empty stamp.
    let mut copy = envelope(kind::COPY, 50 + huge.len() as u32);
    copy.extend_from_slice(&[0; 50]);
    copy.extend_from_slice(&huge);
    assert_eq!(decode_all(&copy, 64).err(), Some(Garbled::Body));
}

#[test]
fn what_is_not_a_frame_is_refused_by_name() {
    let good = bytes_of(&Frame::Accepted(Accepted { ring: stamp() }));
    let spoilt = |at: usize, byte: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = byte;
        decode_all(&bytes, 1_000).err()
    };
    assert_eq!(
        decode_all(b"GET / HTTP/1.1\r\n\r\n", 1_000).err(),
        Some(Garbled::Magic)
    );
    assert_eq!(spoilt(2, 9), Some(Garbled::Major(9)));
    assert_eq!(spoilt(3, 0), Some(Garbled::Kind(0)));
    assert_eq!(spoilt(3, 200), Some(Garbled::Kind(200)));
    // One byte too many behind a body that takes none.
    let mut longer = good.to_vec();
    longer[4] += 1;
    longer.push(0);
    assert_eq!(decode_all(&longer, 1_000).err(), Some(Garbled::Body));
    assert_eq!(spoilt(4, good[4] - 1), Some(Garbled::Body));
}

#[test]
fn what_is_too_long_is_not_sent() {
    let mut out = BytesMut::from(&b"before"[..]);
    let long = Frame::Chunk(vec![0; BODY_BYTES_MAX + 1].into());
    assert_eq!(long.encode(&mut out), Err(Garbled::TooLong));
    assert_eq!(out, "before");
    Frame::Chunk(vec![0; BODY_BYTES_MAX].into())
        .encode(&mut out)
        .unwrap();
}

#[test]
fn nothing_carried_is_printed() {
    for (_, frame) in every_frame() {
        assert_eq!(format!("{frame:?}"), frame.name());
    }
}

/// Every byte of every frame changed in a few ways, and every frame cut short everywhere: refused,
/// or read as something that can be said again.
#[test]
fn no_bytes_do_more_than_be_refused() {
    let mut read = 0;
    for (_, frame) in every_frame() {
        let good = bytes_of(&frame);
        for at in 0..good.len() {
            for flip in [0x01, 0x80, 0xff] {
                let mut bytes = good.to_vec();
                bytes[at] ^= flip;
                read += usize::from(crate::fuzz::read_again(&bytes) > 0);
            }
            crate::fuzz::read_again(&good[..at]);
        }
    }
    assert!(
        read > 1_000,
        "only {read} of the changed frames were read at all"
    );
}

#[test]
fn saved_inputs_hold() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fuzz/corpus/wire");
    let mut frames = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        // Printed only where the check below fails.
        println!("{}", path.display());
        frames += crate::fuzz::read_again(&std::fs::read(path).unwrap());
    }
    assert!(frames >= every_frame().len());
}
