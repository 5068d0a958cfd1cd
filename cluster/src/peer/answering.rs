//! A reply on its way: frames are written as fast as the caller reads and no faster. Nothing is
//! queued here: what the caller has no window for is not taken from whoever answers. Dropped, the
//! reply is at its end; dropped by a panic, the call is reset.

use std::fmt;
use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use h2::{Reason, SendStream};
use http::{Response, StatusCode};
use tokio::time::timeout;

use super::Base;
use crate::wire::Frame;

/// The caller has gone, or was given up because it stopped reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Gone;

impl fmt::Display for Gone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the caller has gone")
    }
}

impl std::error::Error for Gone {}

/// A reply to one caller.
pub(crate) struct Answering {
    state: State,
    base: Arc<Base>,
}

enum State {
    /// Nothing was said yet.
    Silent(SendResponse<Bytes>),
    Speaking(SendStream<Bytes>),
    Ended,
}

impl Answering {
    pub(super) fn new(respond: SendResponse<Bytes>, base: Arc<Base>) -> Answering {
        Answering {
            state: State::Silent(respond),
            base,
        }
    }

    /// Writes a frame; waits while the caller has no room for it, at most the stall limit without
    /// any progress. Then the call is reset.
    pub(crate) async fn send(&mut self, frame: Frame) -> Result<(), Gone> {
        let bytes = self.spelled(std::slice::from_ref(&frame))?;
        self.write(bytes, false).await
    }

    /// Writes frames that are all at hand in as few writes as the caller has room for: one, where
    /// it has room for all.
    pub(crate) async fn send_all(&mut self, frames: Vec<Frame>) -> Result<(), Gone> {
        let bytes = self.spelled(&frames)?;
        self.write(bytes, false).await
    }

    /// The last frames: the end of the reply goes out in the same write.
    pub(crate) async fn finish(mut self, frames: Vec<Frame>) -> Result<(), Gone> {
        let bytes = self.spelled(&frames)?;
        self.write(bytes, true).await
    }

    /// Waits until the caller has gone.
    pub(crate) async fn deserted(&mut self) {
        poll_fn(|cx| match &mut self.state {
            State::Silent(respond) => respond.poll_reset(cx).map(|_| ()),
            State::Speaking(stream) => stream.poll_reset(cx).map(|_| ()),
            State::Ended => std::task::Poll::Ready(()),
        })
        .await;
    }

    /// Breaks the call off: the caller hears that it was lost.
    pub(crate) fn reset(mut self) {
        self.end(Reason::CANCEL);
    }

    fn spelled(&mut self, frames: &[Frame]) -> Result<Bytes, Gone> {
        let mut bytes = BytesMut::with_capacity(frames.iter().map(Frame::bytes_about).sum());
        for frame in frames {
            if frame.encode(&mut bytes).is_err() {
                tracing::error!(frame = frame.name(), "a frame is too long to be sent");
                self.end(Reason::INTERNAL_ERROR);
                return Err(Gone);
            }
        }
        Ok(bytes.freeze())
    }

    async fn write(&mut self, mut bytes: Bytes, last: bool) -> Result<(), Gone> {
        self.begin(bytes.is_empty() && last)?;
        while !bytes.is_empty() {
            let room = self.room(bytes.len()).await?;
            let piece = bytes.split_to(room.min(bytes.len()));
            let State::Speaking(stream) = &mut self.state else {
                return Err(Gone);
            };
            let end = last && bytes.is_empty();
            if stream.send_data(piece, end).is_err() {
                self.state = State::Ended;
                return Err(Gone);
            }
        }
        if last {
            self.state = State::Ended;
        }
        Ok(())
    }

    fn begin(&mut self, last: bool) -> Result<(), Gone> {
        if let State::Silent(respond) = &mut self.state {
            let mut reply = Response::new(());
            *reply.status_mut() = StatusCode::OK;
            self.state = match respond.send_response(reply, last) {
                Ok(_) if last => State::Ended,
                Ok(stream) => State::Speaking(stream),
                Err(_) => State::Ended,
            };
            return match self.state {
                State::Ended if !last => Err(Gone),
                _ => Ok(()),
            };
        }
        match &mut self.state {
            State::Speaking(stream) if last => {
                let ended = stream.send_data(Bytes::new(), true).map_err(|_| Gone);
                self.state = State::Ended;
                ended
            }
            State::Speaking(_) => Ok(()),
            _ => Err(Gone),
        }
    }

    /// How much of `bytes` may be written now; waits until it is something.
    async fn room(&mut self, bytes: usize) -> Result<usize, Gone> {
        let stall_max: Duration = self.base.limits.stall_max;
        let State::Speaking(stream) = &mut self.state else {
            return Err(Gone);
        };
        stream.reserve_capacity(bytes);
        let mut room = stream.capacity();
        if room == 0 {
            let waited = timeout(stall_max, poll_fn(|cx| stream.poll_capacity(cx))).await;
            room = match waited {
                Ok(Some(Ok(room))) => room,
                Ok(_) => {
                    self.state = State::Ended;
                    return Err(Gone);
                }
                Err(_) => {
                    self.base.stats.stalled.add();
                    self.end(Reason::CANCEL);
                    return Err(Gone);
                }
            };
        }
        Ok(room)
    }

    fn end(&mut self, reason: Reason) {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Silent(mut respond) => respond.send_reset(reason),
            State::Speaking(mut stream) => stream.send_reset(reason),
            State::Ended => {}
        }
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.end(Reason::INTERNAL_ERROR);
        } else {
            // A caller that has gone meanwhile hears nothing, and that is all the same.
            let _ = self.begin(true);
        }
    }
}
