//! TCP without any proof or secrecy, on loopback only: for a person who wants to watch the bytes.
//! It refuses every other address, and says what it is when it begins to listen.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};

use super::{Arrived, Arriving, Listener, Proof, Proven, Stream, Transport};
use crate::fill::BoxFuture;
use crate::node::NodeId;

/// Unproven streams on loopback.
pub struct Plain {
    address: SocketAddr,
}

impl Plain {
    /// Listens at `address`, which must be a loopback address.
    pub fn new(address: SocketAddr) -> io::Result<Plain> {
        on_loopback(address)?;
        Ok(Plain { address })
    }
}

impl Transport for Plain {
    fn listen(&self) -> BoxFuture<'_, io::Result<(SocketAddr, Box<dyn Listener>)>> {
        Box::pin(async move {
            let listener = TcpListener::bind(self.address).await?;
            let address = listener.local_addr()?;
            tracing::warn!(
                %address,
                "peers are spoken to in plain text and may call themselves anything; this is for loopback only"
            );
            Ok((
                address,
                Box::new(PlainListener(listener)) as Box<dyn Listener>,
            ))
        })
    }

    fn dial<'a>(
        &'a self,
        to: SocketAddr,
        _expect: &'a NodeId,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            on_loopback(to)?;
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

struct PlainListener(TcpListener);

impl Listener for PlainListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Arriving>> {
        Box::pin(async move {
            let (stream, _) = self.0.accept().await?;
            stream.set_nodelay(true)?;
            let arrived = Arrived {
                stream: Box::new(stream),
                proven: Proven(Proof::Nothing),
            };
            Ok(Box::pin(std::future::ready(Ok(arrived))) as Arriving)
        })
    }
}

fn on_loopback(address: SocketAddr) -> io::Result<()> {
    if address.ip().is_loopback() {
        return Ok(());
    }
    Err(io::Error::new(
        io::ErrorKind::PermissionDenied,
        "peers are spoken to in plain text on loopback only",
    ))
}
