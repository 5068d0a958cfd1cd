//! Who is not let in: refused by name, counted at both ends, and told once a minute.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::*;
use crate::transport::tests::loopback;
use crate::transport::{Memory, Plain};

fn memory(net: &MemoryNet, name: &str, last: u8) -> Arc<Memory> {
    Arc::new(net.node(name.into(), ([10, 0, 0, last], 1).into()))
}

async fn start(name: &str, transport: Arc<dyn Transport>, limits: PeerLimits) -> Node {
    Node::start_as(name, transport, identity(), limits, Tasks::new()).await
}

/// Waits for what another task is about to count.
async fn counted(count: impl Fn() -> u64) -> u64 {
    for _ in 0..2_000 {
        if count() > 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    count()
}

#[tokio::test(start_paused = true)]
async fn another_installation_is_refused() {
    let net = MemoryNet::new();
    let a = Node::start("a", memory(&net, "a", 1)).await;
    let other = Identity {
        installation: [0xee; 16],
    };
    let (limits, tasks) = (PeerLimits::USUAL, Tasks::new());
    let b = Node::start_as("b", memory(&net, "b", 2), other, limits, tasks).await;
    introduce(&[&a, &b]);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let refused = from.say(to, Room::Ask, "hello").await;
        assert_eq!(refused.err(), Some(PeerError::Refused("installation")));
        assert_eq!(from.stats().refused_us.get(Denial::Installation), 1);
        assert_eq!(to.stats().refused.get(Denial::Installation), 1);
        assert_eq!((to.stats().heard.get(), to.stats().welcomed.get()), (0, 0));
    }
}

#[tokio::test]
async fn another_secret_is_refused_in_the_handshake() {
    let clock = TestClock::new();
    let a = Node::start("a", Arc::new(tls("a", secrets("guessed", None), &clock))).await;
    let b = Node::start("b", Arc::new(tls("b", secrets("one", None), &clock))).await;
    introduce(&[&a, &b]);
    for (from, to) in [(&a, &b), (&b, &a)] {
        let refused = from.say(to, Room::Ask, "hello").await;
        assert_eq!(refused.err(), Some(PeerError::Refused("identity")));
        assert_eq!(
            counted(|| to.stats().refused.get(Denial::Handshake)).await,
            1
        );
        assert_eq!(to.stats().heard.get(), 0);
    }
}

#[tokio::test]
async fn a_name_that_is_not_in_the_certificate_is_refused() {
    let clock = TestClock::new();
    // It holds the secret, has proved to be x, and says it is a.
    let a = Node::start("a", Arc::new(tls("x", secrets("one", None), &clock))).await;
    let b = Node::start("b", Arc::new(tls("b", secrets("one", None), &clock))).await;
    introduce(&[&a, &b]);
    let refused = a.say(&b, Room::Ask, "hello").await;
    assert_eq!(refused.err(), Some(PeerError::Refused("identity")));
    assert_eq!(b.stats().refused.get(Denial::Identity), 1);
    // Nor is it believed when it is dialled.
    let refused = b.say(&a, Room::Ask, "hello").await;
    assert_eq!(refused.err(), Some(PeerError::Refused("identity")));
}

#[tokio::test]
async fn whoever_moved_into_an_address_is_not_taken_for_its_last_owner() {
    let a = Node::start("a", Arc::new(Plain::new(loopback()).unwrap())).await;
    let b = Node::start("b", Arc::new(Plain::new(loopback()).unwrap())).await;
    let mut moved = Node::start("c", Arc::new(Plain::new(loopback()).unwrap())).await;
    moved.address = b.address;
    introduce(&[&a, &moved]);
    let refused = a.say(&moved, Room::Ask, "hello").await;
    assert_eq!(refused.err(), Some(PeerError::Refused("misdirected")));
    assert_eq!(b.stats().refused.get(Denial::Misdirected), 1);
}

/// Says `bytes` where a hello should be; what comes back.
async fn hello_of(bytes: &[u8]) -> (Vec<u8>, Node) {
    let net = MemoryNet::new();
    let b = Node::start("b", memory(&net, "b", 2)).await;
    let mut stream = memory(&net, "a", 1).dial(b.address, &b.id).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply).await.unwrap();
    (reply, b)
}

#[tokio::test(start_paused = true)]
async fn another_version_is_told_so() {
    // Of a later major nothing but its number is known to be where it is.
    let (reply, b) = hello_of(b"fgyP\x00\x04\x00\x02zz").await;
    assert_eq!(b.stats().refused.get(Denial::Version), 1);
    assert_eq!(reply[..4], *b"fgyP");
    assert_eq!(reply[6..11], [0, 1, 0, 0, Denial::Version as u8 + 1]);
}

#[tokio::test(start_paused = true)]
async fn what_is_no_hello_gets_no_reply() {
    let http: &[u8] = b"POST /fetch HTTP/1.1\r\n\r\n";
    for bytes in [
        http,
        b"fgyP\x00\x00",
        b"fgyP\xff\xff..........",
        b"fgyP\x00\x03\x00\x01\x00",
    ] {
        let (reply, b) = hello_of(bytes).await;
        assert_eq!(reply, b"", "{bytes:?}");
        assert_eq!(b.stats().refused.get(Denial::NoHello), 1);
    }
    let (reply, b) = hello_of(b"fgy").await;
    assert_eq!((reply, b.stats().refused.get(Denial::Slow)), (vec![], 1));
}

