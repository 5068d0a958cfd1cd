//! A tape played aloud: server-sent events as the recording grows, or all at once when it is done.
//! Whatever is there leaves in one write. A tape that breaks off ends in an error event and without
//! `[DONE]`, so that nobody takes a part for the whole. It never waits for a slow reader anywhere
//! but in that reader's own connection.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use fgy_cluster::{Fault, Frame, Player};

use crate::answer::event::{ChunkReader, Event};
use crate::answer::unfold::unfold;
use crate::gateway::Reply;
use crate::openai::sse::{write_data, write_done, write_keep_alive, write_parts, write_truncated};
use crate::settle::Settlement;

/// Silence after which a comment is sent, so that nothing on the way takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// About how much leaves in one write.
const WRITE_BYTES: usize = 32 * 1024;

/// The body of a streamed answer.
pub(super) fn body(reply: Reply, settlement: Box<Settlement>) -> Body {
    let playing = Playing {
        player: reply.player,
        reader: ChunkReader::new(),
        include_usage: reply.include_usage,
        settlement,
    };
    Body::from_stream(futures_util::stream::unfold(
        Some(playing),
        |playing| async {
            let mut playing = playing?;
            let (bytes, more) = playing.write().await;
            let next = match more {
                Next::More => Some(playing),
                Next::Delivered => {
                    playing.settlement.deliver();
                    None
                }
                Next::Broken => None,
            };
            Some((Ok::<Bytes, Infallible>(bytes), next))
        },
    ))
}

struct Playing {
    player: Player,
    reader: ChunkReader,
    include_usage: bool,
    settlement: Box<Settlement>,
}

/// What comes after a write.
enum Next {
    More,
    /// The last write: the bill is closed as delivered before it is handed over.
    Delivered,
    /// The last write of an answer that broke off.
    Broken,
}

impl Playing {
    /// The next piece of text: at least one event, a comment, or the end.
    async fn write(&mut self) -> (Bytes, Next) {
        crate::faults::hit("writer", b"");
        let mut out = BytesMut::with_capacity(4 * 1024);
        let mut waited = match tokio::time::timeout(KEEP_ALIVE, self.player.next()).await {
            Ok(heard) => heard,
            Err(_) => {
                write_keep_alive(&mut out);
                return (out.freeze(), Next::More);
            }
        };
        loop {
            match waited {
                Ok(Some(frame)) => {
                    if self.event(&frame, &mut out).is_err() {
                        return broken(out, &Fault::Lost);
                    }
                }
                Ok(None) => {
                    write_done(&mut out);
                    return (out.freeze(), Next::Delivered);
                }
                Err(fault) => return broken(out, &fault),
            }
            if out.len() >= WRITE_BYTES {
                return (out.freeze(), Next::More);
            }
            waited = match self.player.ready() {
                Some(frame) => Ok(Some(frame)),
                None if self.player.at_end() => Ok(None),
                None => return (out.freeze(), Next::More),
            };
        }
    }

    fn event(&mut self, frame: &Frame, out: &mut BytesMut) -> Result<(), crate::answer::Malformed> {
        match self.reader.read(frame)? {
            Event::Chunk(chunk) => write_parts(out, &chunk.parts(self.include_usage)),
            Event::Usage(payload) if self.include_usage => write_data(out, payload),
            Event::Usage(_) => {}
            Event::Tally(tally) => self.settlement.tallied(&tally),
            Event::Plain(body) => {
                for payload in unfold(&body, self.include_usage)? {
                    write_data(out, std::str::from_utf8(&payload).unwrap_or_default());
                }
            }
        }
        Ok(())
    }
}

fn broken(mut out: BytesMut, fault: &Fault) -> (Bytes, Next) {
    let message = match fault {
        Fault::TooSlow => "the provider fell silent: what came so far is not the whole answer",
        Fault::TooLong => "the answer is longer than this node records: it is not whole",
        _ => "the answer broke off: what came so far is not the whole of it",
    };
    write_truncated(&mut out, message);
    (out.freeze(), Next::Broken)
}
