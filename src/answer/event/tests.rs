//! Goal: what was recorded is played to the byte, usage is heard by those who asked alone, a tape
//! stays small, and foreign frames are errors. Method: streams in the spellings of several servers.

use super::*;

fn record(payloads: &[&str]) -> Vec<Frame> {
    let mut writer = ChunkWriter::new();
    payloads
        .iter()
        .map(|payload| writer.write(payload))
        .collect()
}

/// The payloads that a caller hears.
fn play(frames: &[Frame], asked_usage: bool) -> Vec<String> {
    let mut reader = ChunkReader::new();
    let mut heard = Vec::new();
    for frame in frames {
        match reader.read(frame).expect("our own frame") {
            Event::Chunk(chunk) => heard.push(chunk.text(asked_usage)),
            Event::Usage(payload) if asked_usage => heard.push(payload.to_owned()),
            Event::Usage(_) | Event::Plain(_) | Event::Tally(_) => {}
        }
    }
    heard
}

#[test]
fn those_who_asked_hear_every_byte_and_others_no_usage() {
    let table: &[(&[&str], &[&str])] = &[
        (
            &[
                r#"{"id":"1","choices":[{"delta":{"content":"a"}}],"usage":null}"#,
                r#"{"id":"1","choices":[{"delta":{"content":"bcd é"}}],"usage":null}"#,
                r#"{"id":"1","choices":[{"delta":{}}],"usage":null}"#,
                r#"{"id":"1","choices":[],"usage":{"prompt_tokens":1}}"#,
            ],
            &[
                r#"{"id":"1","choices":[{"delta":{"content":"a"}}]}"#,
                r#"{"id":"1","choices":[{"delta":{"content":"bcd é"}}]}"#,
                r#"{"id":"1","choices":[{"delta":{}}]}"#,
            ],
        ),
        (
            // first, in the middle, alone, with spaces, riding on content
            &[
                r#"{ "usage" : null , "choices":[{"usage":1}] }"#,
                r#"{"a":1,"usage":{"prompt_tokens":2},"choices":[{"delta":{"content":"ü"}}]}"#,
                r#"{"usage":null}"#,
                r#"{"choices":[ ],"usage":null}"#,
                r#"{"choices":[{"delta":{"content":"\"usage\":null"}}]}"#,
            ],
            &[
                r#"{ "choices":[{"usage":1}] }"#,
                r#"{"a":1,"choices":[{"delta":{"content":"ü"}}]}"#,
                r#"{}"#,
                r#"{"choices":[ ]}"#,
                r#"{"choices":[{"delta":{"content":"\"usage\":null"}}]}"#,
            ],
        ),
        (
            // not JSON at all, and texts that end in the middle of the one before
            &["usage", "", "ü", "û", "usage usage", "{\"usage\":"],
            &["usage", "", "ü", "û", "usage usage", "{\"usage\":"],
        ),
        (&[r#"{"choices":[],"usage":{"a":1},"usage":2}"#], &[]),
        (&[r#"{"usage":1,"usage":2}"#], &[r#"{"usage":1,"usage":2}"#]),
    ];
    for (payloads, others) in table {
        let frames = record(payloads);
        assert_eq!(play(&frames, true), *payloads);
        assert_eq!(play(&frames, false), *others);
    }
}

#[test]
fn a_chunk_costs_little_more_than_its_words() {
    let chunk = |word: &str| {
        format!(
            r#"{{"id":"chatcmpl-abcdefghijklmnopqrstuvwxyz012","object":"chat.completion.chunk","created":1700000000,"model":"gpt-4o-2024-08-06","service_tier":"default","system_fingerprint":"fp_0123456789","choices":[{{"index":0,"delta":{{"content":"{word}"}},"logprobs":null,"finish_reason":null}}],"usage":null}}"#
        )
    };
    let words = ["Hello", " there", ", how", " are", " you", "?"];
    let payloads: Vec<String> = words.iter().map(|word| chunk(word)).collect();
    let payloads: Vec<&str> = payloads.iter().map(String::as_str).collect();
    let frames = record(&payloads);
    assert_eq!(play(&frames, true), payloads);
    for (frame, word) in frames.iter().zip(words).skip(1) {
        assert!(
            frame.len() <= 6 + word.len(),
            "{} bytes for {word:?}",
            frame.len()
        );
    }
}

#[test]
fn a_plain_body_is_kept_as_it_is() {
    let body = b"{ \"any\": \xff bytes }";
    let mut reader = ChunkReader::new();
    let frame = plain(body);
    assert_eq!(
        reader.read(&frame),
        Ok(Event::Plain(Bytes::from_static(body)))
    );
}

#[test]
fn a_tally_reads_back_from_its_frame_alone() {
    let usage = Usage {
        input: u32::MAX,
        cached_input: 7,
        output: 3,
        estimated: true,
    };
    for tally in [
        Tally::default(),
        Tally {
            usage: None,
            complete: true,
        },
        Tally {
            usage: Some(usage),
            complete: false,
        },
        Tally {
            usage: Some(Usage {
                estimated: false,
                ..usage
            }),
            complete: true,
        },
    ] {
        let frame = tally.encode();
        assert_eq!(frame.len(), TALLY_BYTES);
        assert_eq!(Tally::decode(&frame), Ok(tally));
        assert_eq!(ChunkReader::new().read(&frame), Ok(Event::Tally(tally)));
        for end in 0..frame.len() {
            assert!(Tally::decode(&frame[..end]).is_err(), "cut at {end}");
        }
        assert!(Tally::decode(&[&frame[..], &[0]].concat()).is_err());
    }
}

#[test]
fn foreign_frames_are_errors() {
    let table: &[&[u8]] = &[
        &[],
        &[0],
        &[5, 1, 2],
        &[255],
        &[CHUNK],
        &[CHUNK, 9, 0, 0],
        &[CHUNK, 0, 1, 0, b'a'],
        &[CHUNK, 0, 0, 1, b'a'],
        &[CHUNK, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[CHUNK, 0, 0, 0, 0xff],
        &[CHUNK, 2, 5, 1, b',', 0, 0, b'a'],
        &[CHUNK, 2, 0, 200, b','],
        &[CHUNK, 2, 1, 0, 0, 0, 0xc3, 0xa9],
        &[USAGE, 1, 0],
        &[TALLY, 1],
        &[TALLY, 8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for bytes in table {
        let frame = Bytes::copy_from_slice(bytes);
        assert!(ChunkReader::new().read(&frame).is_err(), "{bytes:?}");
    }
}

#[test]
fn a_common_text_is_never_counted_twice() {
    // Prefix and suffix would overlap in the shorter of two texts.
    for payloads in [
        ["aaa", "aaaa"],
        ["aaaa", "aaa"],
        ["abab", "ab"],
        ["ab", "abab"],
        ["", "a"],
    ] {
        assert_eq!(play(&record(&payloads), true), payloads);
    }
}
