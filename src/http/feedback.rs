//! `POST /fgy/feedback`: a caller's verdict on one of its replies. It is nobody's bill.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::HeaderMap;

use super::caller::caller;
use super::{Edge, error};
use crate::feedback::{Heard, Said, Speaker};
use crate::problem::Problem;

/// A verdict is two short words.
pub(super) const BODY_BYTES_MAX: usize = 4 * 1024;

pub(super) async fn hear(
    State(edge): State<Arc<Edge>>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    match heard(&edge, &headers, &body).await {
        Ok(heard) => Json(heard).into_response(),
        Err(problem) => error::response(&problem),
    }
}

async fn heard(edge: &Edge, headers: &HeaderMap, body: &Bytes) -> Result<Heard, Problem> {
    if edge.closing.is_cancelled() {
        return Err(Problem::Draining);
    }
    let (gateway, now) = (&edge.gateway, edge.clock.now());
    let known = caller(headers, &gateway.control, &gateway.installation, now)?;
    let said: Said = serde_json::from_slice(body).map_err(|_| {
        Problem::BadBody(
            "{\"request_id\": the reply's X-Request-Id, \"verdict\": \"wrong\", \"stale\" or \
             \"right\"}"
                .into(),
        )
    })?;
    let speaker = Speaker::Caller(&known.tenant.id);
    edge.feedback.hear(&said, speaker, now).await
}
