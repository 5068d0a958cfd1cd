//! A request that only passes: the rooms before the body are the same, the body goes on as it
//! arrives, and what comes back is the provider's.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use http::request::Parts;
use http::{HeaderMap, header};
use tokio::time::Instant;

use super::cached::{Entered, enter};
use super::{Edge, error, reply};
use crate::answer::event::Tally;
use crate::gateway::{Answer, PassAsk, Passed};
use crate::ledger::line::Outcome;
use crate::policy::{Directives, Reason};
use crate::problem::Problem;
use crate::provider::CallFault;
use crate::settle::Settlement;

/// The one name all passed-through paths have in metrics and in the ledger.
const OTHER: &str = "other";

/// Passes a request on and its answer back.
pub(super) async fn answer(edge: Arc<Edge>, reason: Reason, request: Request) -> Response {
    let edge = &edge;
    let began = Instant::now();
    let (mut bill, directives, _place) = match enter(edge, OTHER, request.headers(), began) {
        Ok(Entered {
            bill,
            directives,
            place,
        }) => (bill, directives, place),
        Err(problem) => return edge.turned_away(OTHER, began, &problem),
    };
    match pass(edge, reason, request, &directives, &mut bill).await {
        Ok(Answer::Passed(passed)) => response(edge, passed, bill),
        Ok(Answer::Reply(reply)) => reply::response(edge, reply, bill).await,
        Err(problem) => error::refuse(edge, bill, &problem),
    }
}

/// Passes a request on with its body as it arrives.
pub(super) async fn pass(
    edge: &Arc<Edge>,
    reason: Reason,
    request: Request,
    directives: &Directives,
    bill: &mut Settlement,
) -> Result<Answer, Problem> {
    let (parts, body) = request.into_parts();
    if parts.headers.contains_key(header::UPGRADE) {
        let provider = edge
            .gateway
            .providers
            .book()
            .address(directives.provider.as_deref());
        return Err(Problem::Upgrade { provider });
    }
    let ask = ask(&parts, directives, reason);
    edge.gateway
        .pass(ask, body.into_data_stream(), bill)
        .await
        .map(Answer::Passed)
}

/// Passes on a request whose body is here but is of a shape nobody here knows.
pub(super) async fn pass_whole(
    edge: &Arc<Edge>,
    parts: &Parts,
    raw: Bytes,
    directives: &Directives,
    bill: &mut Settlement,
) -> Result<Answer, Problem> {
    let body = futures_util::stream::iter([Ok::<Bytes, axum::Error>(raw)]);
    let ask = ask(parts, directives, Reason::NotUnderstood);
    edge.gateway.pass(ask, body, bill).await.map(Answer::Passed)
}

fn ask<'a>(parts: &'a Parts, directives: &'a Directives, reason: Reason) -> PassAsk<'a> {
    PassAsk {
        method: parts.method.clone(),
        path: parts.uri.path().strip_prefix("/v1").unwrap_or_default(),
        query: parts.uri.query(),
        headers: &parts.headers,
        provider: directives.provider.as_deref(),
        reason,
    }
}

/// The provider's answer, with our names on it.
pub(super) fn response(edge: &Edge, passed: Passed, mut settlement: Box<Settlement>) -> Response {
    let Passed {
        status,
        headers,
        body,
        reason,
    } = passed;
    settlement.status(status.as_u16());
    let id = settlement.id();
    let mut response = Response::new(Body::from_stream(Passing {
        body,
        settlement: Some(settlement),
    }));
    *response.status_mut() = status;
    let own: &mut HeaderMap = response.headers_mut();
    *own = headers;
    if reason != Reason::PassThrough.as_str() {
        // The path is a cached one, where answers are nobody's own.
        own.remove(header::SET_COOKIE);
    }
    if let Some(theirs) = own.remove(reply::X_REQUEST_ID) {
        own.insert(reply::X_FGY_PROVIDER_REQUEST_ID, theirs);
    }
    reply::name(own, edge, id);
    reply::cache_headers(own, Outcome::Bypass, reason);
    own.insert(
        reply::CACHE_STATUS,
        reply::cache_status(Outcome::Bypass, reason),
    );
    response
}

/// The provider's body on its way through; settled when it has come to its end.
struct Passing {
    body: BoxStream<'static, Result<Bytes, CallFault>>,
    settlement: Option<Box<Settlement>>,
}

impl Stream for Passing {
    type Item = Result<Bytes, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let piece = std::task::ready!(self.body.poll_next_unpin(cx));
        Poll::Ready(match piece {
            Some(Ok(piece)) => Some(Ok(piece)),
            // Broken off: so is ours, since the head has long been sent.
            Some(Err(_)) => Some(Err(std::io::ErrorKind::ConnectionAborted.into())),
            None => {
                if let Some(mut settlement) = self.settlement.take() {
                    settlement.tallied(&Tally {
                        usage: None,
                        complete: true,
                    });
                    settlement.deliver();
                }
                None
            }
        })
    }
}
