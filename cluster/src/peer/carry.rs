//! Payloads of those who agree, brought over the connection that is theirs. It never looks into one.

use std::time::Duration;

use bytes::Bytes;

use super::{PeerError, Peers, Room};
use crate::control::{Carry, Uncarried};
use crate::fill::BoxFuture;
use crate::node::NodeId;
use crate::wire::Frame;

impl Carry for Peers {
    fn carry<'a>(
        &'a self,
        to: &'a NodeId,
        payload: Bytes,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Bytes, Uncarried>> {
        Box::pin(async move {
            let ask = vec![Frame::Payload(payload)];
            let hearing = self.call(to, Room::Control, ask, patience).await;
            let heard = match hearing {
                Ok(mut hearing) => hearing.next(patience).await,
                Err(error) => Err(error),
            };
            match heard {
                Ok(Some(Frame::Payload(reply))) => Ok(reply),
                Err(PeerError::Unknown | PeerError::Unreachable | PeerError::Crowded) => {
                    Err(Uncarried::Unreachable)
                }
                _ => Err(Uncarried::Lost),
            }
        })
    }
}
