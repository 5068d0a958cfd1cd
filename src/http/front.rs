//! What a connection hands its requests to: the cached paths straight to their answer, everything
//! else to the router. A hit is answered in a few microseconds, of which walking the router's
//! layers was one; it decides nothing else.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;

use axum::Router;
use axum::response::Response;
use futures_util::FutureExt;
use http::{Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;
use hyper_util::service::TowerToHyperService;

use super::{Edge, cached};
use crate::openai::request::Endpoint;

/// A listener's requests and who answers them.
#[derive(Clone)]
pub struct Front {
    /// Who answers the cached paths; nobody on a listener that has none.
    pub edge: Option<Arc<Edge>>,
    /// Who answers the rest.
    pub router: Router,
}

type Answer = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

impl Service<Request<Incoming>> for Front {
    type Response = Response;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        let cached =
            Endpoint::at(request.uri().path()).filter(|_| request.method() == Method::POST);
        match (&self.edge, cached) {
            (Some(edge), Some(endpoint)) => {
                let answer = cached::answer(edge.clone(), endpoint, request);
                Box::pin(edge.clone().guarded(answer).map(Ok))
            }
            _ => Box::pin(TowerToHyperService::new(self.router.clone()).call(request)),
        }
    }
}
