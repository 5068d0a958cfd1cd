//! A reply as it comes in, frame by frame, at the pace it is asked for: what is not asked for
//! stays in the windows of the call and holds up whoever answers. Dropped, the call is reset.

use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use tokio::time::timeout;

use super::PeerError;
use super::line::Place;
use crate::wire::{Decoder, Frame};

/// The reply to one call.
pub(crate) struct Hearing {
    body: RecvStream,
    decoder: Decoder,
    /// What came last, for as long as it is not used up.
    ended: Option<Result<(), PeerError>>,
    /// Given back when the call is over.
    _place: Place,
}

impl Hearing {
    pub(super) fn new(body: RecvStream, place: Place) -> Hearing {
        Hearing {
            body,
            decoder: Decoder::default(),
            ended: None,
            _place: place,
        }
    }

    /// The next frame; `None` where the reply has come to its end. An error is the end as well,
    /// but for `Silent`, after which one may go on listening.
    pub(crate) async fn next(&mut self, patience: Duration) -> Result<Option<Frame>, PeerError> {
        loop {
            if let Some(ended) = self.ended {
                return ended.map(|()| None);
            }
            match self.decoder.frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(_) => {
                    self.ended = Some(Err(PeerError::Protocol));
                    continue;
                }
            }
            match timeout(patience, self.body.data()).await {
                Ok(Some(Ok(piece))) => self.take(piece),
                Ok(Some(Err(_))) => self.ended = Some(Err(PeerError::Lost)),
                Ok(None) if self.decoder.in_the_middle() => {
                    self.ended = Some(Err(PeerError::Protocol));
                }
                Ok(None) => self.ended = Some(Ok(())),
                Err(_) => return Err(PeerError::Silent),
            }
        }
    }

    fn take(&mut self, piece: Bytes) {
        // Cannot fail: it is what was just received.
        let _ = self.body.flow_control().release_capacity(piece.len());
        self.decoder.push(piece);
    }
}
