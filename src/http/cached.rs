//! A request on a cached path, room by room: caller, directives, body, request, gateway, reply.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderMap, Request, header};
use hyper::body::Incoming;
use tokio::time::Instant;

use super::caller::caller;
use super::places::Place;
use super::{Edge, body, error, passthrough, reply};
use crate::answer::stamp::Millis;
use crate::gateway::{Answer, Ask};
use crate::names::Name;
use crate::openai::request::{Endpoint, Reading};
use crate::policy::{Directives, Reason};
use crate::problem::Problem;
use crate::registry::Known;
use crate::settle::{Opening, Settlement};

/// Answers it.
pub(super) async fn answer(
    edge: Arc<Edge>,
    endpoint: Endpoint,
    request: Request<Incoming>,
) -> Response {
    let edge = &edge;
    let began = Instant::now();
    let (mut bill, directives, _place) =
        match enter(edge, endpoint.path(), request.headers(), began) {
            Ok(Entered {
                bill,
                directives,
                place,
            }) => (bill, directives, place),
            Err(problem) => return edge.turned_away(endpoint.path(), began, &problem),
        };
    match walk(edge, endpoint, request, &directives, &mut bill).await {
        Ok(Answer::Reply(reply)) => reply::response(edge, reply, bill).await,
        Ok(Answer::Passed(mut passed)) => {
            // A cookie is one caller's, and this path's answers may be shared.
            passed.headers.remove(header::SET_COOKIE);
            passthrough::response(edge, passed, bill)
        }
        Err(problem) => error::refuse(edge, bill, &problem),
    }
}

async fn walk(
    edge: &Arc<Edge>,
    endpoint: Endpoint,
    request: Request<Incoming>,
    directives: &Directives,
    bill: &mut Settlement,
) -> Result<Answer, Problem> {
    if request.headers().contains_key(header::CONTENT_ENCODING) {
        return Box::pin(passthrough::pass(
            edge,
            Reason::Encoded,
            request.map(Body::new),
            directives,
            bill,
        ))
        .await;
    }
    let (parts, body) = request.into_parts();
    let (bytes_max, patience) = (edge.limits.body_bytes_max, edge.limits.body_patience);
    let raw = body::whole(&parts.headers, body, bytes_max, patience).await?;
    crate::faults::hit("handler", &raw);
    let found = edge.gateway.readings.read(endpoint, &raw);
    let found = found.map_err(|malformed| Problem::BadBody(malformed.to_string()))?;
    let asked = match found.reading {
        Reading::Understood(asked) => asked,
        Reading::NotUnderstood(_) => {
            return Box::pin(passthrough::pass_whole(edge, &parts, raw, directives, bill)).await;
        }
    };
    let ask = Ask {
        request: &asked,
        worked_out: found.worked_out,
        raw: &raw,
        query: parts.uri.query(),
        headers: &parts.headers,
        directives,
        provider_auth: parts.headers.get("x-provider-auth"),
    };
    edge.gateway.answer(ask, bill).await
}

/// A request that was let in.
pub(super) struct Entered<'e> {
    /// What its headers ask of the cache.
    pub(super) directives: Directives,
    /// Its open bill.
    pub(super) bill: Box<Settlement>,
    /// Its place among those being answered.
    pub(super) place: Place<'e>,
}

/// Everything that is checked before a byte of the body is read.
pub(super) fn enter<'e>(
    edge: &'e Arc<Edge>,
    path: &'static str,
    headers: &HeaderMap,
    began: Instant,
) -> Result<Entered<'e>, Problem> {
    if edge.closing.is_cancelled() {
        return Err(Problem::Draining);
    }
    let (gateway, now) = (&edge.gateway, edge.clock.now());
    let known = caller(headers, &gateway.control, &gateway.installation, now)?;
    within_regions(&known.tenant.settings.regions, gateway.cluster.region())?;
    let directives = Directives::read(
        headers
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_bytes())),
    )?;
    edge.rates.admit(
        &known.tenant.id,
        known.tenant.settings.requests_per_minute,
        now,
    )?;
    let place = edge.places.take().ok_or(Problem::Overloaded)?;
    let bill = edge
        .settler
        .open(opening(edge, path, known, &directives, (began, now)));
    Ok(Entered {
        directives,
        bill,
        place,
    })
}

/// A tenant that is pinned to regions is neither served nor called for in any other: its questions
/// are passed through there no more than they are kept.
fn within_regions(regions: &[Name], here: &str) -> Result<(), Problem> {
    if regions.is_empty() || regions.iter().any(|region| region == here) {
        return Ok(());
    }
    Err(Problem::OutsideRegions {
        here: here.to_owned(),
        regions: regions.to_vec(),
    })
}

fn opening(
    edge: &Edge,
    path: &'static str,
    known: Known,
    directives: &Directives,
    (began, now): (Instant, Millis),
) -> Opening {
    let agent = directives.agent(known.agent.as_ref());
    let idempotency = directives.idempotency_key.as_deref().map(|key| {
        edge.gateway
            .installation
            .idempotency_digest(known.tenant.id.as_str(), key)
    });
    Opening {
        id: edge.ids.next(now),
        began,
        at: now,
        tenant: known.tenant,
        agent,
        path,
        idempotency,
    }
}

impl Edge {
    /// A request that was not let in: nobody's bill, but counted.
    pub(super) fn turned_away(
        &self,
        path: &'static str,
        began: Instant,
        problem: &Problem,
    ) -> Response {
        let outcome = crate::ledger::line::Outcome::Refused;
        let reason = problem.token().into();
        self.settler
            .metrics
            .ended(outcome, &reason, path, began.elapsed(), 0);
        error::with_id(self, self.ids.next(self.clock.now()), problem)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_pinned_to_regions_is_served_in_them_alone() {
        assert_eq!(within_regions(&[], ""), Ok(()));
        assert_eq!(within_regions(&[], "iad"), Ok(()));
        let pinned = [Name::from("fra"), Name::from("ams")];
        assert_eq!(within_regions(&pinned, "ams"), Ok(()));
        for here in ["iad", ""] {
            let refused = within_regions(&pinned, here).unwrap_err();
            let response = error::response(&refused);
            assert_eq!(response.status(), http::StatusCode::FORBIDDEN);
            assert!(matches!(
                refused,
                Problem::OutsideRegions { regions, .. } if regions == pinned
            ));
        }
    }
}
