//! Streams of bytes between nodes, and the proof of who is at the other end: the seam at which
//! real sockets, in-process pipes and broken networks are exchanged. It knows nothing of what is
//! said over a stream, and it never retries.

mod faulty;
mod memory;
mod plain;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod tls;

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::fill::BoxFuture;
use crate::node::NodeId;

pub use faulty::{Faults, Faulty};
pub use memory::{Memory, MemoryNet};
pub use plain::Plain;
pub use tls::{Tls, TlsSettings, WallClock};

/// Bytes both ways.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// How streams come about.
pub trait Transport: Send + Sync + 'static {
    /// Begins to listen; the address really bound.
    fn listen(&self) -> BoxFuture<'_, io::Result<(SocketAddr, Box<dyn Listener>)>>;

    /// A stream to whoever answers at `to` and proves to be `expect`. Waits for as long as the
    /// network makes it: the caller sets the limit. One who proves to be somebody else, or whom
    /// this node cannot prove itself to, is an error of the kind `PermissionDenied`.
    fn dial<'a>(
        &'a self,
        to: SocketAddr,
        expect: &'a NodeId,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>>;
}

/// Where streams arrive.
pub trait Listener: Send {
    /// The next one to arrive. An error is about this moment, not about the listener: it may be
    /// asked again after a pause.
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Arriving>>;
}

/// One who arrived and has yet to prove anything; awaited apart, so that a slow one holds nobody
/// up. The caller sets the limit.
pub type Arriving = BoxFuture<'static, io::Result<Arrived>>;

/// One who arrived.
pub struct Arrived {
    /// The stream.
    pub stream: Box<dyn Stream>,
    /// Who may be at its other end.
    pub proven: Proven,
}

/// What the other end has proved about its name.
pub struct Proven(Proof);

enum Proof {
    /// Nothing at all: whoever can reach this address may call itself anything.
    Nothing,
    /// Its name.
    Name(NodeId),
    /// A certificate of this cluster, in DER.
    Certificate(Box<[u8]>),
}

impl Proven {
    /// Whether the other end may call itself by this name.
    pub fn is(&self, node: &NodeId) -> bool {
        match &self.0 {
            Proof::Nothing => true,
            Proof::Name(name) => name == node,
            Proof::Certificate(der) => tls::certificate_names(der, node),
        }
    }
}
