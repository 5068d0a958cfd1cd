//! Frames out of a stream of bytes, however it is cut. What arrives in one piece is not copied. It
//! holds at most one unfinished frame, whose length its envelope has already owned up to.

use bytes::{Buf, Bytes, BytesMut};

use super::{ENVELOPE_BYTES, Envelope, Frame, Garbled, body};

/// The frames of one stream.
#[derive(Default)]
pub(crate) struct Decoder {
    /// The beginning of a frame whose rest has not come.
    begun: BytesMut,
    /// What came last and is not used up.
    latest: Bytes,
}

impl Decoder {
    /// Takes what came next. All frames before it must have been taken out.
    pub(crate) fn push(&mut self, piece: Bytes) {
        self.set_aside(self.latest.len());
        self.latest = piece;
    }

    /// The next frame, once it has come whole.
    pub(crate) fn frame(&mut self) -> Result<Option<Frame>, Garbled> {
        if self.begun.is_empty() {
            let Some(envelope) = envelope_of(&self.latest)? else {
                return Ok(None);
            };
            let whole = ENVELOPE_BYTES + envelope.body_bytes;
            if self.latest.len() < whole {
                return Ok(None);
            }
            let mut frame = self.latest.split_to(whole);
            frame.advance(ENVELOPE_BYTES);
            return body::decode(envelope.kind, frame).map(Some);
        }
        self.set_aside(ENVELOPE_BYTES.saturating_sub(self.begun.len()));
        let Some(envelope) = envelope_of(&self.begun)? else {
            return Ok(None);
        };
        let whole = ENVELOPE_BYTES + envelope.body_bytes;
        self.set_aside(whole - self.begun.len());
        if self.begun.len() < whole {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.begun).freeze();
        frame.advance(ENVELOPE_BYTES);
        body::decode(envelope.kind, frame).map(Some)
    }

    /// Whether a frame was begun and not finished.
    pub(crate) fn in_the_middle(&self) -> bool {
        !self.begun.is_empty() || !self.latest.is_empty()
    }

    fn set_aside(&mut self, bytes: usize) {
        let bytes = bytes.min(self.latest.len());
        if bytes > 0 {
            self.begun.extend_from_slice(&self.latest[..bytes]);
            self.latest.advance(bytes);
        }
    }
}

fn envelope_of(bytes: &[u8]) -> Result<Option<Envelope>, Garbled> {
    let Some(first) = bytes.first_chunk::<ENVELOPE_BYTES>() else {
        return Ok(None);
    };
    Envelope::read(*first).map(Some)
}
