//! Node to node: what a node says to its peers and what it hears from them. Three kinds of
//! connection to each peer, made when first needed and kept; a call on one of them is a stream of
//! frames both ways. It knows who may speak, never what is said, and it never calls twice.

mod answering;
mod carry;
mod hearing;
mod hello;
mod limits;
mod line;
pub mod measure;
mod ping;
mod pulse;
mod room;
mod server;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{Method, Request, StatusCode};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::fill::BoxFuture;
use crate::mask::Event;
use crate::node::NodeId;
use crate::tasks::Tasks;
use crate::transport::Transport;
use crate::view::View;
use crate::wire::Frame;
use line::{Line, Place};

pub(crate) use answering::{Answering, Gone};
pub(crate) use hearing::Hearing;
pub use hello::Identity;
pub use limits::PeerLimits;
pub(crate) use room::{Class, Room};
pub use stats::{Denial, PeerStats, RefusedCounts};

/// What a node answers its peers.
pub(crate) trait Host: Send + Sync + 'static {
    /// Answers one ask. The first step of it runs where the connection is read: what takes long
    /// must be awaited, not computed. It runs to its end whether or not the caller stays;
    /// [`Answering::deserted`] says when it has gone.
    fn hear(
        self: Arc<Self>,
        from: NodeId,
        room: Room,
        ask: Vec<Frame>,
        reply: Answering,
    ) -> BoxFuture<'static, ()>;
}

/// Why a call brought nothing, or nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerError {
    /// The node is not in the view.
    Unknown,
    /// It could not be connected to, now or a moment ago; nothing was asked of it.
    Unreachable,
    /// It, or this node, would not have the other: the reason in a word.
    Refused(&'static str),
    /// Every connection to it has all the calls it may have; nothing was asked of it.
    Crowded,
    /// The connection or the call was lost: the ask may have been heard.
    Lost,
    /// Nothing came for as long as the caller would wait.
    Silent,
    /// What came is not what peers say.
    Protocol,
}

impl PeerError {
    /// What it says of the peer.
    pub(crate) fn event(self) -> Event {
        match self {
            PeerError::Silent => Event::Silent,
            // It is there, and has more to do than it may have.
            PeerError::Crowded => Event::Answered,
            _ => Event::Reset,
        }
    }

    /// A short name for counters and traces.
    pub fn name(self) -> &'static str {
        match self {
            PeerError::Unknown => "unknown",
            PeerError::Unreachable => "unreachable",
            PeerError::Refused(_) => "refused",
            PeerError::Crowded => "crowded",
            PeerError::Lost => "lost",
            PeerError::Silent => "silent",
            PeerError::Protocol => "protocol",
        }
    }
}

impl fmt::Display for PeerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            PeerError::Refused(reason) => write!(f, "refused: {reason}"),
            other => f.write_str(other.name()),
        }
    }
}

impl std::error::Error for PeerError {}

/// What every connection of this node needs.
struct Base {
    me: NodeId,
    transport: Arc<dyn Transport>,
    identity: Identity,
    tasks: Tasks,
    limits: PeerLimits,
    stats: PeerStats,
}

/// The peers of a node.
pub struct Peers {
    base: Arc<Base>,
    view: watch::Receiver<Arc<View>>,
    /// One for each node called so far that is still in the view.
    lines: RwLock<HashMap<NodeId, Arc<Line>>>,
}

impl Peers {
    /// Ready to call; connects to nobody yet. Its tasks end when `tasks` do.
    pub fn new(
        me: NodeId,
        transport: Arc<dyn Transport>,
        identity: Identity,
        view: watch::Receiver<Arc<View>>,
        tasks: Tasks,
        limits: PeerLimits,
    ) -> Arc<Peers> {
        let stats = PeerStats::default();
        Arc::new(Peers {
            base: Arc::new(Base {
                me,
                transport,
                identity,
                tasks,
                limits,
                stats,
            }),
            view,
            lines: RwLock::default(),
        })
    }

