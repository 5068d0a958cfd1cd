//! The suite that every transport passes, and what each of them promises besides.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::*;
use crate::secret::{ClusterSecret, ClusterSecrets};
use crate::tasks::Tasks;

/// Longer than anything here takes, however busy the machine.
const LONG: Duration = Duration::from_secs(20);

/// A clock that a test sets, in seconds since 1970.
#[derive(Clone)]
pub(crate) struct TestClock(Arc<AtomicU64>);

impl TestClock {
    pub(crate) fn new() -> TestClock {
        TestClock(Arc::new(AtomicU64::new(1_800_000_000)))
    }

    pub(crate) fn advance(&self, seconds: u64) {
        self.0.fetch_add(seconds, Ordering::Relaxed);
    }

    pub(crate) fn wall(&self) -> WallClock {
        let seconds = self.0.clone();
        Arc::new(move || Duration::from_secs(seconds.load(Ordering::Relaxed)))
    }
}

pub(crate) fn loopback() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

pub(crate) fn secrets(current: &str, previous: Option<&str>) -> ClusterSecrets {
    ClusterSecrets {
        current: ClusterSecret::new(current.as_bytes()),
        previous: previous.map(|text| ClusterSecret::new(text.as_bytes())),
    }
}

pub(crate) fn tls(me: &str, secrets: ClusterSecrets, clock: &TestClock) -> Tls {
    tls_for(me, secrets, clock, TlsSettings::LIFE)
}

pub(crate) fn tls_for(me: &str, secrets: ClusterSecrets, clock: &TestClock, life: Duration) -> Tls {
    Tls::new(TlsSettings {
        me: me.into(),
        listen: loopback(),
        secrets,
        life,
        clock: clock.wall(),
    })
    .unwrap()
}

/// Dials and accepts at once; both ends.
async fn join(
    from: &dyn Transport,
    listener: &mut Box<dyn Listener>,
    to: SocketAddr,
    expect: &NodeId,
) -> (io::Result<Box<dyn Stream>>, io::Result<Arrived>) {
    let arriving = async { listener.accept().await.unwrap().await };
    timeout(LONG, async {
        tokio::join!(from.dial(to, expect), arriving)
    })
    .await
    .unwrap()
}

async fn passes(near: &mut dyn Stream, far: &mut dyn Stream) {
    let mut heard = [0; 5];
    near.write_all(b"there").await.unwrap();
    near.flush().await.unwrap();
    far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"there");
    far.write_all(b"back!").await.unwrap();
    far.flush().await.unwrap();
    near.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"back!");
}

/// What any transport does: `a` dials `b`.
async fn suite(a: &dyn Transport, b: &dyn Transport, proves: bool) {
    let (me, other): (NodeId, NodeId) = ("a".into(), "b".into());
    let (address, mut listener) = b.listen().await.unwrap();

    // Bytes pass both ways, and the proof is of the name and of no other.
    let (near, arrived) = join(a, &mut listener, address, &other).await;
    let (mut near, mut arrived) = (near.unwrap(), arrived.unwrap());
    passes(&mut *near, &mut *arrived.stream).await;
    assert!(arrived.proven.is(&me));
    assert_eq!(arrived.proven.is(&other), !proves);

    // A megabyte does, though nothing holds that much.
    let much = vec![7; 1024 * 1024];
    let mut heard = vec![0; much.len()];
    let sending = async {
        near.write_all(&much).await.unwrap();
        near.flush().await.unwrap();
    };
    tokio::join!(sending, async {
        arrived.stream.read_exact(&mut heard).await.unwrap();
    });
    assert_eq!(heard, much);

    // The end of one side is heard at the other.
    near.shutdown().await.unwrap();
    drop(near);
    assert!(!matches!(arrived.stream.read(&mut [0]).await, Ok(1)));

    // Whoever dials is not held up by one who arrives and says nothing.
    let (first, second) = tokio::join!(a.dial(address, &other), async {
        let silent = listener.accept().await.unwrap();
        let (stream, arrived) = join(a, &mut listener, address, &other).await;
        let arrived_first = timeout(LONG, silent).await.unwrap();
        (stream.and(arrived.map(|_| ())), arrived_first.map(|_| ()))
    });
    assert!(first.is_ok() && second.0.is_ok() && second.1.is_ok());

    // Nobody answers at the address of a listener that has gone.
    drop(listener);
    assert!(
        timeout(LONG, a.dial(address, &other))
            .await
            .unwrap()
            .is_err()
    );
}

#[tokio::test(start_paused = true)]
async fn memory_is_a_transport() {
    let net = MemoryNet::new();
    let (a, b) = (
        net.node("a".into(), ([10, 0, 0, 1], 1).into()),
        net.node("b".into(), ([10, 0, 0, 2], 1).into()),
    );
    suite(&a, &b, true).await;
}

