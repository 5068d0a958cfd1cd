//! The provider's own paths, for whoever runs a test: `/__calls` and `/__behaviour`.

use axum::body::{Body, Bytes};
use axum::http::{Method, Response, StatusCode, Uri, header};
use serde_json::{Value, json};

use super::Provider;
use super::behaviour::Unreadable;
use super::dialect::json as bytes_of;

/// Calls shown where the query does not say.
const LAST: usize = 100;

/// Answers a control path, `None` if it is not one.
pub(super) fn answer(
    provider: &Provider,
    method: &Method,
    uri: &Uri,
    body: &Bytes,
) -> Option<Response<Body>> {
    let told = match (uri.path(), method.as_str()) {
        ("/__calls", "GET") => calls(provider, uri),
        ("/__calls", "DELETE") => {
            provider.calls.reset();
            json!({})
        }
        ("/__behaviour", "PUT") => match behave(provider, body) {
            Ok(()) => json!({}),
            Err(error) => return Some(told(StatusCode::BAD_REQUEST, &error.to_string().into())),
        },
        ("/__behaviour", "DELETE") => {
            provider.behave(provider.settings.behaviour.clone());
            json!({})
        }
        ("/__health", "GET") => json!({"ready": true}),
        _ => return None,
    };
    Some(self::told(StatusCode::OK, &told))
}

fn told(status: StatusCode, value: &Value) -> Response<Body> {
    let mut response = Response::new(Body::from(bytes_of(value)));
    *response.status_mut() = status;
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}

fn calls(provider: &Provider, uri: &Uri) -> Value {
    let last = uri.query().and_then(|query| query.strip_prefix("last="));
    let last = last.and_then(|last| last.parse().ok()).unwrap_or(LAST);
    let calls = provider.calls.last(last);
    let calls: Vec<_> = calls.iter().map(|call| json!(**call)).collect();
    json!({"totals": provider.calls.totals(), "calls": calls})
}

fn behave(provider: &Provider, body: &Bytes) -> Result<(), Unreadable> {
    let settings = serde_json::from_slice(body).unwrap_or_default();
    let mut behaviour = provider.settings.behaviour.clone();
    behaviour.set_all(&settings)?;
    provider.behave(behaviour);
    Ok(())
}
