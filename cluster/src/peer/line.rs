//! The connections to one peer: made when first needed, kept, shared by all calls of their kind,
//! and made anew after a pause that grows while it fails. One dial at a time for each kind; whoever
//! calls meanwhile waits for it. It never repeats a call.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};

use super::room::Class;
use super::{Base, PeerError, hello, pulse, server};
use crate::node::NodeId;

/// The way to one peer.
pub(super) struct Line {
    to: NodeId,
    base: Arc<Base>,
    trunks: [Arc<Trunk>; 3],
}

/// All connections of one kind.
struct Trunk {
    state: Mutex<State>,
    /// Beats when a dial has ended.
    dialled: watch::Sender<()>,
}

#[derive(Default)]
struct State {
    connections: Vec<Arc<Connection>>,
    dialling: bool,
    failure: Option<Failure>,
}

struct Failure {
    error: PeerError,
    address: SocketAddr,
    attempts: u32,
    until: Instant,
}

struct Connection {
    requests: SendRequest<Bytes>,
    address: SocketAddr,
    calls: AtomicUsize,
    ended: AtomicBool,
}

/// A call's place on a connection; given back when dropped.
pub(super) struct Place(Arc<Connection>);

impl Place {
    pub(super) fn requests(&self) -> SendRequest<Bytes> {
        self.0.requests.clone()
    }

    /// Says that the connection has ended, before its task could.
    pub(super) fn give_up(&self) {
        self.0.ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::Relaxed);
    }
}

/// What a caller finds.
enum Found {
    Place(Place),
    /// Nothing yet: a dial is under way.
    Wait,
    /// Nothing yet: this caller has to start the dial.
    Dial,
    Nothing(PeerError),
}

impl Line {
    pub(super) fn new(to: NodeId, base: Arc<Base>) -> Line {
        let trunk = || {
            Arc::new(Trunk {
                state: Mutex::default(),
                dialled: watch::Sender::new(()),
            })
        };
        Line {
            to,
            base,
            trunks: [trunk(), trunk(), trunk()],
        }
    }

    /// A place for one more call, at most until `deadline`.
    pub(super) async fn place(
        &self,
        class: Class,
        address: SocketAddr,
        deadline: Instant,
    ) -> Result<Place, PeerError> {
        let trunk = &self.trunks[class as usize];
        let mut dialled = None;
        loop {
            match trunk.find(class, address) {
                Found::Place(place) => return Ok(place),
                Found::Nothing(error) => {
                    if error == PeerError::Crowded {
                        self.base.stats.crowded.add();
                    }
                    return Err(error);
                }
                // Once more with an ear at the door, so that the end of the dial is not missed.
                Found::Wait if dialled.is_none() => dialled = Some(trunk.dialled.subscribe()),
                Found::Dial => self.dial(class, address),
                Found::Wait => {
                    let Some(ear) = &mut dialled else { continue };
                    if timeout_at(deadline, ear.changed()).await.is_err() {
                        return Err(PeerError::Unreachable);
                    }
                }
            }
        }
    }

    /// Begins to connect for every kind that has no connection.
    #[allow(dead_code, reason = "for whoever knows that a call will come")]
    pub(super) fn warm(&self, address: SocketAddr) {
        for class in Class::ALL {
            if let Found::Dial = self.trunks[class as usize].find(class, address) {
                self.dial(class, address);
            }
        }
    }

    /// In a task of its own: a caller that gives up must not end it for the others.
    fn dial(&self, class: Class, address: SocketAddr) {
        let (to, base) = (self.to.clone(), self.base.clone());
        let trunk = self.trunks[class as usize].clone();
        self.base.tasks.spawn("peer-dial", async move {
            let stop = base.tasks.stopping();
            let wait_max = base.limits.dial_wait_max;
            let connecting = connect(&to, class, address, &base, &trunk);
            let made = stop
                .run_until_cancelled(timeout(wait_max, connecting))
                .await;
            let outcome = match made {
                Some(Ok(outcome)) => outcome,
                Some(Err(_)) | None => Err(PeerError::Unreachable),
            };
            match &outcome {
                Ok(_) => base.stats.dialled.add(),
                Err(_) => base.stats.unreached.add(),
            }
            trunk.settle(outcome, address, |attempts| pause(&base, &to, attempts));
        });
    }
}

