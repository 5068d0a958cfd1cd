//! In and out: routes, and what every request passes on its way in. A request's caller, directives
//! and body are read here and handed on; what is done with them is the gateway's. It never touches
//! a store and never decides what is cached.

mod admin;
mod alarm;
mod body;
mod cached;
mod caller;
mod error;
mod feedback;
mod front;
mod health;
mod passthrough;
mod patient;
mod places;
mod reply;
mod server;
mod stream;

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use futures_util::FutureExt;
use http::HeaderValue;
use tokio_util::sync::CancellationToken;

pub use admin::{Admin, AdminTokens, admin};
pub use front::Front;
pub use health::Health;
pub use places::Places;
pub use server::{ListenerLimits, Server};

use crate::clock::Clock;
use crate::feedback::Feedback;
use crate::gateway::Gateway;
use crate::policy::Reason;
use crate::problem::Problem;
use crate::random::Ids;
use crate::rate::Rates;
use crate::settle::Settler;

/// Bounds of what a request may bring.
#[derive(Debug, Clone, Copy)]
pub struct RequestLimits {
    /// Bytes of a body on a cached path.
    pub body_bytes_max: usize,
    /// Between two pieces of a body.
    pub body_patience: Duration,
}

/// Everything a request needs on its way in.
pub struct Edge {
    /// Answers.
    pub gateway: Gateway,
    /// Bills.
    pub settler: Arc<Settler>,
    /// What is said of replies.
    pub feedback: Arc<Feedback>,
    /// Names replies.
    pub ids: Ids,
    /// What each tenant may.
    pub rates: Arc<Rates>,
    /// What time it is.
    pub clock: Clock,
    /// Bounds.
    pub limits: RequestLimits,
    /// Whether this node is well.
    pub health: Health,
    /// Fires when no further request is taken.
    pub closing: CancellationToken,
    /// This node, as `X-Fgy-Node` says it.
    pub node: HeaderValue,
    /// Places for requests being answered.
    pub places: Places,
    /// Held by the one who takes over what the registry says.
    pub following: Mutex<()>,
}

/// The public API, but for the cached paths, which [`Front`] answers itself.
pub fn public(edge: Arc<Edge>) -> Router {
    Router::new()
        .route("/v1/responses", post(not_yet))
        .route("/v1/messages", post(not_yet))
        .route("/v1/{*path}", any(pass))
        .route(
            "/fgy/feedback",
            post(feedback::hear).layer(DefaultBodyLimit::max(feedback::BODY_BYTES_MAX)),
        )
        .route("/healthz", get(health::alive))
        .route("/readyz", get(health::ready))
        .fallback(nothing_here)
        .with_state(edge)
}

async fn not_yet(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let answer = passthrough::answer(edge.clone(), Reason::NotYet, request);
    edge.guarded(answer).await
}

async fn pass(State(edge): State<Arc<Edge>>, request: Request) -> Response {
    let answer = passthrough::answer(edge.clone(), Reason::PassThrough, request);
    edge.guarded(answer).await
}

async fn nothing_here() -> Response {
    error::response(&Problem::NotFound(
        "path: the API is below /v1, as the provider's is",
    ))
}

impl Edge {
    /// Takes over what the registry says of providers and prices, where that has changed. Called again and
    /// again, and after each command this node has heard; costs a comparison where nothing has.
    pub fn follow(&self) {
        // Nothing is half done by a panic: what is taken over is replaced as a whole.
        let _turn = self
            .following
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let registry = self.gateway.control.state();
        for unfit in self.gateway.providers.follow(registry.providers()) {
            tracing::warn!("{unfit}; it is left out");
        }
        if let Err(unread) = self.settler.prices.follow(registry.prices()) {
            tracing::warn!(
                why = unread.0,
                "the applied prices cannot be read; those before stay"
            );
        }
    }

    /// A panic ends the request it happens in, and nothing else. Not an async function: that would
    /// hold the answer's future twice, and a hit is short enough to notice the copying.
    fn guarded(
        self: Arc<Self>,
        answer: impl Future<Output = Response>,
    ) -> impl Future<Output = Response> {
        let guarded = AssertUnwindSafe(answer).catch_unwind();
        guarded.map(move |ended| {
            ended.unwrap_or_else(|_| {
                self.settler.metrics.panicked();
                error::response(&Problem::Internal)
            })
        })
    }
}
