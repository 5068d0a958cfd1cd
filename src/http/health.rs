//! Whether the node is alive, and whether it is ready for traffic. It never asks another node.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use serde::Serialize;

use super::Edge;

/// What an embedder says that can be asked.
const READY: &str = "ready";

/// What the probes are told.
pub struct Health {
    ready: AtomicBool,
    /// Whether the store failed to answer when it was last asked; told by whoever asks it.
    store_away: Arc<AtomicBool>,
    /// Whether a shared store is not asked at all for now; told by its breaker.
    looks_away: Arc<AtomicBool>,
    /// Says whether meanings can be matched: `ready`, `loading` or `off`.
    semantic: Box<dyn Fn() -> &'static str + Send + Sync>,
    /// Says what else is not as it should be.
    besides: Box<dyn Fn() -> Vec<&'static str> + Send + Sync>,
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
    pub fn new(
        store_away: Arc<AtomicBool>,
        looks_away: Arc<AtomicBool>,
        semantic: impl Fn() -> &'static str + Send + Sync + 'static,
        besides: impl Fn() -> Vec<&'static str> + Send + Sync + 'static,
    ) -> Health {
        Health {
            ready: AtomicBool::new(false),
            store_away,
            looks_away,
            semantic: Box::new(semantic),
            besides: Box::new(besides),
        }
    }

    /// Says whether traffic is welcome.
    pub fn ready(&self, ready: bool) {
        self.ready.store(ready, Ordering::Relaxed);
    }

    fn readiness(&self) -> Readiness {
        let away = self.store_away.load(Ordering::Relaxed);
        let semantic = (self.semantic)();
        // A near answer needs the model to know it and the store to find it.
        let blind = away || self.looks_away.load(Ordering::Relaxed) || semantic != READY;
        let degraded = [(away, "store"), (blind, "semantic")];
        let degraded = degraded.into_iter().filter(|(is, _)| *is);
        Readiness {
            ready: self.ready.load(Ordering::Relaxed),
            semantic,
            degraded: degraded
                .map(|(_, what)| what)
                .chain((self.besides)())
                .collect(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_away_is_listed_and_traffic_stays_welcome() {
        for (store, looks, listed) in [
            (false, false, &[][..]),
            // Without the store no neighbour is found.
            (true, false, &["store", "semantic"]),
            (false, true, &["semantic"]),
            (true, true, &["store", "semantic"]),
        ] {
            let flag = |away| Arc::new(AtomicBool::new(away));
            let health = Health::new(flag(store), flag(looks), || READY, Vec::new);
            assert!(!health.readiness().ready, "not before it is said");
            health.ready(true);
            let told = health.readiness();
            assert!(told.ready);
            assert_eq!(told.degraded, listed);
        }
    }
}
