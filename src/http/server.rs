//! One accept loop for every listener: a bounded number of connections, HTTP/1.1 and HTTP/2 with
//! bounded windows, limits on every wait, and a drain that lets what is being answered finish.
//! It knows connections; it never looks at a request.

use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::Tasks;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::alarm::Alarm;
use super::front::Front;
use super::patient::Patient;

/// How long to wait before accepting again after the system refused (out of descriptors, say).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Unread bytes of one HTTP/2 stream, and of all streams of a connection: else one client's
/// unread answers hold megabytes each.
const H2_STREAM_WINDOW_BYTES: u32 = 64 * 1024;
const H2_CONNECTION_WINDOW_BYTES: u32 = 1024 * 1024;
const H2_STREAMS_MAX: u32 = 256;

/// Bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerLimits {
    /// Connections at once; further ones wait in the system's queue.
    pub connections_max: usize,
    /// All headers of one request.
    pub header_bytes_max: usize,
    /// From the connection's start to its first byte, and for a TLS handshake.
    pub header_seconds_max: u64,
    /// From the end of one request to the whole head of the next, and for a reader who takes
    /// nothing of what it asked for.
    pub idle_seconds_max: u64,
    /// How long a draining listener waits for what is being answered.
    pub drain_seconds: u64,
}

/// A listener and what it serves.
pub struct Server {
    /// Where connections come in.
    pub listener: TcpListener,
    /// TLS, where this listener speaks it.
    pub tls: Option<TlsAcceptor>,
    /// What answers.
    pub front: Front,
    /// Its bounds.
    pub limits: ListenerLimits,
    /// Runs the connections.
    pub tasks: Tasks,
}

impl Server {
    /// Accepts until `drain` fires, then waits for what is being answered, as long as it may.
    pub async fn run(self, drain: CancellationToken) {
        let graceful = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.limits.connections_max));
        while let Some(Ok(place)) = drain
            .run_until_cancelled(places.clone().acquire_owned())
            .await
        {
            match drain.run_until_cancelled(self.listener.accept()).await {
                Some(Ok((stream, _))) => self.welcome(stream, place, graceful.watcher()),
                Some(Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                None => break,
            }
        }
        drop(self.listener);
        let deadline = Duration::from_secs(self.limits.drain_seconds);
        if tokio::time::timeout(deadline, graceful.shutdown())
            .await
            .is_err()
        {
            tracing::warn!("some replies were not finished when the time to drain was over");
        }
    }

    fn welcome(&self, stream: TcpStream, place: OwnedSemaphorePermit, watcher: Watcher) {
        let head = Duration::from_secs(self.limits.header_seconds_max);
        let stall = Duration::from_secs(self.limits.idle_seconds_max);
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "a connection went before it was served");
            return;
        }
        let patient = Patient::new(stream, head, stall);
        let (builder, front, tls) = (self.protocol(stall), self.front.clone(), self.tls.clone());
        self.tasks.spawn("connection", async move {
            match tls {
                None => talk(builder, patient, front, watcher).await,
                Some(tls) => match tokio::time::timeout(head, tls.accept(patient)).await {
                    Ok(Ok(stream)) => talk(builder, stream, front, watcher).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                },
            }
            drop(place);
        });
    }

    fn protocol(&self, idle: Duration) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder
            .http1()
            .timer(Alarm::new(idle))
            .header_read_timeout(idle)
            .max_buf_size(self.limits.header_bytes_max.max(8 * 1024))
            .half_close(false);
        builder
            .http2()
            .timer(TokioTimer::new())
            .max_header_list_size(self.limits.header_bytes_max as u32)
            .max_concurrent_streams(H2_STREAMS_MAX)
            .initial_stream_window_size(H2_STREAM_WINDOW_BYTES)
            .initial_connection_window_size(H2_CONNECTION_WINDOW_BYTES)
            .max_send_buf_size(H2_STREAM_WINDOW_BYTES as usize)
            .keep_alive_interval(idle)
            .keep_alive_timeout(idle);
        builder
    }
}

async fn talk<S>(builder: auto::Builder<TokioExecutor>, stream: S, front: Front, watcher: Watcher)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let connection = builder
        .serve_connection(TokioIo::new(stream), front)
        .into_owned();
    if let Err(error) = watcher.watch(connection).await {
        // Clients hang up all the time; what they were owed is settled where it is counted.
        tracing::debug!(%error, "a connection ended early");
    }
}
