//! Answers peers: lets them in one by one, hears who they are, and hands each ask to the host. A
//! call whose answer is at hand is answered where it was read; any other gets a task. It never
//! looks inside an ask, and it counts whom it sends away.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{Request, Response, StatusCode};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::answering::Answering;
use super::room::{Class, Room};
use super::stats::Denial;
use super::{Base, Host, hello, pulse};
use crate::fill::BoxFuture;
use crate::node::NodeId;
use crate::transport::{Arriving, Listener, Stream};
use crate::wire::{Decoder, Frame};

/// The longest HTTP/2 frame: long enough that a kept answer is one or a few, short enough that
/// another call's is soon next.
pub(super) const DATA_FRAME_BYTES_MAX: u32 = 64 * 1024;

/// What one ask may have under way unread: asks are read at once, so that a long one may cross an
/// ocean in few steps whatever its kind of connection.
const ASK_WINDOW_BYTES: u32 = 1024 * 1024;

/// The longest headers: a method, a path and nothing else.
pub(super) const HEADER_BYTES_MAX: u32 = 4 * 1024;

/// What unread small frames may cost in room beyond their bytes before the connection is thought
/// hostile. Peers have proved who they are, and streams of tokens are nothing but small frames: the
/// windows bound them well enough.
pub(super) const SMALL_FRAMES_BUDGET: usize = 1024 * 1024 * 1024;

/// Frames of one ask; none needs more than a few.
const ASK_FRAMES_MAX: usize = 64;

/// After the listener failed, as when there are no more descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Lets peers in until the node ends.
pub(super) async fn accept(base: Arc<Base>, mut listener: Box<dyn Listener>, host: Arc<dyn Host>) {
    let stop = base.tasks.stopping();
    let places = Arc::new(Semaphore::new(base.limits.arrivals_max));
    while let Some(arrival) = stop.run_until_cancelled(listener.accept()).await {
        let Ok(arriving) = arrival else {
            sleep(ACCEPT_PAUSE).await;
            continue;
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            turn_away(&base, Denial::Crowded);
            continue;
        };
        let (host, at) = (host.clone(), base.clone());
        base.tasks.spawn("peer-arrival", async move {
            let _place = place;
            match let_in(&at, arriving).await {
                Ok((stream, from, class)) => {
                    at.stats.welcomed.add();
                    serve(at, stream, from, class, host).await;
                }
                Err(denial) => turn_away(&at, denial),
            }
        });
    }
}

async fn let_in(
    base: &Base,
    arriving: Arriving,
) -> Result<(Box<dyn Stream>, NodeId, Class), Denial> {
    let greeting = async {
        let arrived = arriving.await.map_err(|error| unproven(&error))?;
        let mut stream = arrived.stream;
        let (from, class) = hello::hear(&mut *stream, &arrived.proven, base).await?;
        Ok((stream, from, class))
    };
    let stop = base.tasks.stopping();
    let heard = timeout(base.limits.hello_wait_max, greeting);
    match stop.run_until_cancelled(heard).await {
        Some(Ok(outcome)) => outcome,
        Some(Err(_)) | None => Err(Denial::Slow),
    }
}

/// A handshake that failed: by what the other end said, or by the network.
fn unproven(error: &io::Error) -> Denial {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData => Denial::Handshake,
        _ => Denial::Torn,
    }
}

fn turn_away(base: &Base, denial: Denial) {
    if base.stats.refused.add(denial) && denial != Denial::Torn {
        tracing::warn!(
            reason = denial.name(),
            "a connection was refused; told once a minute per reason"
        );
    }
}

