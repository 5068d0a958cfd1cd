//! What the relay lets through and what it does not, over sockets of the loopback.

use super::*;
use crate::secret::{ClusterSecret, ClusterSecrets};

const BOUND: Duration = Duration::from_secs(5);

fn seal(life: u8) -> Arc<Seal> {
    let secrets = ClusterSecrets {
        current: ClusterSecret::new(b"the secret of these tests"),
        previous: None,
    };
    Seal::new(&secrets, "here", [life; 16], at(life.into())).into()
}

fn at(port: u16) -> SocketAddr {
    ([127, 0, 0, 1], port).into()
}

async fn relay(life: u8) -> (Relay, SocketAddr, Arc<GossipStats>) {
    let outer = UdpSocket::bind(at(0)).await.unwrap();
    let address = outer.local_addr().unwrap();
    let stats = Arc::new(GossipStats::default());
    let outside = Outside::real().unwrap();
    let relay = Relay::open(outer, seal(life), outside, stats.clone()).await;
    (relay.unwrap(), address, stats)
}

/// Something to say: the one message that can be made outside the library.
fn envelope() -> ChitchatEnvelope {
    ChitchatEnvelope {
        version: chitchat::ProtocolVersion::V1,
        message: chitchat::ChitchatMessage::BadCluster,
    }
}

async fn heard(relay: &mut Relay) -> RecvOutcome {
    let heard = timeout(BOUND, relay.recv()).await;
    heard.expect("nothing was heard").unwrap()
}

#[tokio::test]
async fn what_one_says_the_other_hears_from_the_sealed_address() {
    let ((mut one, _, said), (mut two, address, _)) = (relay(1).await, relay(2).await);
    for _ in 0..3 {
        one.send(address, envelope()).await.unwrap();
        let outcome = heard(&mut two).await;
        assert_eq!(outcome.from_addr, at(1), "not where it came from");
        assert_eq!(outcome.envelope, envelope());
    }
    assert_eq!(said.sent.get(), 3);
}

#[tokio::test]
async fn a_wait_given_up_at_any_point_loses_nothing() {
    let ((mut one, ..), (mut two, address, stats)) = (relay(1).await, relay(2).await);
    one.send(address, envelope()).await.unwrap();
    // Up to the point where the library was told, and not further.
    timeout(BOUND, two.tell()).await.unwrap().unwrap();
    assert!(two.told.is_some());
    for _ in 0..3 {
        let mut given_up = two.recv();
        let polled = futures_util::poll!(&mut given_up);
        if polled.is_ready() {
            return assert_eq!(stats.heard.get(), 1);
        }
    }
    assert_eq!(heard(&mut two).await.from_addr, at(1));
}

#[tokio::test]
async fn what_another_process_tells_the_inner_socket_is_not_heard() {
    let ((mut one, ..), (mut two, address, stats)) = (relay(1).await, relay(2).await);
    let stranger = UdpTransport.open(at(0)).await;
    let inner = two.inner_address().unwrap();
    stranger.unwrap().send(inner, envelope()).await.unwrap();
    one.send(address, envelope()).await.unwrap();
    assert_eq!(heard(&mut two).await.from_addr, at(1));
    assert_eq!(stats.strangers.get(), 1);
    assert_eq!(stats.heard.get(), 1);
}

#[tokio::test]
async fn sealed_nonsense_is_counted_and_stops_nothing() {
    let ((mut one, ..), (mut two, address, stats)) = (relay(1).await, relay(2).await);
    let now = (two.outside.wall_millis)();
    for nonsense in [&b"no message at all"[..], b"", &[1; 1_400]] {
        let sealed = seal(3).seal(now, nonsense).unwrap();
        one.outer.send_to(&sealed, address).await.unwrap();
    }
    one.send(address, envelope()).await.unwrap();
    assert_eq!(heard(&mut two).await.from_addr, at(1));
    // All three come from one life with one count: the second and third are replays.
    assert_eq!((stats.malformed.get(), stats.replayed.get()), (1, 2));
    assert_eq!(stats.heard.get(), 1);
}

#[tokio::test]
async fn what_cannot_be_sent_is_counted_and_is_no_failure() {
    let (mut one, _, stats) = relay(1).await;
    let nowhere: SocketAddr = "[2001:db8::1]:9".parse().unwrap();
    let outcome = one.send(nowhere, envelope()).await.unwrap();
    assert_eq!(outcome.num_bytes_sent, 0);
    assert_eq!((stats.unsent.get(), stats.sent.get()), (1, 0));
}

#[test]
fn an_older_address_is_mapped_for_a_newer_socket() {
    let (six, four): (SocketAddr, SocketAddr) = ("[::]:1".parse().unwrap(), at(2));
    assert_eq!(
        as_family_of(six, four),
        "[::ffff:127.0.0.1]:2".parse().unwrap()
    );
    assert_eq!(as_family_of(four, four), four);
    assert_eq!(as_family_of(six, six), six);
}
