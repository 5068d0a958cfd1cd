//! The admin API, on a listener of its own: tenants, purges, policies, what would happen, what was
//! saved, what is measured. JSON in and out. It asks for a token on every path but the probes, and
//! never shows a key again that it has shown once.

mod explain;
mod money;
mod policies;
mod purge;
mod tenants;

use std::sync::Arc;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};
use axum::{Json, Router};
use fgy_cluster::{Control, ControlError, Secret, Tasks};
use http::{Method, header};
use subtle::ConstantTimeEq;

use super::caller::bearer;
use super::{Edge, error};
use crate::metrics::Gauges;
use crate::problem::Problem;
use crate::registry::{Command, Outcome, Refusal, Registry};
use crate::store::Stores;

/// What the admin API needs.
pub struct Admin {
    /// The public side: for explaining, counting and the time.
    pub edge: Arc<Edge>,
    /// Tenants, policies, purges.
    pub control: Control<Registry>,
    /// Answers to count and remove, lines to sum.
    pub stores: Stores,
    /// What is measured when somebody looks.
    pub gauges: Box<dyn Gauges>,
    /// Who may ask.
    pub tokens: AdminTokens,
    /// Runs what goes on after an answer.
    pub tasks: Tasks,
}

/// Who may ask.
#[derive(Clone)]
pub struct AdminTokens {
    /// May do everything.
    pub admin: Secret,
    /// May only read.
    pub read: Option<Secret>,
}

/// The routes.
pub fn admin(admin: Arc<Admin>) -> Router {
    let guarded = Router::new()
        .route(
            "/admin/v1/tenants",
            get(tenants::list).post(tenants::create),
        )
        .route(
            "/admin/v1/tenants/{id}",
            delete(tenants::delete).put(tenants::change),
        )
        .route("/admin/v1/tenants/{id}/keys", post(tenants::add_key))
        .route("/admin/v1/tenants/{id}/rotate", post(tenants::rotate))
        .route("/admin/v1/tenants/{id}/keys/{key}", delete(tenants::revoke))
        .route(
            "/admin/v1/policies",
            get(policies::list).post(policies::apply),
        )
        .route("/admin/v1/policies/{name}", delete(policies::remove))
        .route("/admin/v1/purge", post(purge::purge))
        .route("/admin/v1/explain", post(explain::explain))
        .route("/admin/v1/stats", get(money::stats))
        .route("/admin/v1/statements/{tenant}", get(money::statement))
        .route("/admin/v1/statements/{tenant}/lines", get(money::lines))
        .route("/metrics", get(metrics))
        .fallback(nothing_here)
        .layer(middleware::from_fn_with_state(admin.clone(), guard));
    Router::new()
        .route("/healthz", get(super::health::alive))
        .merge(guarded)
        .with_state(admin)
}

/// Lets in whoever holds a token that is good for the method.
async fn guard(State(admin): State<Arc<Admin>>, request: Request, next: Next) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(bearer)
        .unwrap_or_default();
    // Explaining changes nothing, though its request has a body.
    let reads = request.method() == Method::GET || request.uri().path() == "/admin/v1/explain";
    if admin.tokens.allow(given, reads) {
        next.run(request).await
    } else {
        AdminError(Problem::BadToken).into_response()
    }
}

impl AdminTokens {
    fn allow(&self, given: &str, reads: bool) -> bool {
        let is = |token: &Secret| bool::from(token.reveal().ct_eq(given.as_bytes()));
        is(&self.admin) || (reads && self.read.as_ref().is_some_and(is))
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let text = admin.edge.settler.metrics.render(admin.gauges.as_ref());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn nothing_here() -> AdminError {
    AdminError(Problem::NotFound("admin path: see interface GET /admin/v1"))
}

/// A problem on its way out of the admin API.
pub(super) struct AdminError(Problem);

impl IntoResponse for AdminError {
    fn into_response(self) -> Response {
        error::response(&self.0)
    }
}

impl<P: Into<Problem>> From<P> for AdminError {
    fn from(problem: P) -> AdminError {
        AdminError(problem.into())
    }
}

impl From<ControlError> for Problem {
    fn from(error: ControlError) -> Problem {
        tracing::error!(%error, "the registry could not be changed");
        Problem::ControlAway(error.to_string())
    }
}

impl From<crate::store::Error> for Problem {
    fn from(error: crate::store::Error) -> Problem {
        Problem::StoreAway(error.to_string())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Problem {
        match refusal {
            Refusal::NoSuchTenant => Problem::NotFound("tenant"),
            Refusal::NoSuchKey => Problem::NotFound("key of this tenant"),
            Refusal::NoSuchPolicy => Problem::NotFound("policy"),
            other => Problem::Conflict(other.to_string()),
        }
    }
}

impl Admin {
    /// Proposes a command; its index and what it came to.
    async fn propose(&self, command: Command) -> Result<(u64, Outcome), Problem> {
        match self.control.propose(command).await? {
            (_, Outcome::Refused(refusal)) => Err(refusal.into()),
            done => Ok(done),
        }
    }
}

/// A JSON body, with complaints in the shape of this API.
pub(super) struct Body<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = AdminError;

    async fn from_request(request: Request, state: &S) -> Result<Body<T>, AdminError> {
        match Json::<T>::from_request(request, state).await {
            Ok(Json(body)) => Ok(Body(body)),
            Err(rejection) => Err(AdminError(Problem::BadBody(rejection.body_text()))),
        }
    }
}

/// A query string, likewise.
pub(super) struct Query<T>(pub(super) T);

impl<T: serde::de::DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = AdminError;

    async fn from_request_parts(
        parts: &mut http::request::Parts,
        state: &S,
    ) -> Result<Query<T>, AdminError> {
        match axum::extract::Query::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Query(query)) => Ok(Query(query)),
            Err(rejection) => Err(AdminError(Problem::BadBody(rejection.body_text()))),
        }
    }
}