#[tokio::test]
async fn tls_is_a_transport() {
    let clock = TestClock::new();
    let (a, b) = (
        tls("a", secrets("one", None), &clock),
        tls("b", secrets("one", None), &clock),
    );
    suite(&a, &b, true).await;
}

#[tokio::test]
async fn plain_is_a_transport_on_loopback_only() {
    let (a, b) = (
        Plain::new(loopback()).unwrap(),
        Plain::new(loopback()).unwrap(),
    );
    suite(&a, &b, false).await;
    let outside = ([192, 0, 2, 1], 80).into();
    let refused = io::ErrorKind::PermissionDenied;
    assert_eq!(
        Plain::new(outside).err().map(|error| error.kind()),
        Some(refused)
    );
    assert_eq!(
        Plain::new(([0, 0, 0, 0], 0).into())
            .err()
            .map(|error| error.kind()),
        Some(refused)
    );
    assert_eq!(
        a.dial(outside, &"b".into())
            .await
            .err()
            .map(|error| error.kind()),
        Some(refused)
    );
}

#[tokio::test(start_paused = true)]
async fn a_bad_network_that_is_well_is_a_transport() {
    let (net, faults, tasks) = (MemoryNet::new(), Faults::new(), Tasks::new());
    let a = net.node("a".into(), ([10, 0, 0, 1], 1).into());
    let b = net.node("b".into(), ([10, 0, 0, 2], 1).into());
    let a = faults.around("a".into(), Arc::new(a), tasks.clone());
    let b = faults.around("b".into(), Arc::new(b), tasks.clone());
    suite(&a, &b, true).await;
    assert!(tasks.end(LONG).await);
}

/// One stream from a to b through a bad network.
struct Bad {
    faults: Faults,
    a: Faulty,
    address: SocketAddr,
    listener: Box<dyn Listener>,
    near: Box<dyn Stream>,
    far: Box<dyn Stream>,
}

impl Bad {
    async fn new() -> Bad {
        let (net, faults) = (MemoryNet::new(), Faults::new());
        let a = net.node("a".into(), ([10, 0, 0, 1], 1).into());
        let b = net.node("b".into(), ([10, 0, 0, 2], 1).into());
        let a = faults.around("a".into(), Arc::new(a), Tasks::new());
        let (address, mut listener) = b.listen().await.unwrap();
        let (near, far) = join(&a, &mut listener, address, &"b".into()).await;
        let (near, far) = (near.unwrap(), far.unwrap().stream);
        Bad {
            faults,
            a,
            address,
            listener,
            near,
            far,
        }
    }

    fn names() -> (NodeId, NodeId) {
        ("a".into(), "b".into())
    }
}

const WHILE: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn what_is_cut_is_silent_and_comes_when_the_link_heals() {
    let mut bad = Bad::new().await;
    let (a, b) = Bad::names();
    bad.faults.cut(&a, &b);
    bad.near.write_all(b"there").await.unwrap();
    bad.far.write_all(b"back!").await.unwrap();
    let mut heard = [0; 5];
    assert!(
        timeout(WHILE, bad.far.read(&mut heard)).await.is_err(),
        "nothing arrives, nothing ends"
    );
    assert!(timeout(WHILE, bad.near.read(&mut heard)).await.is_err());
    assert!(
        timeout(WHILE, bad.a.dial(bad.address, &b)).await.is_err(),
        "a dial hangs"
    );
    bad.faults.heal(&a, &b);
    bad.far.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"there");
    bad.near.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"back!");
    passes(&mut *bad.near, &mut *bad.far).await;
}

