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
pub struct Health {
    ready: AtomicBool,
    /// Whether the store failed to answer when it was last asked; told by whoever asks it.
    store_away: Arc<AtomicBool>,
}

/// The body of `/readyz`.
#[derive(Serialize)]
struct Readiness {
    ready: bool,
    semantic: &'static str,
    degraded: Vec<&'static str>,
}

impl Health {
    /// Not ready yet.
    pub fn new(store_away: Arc<AtomicBool>) -> Health {
        Health {
            ready: AtomicBool::new(false),
            store_away,
        }
    }

    /// Says whether traffic is welcome.
    pub fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
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
