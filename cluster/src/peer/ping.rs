//! Whether a peer is there, asked over the connection that agreement uses. It judges nothing.

use std::time::Duration;

use super::{PeerError, Peers, Room};
use crate::fill::BoxFuture;
use crate::health::{Pinger, Unanswered};
use crate::node::{NodeId, Phase};
use crate::wire::{Frame, Ping, RingStamp};

/// Longer than anybody waits for a ping: whoever asks gives up first.
const ANSWERED_WITHIN: Duration = Duration::from_secs(2);

impl Pinger for Peers {
    fn ping<'a>(&'a self, to: &'a NodeId) -> BoxFuture<'a, Result<Phase, Unanswered>> {
        Box::pin(async move { self.pong(to).await.map_err(Unanswered::from) })
    }
}

impl Peers {
    async fn pong(&self, to: &NodeId) -> Result<Phase, PeerError> {
        let ping = Frame::Ping(Ping {
            ring: RingStamp {
                epoch: 0,
                digest: [0; 16],
            },
            phase: Phase::Ready,
        });
        let asked = self.call(to, Room::Ping, vec![ping], ANSWERED_WITHIN);
        match asked.await?.next(ANSWERED_WITHIN).await? {
            Some(Frame::Pong(pong)) => Ok(pong.phase),
            _ => Err(PeerError::Protocol),
        }
    }
}

impl From<PeerError> for Unanswered {
    fn from(error: PeerError) -> Unanswered {
        match error {
            PeerError::Silent | PeerError::Unknown | PeerError::Crowded => Unanswered::Silent,
            _ => Unanswered::Reset,
        }
    }
}
