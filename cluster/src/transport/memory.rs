//! Streams inside one process: no sockets and no clock, so that whole clusters run under paused
//! time. Names are believed because the process gives them itself.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::DuplexStream;
use tokio::sync::mpsc;

use super::{Arrived, Arriving, Listener, Proof, Proven, Stream, Transport};
use crate::fill::BoxFuture;
use crate::node::NodeId;

/// What one direction of a stream holds before its writer waits.
const PIPE_BYTES_MAX: usize = 256 * 1024;

/// Streams that were dialled and not yet accepted, per listener; a further dial waits.
const ARRIVING_MAX: usize = 256;

/// A network of one process. Clones are the same network.
#[derive(Clone, Default)]
pub struct MemoryNet {
    doors: Arc<Mutex<HashMap<SocketAddr, Door>>>,
}

#[derive(Clone)]
struct Door {
    node: NodeId,
    arrivals: mpsc::Sender<(DuplexStream, NodeId)>,
}

impl MemoryNet {
    /// A network without anyone.
    pub fn new() -> MemoryNet {
        MemoryNet::default()
    }

    /// The transport of one node, which listens at `address` if it listens.
    pub fn node(&self, me: NodeId, address: SocketAddr) -> Memory {
        Memory {
            net: self.clone(),
            me,
            address,
        }
    }

    fn door(&self, address: SocketAddr) -> Option<Door> {
        let doors = self.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.get(&address).cloned()
    }
}

/// One node's end of a [`MemoryNet`].
pub struct Memory {
    net: MemoryNet,
    me: NodeId,
    address: SocketAddr,
}

impl Transport for Memory {
    fn listen(&self) -> BoxFuture<'_, io::Result<(SocketAddr, Box<dyn Listener>)>> {
        let (arrivals, queue) = mpsc::channel(ARRIVING_MAX);
        let door = Door {
            node: self.me.clone(),
            arrivals,
        };
        let mut doors = self
            .net
            .doors
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let taken = doors
            .get(&self.address)
            .is_some_and(|door| !door.arrivals.is_closed());
        let bound = if taken {
            Err(io::ErrorKind::AddrInUse.into())
        } else {
            doors.insert(self.address, door);
            Ok((
                self.address,
                Box::new(MemoryListener(queue)) as Box<dyn Listener>,
            ))
        };
        Box::pin(std::future::ready(bound))
    }

    fn dial<'a>(
        &'a self,
        to: SocketAddr,
        expect: &'a NodeId,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let door = self.net.door(to).ok_or(io::ErrorKind::ConnectionRefused)?;
            if door.node != *expect {
                return Err(io::ErrorKind::PermissionDenied.into());
            }
            let (near, far) = tokio::io::duplex(PIPE_BYTES_MAX);
            let knocked = door.arrivals.send((far, self.me.clone())).await;
            knocked.map_err(|_| io::ErrorKind::ConnectionRefused)?;
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

struct MemoryListener(mpsc::Receiver<(DuplexStream, NodeId)>);

impl Listener for MemoryListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Arriving>> {
        Box::pin(async move {
            // The network keeps a sender for as long as the door stands.
            let (stream, name) = self.0.recv().await.ok_or(io::ErrorKind::NotConnected)?;
            let arrived = Arrived {
                stream: Box::new(stream),
                proven: Proven(Proof::Name(name)),
            };
            Ok(Box::pin(std::future::ready(Ok(arrived))) as Arriving)
        })
    }
}
