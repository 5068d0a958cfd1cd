//! From an answer to a response: the headers every answer has, and the body in the caller's own
//! shape, plain here, streamed in `stream`. A plain body is settled when the connection takes it.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use fgy_cluster::{Fault, Player, Sealed};
use http::header::{AGE, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Edge, error, stream};
use crate::answer::Malformed;
use crate::answer::aside::Aside;
use crate::answer::event::{self, ChunkReader, Event, Tally};
use crate::answer::fold::Fold;
use crate::answer::head::Shape;
use crate::answer::stamp::Millis;
use crate::gateway::Reply;
use crate::ledger::line::{LineId, Outcome};
use crate::problem::Problem;
use crate::settle::Settlement;

const X_FGY_CACHE: HeaderName = HeaderName::from_static("x-fgy-cache");
const X_FGY_CACHE_REASON: HeaderName = HeaderName::from_static("x-fgy-cache-reason");
const X_FGY_CACHE_SIMILARITY: HeaderName = HeaderName::from_static("x-fgy-cache-similarity");
const X_FGY_SAVED_USD: HeaderName = HeaderName::from_static("x-fgy-saved-usd");
const X_FGY_NODE: HeaderName = HeaderName::from_static("x-fgy-node");
const X_FGY_OWNER: HeaderName = HeaderName::from_static("x-fgy-owner");
pub(super) const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
pub(super) const CACHE_STATUS: HeaderName = HeaderName::from_static("cache-status");
pub(super) const X_FGY_PROVIDER_REQUEST_ID: HeaderName =
    HeaderName::from_static("x-fgy-provider-request-id");

