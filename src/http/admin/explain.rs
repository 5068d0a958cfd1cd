//! What would happen to a request: it is read as if it had come in, and nothing happens.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::Instant;

use super::{Admin, AdminError, Body};
use crate::gateway::{Ask, Explanation, WorkedOut};
use crate::names::Name;
use crate::openai::request::{Endpoint, Reading, Request as Asked};
use crate::policy::Directives;
use crate::problem::Problem;
use crate::settle::Opening;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    /// The request's body.
    #[schemars(with = "serde_json::Value")]
    body: Box<RawValue>,
    /// Where it would be sent.
    #[serde(default = "chat")]
    path: String,
    /// Whose it would be.
    #[serde(default = "first_tenant")]
    tenant: String,
    /// The agent the key would be bound to.
    #[serde(default)]
    agent: Option<Name>,
    /// Headers that would come with it.
    #[serde(default)]
    headers: Vec<(String, String)>,
}

fn chat() -> String {
    Endpoint::Chat.path().to_owned()
}

fn first_tenant() -> String {
    "default".to_owned()
}

pub(super) async fn explain(
    State(admin): State<Arc<Admin>>,
    Body(question): Body<Question>,
) -> Result<Json<Explanation>, AdminError> {
    let (path, query) = match question.path.split_once('?') {
        Some((path, query)) => (path, Some(query)),
        None => (question.path.as_str(), None),
    };
    let endpoint = Endpoint::at(path).ok_or(Problem::NotFound("cached path"))?;
    let registry = admin.control.state();
    let tenant = registry
        .tenant(&question.tenant)
        .ok_or(Problem::NotFound("tenant"))?;
    let headers = header_map(&question.headers)?;
    let pairs = headers
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()));
    let directives = Directives::read(pairs).map_err(Problem::from)?;
    let raw = Bytes::copy_from_slice(question.body.get().as_bytes());
    let asked = match Asked::read(endpoint, &raw) {
        Ok(Reading::Understood(asked)) => asked,
        Ok(Reading::NotUnderstood(why)) => {
            return Err(Problem::BadBody(format!("it would be passed through: {why}")).into());
        }
        Err(malformed) => return Err(Problem::BadBody(malformed.to_string()).into()),
    };
    let ask = Ask {
        request: &asked,
        worked_out: Some(WorkedOut::of(&asked)),
        raw: &raw,
        query,
        headers: &headers,
        directives: &directives,
        provider_auth: None,
    };
    let now = admin.edge.clock.now();
    let opening = Opening {
        id: admin.edge.ids.next(now),
        began: Instant::now(),
        at: now,
        tenant: tenant.clone(),
        agent: directives.agent(question.agent.as_ref()),
        path: endpoint.path(),
        idempotency: None,
    };
    Ok(Json(admin.edge.gateway.explain(ask, &opening).await?))
}

fn header_map(pairs: &[(String, String)]) -> Result<HeaderMap, Problem> {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs {
        let bad = |_| Problem::BadBody("headers: [[name, value], …] as HTTP takes them".into());
        let name = HeaderName::try_from(name.as_str()).map_err(|_| bad(()))?;
        headers.append(
            name,
            HeaderValue::try_from(value.as_str()).map_err(|_| bad(()))?,
        );
    }
    Ok(headers)
}
