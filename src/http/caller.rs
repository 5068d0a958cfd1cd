//! Who asks: from the tenant key in the headers to the tenant it names. It needs nothing but the
//! node's own copy of the registry, and never keeps the key.

use fgy_cluster::Control;
use http::{HeaderMap, HeaderValue, header};

use crate::answer::stamp::Millis;
use crate::key::InstallationKey;
use crate::problem::Problem;
use crate::registry::{Known, Registry};

/// The caller of a request.
pub(super) fn caller(
    headers: &HeaderMap,
    control: &Control<Registry>,
    installation: &InstallationKey,
    now: Millis,
) -> Result<Known, Problem> {
    let key = tenant_key(headers).ok_or(Problem::UnknownKey)?;
    let digest = installation.key_digest(key);
    control
        .look(|registry| registry.caller(&digest, now))
        .ok_or(Problem::UnknownKey)
}

/// The key itself: `Authorization: Bearer fgy_…`, or `x-api-key`.
fn tenant_key(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(bearer);
    bearer.or_else(|| headers.get("x-api-key")?.to_str().ok())
}

/// What stands behind `Bearer`, whose case does not matter.
pub(super) fn bearer(value: &HeaderValue) -> Option<&str> {
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
