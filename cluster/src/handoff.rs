//! Taking over from the owner before: after a change of the ring, a key's new owner asks the old
//! one for what it keeps or is just flying, before it makes the answer itself. So a change costs a
//! short round trip and not a provider's call. It asks memory only, never for long, and never twice.

use std::time::Duration;

use crate::away::{SILENCE_MAX, copy};
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::fetch::{Join, Part, Want};
use crate::fill::Copied;
use crate::flight::Freshness;
use crate::node::NodeId;
use crate::peer::{Hearing, PeerError, Room};
use crate::tape::Recorder;
use crate::wire::{Frame, Heading, Mode};

/// How long the owner before may take to say whether it has anything: memory, and a round trip.
const PEEKED_WITHIN: Duration = Duration::from_millis(100);

impl Cluster {
    /// Records what the owner before has of this key; true where the recording has ended with it.
    pub(crate) async fn inherit(
        &self,
        want: &Want,
        freshness: Freshness,
        recorder: &Recorder,
    ) -> bool {
        if freshness != Freshness::Any || want.join != Join::Owned {
            return false;
        }
        let Some(before) = self.owner_before(&want.key) else {
            return false;
        };
        match self.peek_at(&before, want, recorder).await {
            Ok(ended) => ended,
            Err(error) => {
                tracing::debug!(peer = %before, %error, "the owner before could not be asked");
                false
            }
        }
    }

    async fn peek_at(
        &self,
        before: &NodeId,
        want: &Want,
        recorder: &Recorder,
    ) -> Result<bool, PeerError> {
        let ask = self.fetch_frame(want, Freshness::Any, Mode::Peek);
        let mut hearing = self
            .call(before, Room::Fetch, vec![ask], PEEKED_WITHIN)
            .await?;
        loop {
            // Heartbeats say that it flies there: then its end is worth waiting for.
            match hearing.next(SILENCE_MAX).await? {
                Some(Frame::Accepted(_) | Frame::Heartbeat) => {}
                Some(Frame::Head(heading)) if self.fill.suits(&heading.frame, &want.terms) => {
                    self.take_over(want, heading, hearing, recorder).await;
                    return Ok(true);
                }
                Some(Frame::Absent | Frame::Head(_) | Frame::Fault(_)) => return Ok(false),
                _ => return Err(PeerError::Protocol),
            }
        }
    }

    async fn take_over(
        &self,
        want: &Want,
        heading: Heading,
        hearing: Hearing,
        recorder: &Recorder,
    ) {
        let (part, stamp) = (heading.part, heading.stamp.clone());
        match copy(heading, hearing, recorder).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(_) => return recorder.break_off(Fault::OwnerLost),
        }
        self.stats.inherited.add();
        // Kept before finished: who asks in between must find it.
        if part == Part::Kept && !stamp.is_empty() {
            let sealed = recorder.seal();
            self.fill.keep(&want.key, &stamp, sealed, Copied::Moved);
        }
        recorder.complete();
    }
}