/// The response to an answer.
pub(super) async fn response(edge: &Edge, mut reply: Reply, mut bill: Box<Settlement>) -> Response {
    let mut headers = HeaderMap::with_capacity(16);
    let mut texts = Texts::default();
    texts.name(&mut headers, edge, bill.id());
    origin_headers(&mut headers, &mut texts, (edge, bill.opening().at), &reply);
    provider_headers(&mut headers, &reply.aside);
    let status = StatusCode::from_u16(reply.status).unwrap_or(StatusCode::OK);
    bill.status(status.as_u16());
    let body = if reply.stream {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
        stream::body(reply, bill)
    } else {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let sealed = match reply.player.sealed() {
            Some(sealed) => sealed,
            None => match Box::pin(end(&mut reply.player)).await {
                Ok(sealed) => sealed,
                Err(fault) => return error::refuse(edge, bill, &fault.into()),
            },
        };
        let Ok((bytes, tally)) = plain(&sealed, reply.shape) else {
            return error::refuse(edge, bill, &Problem::Internal);
        };
        bill.tallied(&tally);
        saved_header(&mut headers, &mut texts, &bill);
        Body::new(Whole {
            bytes: Some(bytes),
            settlement: Some(bill),
        })
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}

/// Names the node and the ledger line, so that any node finds it.
pub(super) fn name(headers: &mut HeaderMap, edge: &Edge, id: LineId) {
    Texts::default().name(headers, edge, id);
}

/// Header values written one behind the other into one buffer that they share: a reply has several
/// that no other reply has, and an allocation for each would be most of their cost.
struct Texts(BytesMut);

impl Default for Texts {
    fn default() -> Texts {
        Texts(BytesMut::with_capacity(256))
    }
}

impl Texts {
    /// What was written since the value before. Nothing that is written here is beyond ASCII but a
    /// node's name, which was a header's value before.
    fn value(&mut self) -> Option<HeaderValue> {
        HeaderValue::from_maybe_shared(self.0.split().freeze()).ok()
    }

    fn push(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }

    fn name(&mut self, headers: &mut HeaderMap, edge: &Edge, id: LineId) {
        headers.insert(X_FGY_NODE, edge.node.clone());
        self.0.extend_from_slice(edge.node.as_bytes());
        self.push(".");
        self.0.extend_from_slice(&id.text());
        headers.extend(self.value().map(|id| (X_REQUEST_ID, id)));
    }

    /// RFC 9211: whether the answer came from here, and if not, why the request went forward.
    fn cache_status(
        &mut self,
        outcome: Outcome,
        reason: &str,
        seconds_left: Option<u64>,
    ) -> Option<HeaderValue> {
        self.push(match outcome {
            Outcome::Hit | Outcome::SemanticHit => "fgy; hit",
            Outcome::Coalesced => "fgy; fwd=miss; collapsed",
            Outcome::Miss => "fgy; fwd=miss",
            Outcome::Refresh => "fgy; fwd=request",
            Outcome::Bypass => "fgy; fwd=bypass",
            // Made here: it neither came from the cache nor went forward.
            Outcome::Refused => "fgy",
        });
        if let Some(seconds) = seconds_left {
            self.push("; ttl=");
            self.push(itoa::Buffer::new().format(seconds));
        }
        let detail = if reason.is_empty() {
            outcome.token()
        } else {
            reason
        };
        self.push("; detail=");
        self.push(detail);
        self.value()
    }
}

/// What became of the request and why.
pub(super) fn cache_headers(headers: &mut HeaderMap, outcome: Outcome, reason: &str) {
    headers.insert(X_FGY_CACHE, HeaderValue::from_static(outcome.token()));
    if let Ok(reason) = HeaderValue::from_str(reason)
        && !reason.is_empty()
    {
        headers.insert(X_FGY_CACHE_REASON, reason);
    }
}

fn origin_headers(
    headers: &mut HeaderMap,
    texts: &mut Texts,
    (edge, now): (&Edge, Millis),
    reply: &Reply,
) {
    cache_headers(headers, reply.outcome, &reply.reason);
    if reply.owner == *edge.gateway.cluster.me() {
        headers.insert(X_FGY_OWNER, edge.node.clone());
    } else if let Ok(owner) = HeaderValue::from_str(reply.owner.as_str()) {
        headers.insert(X_FGY_OWNER, owner);
    }
    if let Some(similarity) = reply.similarity_bp {
        let text = format!("{}.{:04}", similarity / 10_000, similarity % 10_000);
        headers.extend(
            HeaderValue::from_str(&text)
                .ok()
                .map(|v| (X_FGY_CACHE_SIMILARITY, v)),
        );
    }
    if matches!(reply.outcome, Outcome::Hit | Outcome::SemanticHit) {
        headers.insert(AGE, HeaderValue::from(now.since(reply.filled) / 1_000));
    }
    let left = reply.kept_until.map(|until| until.since(now) / 1_000);
    let status = texts.cache_status(reply.outcome, &reply.reason, left);
    headers.extend(status.map(|status| (CACHE_STATUS, status)));
}

/// What `Cache-Status` says.
pub(super) fn cache_status(outcome: Outcome, reason: &str) -> HeaderValue {
    let status = Texts::default().cache_status(outcome, reason, None);
    status.unwrap_or_else(|| HeaderValue::from_static("fgy"))
}

fn saved_header(headers: &mut HeaderMap, texts: &mut Texts, settlement: &Settlement) {
    let amounts = settlement.saving();
    if amounts.saved.0 == 0 {
        return;
    }
    // Writing to a buffer that grows cannot fail.
    let _infallible = amounts.saved.write(&mut texts.0);
    headers.extend(texts.value().map(|saved| (X_FGY_SAVED_USD, saved)));
}

/// Headers of a provider's own, for the one whose request went upstream.
pub(super) fn provider_headers(headers: &mut HeaderMap, told: &Aside) {
    for (name, value) in &told.0 {
        if let Some((name, value)) = error::header(name, value) {
            let ours = name == X_REQUEST_ID;
            headers.append(
                if ours {
                    X_FGY_PROVIDER_REQUEST_ID
                } else {
                    name
                },
                value,
            );
        }
    }
}

/// Hears a recording to its good end.
async fn end(player: &mut Player) -> Result<Arc<Sealed>, Fault> {
    loop {
        if let Some(sealed) = player.sealed() {
            return Ok(sealed);
        }
        player.next().await?;
    }
}

/// The whole answer as one JSON body, and what it took.
fn plain(sealed: &Sealed, shape: Shape) -> Result<(Bytes, Tally), Malformed> {
    let tally = Tally::decode(sealed.look(sealed.len().saturating_sub(1)))?;
    let body = match shape {
        Shape::Plain => event::body(sealed),
        Shape::Events => folded(sealed)?,
    };
    Ok((body, tally))
}

/// A recorded stream as one body: made once, kept with the recording.
fn folded(sealed: &Sealed) -> Result<Bytes, Malformed> {
    if let Some(body) = sealed.other.get() {
        return Ok(body.clone());
    }
    let (mut reader, mut fold) = (ChunkReader::new(), Fold::new());
    for i in 1..sealed.len() {
        match reader.read(&sealed.frame(i))? {
            Event::Chunk(chunk) => fold.push(&chunk.text(true))?,
            Event::Usage(payload) => fold.push(payload)?,
            Event::Plain(_) | Event::Tally(_) => {}
        }
    }
    Ok(sealed.other.get_or_init(|| fold.finish()).clone())
}

/// A body of one piece, settled when the connection takes it.
struct Whole {
    bytes: Option<Bytes>,
    settlement: Option<Box<Settlement>>,
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if let Some(settlement) = self.settlement.take() {
            settlement.deliver();
        }
        Poll::Ready(self.bytes.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}
