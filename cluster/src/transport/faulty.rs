//! A bad network around a good transport: links that are cut both ways or one way, slow, or torn.
//! What is cut is silent: nothing arrives and nobody is told, as when a cable is pulled; what was
//! sent meanwhile comes when the link heals, if anyone still waits for it, as TCP would send it
//! again. What is torn is loud: streams end at once and dials are refused. A test holds the handle.
//! Both directions are broken on the side that dialled, so every node of a test must dial through it.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::{Listener, Stream, Transport};
use crate::fill::BoxFuture;
use crate::node::NodeId;
use crate::tasks::Tasks;

/// Pieces under way in one direction of one stream; then its writer waits.
const PIECES_UNDER_WAY_MAX: usize = 256;

const PIECE_BYTES_MAX: usize = 16 * 1024;

const PIPE_BYTES_MAX: usize = 64 * 1024;

/// The handle: what is wrong with the link from one node to another. Clones are the same network.
#[derive(Clone)]
pub struct Faults {
    links: Arc<Mutex<HashMap<(NodeId, NodeId), Link>>>,
    changes: watch::Sender<()>,
}

/// One direction.
#[derive(Debug, Clone, Copy, Default)]
struct Link {
    cut: bool,
    refused: bool,
    delay: Duration,
    /// How often it was torn.
    tears: u64,
}

impl Default for Faults {
    fn default() -> Faults {
        Faults::new()
    }
}

impl Faults {
    /// Nothing is wrong yet.
    pub fn new() -> Faults {
        Faults {
            links: Arc::default(),
            changes: watch::Sender::new(()),
        }
    }

    /// `me`'s transport, with the faults of this network.
    pub fn around(&self, me: NodeId, inner: Arc<dyn Transport>, tasks: Tasks) -> Faulty {
        Faulty {
            faults: self.clone(),
            me,
            inner,
            tasks,
        }
    }

    /// Nothing passes between the two any more.
    pub fn cut(&self, a: &NodeId, b: &NodeId) {
        self.cut_one_way(a, b);
        self.cut_one_way(b, a);
    }

    /// Nothing passes from one to the other any more.
    pub fn cut_one_way(&self, from: &NodeId, to: &NodeId) {
        self.change(from, to, |link| link.cut = true);
    }

    /// What passes between the two takes this much longer, each way.
    pub fn delay(&self, a: &NodeId, b: &NodeId, delay: Duration) {
        self.change(a, b, |link| link.delay = delay);
        self.change(b, a, |link| link.delay = delay);
    }

    /// Every stream between the two ends now; new ones may be made.
    pub fn reset(&self, a: &NodeId, b: &NodeId) {
        self.change(a, b, |link| link.tears += 1);
        self.change(b, a, |link| link.tears += 1);
    }

    /// Every stream between the two ends now, and every dial is refused.
    pub fn refuse(&self, a: &NodeId, b: &NodeId) {
        self.change(a, b, |link| link.refused = true);
        self.change(b, a, |link| link.refused = true);
        self.reset(a, b);
    }

    /// The link between the two is as good as new.
    pub fn heal(&self, a: &NodeId, b: &NodeId) {
        let good = |link: &mut Link| {
            *link = Link {
                tears: link.tears,
                ..Link::default()
            };
        };
        self.change(a, b, good);
        self.change(b, a, good);
    }

    fn change(&self, from: &NodeId, to: &NodeId, change: impl FnOnce(&mut Link)) {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        change(links.entry((from.clone(), to.clone())).or_default());
        drop(links);
        self.changes.send_replace(());
    }

    fn link(&self, from: &NodeId, to: &NodeId) -> Link {
        let links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links
            .get(&(from.clone(), to.clone()))
            .copied()
            .unwrap_or_default()
    }

    /// Waits until the link is as asked.
    async fn until(&self, from: &NodeId, to: &NodeId, asked: impl Fn(Link) -> bool) {
        let mut changes = self.changes.subscribe();
        while !asked(self.link(from, to)) {
            // The sender is in `self`.
            let _ = changes.changed().await;
        }
    }
}

/// A transport behind a bad network.
pub struct Faulty {
    faults: Faults,
    me: NodeId,
    inner: Arc<dyn Transport>,
    tasks: Tasks,
}

impl Transport for Faulty {
    fn listen(&self) -> BoxFuture<'_, io::Result<(SocketAddr, Box<dyn Listener>)>> {
        self.inner.listen()
    }

    fn dial<'a>(
        &'a self,
        to: SocketAddr,
        expect: &'a NodeId,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (there, back) = (
                self.faults.link(&self.me, expect),
                self.faults.link(expect, &self.me),
            );
            if there.refused || back.refused {
                return Err(io::ErrorKind::ConnectionRefused.into());
            }
            // A dial needs both ways: who asks hears nothing while either is cut.
            tokio::time::sleep(there.delay + back.delay).await;
            self.faults.until(&self.me, expect, |link| !link.cut).await;
            self.faults.until(expect, &self.me, |link| !link.cut).await;
            let inner = self.inner.dial(to, expect).await?;
            let (near, middle) = tokio::io::duplex(PIPE_BYTES_MAX);
            self.carry(expect.clone(), there.tears, middle, inner);
            Ok(Box::new(near) as Box<dyn Stream>)
        })
    }
}

impl Faulty {
    /// Carries both directions until both have ended or the link is torn.
    fn carry(&self, to: NodeId, tears: u64, near: impl Stream + 'static, far: Box<dyn Stream>) {
        let (faults, me, stop) = (self.faults.clone(), self.me.clone(), self.tasks.stopping());
        self.tasks.spawn("faulty-link", async move {
            let ((near_read, near_write), (far_read, far_write)) =
                (tokio::io::split(near), tokio::io::split(far));
            tokio::select! {
                ((), ()) = async { tokio::join!(
                    one_way(&faults, (&me, &to), near_read, far_write),
                    one_way(&faults, (&to, &me), far_read, near_write),
                ) } => {}
                () = faults.until(&me, &to, |link| link.tears != tears) => {}
                () = stop.cancelled() => {}
            }
        });
    }
}

async fn one_way(
    faults: &Faults,
    (from, to): (&NodeId, &NodeId),
    mut source: impl AsyncRead + Unpin,
    mut sink: impl AsyncWrite + Unpin,
) {
    let (under_way, mut arriving) = mpsc::channel::<(Instant, Bytes)>(PIECES_UNDER_WAY_MAX);
    let taking = async move {
        let mut piece = BytesMut::new();
        loop {
            piece.reserve(PIECE_BYTES_MAX);
            match source.read_buf(&mut piece).await {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let due = Instant::now() + faults.link(from, to).delay;
            if under_way.send((due, piece.split().freeze())).await.is_err() {
                return;
            }
        }
    };
    let giving = async move {
        while let Some((due, piece)) = arriving.recv().await {
            tokio::time::sleep_until(due).await;
            faults.until(from, to, |link| !link.cut).await;
            if sink.write_all(&piece).await.is_err() || sink.flush().await.is_err() {
                return;
            }
        }
        // That one side has ended is news that travels like any other.
        faults.until(from, to, |link| !link.cut).await;
        let _ = sink.shutdown().await;
    };
    tokio::join!(taking, giving);
}
