//! A wire between nodes: a node tells others the tap's address as its own, and what comes there is
//! kept and passed on to the node, unless the wire is cut.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::UdpSocket;

use super::super::{Gossip, GossipSettings};
use crate::tasks::Tasks;

pub(super) struct Tap {
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    cut: Arc<AtomicBool>,
}

impl Tap {
    /// Starts a node behind a tap.
    pub(super) async fn before(mut settings: GossipSettings, tasks: &Tasks) -> (Tap, Gossip) {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        settings.advertise = socket.local_addr().unwrap();
        let gossip = Gossip::start(settings, tasks).await.unwrap();
        let tap = Tap {
            kept: Arc::default(),
            cut: Arc::default(),
        };
        let (kept, cut) = (tap.kept.clone(), tap.cut.clone());
        tasks.spawn("tap", pass(socket, gossip.bound(), kept, cut));
        (tap, gossip)
    }

    pub(super) fn kept(&self) -> Vec<Vec<u8>> {
        self.kept.lock().unwrap().clone()
    }

    /// From now on nothing reaches the node.
    pub(super) fn cut(&self) {
        self.cut.store(true, Ordering::SeqCst);
    }
}

async fn pass(
    socket: UdpSocket,
    to: SocketAddr,
    kept: Arc<Mutex<Vec<Vec<u8>>>>,
    cut: Arc<AtomicBool>,
) {
    let mut buffer = vec![0; 65_535];
    loop {
        let (length, _) = socket.recv_from(&mut buffer).await.unwrap();
        let datagram = &buffer[..length];
        kept.lock().unwrap().push(datagram.to_vec());
        if !cut.load(Ordering::SeqCst) {
            socket.send_to(datagram, to).await.unwrap();
        }
    }
}
