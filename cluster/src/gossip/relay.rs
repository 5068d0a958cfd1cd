//! The way of a datagram between chitchat and the network. The library keeps its codec to itself,
//! so it is given a real socket of its own on loopback: what it says there is heard by the `ear`,
//! sealed and sent; what comes from the network is opened and told to it by the `mouth`. A reply
//! goes to the address inside the seal, never to where a datagram seemed to come from, so nobody
//! can turn it elsewhere. It decides nothing about nodes and starts no tasks: it runs in
//! chitchat's own, one datagram at a time, and the kernel's queue is the only queue.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use chitchat::ChitchatEnvelope;
use chitchat::transport::{RecvOutcome, SendOutcome, Socket, Transport, UdpTransport};
use tokio::net::UdpSocket;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::outside::Outside;
use super::seal::{Heard, Refused, Seal};
use super::stats::GossipStats;

/// The largest datagram that is read.
const DATAGRAM_BYTES_MAX: usize = 65_535;

/// Above this a datagram may travel in pieces (the smallest path of IPv6 carries 1,232): it is
/// counted and sent all the same.
const DATAGRAM_BYTES_WHOLE: usize = 1_200;

/// How long a datagram may take from one socket of this process to another; then it is given up.
const LOOPBACK_WAIT_MAX: Duration = Duration::from_millis(100);

/// Failures of the outer socket in a row, one every `FAILURE_PAUSE`; then gossip ends and says so.
const FAILURES_COUNT_MAX: u32 = 50;
const FAILURE_PAUSE: Duration = Duration::from_millis(100);

/// How often one reason of refusal is logged.
const LOG_PAUSE: Duration = Duration::from_secs(60);

/// A socket that is already open, given to the library as if it opened it.
pub(super) struct Opened(Mutex<Option<Box<dyn Socket>>>);

impl Opened {
    pub(super) fn new(socket: Box<dyn Socket>) -> Opened {
        Opened(Mutex::new(Some(socket)))
    }
}

type Pinned<'a, T> = Pin<Box<dyn Future<Output = anyhow::Result<T>> + Send + 'a>>;

impl Transport for Opened {
    fn open<'a, 'b>(&'a self, _: SocketAddr) -> Pinned<'b, Box<dyn Socket>>
    where
        'a: 'b,
        Self: 'b,
    {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = held.take();
        Box::pin(async move { socket.ok_or_else(|| anyhow::anyhow!("opened twice")) })
    }
}

/// Opens a socket that speaks plainly, and says where.
pub(super) async fn plain(listen: SocketAddr) -> io::Result<(Box<dyn Socket>, SocketAddr)> {
    let socket = UdpTransport.open(listen).await.map_err(io::Error::other)?;
    let address = socket.local_addr().map_err(io::Error::other)?;
    Ok((socket, address))
}

/// The sealed way in and out.
pub(super) struct Relay {
    outer: UdpSocket,
    seal: Arc<Seal>,
    heard: Heard,
    inner: Box<dyn Socket>,
    mouth: UdpSocket,
    ear: UdpSocket,
    /// Whose payload was told to the library and has not come out of it yet, and until when.
    told: Option<(SocketAddr, Instant)>,
    buffer: Box<[u8]>,
    failures: u32,
    logged: [Option<Instant>; 5],
    outside: Outside,
    stats: Arc<GossipStats>,
}

impl Relay {
    pub(super) async fn open(
        outer: UdpSocket,
        seal: Arc<Seal>,
        outside: Outside,
        stats: Arc<GossipStats>,
    ) -> io::Result<Relay> {
        let four = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let six = SocketAddr::from((Ipv6Addr::LOCALHOST, 0));
        let (inner, address) = match plain(four).await {
            Ok(opened) => opened,
            Err(_) => plain(six).await?,
        };
        Ok(Relay {
            outer,
            seal,
            heard: Heard::default(),
            mouth: beside(address).await?,
            ear: beside(address).await?,
            inner,
            told: None,
            buffer: vec![0; DATAGRAM_BYTES_MAX].into(),
            failures: 0,
            logged: [None; 5],
            outside,
            stats,
        })
    }

    fn inner_address(&self) -> io::Result<SocketAddr> {
        self.ear.peer_addr()
    }

    /// Has the library write an envelope, as the bytes it would send.
    async fn written(&mut self, envelope: ChitchatEnvelope) -> io::Result<usize> {
        let ear = self.ear.local_addr()?;
        let sent = self.inner.send(ear, envelope).await;
        sent.map_err(io::Error::other)?;
        match timeout(LOOPBACK_WAIT_MAX, self.ear.recv(&mut self.buffer)).await {
            Ok(written) => written,
            Err(late) => {
                // If it still comes, it must not be taken for the next one.
                self.ear = beside(self.inner_address()?).await?;
                Err(late.into())
            }
        }
    }

