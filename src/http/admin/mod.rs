//! The admin API, on a listener of its own: tenants, purges, policies, providers, prices, what would
//! happen, what was saved, what is measured, who changed what. JSON in and out. It asks for a token on every path but the probes, and
//! never shows a key again that it has shown once.

mod audit;
mod cluster;
mod explain;
mod feedback;
mod money;
mod openapi;
mod page;
mod policies;
mod prices;
mod providers;
mod purge;
mod routes;
mod tenants;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{FromRequest, FromRequestParts, Request, State};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use axum::{Json, Router};
use fgy_cluster::{Control, ControlError, Secret, Tasks};
use http::header;
use schemars::JsonSchema;
use serde::Serialize;
use subtle::ConstantTimeEq;
use tokio_util::sync::CancellationToken;

use super::caller::bearer;
use super::{Edge, error};
use crate::metrics::Gauges;
use crate::problem::Problem;
use crate::registry::{Command, Hand, Outcome, Refusal, Registry};
use crate::semantic::verified::Report;
use crate::store::Stores;

/// How long a change may take until nobody can serve by what stood before: a lease, and a new
/// leader.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);

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
    /// Fired to let this node leave.
    pub leaving: CancellationToken,
    /// What was learned of near answers, and how many look-ups were not judged.
    pub learned: Box<dyn Fn() -> (Vec<Report>, u64) + Send + Sync>,
}

/// Who may ask.
#[derive(Clone)]
pub struct AdminTokens {
    /// May do everything.
    pub admin: Secret,
    /// May only read.
    pub read: Option<Secret>,
}

/// What a call does, and so which tokens it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum May {
    /// It changes nothing: either token.
    Read,
    /// It changes something: the admin token alone.
    Change,
}

/// The routes.
pub fn admin(admin: Arc<Admin>) -> Router {
    let guarded = |may| middleware::from_fn_with_state((admin.clone(), may), guard);
    let mut router = Router::new().route("/healthz", get(super::health::alive));
    for route in routes::routes() {
        router = router.route(route.path, route.answered_by.layer(guarded(route.may)));
    }
    let elsewhere = any(nothing_here).layer(guarded(May::Read));
    router.fallback_service(elsewhere).with_state(admin)
}

/// Lets in whoever holds a token that is good for the call.
async fn guard(
    State((admin, may)): State<(Arc<Admin>, May)>,
    request: Request,
    next: Next,
) -> Response {
    let given = request
        .headers()
        .get(header::AUTHORIZATION)
        .and_then(bearer)
        .unwrap_or_default();
    match (admin.tokens.of(given), may) {
        (Some(May::Change), _) | (Some(May::Read), May::Read) => next.run(request).await,
        (Some(May::Read), May::Change) => AdminError(Problem::ReadOnly).into_response(),
        (None, _) => AdminError(Problem::BadToken).into_response(),
    }
}

impl AdminTokens {
    /// What a token is good for; both are compared, in constant time.
    fn of(&self, given: &str) -> Option<May> {
        let is = |token: &Secret| bool::from(token.reveal().ct_eq(given.as_bytes()));
        let (admin, read) = (is(&self.admin), self.read.as_ref().is_some_and(is));
        if admin {
            return Some(May::Change);
        }
        read.then_some(May::Read)
    }
}

async fn metrics(State(admin): State<Arc<Admin>>) -> Response {
    let text = admin.edge.settler.metrics.render(admin.gauges.as_ref());
    let kind = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn nothing_here() -> AdminError {
    AdminError(Problem::NotFound(
        "admin path: GET /admin/v1/openapi.json lists them",
    ))
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
            Refusal::NoSuchProvider => Problem::NotFound("provider"),
            other => Problem::Conflict(other.to_string()),
        }
    }
}

impl Admin {
    /// Proposes a command in the name of the admin token; its index and what it came to. When this
    /// returns of one that takes something away, no node can serve by what stood before: each has
    /// it, or its lease has run out. One that only adds is known here, and elsewhere a moment later.
    async fn propose(&self, command: Command) -> Result<(u64, Outcome), Problem> {
        let takes_away = command.takes_away();
        let signed = Command::Signed {
            by: Hand::Admin,
            node: self.edge.settler.node.as_str().into(),
            at: self.edge.clock.now(),
            command: Box::new(command),
        };
        let done = self.control.propose(signed).await?;
        self.edge.follow();
        match done {
            (_, Outcome::Refused(refusal)) => Err(refusal.into()),
            done => {
                if takes_away {
                    self.control.settle(done.0, SETTLED_WITHIN).await?;
                } else {
                    self.control.catch_up(SETTLED_WITHIN).await?;
                }
                Ok(done)
            }
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

/// What was removed.
#[derive(Serialize, JsonSchema)]
pub(super) struct Removed {
    pub(super) removed: String,
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
            Err(rejection) => Err(AdminError(Problem::BadQuery(rejection.body_text()))),
        }
    }
}