/// One connection, to its end.
async fn serve(
    base: Arc<Base>,
    stream: Box<dyn Stream>,
    from: NodeId,
    class: Class,
    host: Arc<dyn Host>,
) {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(ASK_WINDOW_BYTES)
        .initial_connection_window_size(class.connection_window_bytes())
        .max_frame_size(DATA_FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_concurrent_streams(class.streams_max() as u32)
        .max_concurrent_reset_streams(class.streams_max())
        .max_pending_accept_reset_streams(class.streams_max())
        .max_local_error_reset_streams(None)
        .data_frame_budget(SMALL_FRAMES_BUDGET);
    let handshake = timeout(base.limits.hello_wait_max, builder.handshake(stream));
    let Ok(Ok(mut connection)) = handshake.await else {
        return;
    };
    let limits = &base.limits;
    let faint = pulse::faint(
        connection.ping_pong(),
        limits.pulse_pause,
        limits.pulse_wait_max,
    );
    tokio::pin!(faint);
    let stop = base.tasks.stopping();
    let stopped = stop.cancelled();
    tokio::pin!(stopped);
    let mut stopping = false;
    loop {
        tokio::select! {
            // In this order, so that a connection which is never idle still hears the others.
            biased;
            () = &mut faint => {
                base.stats.fainted.add();
                return;
            }
            () = &mut stopped, if !stopping => {
                stopping = true;
                connection.graceful_shutdown();
            }
            call = connection.accept() => match call {
                Some(Ok((request, respond))) => {
                    base.stats.heard.add();
                    let call = Call {
                        base: base.clone(),
                        from: from.clone(),
                        class,
                        host: host.clone(),
                    };
                    take_up(&base, Box::pin(call.answer(request, respond)));
                }
                Some(Err(_)) | None => return,
            },
        }
    }
}

/// Runs the call's first step here, which for an answer at hand is all of it: no task, and the
/// reply leaves with the connection's next write. What is left gets a task.
fn take_up(base: &Base, mut call: BoxFuture<'static, ()>) {
    let mut nobody = Context::from_waker(Waker::noop());
    let step = std::panic::AssertUnwindSafe(|| Pin::new(&mut call).poll(&mut nobody));
    match std::panic::catch_unwind(step) {
        Ok(done) if done.is_ready() => {}
        Ok(_) => base.tasks.spawn("peer-call", call),
        // Where panics are caught and counted.
        Err(panic) => base.tasks.spawn("peer-call", async {
            std::panic::resume_unwind(panic);
        }),
    }
}

struct Call {
    base: Arc<Base>,
    from: NodeId,
    class: Class,
    host: Arc<dyn Host>,
}

impl Call {
    async fn answer(self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let room = Room::of_path(request.uri().path()).filter(|room| room.class() == self.class);
        let Some(room) = room else {
            return refuse(&self.base, &mut respond, StatusCode::NOT_FOUND);
        };
        let wait_max = self.base.limits.ask_wait_max;
        match read(request.into_body(), room, wait_max).await {
            Ok(ask) => {
                let reply = Answering::new(respond, self.base);
                self.host.hear(self.from, room, ask, reply).await;
            }
            Err(Unread::Gone) => {}
            Err(Unread::Misspelled) => refuse(&self.base, &mut respond, StatusCode::BAD_REQUEST),
            Err(Unread::Slow) => refuse(&self.base, &mut respond, StatusCode::REQUEST_TIMEOUT),
        }
    }
}

fn refuse(base: &Base, respond: &mut SendResponse<Bytes>, status: StatusCode) {
    base.stats.misspelled.add();
    let mut reply = Response::new(());
    *reply.status_mut() = status;
    let _ = respond.send_response(reply, true);
}

enum Unread {
    /// The caller went away.
    Gone,
    /// It is not frames, or too many.
    Misspelled,
    /// Its rest does not come.
    Slow,
}

/// The whole ask.
async fn read(mut body: RecvStream, room: Room, wait_max: Duration) -> Result<Vec<Frame>, Unread> {
    let (mut decoder, mut frames, mut bytes) = (Decoder::default(), Vec::new(), 0);
    while let Some(piece) = timeout(wait_max, body.data())
        .await
        .map_err(|_| Unread::Slow)?
    {
        let piece = piece.map_err(|_| Unread::Gone)?;
        let _ = body.flow_control().release_capacity(piece.len());
        bytes += piece.len();
        if bytes > room.ask_bytes_max() {
            return Err(Unread::Misspelled);
        }
        decoder.push(piece);
        while let Some(frame) = decoder.frame().map_err(|_| Unread::Misspelled)? {
            if frames.len() == ASK_FRAMES_MAX {
                return Err(Unread::Misspelled);
            }
            frames.push(frame);
        }
    }
    match decoder.in_the_middle() {
        true => Err(Unread::Misspelled),
        false => Ok(frames),
    }
}
