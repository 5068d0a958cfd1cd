//! Networks and nodes that fail: what a caller hears, how soon, and that what heals is used again.

use std::sync::atomic::AtomicBool;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::*;
use crate::transport::TlsSettings;
use crate::transport::tests::tls_for;

/// Pause and patience of a pulse, and a little.
const UNTIL_FAINT: Duration = Duration::from_millis(4_100);

#[tokio::test(start_paused = true)]
async fn a_short_cut_in_the_middle_of_a_stream_loses_nothing() {
    let (a, b, faults) = pair().await;
    let mut hearing = a.begin(&b, Room::Fetch, "trickle 3000").await;
    let mut heard = Vec::new();
    let start = Instant::now();
    let mut cut = false;
    while let Some(frame) = hearing.next(LONG).await.unwrap() {
        heard.push(textual(&frame));
        if !cut && start.elapsed() > Duration::from_millis(500) {
            cut = true;
            faults.cut(&a.id, &b.id);
            let silent = hearing.next(Duration::from_millis(1_500)).await;
            assert_eq!(silent.err(), Some(PeerError::Silent));
            faults.heal(&a.id, &b.id);
        }
    }
    let all: Vec<String> = (0..3_000).map(|i| i.to_string()).collect();
    assert!(cut);
    assert_eq!(heard, all);
    assert_eq!(a.stats().dialled.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_long_cut_is_found_by_both_ends_though_nothing_is_told() {
    let (a, b, faults) = pair().await;
    let mut waiting = a.begin(&b, Room::Fetch, "wait").await;
    assert!(waiting.next(LONG).await.is_ok());
    let start = Instant::now();
    faults.cut(&a.id, &b.id);
    assert_eq!(waiting.next(LONG).await.err(), Some(PeerError::Lost));
    assert!(start.elapsed() <= UNTIL_FAINT, "{:?}", start.elapsed());
    assert_eq!(b.told().await, "deserted");
    assert!(start.elapsed() <= UNTIL_FAINT, "{:?}", start.elapsed());
    assert_eq!((a.stats().fainted.get(), b.stats().fainted.get()), (1, 1));
    // While it lasts a call costs its patience at first, and then nothing at all.
    let patience = Duration::from_secs(1);
    let ask = || {
        a.peers
            .call(&b.id, Room::Fetch, vec![text("hello")], patience)
    };
    let start = Instant::now();
    assert_eq!(ask().await.err(), Some(PeerError::Unreachable));
    assert_eq!(start.elapsed(), patience);
    faults.heal(&a.id, &b.id);
    sleep(PeerLimits::USUAL.dial_wait_max).await;
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn a_cut_one_way_is_found_whichever_way_it_is() {
    for there in [true, false] {
        let (a, b, faults) = pair().await;
        let mut waiting = a.begin(&b, Room::Fetch, "wait").await;
        assert!(waiting.next(LONG).await.is_ok());
        let (from, to) = if there {
            (&a.id, &b.id)
        } else {
            (&b.id, &a.id)
        };
        let start = Instant::now();
        faults.cut_one_way(from, to);
        assert_eq!(waiting.next(LONG).await.err(), Some(PeerError::Lost));
        assert_eq!(b.told().await, "deserted");
        assert!(start.elapsed() <= UNTIL_FAINT, "{:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn a_reset_is_heard_at_once_and_the_next_call_connects_anew() {
    let (a, b, faults) = pair().await;
    let mut waiting = a.begin(&b, Room::Fetch, "wait").await;
    assert!(waiting.next(LONG).await.is_ok());
    let start = Instant::now();
    faults.reset(&a.id, &b.id);
    assert_eq!(waiting.next(LONG).await.err(), Some(PeerError::Lost));
    assert_eq!(b.told().await, "deserted");
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
    assert!(
        start.elapsed() < Duration::from_millis(10),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(a.stats().dialled.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_refuses_is_dialled_more_and_more_seldom() {
    let (a, b, faults) = pair().await;
    faults.refuse(&a.id, &b.id);
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(20) {
        // Every one fails at once: no caller waits for a peer that is known to be away.
        let before = Instant::now();
        assert_eq!(
            a.say(&b, Room::Fetch, "hello").await.err(),
            Some(PeerError::Unreachable)
        );
        assert_eq!(before.elapsed(), Duration::ZERO);
        sleep(Duration::from_millis(5)).await;
    }
    let tries = a.stats().unreached.get();
    assert!((20..50).contains(&tries), "{tries} dials in 20 s");
    faults.heal(&a.id, &b.id);
    sleep(PeerLimits::USUAL.redial_pause_max).await;
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
    // Once it was reached, the next failure begins again with a short pause.
    faults.refuse(&a.id, &b.id);
    assert!(a.say(&b, Room::Fetch, "hello").await.is_err());
    faults.heal(&a.id, &b.id);
    sleep(PeerLimits::USUAL.redial_pause_min).await;
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn callers_who_come_together_share_one_dial() {
    let (a, b, faults) = pair().await;
    faults.delay(&a.id, &b.id, Duration::from_millis(100));
    let calls = (0..100).map(|_| a.say(&b, Room::Fetch, "hello"));
    let heard = futures_util::future::join_all(calls).await;
    assert!(heard.into_iter().all(|heard| heard.unwrap() == ["hello"]));
    assert_eq!((a.stats().dialled.get(), b.stats().welcomed.get()), (1, 1));
    // One who gives up does not take the dial along.
    let brief = a.peers.call(
        &b.id,
        Room::Ask,
        vec![text("hello")],
        Duration::from_millis(1),
    );
    let long = a.say(&b, Room::Ask, "hello");
    let (brief, long) = tokio::join!(brief, long);
    assert_eq!(brief.err(), Some(PeerError::Unreachable));
    assert_eq!(long.unwrap(), ["hello"]);
    assert_eq!(a.stats().dialled.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_moved_is_called_where_it_is() {
    let net = MemoryNet::new();
    let at = |last| net.node("b".into(), ([10, 0, 0, last], 1).into());
    let a = Node::start(
        "a",
        Arc::new(net.node("a".into(), ([10, 0, 0, 1], 1).into())),
    )
    .await;
    let b = Node::start("b", Arc::new(at(2))).await;
    introduce(&[&a, &b]);
    assert_eq!(a.say(&b, Room::Fetch, "hello").await.unwrap(), ["hello"]);
    let again = Node::start("b", Arc::new(at(3))).await;
    introduce(&[&a, &again]);
    assert_eq!(
        a.say(&again, Room::Fetch, "hello").await.unwrap(),
        ["hello"]
    );
    assert_eq!((b.stats().heard.get(), again.stats().heard.get()), (1, 1));
    // Nothing holds the old connection any more: it ends.
    b.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_ends_lets_calls_finish_and_takes_no_more() {
    let (a, b, _) = pair().await;
    let mut hearing = a.begin(&b, Room::Fetch, "trickle 50").await;
    assert!(hearing.next(LONG).await.is_ok());
    let ending = b.tasks.end(LONG);
    let rest = async {
        let mut heard = 1;
        while hearing.next(LONG).await.unwrap().is_some() {
            heard += 1;
        }
        drop(hearing);
        let refused = a.say(&b, Room::Fetch, "hello").await;
        (heard, refused.err())
    };
    let (ended, (heard, refused)) = tokio::join!(ending, rest);
    assert!(ended);
    assert_eq!((heard, refused), (50, Some(PeerError::Unreachable)));
}

/// Callers who never stop, in both directions, while `trouble` goes on; how many calls went well.
/// Nothing may go wrong but that a call goes down with its connection: none is refused.
async fn under_load(a: &Arc<Node>, b: &Arc<Node>, trouble: impl Future<Output = ()>) -> usize {
    let (enough, good) = (
        Arc::new(AtomicBool::new(false)),
        Arc::new(AtomicUsize::new(0)),
    );
    let mut callers = JoinSet::new();
    for i in 0..8 {
        let (from, to) = if i % 2 == 0 { (a, b) } else { (b, a) };
        let (from, to) = (from.clone(), to.clone());
        let (enough, good) = (enough.clone(), good.clone());
        callers.spawn(async move {
            while !enough.load(Ordering::Relaxed) {
                match from.say(&to, Room::Fetch, "bytes 500").await {
                    Ok(_) => {
                        good.fetch_add(1, Ordering::Relaxed);
                    }
                    // Torn while it was asked, or while it was being connected for.
                    Err(PeerError::Lost | PeerError::Unreachable) => {
                        sleep(Duration::from_millis(1)).await;
                    }
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    trouble.await;
    enough.store(true, Ordering::Relaxed);
    assert_eq!(callers.join_all().await.len(), 8);
    good.load(Ordering::Relaxed)
}

/// Refusals of either end, but for connections that a reset tore while they were made.
fn refusals(node: &Node) -> u64 {
    let stats = node.stats();
    stats.refused.all() - stats.refused.get(Denial::Torn) + stats.refused_us.all()
}

struct Loaded {
    clock: TestClock,
    faults: Faults,
    transports: [Arc<Tls>; 2],
    nodes: [Arc<Node>; 2],
}

impl Loaded {
    async fn new(life: Duration) -> Loaded {
        let (clock, faults) = (TestClock::new(), Faults::new());
        let transport = |name| Arc::new(tls_for(name, secrets("one", None), &clock, life));
        let transports = [transport("a"), transport("b")];
        let node = async |name: &str, transport: &Arc<Tls>| {
            let tasks = Tasks::new();
            let faulty = faults.around(name.into(), transport.clone(), tasks.clone());
            let limits = PeerLimits::USUAL;
            Arc::new(Node::start_as(name, Arc::new(faulty), identity(), limits, tasks).await)
        };
        let nodes = [
            node("a", &transports[0]).await,
            node("b", &transports[1]).await,
        ];
        introduce(&[&nodes[0], &nodes[1]]);
        Loaded {
            clock,
            faults,
            transports,
            nodes,
        }
    }

    /// Ends every connection, and waits until calls go well over new ones.
    async fn reconnect(&self) {
        let [a, b] = &self.nodes;
        let dialled = || (a.stats().dialled.get(), b.stats().dialled.get());
        let heard = || (a.stats().heard.get(), b.stats().heard.get());
        let (before, started) = (dialled(), Instant::now());
        let wait = || {
            assert!(started.elapsed() < LONG, "no new connection");
            sleep(Duration::from_millis(1))
        };
        self.faults.reset(&a.id, &b.id);
        while dialled().0 == before.0 || dialled().1 == before.1 {
            wait().await;
        }
        let before = heard();
        while heard().0 < before.0 + 20 || heard().1 < before.1 + 20 {
            wait().await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_secret_is_changed_under_load_and_no_call_is_refused() {
    let loaded = Loaded::new(TlsSettings::LIFE).await;
    let [a, b] = &loaded.nodes;
    let good = under_load(a, b, async {
        loaded.reconnect().await;
        for step in [("two", Some("one")), ("two", None)] {
            for transport in &loaded.transports {
                transport.trust(&secrets(step.0, step.1)).unwrap();
                loaded.reconnect().await;
            }
        }
    })
    .await;
    assert!(good > 100, "only {good} calls went well");
    assert_eq!(refusals(a) + refusals(b), 0);
    // And now the old one is worth nothing.
    let late = Node::start("c", Arc::new(tls("c", secrets("one", None), &loaded.clock))).await;
    introduce(&[a, b, &late]);
    let refused = late.say(a, Room::Fetch, "hello").await;
    assert_eq!(refused.err(), Some(PeerError::Refused("identity")));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn certificates_are_renewed_under_load_and_no_call_is_refused() {
    let loaded = Loaded::new(Duration::from_secs(4)).await;
    let [a, b] = &loaded.nodes;
    let good = under_load(a, b, async {
        loaded.reconnect().await;
        for _ in 0..3 {
            loaded.clock.advance(2);
            loaded.reconnect().await;
        }
    })
    .await;
    assert!(good > 100, "only {good} calls went well");
    assert_eq!(loaded.transports.each_ref().map(|tls| tls.mints()), [4, 4]);
    assert_eq!(refusals(a) + refusals(b), 0);
}
