//! What gossip takes from the world beside its sockets: what a name means now, what time it is, and
//! the one random number of a life. Tests hand in their own. It decides nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use crate::fill::BoxFuture;

/// What a `host:port` means now.
pub(super) type Resolve =
    Arc<dyn Fn(String) -> BoxFuture<'static, io::Result<Vec<SocketAddr>>> + Send + Sync>;

/// The world as gossip sees it.
#[derive(Clone)]
pub(super) struct Outside {
    pub(super) resolve: Resolve,
    /// Milliseconds since 1970.
    pub(super) wall_millis: Arc<dyn Fn() -> u64 + Send + Sync>,
    /// Never the same twice.
    pub(super) life: [u8; 16],
}

impl Outside {
    /// The system's resolver, clock and randomness.
    pub(super) fn real() -> io::Result<Outside> {
        let mut life = [0; 16];
        #[expect(
            clippy::disallowed_methods,
            reason = "one nonce prefix a start, drawn where the sockets are opened"
        )]
        getrandom::fill(&mut life).map_err(|why| io::Error::other(why.to_string()))?;
        Ok(Outside {
            resolve: Arc::new(|name| {
                Box::pin(async move { Ok(tokio::net::lookup_host(name).await?.collect()) })
            }),
            wall_millis: Arc::new(wall_millis),
            life,
        })
    }
}

fn wall_millis() -> u64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "a stamp is compared across machines: no other clock is shared"
    )]
    let now = std::time::SystemTime::now();
    now.duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_millis() as u64)
}
