//! What must hold of any bytes whatever: the bodies of the fuzz targets, and of the test that
//! replays their saved corpus. Nothing in the product calls this.

use bytes::{Bytes, BytesMut};

use crate::answer::event::{ChunkReader, ChunkWriter, Event};
use crate::answer::fold::Fold;
use crate::answer::unfold::unfold;
use crate::json::{self, Canonical};
use crate::openai::complete::{Judge, judge_plain};
use crate::openai::embeddings;
use crate::openai::normal::{canonical, canonical_item, embeddings_body, upstream_body};
use crate::openai::request::{Endpoint, Reading, Request};
use crate::openai::sse::{SseDecoder, SseEvent, SseFault, write_data};

const EVENT_BYTES_MAX: usize = 4_096;

/// A body from a caller, or from a provider: nothing panics, a canonical text is a fixed point, and
/// what is sent upstream still means what was asked.
pub fn request(body: &[u8]) {
    if let Ok(Some(tree)) = json::parse(body).map(json::Parsed::understood) {
        let text = Canonical::of(&tree);
        let again = json::parse(text.bytes()).map(json::Parsed::understood);
        let again = again.ok().flatten().map(|tree| Canonical::of(&tree));
        assert_eq!(
            again.as_ref(),
            Some(&text),
            "a canonical text is its own canonical text"
        );
    }
    for endpoint in Endpoint::ALL {
        if let Ok(Reading::Understood(request)) = Request::read(endpoint, body) {
            sent_as_asked(&request, body);
        }
        let _ = judge_plain(endpoint, body, 2);
    }
    let _ = unfold(body, true);
    let _ = embeddings::split(&Bytes::copy_from_slice(body), &[1, 2]);
}

/// However it is sent upstream, a request keeps its key.
fn sent_as_asked(request: &Request<'_>, body: &[u8]) {
    let raw = Bytes::copy_from_slice(body);
    for as_stream in [false, true] {
        let sent = upstream_body(request, &raw, as_stream);
        let Ok(Reading::Understood(read)) = Request::read(request.endpoint, &sent) else {
            panic!("the body for upstream is not understood");
        };
        assert_eq!(
            canonical(&read),
            canonical(request),
            "as stream: {as_stream}"
        );
        if request.endpoint != Endpoint::Embeddings {
            assert_eq!(read.stream, as_stream, "asked in the wrong shape");
            assert!(read.include_usage || !as_stream, "a stream without usage");
        }
    }
    let items: Vec<usize> = (0..request.input.count()).collect();
    if !items.is_empty() {
        let all = embeddings_body(request, &items);
        let Ok(Reading::Understood(read)) = Request::read(request.endpoint, &all) else {
            panic!("the body for missing items is not understood");
        };
        assert!(
            items
                .iter()
                .all(|at| canonical_item(&read, *at) == canonical_item(request, *at))
        );
    }
}

/// A stream from a provider: nothing panics, its events do not depend on how it is cut, and each
/// payload is played as it was recorded and as it is sent on.
pub fn sse(bytes: &[u8]) {
    let (whole, fault) = decode(&[bytes]);
    let middle = bytes.len() / 2;
    let (one, two) = bytes.split_at(middle);
    let single: Vec<&[u8]> = bytes.chunks(1).collect();
    for pieces in [&single[..], &[one, two]] {
        let (events, again) = decode(pieces);
        assert_eq!(events, whole, "the events depend on the cut");
        assert_eq!(
            again.is_some(),
            fault.is_some(),
            "the fault depends on the cut"
        );
    }
    replay(&whole);
}

fn decode(pieces: &[&[u8]]) -> (Vec<SseEvent>, Option<SseFault>) {
    let (mut decoder, mut events) = (SseDecoder::new(EVENT_BYTES_MAX), Vec::new());
    let fault = pieces
        .iter()
        .find_map(|piece| decoder.feed(piece, &mut events).err());
    (events, fault)
}

fn replay(events: &[SseEvent]) {
    let (mut writer, mut reader) = (ChunkWriter::new(), ChunkReader::new());
    let (mut fold, mut judge) = (Fold::new(), Judge::new());
    for SseEvent { data, .. } in events {
        let frame = writer.write(data);
        match reader.read(&frame) {
            Ok(Event::Chunk(chunk)) => assert_eq!(&chunk.text(true), data, "played otherwise"),
            Ok(Event::Usage(payload)) => assert_eq!(payload, data, "played otherwise"),
            other => panic!("a payload was recorded as {other:?}"),
        }
        let mut sent = BytesMut::new();
        write_data(&mut sent, data);
        let (read, _) = decode(&[&sent]);
        assert!(
            read.iter().all(|event| &event.data == data),
            "sent on otherwise"
        );
        let _ = fold.push(data);
        judge.chunk(data);
        // The same bytes as a frame from a stranger: refused or read, never a panic.
        let _ = ChunkReader::new().read(&Bytes::copy_from_slice(data.as_bytes()));
    }
    judge.done();
    let _ = (judge.verdict(), fold.finish());
}
