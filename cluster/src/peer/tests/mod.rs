//! Nodes that call each other, over memory under paused time and over TLS on loopback.

mod calls;
mod denials;
mod streams;
mod troubles;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::{mpsc, watch};

use super::*;
use crate::node::{Incarnation, Member, Phase};
use crate::transport::tests::{TestClock, secrets, tls};
use crate::transport::{Faults, MemoryNet, Tls};
use crate::view::Seen;
use crate::wire::{Frame, Ping, Pong, RingStamp};

/// Longer than anything takes, however busy the machine.
const LONG: Duration = Duration::from_secs(20);

const STAMP: RingStamp = RingStamp {
    epoch: 3,
    digest: [9; 16],
};

fn identity() -> Identity {
    Identity {
        installation: [0x1a; 16],
    }
}

fn text(text: &str) -> Frame {
    Frame::Payload(Bytes::copy_from_slice(text.as_bytes()))
}

fn textual(frame: &Frame) -> String {
    match frame {
        Frame::Payload(bytes) | Frame::Chunk(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        other => other.name().to_owned(),
    }
}

/// A host that does as the first payload of an ask says.
struct Obedient {
    /// What became of calls, as it happened.
    told: mpsc::UnboundedSender<String>,
    hearing: AtomicUsize,
    hearing_most: AtomicUsize,
}

impl Host for Obedient {
    fn hear(
        self: Arc<Self>,
        from: NodeId,
        room: Room,
        ask: Vec<Frame>,
        reply: Answering,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            let now = self.hearing.fetch_add(1, Ordering::Relaxed) + 1;
            self.hearing_most.fetch_max(now, Ordering::Relaxed);
            self.obey(from, room, ask, reply).await;
            self.hearing.fetch_sub(1, Ordering::Relaxed);
        })
    }
}

impl Obedient {
    fn tell(&self, what: &str) {
        let _ = self.told.send(what.to_owned());
    }

    async fn obey(&self, from: NodeId, room: Room, ask: Vec<Frame>, mut reply: Answering) {
        if let (Room::Ping, [Frame::Ping(ping)]) = (room, ask.as_slice()) {
            let pong = Pong {
                ring: ping.ring,
                phase: Phase::Ready,
            };
            let _ = reply.finish(vec![Frame::Pong(pong)]).await;
            return;
        }
        let order = ask.first().map(textual).unwrap_or_default();
        let (verb, number) = order.split_once(' ').unwrap_or((&order, ""));
        let number: usize = number.trim().parse().unwrap_or(0);
        match verb {
            "who" => {
                let _ = reply.finish(vec![text(from.as_str())]).await;
            }
            // A reply of so many bytes, at hand.
            "bytes" => {
                let answer = Frame::Chunk(vec![7; number].into());
                let _ = reply.finish(vec![answer, Frame::End]).await;
            }
            // So many chunks, one each millisecond.
            "trickle" => {
                for i in 0..number {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                    if reply.send(text(&i.to_string())).await.is_err() {
                        return self.tell("gone");
                    }
                }
            }
            // Chunks of 1 KiB until nobody reads.
            "flood" => {
                let mut sent = 0_usize;
                while reply.send(Frame::Chunk(vec![7; 1024].into())).await.is_ok() {
                    sent += 1;
                }
                self.tell(&format!("gave up after {sent}"));
            }
            // Begins, and then says nothing until the caller has gone.
            "wait" => {
                if reply.send(Frame::Heartbeat).await.is_ok() {
                    reply.deserted().await;
                    self.tell("deserted");
                }
            }
            // Not even begins.
            "mute" => {
                reply.deserted().await;
                self.tell("deserted");
            }
            "panic" => panic!("as ordered"),
            "panic-later" => {
                let _ = reply.send(Frame::Heartbeat).await;
                tokio::time::sleep(Duration::from_millis(1)).await;
                panic!("as ordered");
            }
            "reset" => reply.reset(),
            "nothing" => {}
            _ => {
                let _ = reply.send_all(ask).await;
            }
        }
    }
}

