//! `fgy mock-provider`: a simulated upstream for demos, tests and benchmarks. It speaks OpenAI's
//! and Anthropic's wire formats, plain and streamed, at a settable pace, and misbehaves on order:
//! errors, cut and half-written streams, lies about the length, floods, silence. It depends on
//! nothing else in this crate and never thinks: its answers are drawn from the prompt's digest.
//!
//! Every call has a number. It is in the answer's `id` (`chatcmpl-mock-7`) and in every piece of
//! its text (`7/3:word `), so a mixture of two answers is visible to the eye. `GET /__calls` tells
//! what was asked and when each piece left; `DELETE /__calls` forgets it.
//!
//! What a call does ([`Behaviour`]) is settled in three layers, the later over the earlier: the
//! flags, `PUT /__behaviour` with a JSON object (`DELETE` takes it back), and a directive in the
//! prompt, which alone reaches through a cache:
//! `[[mock latency_ms=200 chunks=50 pace_ms=20 fail=cut fail_at=5 text="hello there"]]`.
//!
//! Paths are taken with and without `/v1`. One that is not simulated is echoed: method, path,
//! query, headers with credentials as digests, body length.

mod anthropic;
mod args;
mod ask;
mod behaviour;
mod calls;
mod control;
mod dialect;
mod directive;
mod echo;
mod openai;
mod paced;
mod reply;
mod sample;
mod script;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use args::MockArgs;
pub use behaviour::{Behaviour, Fail, Finish, Turn, Unreadable, UsageTold};
pub use calls::{Asked, Call, Calls, Digest, End, Totals};

/// Calls kept in full where nobody says.
const CALLS_KEPT: usize = 10_000;
/// Largest request taken.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What a simulated provider is started with.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What every call does unless told otherwise.
    pub behaviour: Behaviour,
    /// The one credential accepted; none: all are.
    pub require_key: Option<String>,
    /// What `GET /v1/models` lists.
    pub models: Vec<String>,
    /// Calls kept in full.
    pub calls_kept_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        let models = [
            "gpt-4o",
            "gpt-4o-mini",
            "text-embedding-3-small",
            "claude-sonnet-4-5",
        ];
        Self {
            behaviour: Behaviour::default(),
            require_key: None,
            models: models.map(str::to_owned).to_vec(),
            calls_kept_max: CALLS_KEPT,
        }
    }
}

/// What the handlers share.
#[derive(Debug)]
struct Provider {
    settings: Settings,
    /// As set by `PUT /__behaviour`; at first, the settings'.
    behaviour: RwLock<Arc<Behaviour>>,
    calls: Arc<Calls>,
}

impl Provider {
    fn new(settings: Settings) -> Self {
        let behaviour = RwLock::new(Arc::new(settings.behaviour.clone()));
        let calls = Arc::new(Calls::new(settings.calls_kept_max));
        Self {
            settings,
            behaviour,
            calls,
        }
    }

    fn behaviour(&self) -> Arc<Behaviour> {
        self.behaviour
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    fn behave(&self, behaviour: Behaviour) {
        *self
            .behaviour
            .write()
            .unwrap_or_else(PoisonError::into_inner) = Arc::new(behaviour);
    }
}

/// Serves on `listener` until the future is dropped or the listener fails.
pub fn serve(
    listener: TcpListener,
    settings: Settings,
) -> impl Future<Output = io::Result<()>> + Send {
    serve_provider(listener, Arc::new(Provider::new(settings)))
}

async fn serve_provider(listener: TcpListener, provider: Arc<Provider>) -> io::Result<()> {
    let routes = Router::new()
        .fallback(reply::reply)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .with_state(provider);
    // Without it the kernel holds small chunks back, and no pace would be kept.
    let listener = listener.tap_io(|stream| {
        let _ = stream.set_nodelay(true);
    });
    axum::serve(listener, routes).await
}

/// A simulated provider inside a test, on a free port of the loopback. Dropped, it stops listening.
#[derive(Debug)]
pub struct Mock {
    address: SocketAddr,
    provider: Arc<Provider>,
    _server: JoinSet<io::Result<()>>,
}

impl Mock {
    /// Starts one; it is listening when this returns.
    pub async fn start(settings: Settings) -> io::Result<Self> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = listener.local_addr()?;
        let provider = Arc::new(Provider::new(settings));
        let mut server = JoinSet::new();
        server.spawn(serve_provider(listener, provider.clone()));
        Ok(Self {
            address,
            provider,
            _server: server,
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL to give to a client, with `/v1` and no slash at the end.
    pub fn base_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// What was asked so far.
    pub fn calls(&self) -> &Calls {
        &self.provider.calls
    }

    /// Sets what calls do from now on, as `PUT /__behaviour` does.
    pub fn behave(&self, behaviour: Behaviour) {
        self.provider.behave(behaviour);
    }
}

#[cfg(test)]
mod tests;
