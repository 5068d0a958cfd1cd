//! The body of a request: read whole up to its limit, or handed on as it arrives. It never waits
//! longer for a piece than it may, and never holds more than the limit.

use std::time::Duration;

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body_util::BodyExt;

use crate::problem::Problem;

/// How many bodies of the largest size are read and thrown away behind one that is too large.
const DRAINED_BODIES_MAX: usize = 3;

/// How long that may take: a client that sends slowly hears its answer all the same.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Reads a body of at most `bytes_max`. One that says beforehand that it is longer is refused
/// before a byte of it is asked for where the client waits to be told, so that it may keep it.
pub(super) async fn whole(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    patience: Duration,
) -> Result<Bytes, Problem> {
    let too_large = Problem::TooLarge { bytes_max };
    if length(headers).is_some_and(|length| length > bytes_max as u64) {
        if !headers.contains_key(header::EXPECT) {
            drain(&mut body, bytes_max, patience).await;
        }
        return Err(too_large);
    }
    let mut whole = Pieces::default();
    while let Some(piece) = piece(&mut body, patience).await? {
        if whole.length() + piece.len() > bytes_max {
            drain(&mut body, bytes_max, patience).await;
            return Err(too_large);
        }
        whole.push(piece);
    }
    Ok(whole.join())
}

/// Takes what a client is still sending, and keeps none of it: a connection that is closed upon
/// unread bytes takes the answer with it. So many bytes and so long, then the client is cut off.
async fn drain(body: &mut Body, bytes_max: usize, patience: Duration) {
    let mut left = bytes_max.saturating_mul(DRAINED_BODIES_MAX);
    let taking = async {
        while left > 0
            && let Some(Ok(frame)) = body.frame().await
        {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
        }
    };
    // Whether all of it came makes no difference to the answer.
    let _in_time = tokio::time::timeout(patience.min(DRAIN_PATIENCE), taking).await;
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
