//! Goal: the same bytes give the same events however they are cut, and what is written reads back.
//! Method: a table of streams, each fed whole, byte by byte and cut at every place.

use super::*;

fn events(pieces: &[&[u8]]) -> Vec<SseEvent> {
    let (mut decoder, mut events) = (SseDecoder::new(1_000), Vec::new());
    for piece in pieces {
        decoder.feed(piece, &mut events).expect("within limits");
    }
    events
}

fn data(text: &str) -> SseEvent {
    SseEvent {
        event: None,
        data: text.to_owned(),
    }
}

fn named(event: &str, text: &str) -> SseEvent {
    SseEvent {
        event: Some(event.to_owned()),
        data: text.to_owned(),
    }
}

#[test]
fn events_are_the_same_at_every_cut() {
    let table: &[(&str, Vec<SseEvent>)] = &[
        ("data: a\n\ndata:b\n\n", vec![data("a"), data("b")]),
        (
            "data: a\r\n\r\ndata: b\r\rdata: c\n\r\n",
            vec![data("a"), data("b"), data("c")],
        ),
        ("\u{feff}data: a\n\n\u{feff}data: b\n\n", vec![data("a")]),
        ("data: a\ndata\ndata:  b\n\n", vec![data("a\n\n b")]),
        (
            ": hi\n\n:\ndata: a\nid: 1\nretry: 9\nother: x\n\n",
            vec![data("a")],
        ),
        (
            "event: error\ndata: {}\n\ndata: x\n\n",
            vec![named("error", "{}"), data("x")],
        ),
        ("event: lost\n\ndata: a\n\n", vec![data("a")]),
        ("data\n\n", vec![data("")]),
        ("data: é😀\n\n", vec![data("é😀")]),
        ("data: half", vec![]),
        ("data: half\n", vec![]),
        ("\n\n\r\n\r", vec![]),
    ];
    for (text, expected) in table {
        let bytes = text.as_bytes();
        assert_eq!(&events(&[bytes]), expected, "{text:?}");
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(&events(&single), expected, "{text:?} byte by byte");
        for at in 0..=bytes.len() {
            let (one, two) = bytes.split_at(at);
            assert_eq!(&events(&[one, b"", two]), expected, "{text:?} cut at {at}");
        }
    }
}

#[test]
fn what_has_no_bound_is_a_fault() {
    for text in [
        "data: aaaaaaaaaaaaaaaaaaaaaa",
        "data: aaaaaaaa\ndata: bbbbbbbbb\n",
        "event: aaaaaaaaa\ndata: bb\n\n",
    ] {
        for size in [1, 3, 100] {
            let (mut decoder, mut events) = (SseDecoder::new(16), Vec::new());
            let mut fed = text
                .as_bytes()
                .chunks(size)
                .map(|piece| decoder.feed(piece, &mut events));
            let fault = fed.find_map(Result::err);
            assert_eq!(
                fault,
                Some(SseFault::TooLong {
                    event_bytes_max: 16
                }),
                "{text}"
            );
        }
    }
    let (mut decoder, mut events) = (SseDecoder::new(16), Vec::new());
    assert_eq!(
        decoder.feed(b"data: \xff\n\n", &mut events),
        Err(SseFault::NotText)
    );
}

#[test]
fn events_within_the_bound_go_on_for_ever() {
    let (mut decoder, mut events) = (SseDecoder::new(16), Vec::new());
    for _ in 0..1_000 {
        decoder
            .feed(b": life\n\ndata: abc\n\n", &mut events)
            .expect("each is short");
    }
    assert_eq!(events.len(), 1_000);
}

#[test]
fn an_end_without_its_blank_line_is_still_an_end() {
    for (text, expected) in [
        ("data: [DONE]", true),
        ("data: [DONE]\n", true),
        ("data:[DONE]\r\n", true),
        ("data: [DONE]\n\n", false),
        ("data: [DON", false),
        ("[DONE]", false),
        ("data: {}\ndata: [DONE]", false),
        ("", false),
    ] {
        let (mut decoder, mut events) = (SseDecoder::new(100), Vec::new());
        decoder.feed(text.as_bytes(), &mut events).expect("short");
        assert_eq!(decoder.is_left_done(), expected, "{text:?}");
    }
}

#[test]
fn what_is_written_reads_back() {
    let mut out = BytesMut::new();
    let payloads = ["{\"a\":1}", "", "two\nlines", " leading", "a:b"];
    payloads
        .iter()
        .for_each(|payload| write_data(&mut out, payload));
    write_keep_alive(&mut out);
    write_parts(&mut out, &["{\"a\":1", ",\"usage\":null", "}"]);
    write_done(&mut out);
    write_truncated(&mut out, "the provider went away");
    let read = events(&[&out]);
    let expected: Vec<SseEvent> = payloads.iter().map(|payload| data(payload)).collect();
    assert_eq!(read[..5], expected);
    assert_eq!(read[5..7], [data("{\"a\":1,\"usage\":null}"), data(DONE)]);
    assert_eq!(read[7].event.as_deref(), Some("error"));
    assert!(
        read[7].data.contains("\"code\":\"fgy_truncated\""),
        "{}",
        read[7].data
    );
    assert_eq!(read.len(), 8);
}
