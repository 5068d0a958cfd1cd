//! Whether the node is alive, and whether it is ready for traffic. It never asks another node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::Edge;

/// What the probes are told.
#[derive(Default)]
pub struct Health {
    ready: AtomicBool,
    store_away: AtomicBool,
}

/// The body of `/readyz`.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    semantic: &'static str,
    degraded: Vec<&'static str>,
}

impl Health {
    /// Says whether traffic is welcome.
    pub fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    /// Says whether the store answers.
    pub fn store_away(&self, away: bool) {
        self.store_away.store(away, Ordering::Relaxed);
    }

    fn readiness(&self) -> Readiness {
        let away = self.store_away.load(Ordering::Relaxed);
        Readiness {
            ready: self.ready.load(Ordering::Relaxed),
            semantic: "off",
            degraded: if away { vec!["store"] } else { Vec::new() },
        }
    }
}

/// 200 while the process lives.
pub(super) async fn alive() -> StatusCode {
    StatusCode::OK
}

/// 200 while traffic is welcome.
pub(super) async fn ready(State(edge): State<Arc<Edge>>) -> Response {
    let readiness = edge.health.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, Json(readiness)).into_response()
}
