//! Taking over from the owner before: after a change of the ring, a key's new owner asks the old
//! one for what it keeps or is just flying, before it makes the answer itself. So a change costs a
//! short round trip and not a provider's call. It asks memory only, never for long, and never twice.
//!
//! Only who makes the answer asks, which is the key's home (or the last rank that its scope allows).
//! A new owner within a region that is not the home asks the home, as for any key it has not had:
//! that costs a round trip and never a call.

use std::time::Duration;

use crate::away::{SILENCE_MAX, Told, copy};
use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::fetch::{Join, Want};
use crate::fill::Copied;
use crate::flight::Freshness;
use crate::node::NodeId;
use crate::peer::{Hearing, PeerError, Room};
use crate::tape::Recorder;
use crate::wire::{Frame, Heading, Mode, Rank};

/// How long the owner before may take to say whether it has anything: memory, and a round trip.
const PEEKED_WITHIN: Duration = Duration::from_millis(100);

/// The same of one in another region: a key's home may move far when nodes join or leave.
const PEEKED_FAR_WITHIN: Duration = Duration::from_millis(600);

impl Cluster {
    /// Records what the owner before has of this key; true where the recording has ended with it, and
    /// `told` says then how the owner before came by it.
    pub(crate) async fn inherit(
        &self,
        want: &Want,
        freshness: Freshness,
        recorder: &Recorder,
        told: &Told,
    ) -> bool {
        if freshness != Freshness::Any || want.join != Join::Owned {
            return false;
        }
        let Some(before) = self.owner_before(&want.key, want.coalesce) else {
            return false;
        };
        match self.peek_at(&before, want, recorder, told).await {
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
        told: &Told,
    ) -> Result<bool, PeerError> {
        match self.peeked(before, want).await? {
            Some((heading, hearing)) if self.fill.suits(&heading.frame, &want.terms) => {
                let _first = told.set((heading.part, self.me().clone()));
                self.take_over(want, heading, hearing, recorder).await;
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    /// What another node has in memory or just makes, from its first frame on.
    pub(crate) async fn peeked(
        &self,
        at: &NodeId,
        want: &Want,
    ) -> Result<Option<(Heading, Hearing)>, PeerError> {
        let ask = self.fetch_frame(want, Freshness::Any, (Rank::Home, Mode::Peek));
        let patience = match self.is_far(at) {
            true => PEEKED_FAR_WITHIN,
            false => PEEKED_WITHIN,
        };
        let mut hearing = self.call(at, Room::Fetch, vec![ask], patience).await?;
        loop {
            // Heartbeats say that it is made there: then its end is worth waiting for.
            match hearing.next(SILENCE_MAX).await? {
                Some(Frame::Accepted(_) | Frame::Heartbeat) => {}
                Some(Frame::Head(heading)) => return Ok(Some((heading, hearing))),
                Some(Frame::Absent | Frame::Fault(_)) => return Ok(None),
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
        self.land(&want.key, (part, &stamp, Copied::Moved), recorder);
    }
}