#[tokio::test(start_paused = true)]
async fn a_link_cut_one_way_passes_the_other() {
    let mut bad = Bad::new().await;
    let (a, b) = Bad::names();
    bad.faults.cut_one_way(&a, &b);
    bad.near.write_all(b"there").await.unwrap();
    bad.far.write_all(b"back!").await.unwrap();
    let mut heard = [0; 5];
    bad.near.read_exact(&mut heard).await.unwrap();
    assert_eq!(&heard, b"back!");
    assert!(timeout(WHILE, bad.far.read(&mut heard)).await.is_err());
    assert!(
        timeout(WHILE, bad.a.dial(bad.address, &b)).await.is_err(),
        "a dial needs both ways"
    );
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_stream_does_not_cross_a_cut() {
    let mut bad = Bad::new().await;
    let (a, b) = Bad::names();
    bad.faults.cut(&a, &b);
    drop(bad.near);
    assert!(timeout(WHILE, bad.far.read(&mut [0])).await.is_err());
    bad.faults.heal(&a, &b);
    assert_eq!(
        timeout(WHILE, bad.far.read(&mut [0]))
            .await
            .unwrap()
            .unwrap(),
        0
    );
}

#[tokio::test(start_paused = true)]
async fn a_slow_link_is_late_and_not_narrow() {
    let mut bad = Bad::new().await;
    let (a, b) = Bad::names();
    bad.faults.delay(&a, &b, Duration::from_millis(100));
    let start = tokio::time::Instant::now();
    let sending = async {
        for _ in 0..100 {
            bad.near.write_all(&[0; 1_000]).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    let mut heard = vec![0; 100_000];
    let (_, read) = tokio::join!(sending, bad.far.read_exact(&mut heard));
    read.unwrap();
    let took = start.elapsed();
    assert!(
        (100..120).contains(&took.as_millis()),
        "{took:?} for what was sent at once"
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_torn_is_loud() {
    let mut bad = Bad::new().await;
    let (a, b) = Bad::names();
    bad.faults.reset(&a, &b);
    assert!(!matches!(
        timeout(WHILE, bad.near.read(&mut [0])).await.unwrap(),
        Ok(1)
    ));
    assert!(!matches!(
        timeout(WHILE, bad.far.read(&mut [0])).await.unwrap(),
        Ok(1)
    ));
    let (near, far) = join(&bad.a, &mut bad.listener, bad.address, &b).await;
    passes(&mut *near.unwrap(), &mut *far.unwrap().stream).await;
    bad.faults.refuse(&a, &b);
    let refused = timeout(WHILE, bad.a.dial(bad.address, &b)).await.unwrap();
    assert_eq!(
        refused.err().map(|error| error.kind()),
        Some(io::ErrorKind::ConnectionRefused)
    );
}

/// Whether `a` gets to speak with `b`, both ends agreeing.
async fn speaks(a: &Tls, b: &Tls, name: &str) -> bool {
    let (address, mut listener) = b.listen().await.unwrap();
    let (near, far) = join(a, &mut listener, address, &name.into()).await;
    match (near, far) {
        (Ok(mut near), Ok(mut far)) => {
            passes(&mut *near, &mut *far.stream).await;
            true
        }
        _ => false,
    }
}

#[tokio::test]
async fn another_secret_or_another_name_gets_nowhere() {
    let clock = TestClock::new();
    let (a, b) = (
        tls("a", secrets("one", None), &clock),
        tls("b", secrets("one", None), &clock),
    );
    let stranger = tls("a", secrets("two", None), &clock);
    assert!(speaks(&a, &b, "b").await);
    assert!(!speaks(&a, &b, "c").await, "b cannot prove to be c");
    assert!(!speaks(&stranger, &b, "b").await);
    assert!(!speaks(&b, &stranger, "a").await);
}

#[tokio::test]
async fn one_step_of_a_rotation_parts_nobody() {
    let clock = TestClock::new();
    let node = |name, current, previous| tls(name, secrets(current, previous), &clock);
    let stages = [("one", None), ("two", Some("one")), ("two", None)];
    for (i, (mine, mine_too)) in stages.into_iter().enumerate() {
        for (j, (yours, yours_too)) in stages.into_iter().enumerate() {
            let (a, b) = (node("a", mine, mine_too), node("b", yours, yours_too));
            let near = i.abs_diff(j) < 2;
            assert_eq!(speaks(&a, &b, "b").await, near, "stages {i} and {j}");
        }
    }
    // The same by changing one's mind while running.
    let (a, b) = (node("a", "one", None), node("b", "two", Some("one")));
    a.trust(&secrets("two", Some("one"))).unwrap();
    b.trust(&secrets("two", None)).unwrap();
    assert!(speaks(&a, &b, "b").await && speaks(&b, &a, "a").await);
}

#[tokio::test]
async fn a_node_lives_through_three_renewals_and_an_old_certificate_does_not() {
    let clock = TestClock::new();
    let life = Duration::from_secs(4);
    let a = tls_for("a", secrets("one", None), &clock, life);
    let b = tls_for("b", secrets("one", None), &clock, life);
    for second in 0..7 {
        assert!(speaks(&a, &b, "b").await, "after {second} s");
        clock.advance(1);
    }
    assert_eq!(
        (a.mints(), b.mints()),
        (4, 4),
        "the first, and three at half a life"
    );
    // One whose clock stands still goes on showing a certificate that has run out.
    let late = TestClock::new();
    let asleep = tls_for("a", secrets("one", None), &late, life);
    assert!(!speaks(&asleep, &b, "b").await);
    late.advance(7);
    assert!(speaks(&asleep, &b, "b").await, "awake, it mints anew");
}
