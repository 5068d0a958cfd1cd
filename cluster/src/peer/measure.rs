//! What a call between two nodes costs beside a bare echo over the same streams: HTTP/2 and mutual
//! TLS on loopback, the same sizes both ways. The body of a benchmark; nothing in the product calls
//! this, and it judges nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::try_join_all;
use http::{Method, Request, Response};
use tokio::sync::watch;
use tokio::time::Instant;

use super::room::Room;
use super::{Answering, Host, Identity, PeerLimits, Peers};
use crate::fill::BoxFuture;
use crate::node::{Incarnation, Member, NodeId, Phase};
use crate::secret::{ClusterSecret, ClusterSecrets};
use crate::tasks::Tasks;
use crate::transport::{Stream, Tls, TlsSettings, Transport};
use crate::view::{Seen, View};
use crate::wire::Frame;

const PATIENCE: Duration = Duration::from_secs(10);

/// How much to measure, and of what size.
#[derive(Debug, Clone, Copy)]
pub struct Measure {
    /// Bytes of an ask.
    pub ask_bytes: usize,
    /// Bytes of a reply.
    pub reply_bytes: usize,
    /// Calls one after the other, for the time of one.
    pub serial: usize,
    /// Callers at once, for how many a second.
    pub abreast: usize,
    /// Calls of each of them.
    pub each: usize,
}

/// What was measured.
#[derive(Debug, Clone, Copy)]
pub struct Cost {
    /// The median call.
    pub p50: Duration,
    /// The slow ones.
    pub p99: Duration,
    /// Calls a second with many callers.
    pub rate: f64,
}

/// Measures a bare echo and a call of the same sizes, in this order, in this runtime.
pub async fn hop(measure: Measure) -> io::Result<[Cost; 2]> {
    let tasks = Tasks::new();
    let echo = Bare::start(measure, &tasks).await?;
    let bare = cost(measure, || echo.once()).await?;
    drop(echo);
    let nodes = Calls::start(measure, &tasks).await?;
    let calls = cost(measure, || nodes.once()).await?;
    drop(nodes);
    tasks.end(PATIENCE).await;
    Ok([bare, calls])
}