impl Trunk {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, class: Class, address: SocketAddr) -> Found {
        let mut state = self.lock();
        for connection in &state.connections {
            let good = connection.address == address && !connection.ended.load(Ordering::Relaxed);
            // Only changed under the lock but for places given back.
            if good && connection.calls.load(Ordering::Relaxed) < class.streams_max() {
                connection.calls.fetch_add(1, Ordering::Relaxed);
                return Found::Place(Place(connection.clone()));
            }
        }
        state.connections.retain(|connection| {
            connection.address == address && !connection.ended.load(Ordering::Relaxed)
        });
        if state.connections.len() >= class.connections_max() {
            return Found::Nothing(PeerError::Crowded);
        }
        if state.dialling {
            return Found::Wait;
        }
        if let Some(failure) = &state.failure
            && failure.address == address
            && Instant::now() < failure.until
        {
            return Found::Nothing(failure.error);
        }
        state.dialling = true;
        Found::Dial
    }

    fn settle(
        &self,
        outcome: Result<Arc<Connection>, PeerError>,
        address: SocketAddr,
        pause: impl FnOnce(u32) -> Duration,
    ) {
        let mut state = self.lock();
        state.dialling = false;
        match outcome {
            Ok(connection) => {
                state.failure = None;
                state.connections.push(connection);
            }
            Err(error) => {
                let before = state
                    .failure
                    .take()
                    .filter(|failure| failure.address == address);
                let attempts = before.map_or(0, |failure| failure.attempts.saturating_add(1));
                state.failure = Some(Failure {
                    error,
                    address,
                    attempts,
                    until: Instant::now() + pause(attempts),
                });
            }
        }
        drop(state);
        self.dialled.send_replace(());
    }

    /// Strikes a connection off the list: it has ended, or shall with its last call.
    fn forget(&self, held: &Weak<Connection>) {
        if let Some(connection) = held.upgrade() {
            connection.ended.store(true, Ordering::Relaxed);
        }
        let mut state = self.lock();
        let gone = |connection: &Arc<Connection>| connection.ended.load(Ordering::Relaxed);
        state.connections.retain(|connection| !gone(connection));
    }
}

/// Dials, says hello and sets the connection going.
async fn connect(
    to: &NodeId,
    class: Class,
    address: SocketAddr,
    base: &Arc<Base>,
    trunk: &Arc<Trunk>,
) -> Result<Arc<Connection>, PeerError> {
    let stream = hello::dial(base, to, address, class).await?;
    let mut builder = h2::client::Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(class.stream_window_bytes())
        .initial_connection_window_size(class.connection_window_bytes())
        .max_frame_size(server::DATA_FRAME_BYTES_MAX)
        .max_header_list_size(server::HEADER_BYTES_MAX)
        .initial_max_send_streams(class.streams_max())
        .max_concurrent_reset_streams(class.streams_max())
        .max_local_error_reset_streams(None)
        .data_frame_budget(server::SMALL_FRAMES_BUDGET);
    let made = builder.handshake(stream).await;
    let (requests, mut running) = made.map_err(|_| PeerError::Unreachable)?;
    let pings = running.ping_pong();
    let connection = Arc::new(Connection {
        requests,
        address,
        calls: AtomicUsize::new(0),
        ended: AtomicBool::new(false),
    });
    // Weak, so that a connection which is no longer on the list ends with its last call.
    let (held, trunk, base) = (Arc::downgrade(&connection), trunk.clone(), base.clone());
    base.clone().tasks.spawn("peer-connection", async move {
        let stop = base.tasks.stopping();
        let limits = &base.limits;
        let faint = pulse::faint(pings, limits.pulse_pause, limits.pulse_wait_max);
        let stopped = stop.cancelled();
        tokio::pin!(faint, stopped);
        let mut stopping = false;
        loop {
            tokio::select! {
                biased;
                () = &mut faint => {
                    base.stats.fainted.add();
                    break;
                }
                // Takes no further calls, and ends with the last of those it has.
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    trunk.forget(&held);
                }
                _ = &mut running => break,
            }
        }
        trunk.forget(&held);
    });
    Ok(connection)
}

/// Twice as long after each failure, less a part of up to a half that differs from pair to pair
/// and try to try, so that nodes which lost the same peer do not come back as one.
fn pause(base: &Base, to: &NodeId, attempts: u32) -> Duration {
    let limits = &base.limits;
    let doubled = limits
        .redial_pause_min
        .saturating_mul(1 << attempts.min(16));
    let whole = doubled.min(limits.redial_pause_max);
    let mut dice = DefaultHasher::new();
    (&base.me, to, attempts).hash(&mut dice);
    let less = (dice.finish() % 512) as f64 / 1024.0;
    whole.mul_f64(1.0 - less)
}