#[tokio::test]
async fn a_plain_client_gets_nowhere() {
    let clock = TestClock::new();
    let transport = Arc::new(tls("b", secrets("one", None), &clock));
    let hello_wait_max = Duration::from_millis(300);
    let limits = PeerLimits {
        hello_wait_max,
        ..PeerLimits::USUAL
    };
    let b = start("b", transport, limits).await;
    for request in [
        &b"GET / HTTP/1.1\r\nhost: b\r\n\r\n"[..],
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    ] {
        let mut client = TcpStream::connect(b.address).await.unwrap();
        client.write_all(request).await.unwrap();
        let mut reply = Vec::new();
        let _ = client.read_to_end(&mut reply).await;
        assert!(reply.len() < 16, "more than an alert: {reply:?}");
    }
    assert_eq!(b.stats().refused.get(Denial::Handshake), 2);
    // One that says nothing is closed too, and holds nobody up meanwhile.
    let mut silent = TcpStream::connect(b.address).await.unwrap();
    let a = Node::start("a", Arc::new(tls("a", secrets("one", None), &clock))).await;
    introduce(&[&a, &b]);
    assert_eq!(a.say(&b, Room::Ask, "hello").await.unwrap(), ["hello"]);
    let mut reply = Vec::new();
    let _ = tokio::time::timeout(LONG, silent.read_to_end(&mut reply))
        .await
        .unwrap();
    assert_eq!(reply, b"");
    assert_eq!(b.stats().refused.get(Denial::Slow), 1);
    assert_eq!(b.stats().heard.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn there_are_only_so_many_arrivals() {
    let net = MemoryNet::new();
    let limits = PeerLimits {
        arrivals_max: 2,
        ..PeerLimits::USUAL
    };
    let a = Node::start("a", memory(&net, "a", 1)).await;
    let b = start("b", memory(&net, "b", 2), limits).await;
    introduce(&[&a, &b]);
    assert!(a.say(&b, Room::Ask, "hello").await.is_ok());
    assert!(a.say(&b, Room::Fetch, "hello").await.is_ok());
    assert_eq!(
        a.say(&b, Room::Control, "hello").await.err(),
        Some(PeerError::Unreachable)
    );
    assert_eq!(b.stats().refused.get(Denial::Crowded), 1);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_is_told_once_a_minute_for_each_reason() {
    let counts = RefusedCounts::default();
    assert!(counts.add(Denial::Slow));
    assert!(!counts.add(Denial::Slow));
    assert!(counts.add(Denial::Version), "another reason");
    tokio::time::advance(Duration::from_secs(59)).await;
    assert!(!counts.add(Denial::Slow));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(counts.add(Denial::Slow));
    assert_eq!((counts.get(Denial::Slow), counts.all()), (4, 5));
}

/// Carries one connection after the other to `to` and keeps what passes, both ways.
async fn tapped(to: SocketAddr) -> (SocketAddr, Arc<Mutex<Vec<u8>>>) {
    let listener = tokio::net::TcpListener::bind(loopback()).await.unwrap();
    let address = listener.local_addr().unwrap();
    let kept = Arc::new(Mutex::new(Vec::new()));
    let keeping = kept.clone();
    Tasks::new().spawn("tap", async move {
        loop {
            let (near, _) = listener.accept().await.unwrap();
            let far = TcpStream::connect(to).await.unwrap();
            let ((mut from_near, mut to_near), (mut from_far, mut to_far)) =
                (near.into_split(), far.into_split());
            let keep = async |piece: &[u8]| keeping.lock().unwrap().extend_from_slice(piece);
            let (mut there, mut back) = ([0; 4_096], [0; 4_096]);
            loop {
                tokio::select! {
                    n = from_near.read(&mut there) => match n {
                        Ok(n) if n > 0 => {
                            keep(&there[..n]).await;
                            to_far.write_all(&there[..n]).await.unwrap();
                        }
                        _ => break,
                    },
                    n = from_far.read(&mut back) => match n {
                        Ok(n) if n > 0 => {
                            keep(&back[..n]).await;
                            to_near.write_all(&back[..n]).await.unwrap();
                        }
                        _ => break,
                    },
                }
            }
        }
    });
    (address, kept)
}

/// Which of these words stand in what passes between two nodes when one asks the other.
async fn overheard(a: Arc<dyn Transport>, b: Arc<dyn Transport>, words: &[&str]) -> Vec<bool> {
    let a = Node::start("node-of-alice", a).await;
    let b = Node::start("node-of-bob", b).await;
    let (address, kept) = tapped(b.address).await;
    let through = Node { address, ..b };
    introduce(&[&a, &through]);
    let heard = a.say(&through, Room::Fetch, "canary-5d1e").await.unwrap();
    assert_eq!(heard, ["canary-5d1e"]);
    let kept = kept.lock().unwrap();
    assert!(kept.len() > 200);
    let stands = |word: &&str| kept.windows(word.len()).any(|at| at == word.as_bytes());
    words.iter().map(stands).collect()
}

#[tokio::test]
async fn a_capture_holds_neither_what_is_asked_nor_who_asks() {
    let words = [
        "canary-5d1e",
        "node-of-alice",
        "node-of-bob",
        "fgyP",
        "PRI * HTTP/2.0",
    ];
    let clock = TestClock::new();
    let proven = |name| Arc::new(tls(name, secrets("one", None), &clock));
    let heard = overheard(proven("node-of-alice"), proven("node-of-bob"), &words).await;
    assert_eq!(heard, [false; 5]);
    // The tap does hear: in plain text all of it is there.
    let plain = || Arc::new(Plain::new(loopback()).unwrap());
    assert_eq!(overheard(plain(), plain(), &words).await, [true; 5]);
}
