//! From a problem to what the caller hears: the only place where a status is chosen. The words say
//! what to do, in the shape of the API that was called, and never quote a key, a prompt or a body.

use axum::body::Body;
use axum::response::Response;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use super::{Edge, reply};
use crate::answer::aside::Aside;
use crate::ledger::line::{LineId, Outcome};
use crate::openai::error::ErrorBody;
use crate::problem::Problem;
use crate::settle::Settlement;

/// When to come back to a node that is full or leaving.
const RETRY_AFTER_SECONDS: u64 = 1;

/// The answer to a problem.
pub(super) fn response(problem: &Problem) -> Response {
    if let Problem::Refused(refusal) = problem {
        let status = StatusCode::from_u16(refusal.status).unwrap_or(StatusCode::BAD_GATEWAY);
        let mut response = Response::new(Body::from(refusal.body.clone()));
        *response.status_mut() = status;
        for told in [&refusal.head, &refusal.aside] {
            reply::provider_headers(response.headers_mut(), &Aside::decode(told));
        }
        return response;
    }
    let (status, kind) = status(problem);
    let message = message(problem);
    let param = match problem {
        Problem::BadHeader { name, .. } => Some(*name),
        _ => None,
    };
    let body = ErrorBody {
        message: &message,
        kind,
        code: Some(problem.token()),
        param,
    };
    let mut response = Response::new(Body::from(body.to_bytes()));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after(problem) {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Closes the bill of a request that got no answer, and tells its caller.
pub(super) fn refuse(edge: &Edge, bill: Box<Settlement>, problem: &Problem) -> Response {
    let response = with_id(edge, bill.id(), problem);
    bill.refused(problem, response.status().as_u16());
    response
}

/// The answer to a problem of a request that has an id, with the headers every answer has.
pub(super) fn with_id(edge: &Edge, id: LineId, problem: &Problem) -> Response {
    let mut response = response(problem);
    let headers: &mut HeaderMap = response.headers_mut();
    let (outcome, forwarded) = match problem {
        // Told by the provider: a miss that came to nothing.
        Problem::Refused(_) | Problem::Unreachable | Problem::TooSlow => {
            (Outcome::Miss, Outcome::Miss)
        }
        _ => (Outcome::Bypass, Outcome::Refused),
    };
    reply::name(headers, edge, id);
    reply::cache_headers(headers, outcome, problem.token());
    headers.insert(
        reply::CACHE_STATUS,
        reply::cache_status(forwarded, problem.token()),
    );
    response
}

fn status(problem: &Problem) -> (StatusCode, &'static str) {
    const INVALID: &str = "invalid_request_error";
    const SERVER: &str = "server_error";
    match problem {
        Problem::UnknownKey | Problem::NoProviderKey | Problem::BadToken => {
            (StatusCode::UNAUTHORIZED, "authentication_error")
        }
        Problem::BadBody(_) | Problem::BadQuery(_) | Problem::BadHeader { .. } => {
            (StatusCode::BAD_REQUEST, INVALID)
        }
        Problem::ReadOnly | Problem::OutsideRegions { .. } => {
            (StatusCode::FORBIDDEN, "permission_error")
        }
        Problem::NoSuchProvider | Problem::BrokenBody => (StatusCode::BAD_REQUEST, INVALID),
        Problem::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, INVALID),
        Problem::SlowBody => (StatusCode::REQUEST_TIMEOUT, INVALID),
        Problem::NotFound(_) => (StatusCode::NOT_FOUND, INVALID),
        Problem::Conflict(_) => (StatusCode::CONFLICT, INVALID),
        Problem::RateLimited { .. } => (StatusCode::TOO_MANY_REQUESTS, "rate_limit_error"),
        Problem::NotKept | Problem::TooSlow => (StatusCode::GATEWAY_TIMEOUT, SERVER),
        Problem::Overloaded
        | Problem::Draining
        | Problem::ControlAway(_)
        | Problem::StoreAway(_) => (StatusCode::SERVICE_UNAVAILABLE, SERVER),
        Problem::Unreachable | Problem::TooLong | Problem::Refused(_) => {
            (StatusCode::BAD_GATEWAY, SERVER)
        }
        Problem::Upgrade { .. } => (StatusCode::NOT_IMPLEMENTED, INVALID),
        Problem::Internal => (StatusCode::INTERNAL_SERVER_ERROR, SERVER),
    }
}

fn retry_after(problem: &Problem) -> Option<u64> {
    match problem {
        Problem::RateLimited {
            retry_after_seconds,
        } => Some(*retry_after_seconds),
        Problem::Overloaded | Problem::Draining => Some(RETRY_AFTER_SECONDS),
        _ => None,
    }
}

fn message(problem: &Problem) -> String {
    match problem {
        Problem::UnknownKey => "this is not a tenant key of this fgy: send `Authorization: Bearer \
             fgy_…` with a key from `fgy tenant create`, and the provider's own key in \
             X-Provider-Auth"
            .into(),
        Problem::NoProviderKey => "no kept answer, and nothing to pay a new one with: send the \
             provider's own key as `X-Provider-Auth: Bearer …`"
            .into(),
        Problem::BadBody(why) => format!("the body cannot be read: {why}"),
        Problem::BadQuery(why) => format!("the query cannot be read: {why}"),
        Problem::BadHeader { name, expected } => format!("{name} cannot be read: give {expected}"),
        Problem::TooLarge { bytes_max } => {
            format!("the body is longer than {bytes_max} bytes (body_bytes_max)")
        }
        Problem::SlowBody => "the body stopped arriving: send it again, faster".into(),
        Problem::BrokenBody => "the body broke off: send it again".into(),
        Problem::NoSuchProvider => {
            "X-Fgy-Provider names a provider that is not configured here".into()
        }
        Problem::NotKept => "only-if-cached: nothing suitable is kept".into(),
        Problem::OutsideRegions { here, regions } => {
            let here = if here.is_empty() { "no region" } else { here };
            format!(
                "this tenant is served in {} alone, and this node is in {here}: ask a node there",
                regions.join(", ")
            )
        }
        Problem::RateLimited {
            retry_after_seconds,
        } => {
            format!("more requests than this tenant may make: come back in {retry_after_seconds} s")
        }
        Problem::Overloaded => "this node has all it can hold: try again in a moment".into(),
        Problem::Draining => "this node is leaving: try again, another will answer".into(),
        Problem::Refused(_) => "the provider refused".into(),
        Problem::Unreachable => "the provider could not be reached or broke off: try again".into(),
        Problem::TooSlow => "the provider was silent for too long: try again".into(),
        Problem::TooLong => "the provider's answer is longer than this node records: ask with \
             `X-Fgy-Cache: off` to have it passed through"
            .into(),
        Problem::Upgrade { provider } => {
            format!("realtime connections do not pass: connect to {provider} directly")
        }
        Problem::Internal => "something broke in this node; the request was not answered".into(),
        Problem::BadToken => {
            "send `Authorization: Bearer …` with the admin token: FGY_ADMIN_TOKEN, \
             or the file admin-token in FGY_DATA"
                .into()
        }
        Problem::ReadOnly => "this token may only read: send the admin token".into(),
        Problem::ControlAway(why) => why.clone(),
        Problem::StoreAway(why) => format!("the store could not be asked: {why}"),
        Problem::NotFound(what) => format!("there is no such {what}"),
        Problem::Conflict(why) => why.clone(),
    }
}

/// A header of the provider's, if it can be told on.
pub(super) fn header(name: &str, value: &str) -> Option<(HeaderName, HeaderValue)> {
    Some((
        HeaderName::try_from(name).ok()?,
        HeaderValue::try_from(value).ok()?,
    ))
}
