//! The body of a request: read whole up to its limit, or handed on as it arrives. It never waits
//! longer for a piece than it may, and never holds more than the limit.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::problem::Problem;

/// Reads a body of at most `bytes_max`. One that says beforehand that it is longer is refused
/// before a byte of it is asked for, so that a client that waits to be told may keep it.
pub(super) async fn whole(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let too_large = Problem::TooLarge { bytes_max };
    if length(headers).is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large);
    }
    let mut whole = Pieces::default();
    while let Some(piece) = piece(&mut body, patience).await? {
        if whole.length() + piece.len() > bytes_max {
            return Err(too_large);
        }
        whole.push(piece);
    }
    Ok(whole.join())
}

async fn piece(body: &mut Body, patience: Duration) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = match tokio::time::timeout(patience, body.frame()).await {
            Err(_) => return Err(Problem::SlowBody),
            Ok(None) => return Ok(None),
            Ok(Some(Err(_))) => return Err(Problem::BrokenBody),
            Ok(Some(Ok(frame))) => frame,
        };
        // Trailers are dropped.
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

fn length(headers: &HeaderMap) -> Option<u64> {
    headers
        .get(header::CONTENT_LENGTH)?
        .to_str()
        .ok()?
        .parse()
        .ok()
}

/// Most bodies arrive in one piece, which is then not copied.
#[derive(Default)]
enum Pieces {
    #[default]
    None,
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn length(&self) -> usize {
        match self {
            Pieces::None => 0,
            Pieces::One(bytes) => bytes.len(),
            Pieces::Many(bytes) => bytes.len(),
        }
    }

    fn push(&mut self, piece: Bytes) {
        *self = match std::mem::take(self) {
            Pieces::None => Pieces::One(piece),
            Pieces::One(first) => {
                let mut bytes = BytesMut::with_capacity(2 * (first.len() + piece.len()));
                bytes.extend_from_slice(&first);
                bytes.extend_from_slice(&piece);
                Pieces::Many(bytes)
            }
            Pieces::Many(mut bytes) => {
                bytes.extend_from_slice(&piece);
                Pieces::Many(bytes)
            }
        };
    }

    fn join(self) -> Bytes {
        match self {
            Pieces::None => Bytes::new(),
            Pieces::One(bytes) => bytes,
            Pieces::Many(bytes) => bytes.freeze(),
        }
    }
}