    /// Begins to answer; the address really bound.
    pub(crate) async fn listen(&self, host: Arc<dyn Host>) -> io::Result<SocketAddr> {
        let (address, listener) = self.base.transport.listen().await?;
        let accepting = server::accept(self.base.clone(), listener, host);
        self.base.tasks.spawn("peer-listener", accepting);
        Ok(address)
    }

    /// Counters.
    pub fn stats(&self) -> &PeerStats {
        &self.base.stats
    }

    /// Asks a peer. Returns once it begins to reply, at most after `patience`. Nothing is asked
    /// twice: whether an error may be followed by another try is for the caller to say.
    pub(crate) async fn call(
        &self,
        to: &NodeId,
        room: Room,
        ask: Vec<Frame>,
        patience: Duration,
    ) -> Result<Hearing, PeerError> {
        let deadline = Instant::now() + patience;
        let ask = spelled(room, &ask)?;
        let (place, mut requests) = self.ready(to, room.class(), deadline).await?;
        let mut request = Request::new(());
        *request.method_mut() = Method::POST;
        *request.uri_mut() = room.uri();
        self.base.stats.calls.add();
        let sent = requests.send_request(request, ask.is_empty());
        let (reply, mut body) = sent.map_err(|_| PeerError::Lost)?;
        if !ask.is_empty() {
            body.send_data(ask, true).map_err(|_| PeerError::Lost)?;
        }
        // Let go, so that dropping what is heard is all that is left of the call.
        drop(body);
        let reply = match timeout_at(deadline, reply).await {
            Ok(Ok(reply)) => reply,
            Ok(Err(_)) => return Err(PeerError::Lost),
            Err(_) => return Err(PeerError::Silent),
        };
        match reply.status() {
            StatusCode::OK => Ok(Hearing::new(reply.into_body(), place)),
            _ => Err(PeerError::Protocol),
        }
    }

    /// Begins to connect to a peer that will soon be called, for every kind of call; waits for
    /// nothing. The first call to a far peer would else pay for three ways there and back.
    #[allow(dead_code, reason = "for whoever knows that a call will come")]
    pub(crate) fn warm(&self, to: &NodeId) {
        if let Ok(address) = self.address(to) {
            self.line(to).warm(address);
        }
    }

    /// A connection that takes a further call. One that ended unnoticed is passed over once.
    async fn ready(
        &self,
        to: &NodeId,
        class: Class,
        deadline: Instant,
    ) -> Result<(Place, h2::client::SendRequest<Bytes>), PeerError> {
        for _ in 0..2 {
            let address = self.address(to)?;
            let place = self.line(to).place(class, address, deadline).await?;
            match timeout_at(deadline, place.requests().ready()).await {
                Ok(Ok(requests)) => return Ok((place, requests)),
                Ok(Err(_)) => place.give_up(),
                Err(_) => return Err(PeerError::Silent),
            }
        }
        Err(PeerError::Unreachable)
    }

    fn address(&self, node: &NodeId) -> Result<SocketAddr, PeerError> {
        let view = self.view.borrow();
        let seen = view.get(node).ok_or(PeerError::Unknown)?;
        Ok(seen.address)
    }

    fn line(&self, to: &NodeId) -> Arc<Line> {
        let lines = self.lines.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.get(to) {
            return line.clone();
        }
        drop(lines);
        let view = self.view.borrow().clone();
        let mut lines = self.lines.write().unwrap_or_else(PoisonError::into_inner);
        // Whoever left the view is forgotten here: there are never more than the view has held.
        lines.retain(|node, _| view.get(node).is_some());
        let new = || Arc::new(Line::new(to.clone(), self.base.clone()));
        lines.entry(to.clone()).or_insert_with(new).clone()
    }
}

/// The ask as bytes.
fn spelled(room: Room, ask: &[Frame]) -> Result<Bytes, PeerError> {
    let mut bytes = BytesMut::with_capacity(ask.iter().map(Frame::bytes_about).sum());
    for frame in ask {
        frame.encode(&mut bytes).map_err(|_| PeerError::Protocol)?;
    }
    if bytes.len() > room.ask_bytes_max() {
        return Err(PeerError::Protocol);
    }
    Ok(bytes.freeze())
}
