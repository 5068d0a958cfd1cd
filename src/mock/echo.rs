//! What a request looked like on arrival, as JSON: the mirror for everything a proxy should or
//! should not send on. Credentials show as digests.

use axum::http::{HeaderMap, Method, Uri, header};
use serde_json::{Value, json};

use super::calls::Digest;

/// The request as it came, header lines in order, repeated ones each for itself.
pub(super) fn of(method: &Method, uri: &Uri, headers: &HeaderMap, body_bytes: usize) -> Value {
    json!({
        "object": "mock.echo", "method": method.as_str(), "path": uri.path(),
        "query": uri.query(), "headers": lines(headers), "body_bytes": body_bytes,
    })
}

fn lines(headers: &HeaderMap) -> Vec<[String; 2]> {
    let line = |(name, value): (&header::HeaderName, &header::HeaderValue)| {
        let secret = [
            header::AUTHORIZATION.as_str(),
            "x-api-key",
            "x-provider-auth",
            "cookie",
        ];
        let shown = match secret.contains(&name.as_str()) {
            true => format!("digest {}", digest_of(value.as_bytes())),
            false => String::from_utf8_lossy(value.as_bytes()).into_owned(),
        };
        [name.as_str().to_owned(), shown]
    };
    headers.iter().map(line).collect()
}

/// The credential of a request: `Authorization` without its scheme, or `x-api-key`.
pub(super) fn credential(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers
        .get(header::AUTHORIZATION)
        .or_else(|| headers.get("x-api-key"))?;
    Some(bare(value.as_bytes()))
}

/// Digests a credential, whatever its scheme.
pub(super) fn digest_of(credential: &[u8]) -> Digest {
    Digest::of(bare(credential))
}

fn bare(credential: &[u8]) -> &[u8] {
    credential.strip_prefix(b"Bearer ").unwrap_or(credential)
}
