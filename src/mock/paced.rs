//! The body of an answer in time: each event at its moment, the break-off where one is ordered, the
//! moments written down. Knows nothing of what the events say.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep};

use super::behaviour::Fail;
use super::calls::{Call, Calls, End};
use super::dialect::{Event, Events};

/// When events go out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// The moment of the first token.
    pub first: Instant,
    /// From one token to the next.
    pub step: Duration,
}

impl Pace {
    /// The moment of token `at`. Counted from the start, never from the token before: a late one
    /// delays no other. Tokio's timer is a millisecond fine, so quicker tokens come in pairs.
    pub(super) fn due(&self, at: u32) -> Instant {
        self.first + self.step * at
    }
}

/// An order to break off.
#[derive(Clone, Debug)]
pub(super) struct Break {
    pub how: Fail,
    /// Events written whole before it.
    pub at: u32,
    /// What [`Fail::Event`] says.
    pub event: Bytes,
}

/// A body that writes events at their pace. Dropped early, it says that the asker went away.
pub(super) struct Paced {
    events: Events,
    pace: Pace,
    break_off: Option<Break>,
    calls: Arc<Calls>,
    call: Arc<Call>,
    next: Option<Event>,
    sleep: Option<Pin<Box<Sleep>>>,
    written: u32,
    tokens: u32,
    closing: Closing,
}

/// How far an ending has come.
#[derive(Clone, Copy, PartialEq)]
enum Closing {
    NotYet,
    /// Everything is written; cut once the connection had a turn to send it.
    CutSoon,
    Cut,
    End,
    Hang,
}

impl Paced {
    pub(super) fn new(
        events: Events,
        pace: Pace,
        break_off: Option<Break>,
        calls: Arc<Calls>,
        call: Arc<Call>,
    ) -> Self {
        Self {
            events,
            pace,
            break_off,
            calls,
            call,
            next: None,
            sleep: None,
            written: 0,
            tokens: 0,
            closing: Closing::NotYet,
        }
    }

    /// Waits until the next event is due.
    fn poll_due(&mut self, context: &mut Context<'_>, token: bool) -> Poll<()> {
        let due = self.pace.due(self.tokens);
        if !token || due <= Instant::now() {
            return Poll::Ready(());
        }
        let sleep = self
            .sleep
            .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(due)));
        ready!(sleep.as_mut().poll(context));
        self.sleep = None;
        Poll::Ready(())
    }

    /// Starts the ordered break-off; some have a last word.
    fn break_off(&mut self, order: &Break, event: &Event) -> Option<Bytes> {
        self.call.ended(End::Failed);
        let (closing, last) = match order.how {
            Fail::Cut => (Closing::CutSoon, None),
            Fail::Half => (
                Closing::CutSoon,
                Some(event.bytes.slice(..event.bytes.len() / 2)),
            ),
            Fail::Event | Fail::Inside => (Closing::End, Some(order.event.clone())),
            Fail::End => (Closing::End, None),
            Fail::Hang => (Closing::Hang, None),
        };
        self.closing = closing;
        last
    }

    fn poll_closing(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        match self.closing {
            Closing::CutSoon => {
                // An error right behind data would throw the unsent data away with the connection.
                self.closing = Closing::Cut;
                context.waker().wake_by_ref();
                Poll::Pending
            }
            Closing::Cut => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
            Closing::Hang => Poll::Pending,
            Closing::NotYet | Closing::End => Poll::Ready(None),
        }
    }

    fn write(&mut self, bytes: Bytes) -> Poll<Option<io::Result<Bytes>>> {
        self.call.wrote(self.calls.now_micros());
        Poll::Ready(Some(Ok(bytes)))
    }
}

impl Stream for Paced {
    type Item = io::Result<Bytes>;

    fn poll_next(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Bytes>>> {
        let this = &mut *self;
        if this.closing != Closing::NotYet {
            return this.poll_closing(context);
        }
        let Some(event) = this.next.take().or_else(|| this.events.next()) else {
            this.closing = Closing::End;
            this.call.ended(End::Complete);
            return Poll::Ready(None);
        };
        if this.poll_due(context, event.token).is_pending() {
            this.next = Some(event);
            return Poll::Pending;
        }
        if let Some(order) = this.break_off.take_if(|order| order.at <= this.written) {
            return match this.break_off(&order, &event) {
                Some(last) => this.write(last),
                None => this.poll_closing(context),
            };
        }
        this.written += 1;
        this.tokens += u32::from(event.token);
        this.write(event.bytes)
    }
}

impl Drop for Paced {
    fn drop(&mut self) {
        self.call.ended(End::Abandoned);
    }
}
