//! The body of a request: read whole up to its limit, or handed on as it arrives. It never waits
//! longer for a piece than it may, and never holds more than the limit.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header};
use http_body::{Body, Frame};
use http_body_util::BodyExt;

use crate::problem::Problem;

/// How many bodies of the largest size are read and thrown away behind one that is too large.
const DRAINED_BODIES_MAX: usize = 3;

/// How long that may take: a client that sends slowly hears its answer all the same.
const DRAIN_PATIENCE: Duration = Duration::from_secs(2);

/// Reads a body of at most `bytes_max`. One that says beforehand that it is longer is refused
/// before a byte of it is asked for where the client waits to be told, so that it may keep it.
pub(super) async fn whole<B: Body<Data = Bytes> + Unpin>(
    headers: &HeaderMap,
    mut body: B,
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
    while !body.is_end_stream()
        && let Some(piece) = piece(&mut body, patience).await?
    {
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
async fn drain<B: Body<Data = Bytes> + Unpin>(body: &mut B, bytes_max: usize, patience: Duration) {
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

async fn piece<B: Body<Data = Bytes> + Unpin>(
    body: &mut B,
    patience: Duration,
) -> Result<Option<Bytes>, Problem> {
    loop {
        let frame = match at_hand(body).await {
            Some(frame) => frame,
            None => tokio::time::timeout(patience, body.frame())
                .await
                .map_err(|_| Problem::SlowBody)?,
        };
        let frame = match frame {
            None => return Ok(None),
            Some(Err(_)) => return Err(Problem::BrokenBody),
            Some(Ok(frame)) => frame,
        };
        // Trailers are dropped.
        if let Ok(piece) = frame.into_data() {
            return Ok(Some(piece));
        }
    }
}

/// The next frame, if it is there within two turns: a connection hands over what has arrived on the
/// turn after it was asked for. Only a wait for more needs a timer, and most bodies need none.
async fn at_hand<B: Body + Unpin>(
    body: &mut B,
) -> Option<Option<Result<Frame<B::Data>, B::Error>>> {
    let mut asked = false;
    poll_fn(|cx| match Pin::new(&mut *body).poll_frame(cx) {
        Poll::Ready(frame) => Poll::Ready(Some(frame)),
        Poll::Pending if asked => Poll::Ready(None),
        Poll::Pending => {
            asked = true;
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    })
    .await
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