    async fn say(&mut self, to: SocketAddr, envelope: ChitchatEnvelope) -> io::Result<usize> {
        let length = self.written(envelope).await?;
        let now = (self.outside.wall_millis)();
        let sealed = self.seal.seal(now, &self.buffer[..length]);
        let sealed = sealed.ok_or(io::ErrorKind::InvalidData)?;
        if sealed.len() > DATAGRAM_BYTES_WHOLE {
            self.stats.large.add();
        }
        let to = as_family_of(self.outer.local_addr()?, to);
        self.outer.send_to(&sealed, to).await
    }

    /// Waits for a datagram of ours and tells it to the library.
    async fn tell(&mut self) -> io::Result<()> {
        while self.told.is_none() {
            let length = match self.outer.recv_from(&mut self.buffer).await {
                Ok((length, _)) => length,
                Err(failure) => {
                    self.failures += 1;
                    if self.failures >= FAILURES_COUNT_MAX {
                        return Err(failure);
                    }
                    sleep(FAILURE_PAUSE).await;
                    continue;
                }
            };
            self.failures = 0;
            let now = (self.outside.wall_millis)();
            let datagram = &self.buffer[..length];
            match self.seal.open(&mut self.heard, now, datagram) {
                Ok((from, payload)) => {
                    // A socket's queue has room: what was told before has come out.
                    if self.mouth.send(&payload).await.is_ok() {
                        self.told = Some((from, Instant::now() + LOOPBACK_WAIT_MAX));
                    }
                }
                Err(refused) => self.refuse(refused),
            }
        }
        Ok(())
    }

    /// What the library made of what it was told; none where it made nothing of it.
    async fn made(&mut self, from: SocketAddr, until: Instant) -> io::Result<Option<RecvOutcome>> {
        let mouth = self.mouth.local_addr()?;
        while let Ok(outcome) = timeout_at(until, self.inner.recv()).await {
            let outcome = outcome.map_err(io::Error::other)?;
            if outcome.from_addr == mouth {
                self.stats.heard.add();
                let from_addr = from;
                return Ok(Some(RecvOutcome {
                    from_addr,
                    ..outcome
                }));
            }
            self.stats.strangers.add();
        }
        self.refuse(Refused::Malformed);
        self.mouth = beside(self.inner_address()?).await?;
        Ok(None)
    }

    fn refuse(&mut self, why: Refused) {
        self.stats.refused(why);
        let now = Instant::now();
        let logged = &mut self.logged[why as usize];
        if logged.is_none_or(|last| now.duration_since(last) >= LOG_PAUSE) {
            *logged = Some(now);
            tracing::warn!(why = why.name(), "a gossip datagram was refused");
        }
    }
}

impl Socket for Relay {
    fn local_addr(&self) -> anyhow::Result<SocketAddr> {
        Ok(self.outer.local_addr()?)
    }

    fn send<'a, 'b>(
        &'a mut self,
        to: SocketAddr,
        envelope: ChitchatEnvelope,
    ) -> Pinned<'b, SendOutcome>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            // A datagram that did not leave is like one that got lost: others follow.
            let num_bytes_sent = match self.say(to, envelope).await {
                Ok(bytes) => {
                    self.stats.sent.add();
                    bytes
                }
                Err(_) => {
                    self.stats.unsent.add();
                    0
                }
            };
            Ok(SendOutcome { num_bytes_sent })
        })
    }

    /// May be dropped at any wait: what was told is remembered in `told`.
    fn recv<'a, 'b>(&'a mut self) -> Pinned<'b, RecvOutcome>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(async move {
            loop {
                self.tell().await?;
                if let Some((from, until)) = self.told {
                    let made = self.made(from, until).await?;
                    self.told = None;
                    if let Some(outcome) = made {
                        return Ok(outcome);
                    }
                }
            }
        })
    }
}

/// A loopback socket that hears nobody but `inner`.
async fn beside(inner: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(SocketAddr::new(inner.ip(), 0)).await?;
    socket.connect(inner).await?;
    Ok(socket)
}

/// A socket of the newer family reaches the older one's addresses in their mapped form.
fn as_family_of(socket: SocketAddr, to: SocketAddr) -> SocketAddr {
    match (socket.ip(), to.ip()) {
        (IpAddr::V6(_), IpAddr::V4(ip)) => SocketAddr::new(ip.to_ipv6_mapped().into(), to.port()),
        _ => to,
    }
}

#[cfg(test)]
mod tests;