async fn cost<F>(measure: Measure, once: impl Fn() -> F) -> io::Result<Cost>
where
    F: Future<Output = io::Result<usize>>,
{
    let checked = async || match once().await? {
        bytes if bytes >= measure.reply_bytes => Ok(()),
        _ => Err(io::Error::other("the reply was cut short")),
    };
    for _ in 0..measure.serial / 10 {
        checked().await?;
    }
    let mut took = Vec::with_capacity(measure.serial);
    for _ in 0..measure.serial {
        let start = Instant::now();
        checked().await?;
        took.push(start.elapsed());
    }
    took.sort_unstable();
    let quantile = |percent: usize| {
        took.get(took.len() * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let start = Instant::now();
    let caller = async || -> io::Result<()> {
        for _ in 0..measure.each {
            checked().await?;
        }
        Ok(())
    };
    try_join_all((0..measure.abreast).map(|_| caller())).await?;
    let calls = (measure.abreast * measure.each) as f64;
    Ok(Cost {
        p50: quantile(50),
        p99: quantile(99),
        rate: calls / start.elapsed().as_secs_f64(),
    })
}

fn tls(me: &str) -> io::Result<Tls> {
    Tls::new(TlsSettings {
        me: me.into(),
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        secrets: ClusterSecrets {
            current: ClusterSecret::new(b"a secret for a measure"),
            previous: None,
        },
        life: TlsSettings::LIFE,
        clock: Arc::new(|| Duration::from_secs(1_800_000_000)),
    })
}

/// An echo with nothing of ours but the streams.
struct Bare {
    measure: Measure,
    requests: h2::client::SendRequest<Bytes>,
}

impl Bare {
    async fn start(measure: Measure, tasks: &Tasks) -> io::Result<Bare> {
        let (a, b) = (tls("a")?, tls("b")?);
        let (address, mut listener) = b.listen().await?;
        let name = NodeId::from("b");
        let arriving = async { listener.accept().await?.await };
        let (near, arrived) = tokio::try_join!(a.dial(address, &name), arriving)?;
        let inner = tasks.clone();
        tasks.spawn("bare-echo", async move {
            let _ = echo(arrived.stream, measure.reply_bytes, &inner).await;
        });
        let (requests, running) = h2::client::handshake(near)
            .await
            .map_err(io::Error::other)?;
        tasks.spawn("bare-echo", async move {
            let _ = running.await;
        });
        Ok(Bare { measure, requests })
    }

    async fn once(&self) -> io::Result<usize> {
        let exchange = async {
            let mut requests = self.requests.clone().ready().await?;
            let mut request = Request::new(());
            *request.method_mut() = Method::POST;
            *request.uri_mut() = Room::Fetch.uri();
            let (reply, mut body) = requests.send_request(request, false)?;
            body.send_data(vec![7; self.measure.ask_bytes].into(), true)?;
            let mut body = reply.await?.into_body();
            let mut bytes = 0;
            while let Some(piece) = body.data().await {
                let piece = piece?;
                body.flow_control().release_capacity(piece.len())?;
                bytes += piece.len();
            }
            Ok::<_, h2::Error>(bytes)
        };
        exchange.await.map_err(io::Error::other)
    }
}

async fn echo(stream: Box<dyn Stream>, reply_bytes: usize, tasks: &Tasks) -> Result<(), h2::Error> {
    let mut server = h2::server::handshake(stream).await?;
    while let Some(call) = server.accept().await {
        let (request, mut respond) = call?;
        tasks.spawn("bare-echo", async move {
            let mut body = request.into_body();
            while let Some(Ok(piece)) = body.data().await {
                let _ = body.flow_control().release_capacity(piece.len());
            }
            if let Ok(mut stream) = respond.send_response(Response::new(()), false) {
                let _ = stream.send_data(vec![7; reply_bytes].into(), true);
            }
        });
    }
    Ok(())
}

/// Two nodes, one of which answers with so many bytes.
struct Calls {
    measure: Measure,
    peers: Arc<Peers>,
    to: NodeId,
}

struct Answers(usize);

impl Host for Answers {
    fn hear(
        self: Arc<Self>,
        _: NodeId,
        _: Room,
        _: Vec<Frame>,
        reply: Answering,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let answer = vec![Frame::Chunk(vec![7; self.0].into()), Frame::End];
            let _ = reply.finish(answer).await;
        })
    }
}

impl Calls {
    async fn start(measure: Measure, tasks: &Tasks) -> io::Result<Calls> {
        let to = NodeId::from("b");
        let (show, view) = watch::channel(Arc::new(View::default()));
        let node = |name: &str| -> io::Result<Arc<Peers>> {
            let identity = Identity {
                installation: [0; 16],
            };
            let (transport, limits) = (Arc::new(tls(name)?), PeerLimits::USUAL);
            let (view, tasks) = (view.clone(), tasks.clone());
            Ok(Peers::new(
                name.into(),
                transport,
                identity,
                view,
                tasks,
                limits,
            ))
        };
        let (peers, b) = (node("a")?, node("b")?);
        let address = b.listen(Arc::new(Answers(measure.reply_bytes))).await?;
        show.send_replace(Arc::new(View::of([Seen {
            member: Member {
                id: to.clone(),
                region: "".into(),
                zone: "".into(),
                weight: Member::WEIGHT,
            },
            incarnation: Incarnation(1),
            phase: Phase::Ready,
            address,
            replica: 1,
        }])));
        Ok(Calls { measure, peers, to })
    }

    async fn once(&self) -> io::Result<usize> {
        let ask = vec![Frame::Payload(vec![7; self.measure.ask_bytes].into())];
        let heard = async {
            let mut hearing = self
                .peers
                .call(&self.to, Room::Fetch, ask, PATIENCE)
                .await?;
            let mut bytes = 0;
            while let Some(frame) = hearing.next(PATIENCE).await? {
                if let Frame::Chunk(chunk) = frame {
                    bytes += chunk.len();
                }
            }
            Ok::<_, super::PeerError>(bytes)
        };
        heard.await.map_err(io::Error::other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_are_measured() {
        let measure = Measure {
            ask_bytes: 1_024,
            reply_bytes: 4_096,
            serial: 10,
            abreast: 4,
            each: 5,
        };
        for cost in hop(measure).await.unwrap() {
            assert!(cost.p50 > Duration::ZERO && cost.p50 <= cost.p99 && cost.rate > 0.0);
        }
    }
}