/// One node of a test.
struct Node {
    id: NodeId,
    peers: Arc<Peers>,
    address: SocketAddr,
    view: watch::Sender<Arc<View>>,
    tasks: Tasks,
    host: Arc<Obedient>,
    told: Mutex<mpsc::UnboundedReceiver<String>>,
}

impl Node {
    async fn start(name: &str, transport: Arc<dyn Transport>) -> Node {
        Node::start_as(name, transport, identity(), PeerLimits::USUAL, Tasks::new()).await
    }

    async fn start_as(
        name: &str,
        transport: Arc<dyn Transport>,
        identity: Identity,
        limits: PeerLimits,
        tasks: Tasks,
    ) -> Node {
        let id = NodeId::from(name);
        let (view, seen) = watch::channel(Arc::new(View::default()));
        let peers = Peers::new(id.clone(), transport, identity, seen, tasks.clone(), limits);
        let (told, heard) = mpsc::unbounded_channel();
        let host = Arc::new(Obedient {
            told,
            hearing: AtomicUsize::new(0),
            hearing_most: AtomicUsize::new(0),
        });
        let address = peers.listen(host.clone()).await.unwrap();
        Node {
            id,
            peers,
            address,
            view,
            tasks,
            host,
            told: Mutex::new(heard),
        }
    }

    async fn say(&self, to: &Node, room: Room, order: &str) -> Result<Vec<String>, PeerError> {
        let mut hearing = self
            .peers
            .call(&to.id, room, vec![text(order)], LONG)
            .await?;
        let mut heard = Vec::new();
        while let Some(frame) = hearing.next(LONG).await? {
            heard.push(textual(&frame));
        }
        Ok(heard)
    }

    async fn begin(&self, to: &Node, room: Room, order: &str) -> Hearing {
        self.peers
            .call(&to.id, room, vec![text(order)], LONG)
            .await
            .unwrap()
    }

    /// What the host tells next.
    async fn told(&self) -> String {
        let next = std::future::poll_fn(|cx| self.told.lock().unwrap().poll_recv(cx));
        tokio::time::timeout(3 * LONG, next).await.unwrap().unwrap()
    }

    fn stats(&self) -> &PeerStats {
        self.peers.stats()
    }

    async fn end(self) {
        assert!(self.tasks.end(LONG).await, "tasks of {} are left", self.id);
    }
}

/// Lets everybody see everybody.
fn introduce(nodes: &[&Node]) {
    let seen = nodes.iter().map(|node| Seen {
        member: Member {
            id: node.id.clone(),
            region: "".into(),
            zone: "".into(),
            weight: Member::WEIGHT,
        },
        incarnation: Incarnation(1),
        phase: Phase::Ready,
        address: node.address,
        replica: 1,
    });
    let view = Arc::new(View::of(seen));
    for node in nodes {
        node.view.send_replace(view.clone());
    }
}

/// Two nodes on a network of this process, under faults.
async fn pair() -> (Node, Node, Faults) {
    let (net, faults) = (MemoryNet::new(), Faults::new());
    let node = async |name: &str, last| {
        let memory = net.node(name.into(), ([10, 0, 0, last], 1).into());
        let tasks = Tasks::new();
        let transport = faults.around(name.into(), Arc::new(memory), tasks.clone());
        Node::start_as(
            name,
            Arc::new(transport),
            identity(),
            PeerLimits::USUAL,
            tasks,
        )
        .await
    };
    let (a, b) = (node("a", 1).await, node("b", 2).await);
    introduce(&[&a, &b]);
    (a, b, faults)
}

/// Two nodes on loopback with mutual TLS.
async fn tls_pair() -> (Node, Node) {
    let clock = TestClock::new();
    let a = Node::start("a", Arc::new(tls("a", secrets("one", None), &clock))).await;
    let b = Node::start("b", Arc::new(tls("b", secrets("one", None), &clock))).await;
    introduce(&[&a, &b]);
    (a, b)
}
