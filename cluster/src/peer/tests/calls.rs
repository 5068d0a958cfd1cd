//! Calls that go well, and what each end hears when the other goes.

use tokio::task::JoinSet;

use super::*;

async fn all_goes_well(a: &Node, b: &Node) {
    // Every room, in both directions.
    for (from, to) in [(a, b), (b, a)] {
        let ping = Frame::Ping(Ping {
            ring: STAMP,
            phase: Phase::Joining,
        });
        let mut hearing = from
            .peers
            .call(&to.id, Room::Ping, vec![ping], LONG)
            .await
            .unwrap();
        let pong = hearing.next(LONG).await.unwrap().unwrap();
        assert!(matches!(
            pong,
            Frame::Pong(Pong {
                ring: STAMP,
                phase: Phase::Ready
            })
        ));
        assert!(hearing.next(LONG).await.unwrap().is_none());
        for room in [Room::Control, Room::Fetch, Room::Look, Room::Ask] {
            assert_eq!(from.say(to, room, "hello").await.unwrap(), ["hello"]);
            assert_eq!(from.say(to, room, "who").await.unwrap(), [from.id.as_str()]);
        }
    }
    // Large asks and large replies, far beyond every window but the connection's.
    let job = Frame::Payload(vec![5; 4 * 1024 * 1024].into());
    let mut hearing = a
        .peers
        .call(&b.id, Room::Fetch, vec![job], LONG)
        .await
        .unwrap();
    let Some(Frame::Payload(echo)) = hearing.next(LONG).await.unwrap() else {
        panic!("no echo");
    };
    assert_eq!(echo.len(), 4 * 1024 * 1024);
    for bytes in [0, 1, 16_000, 65_536, 3_000_000] {
        let heard = a
            .say(b, Room::Look, &format!("bytes {bytes}"))
            .await
            .unwrap();
        assert_eq!((heard[0].len(), heard[1].as_str()), (bytes, "end"));
    }
    // A reply that takes its time, and one without a word.
    assert_eq!(a.say(b, Room::Fetch, "trickle 20").await.unwrap().len(), 20);
    assert_eq!(a.say(b, Room::Fetch, "nothing").await.unwrap(), [""; 0]);
    // Three connections each way and no more.
    assert_eq!((a.stats().dialled.get(), a.stats().welcomed.get()), (3, 3));
    assert_eq!(a.stats().refused.all() + b.stats().refused.all(), 0);
}

#[tokio::test(start_paused = true)]
async fn nodes_call_each_other_in_memory() {
    let (a, b, _) = pair().await;
    all_goes_well(&a, &b).await;
    a.end().await;
    b.end().await;
}

#[tokio::test]
async fn nodes_call_each_other_over_tls() {
    let (a, b) = tls_pair().await;
    all_goes_well(&a, &b).await;
    a.end().await;
    b.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_calls_at_once_over_tls() {
    let (a, b) = tls_pair().await;
    let (a, b) = (Arc::new(a), Arc::new(b));
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let (a, b) = (a.clone(), b.clone());
        callers.spawn(async move {
            for _ in 0..20 {
                let heard = a.say(&b, Room::Fetch, "bytes 4096").await.unwrap();
                assert_eq!(heard[0].len(), 4096);
                let heard = a.say(&b, Room::Ask, "trickle 3").await.unwrap();
                assert_eq!(heard.len(), 3);
            }
        });
    }
    assert_eq!(callers.join_all().await.len(), 64);
    assert_eq!(a.stats().dialled.get(), 2, "one connection of each kind");
}

#[tokio::test(start_paused = true)]
async fn dropping_what_is_heard_ends_the_call_at_the_other_end() {
    let (a, b, _) = pair().await;
    let mut hearing = a.begin(&b, Room::Fetch, "wait").await;
    assert!(matches!(
        hearing.next(LONG).await,
        Ok(Some(Frame::Heartbeat))
    ));
    drop(hearing);
    assert_eq!(b.told().await, "deserted");
    // Before anything was heard, too.
    let mute = a
        .peers
        .call(
            &b.id,
            Room::Fetch,
            vec![text("mute")],
            Duration::from_secs(1),
        )
        .await;
    assert_eq!(mute.err(), Some(PeerError::Silent));
    assert_eq!(b.told().await, "deserted");
    // In the middle of a flood.
    let mut hearing = a.begin(&b, Room::Fetch, "flood").await;
    hearing.next(LONG).await.unwrap();
    drop(hearing);
    assert!(b.told().await.starts_with("gave up after"));
    assert_eq!(b.host.hearing.load(Ordering::Relaxed), 0);
    a.end().await;
    b.end().await;
}

#[tokio::test(start_paused = true)]
async fn a_host_that_panics_or_resets_is_heard_as_lost_and_harms_no_other_call() {
    let (a, b, _) = pair().await;
    let mut beside = a.begin(&b, Room::Fetch, "trickle 50").await;
    for order in ["panic", "panic-later", "reset"] {
        assert_eq!(
            a.say(&b, Room::Fetch, order).await.err(),
            Some(PeerError::Lost),
            "{order}"
        );
    }
    assert_eq!(b.tasks.panics(), 2);
    let mut heard = 0;
    while beside.next(LONG).await.unwrap().is_some() {
        heard += 1;
    }
    assert_eq!(heard, 50);
    assert_eq!(a.stats().dialled.get(), 1);
}

#[tokio::test(start_paused = true)]
async fn silence_is_told_and_can_be_outwaited() {
    let (a, b, _) = pair().await;
    let mut hearing = a.begin(&b, Room::Fetch, "wait").await;
    assert!(matches!(
        hearing.next(LONG).await,
        Ok(Some(Frame::Heartbeat))
    ));
    for _ in 0..2 {
        let next = hearing.next(Duration::from_millis(2_500)).await;
        assert_eq!(next.err(), Some(PeerError::Silent));
    }
    b.tasks.end(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn an_ask_that_is_no_ask_is_refused() {
    let (a, b, _) = pair().await;
    // Too long for its room, at this end already.
    let long = Frame::Payload(vec![0; 2_000].into());
    let refused = a.peers.call(&b.id, Room::Ping, vec![long], LONG).await;
    assert_eq!(refused.err(), Some(PeerError::Protocol));
    assert_eq!(b.stats().heard.get(), 0);
    // More frames than any ask needs, found out at the other.
    let many = (0..100).map(|_| Frame::Heartbeat).collect();
    let refused = a.peers.call(&b.id, Room::Ask, many, LONG).await;
    assert_eq!(refused.err(), Some(PeerError::Protocol));
    assert_eq!(b.stats().misspelled.get(), 1);
    assert_eq!(a.say(&b, Room::Ask, "hello").await.unwrap(), ["hello"]);
}

#[tokio::test(start_paused = true)]
async fn who_is_not_in_the_view_is_not_called() {
    let (a, b, _) = pair().await;
    assert_eq!(a.say(&b, Room::Ask, "hello").await.unwrap(), ["hello"]);
    introduce(&[&a]);
    assert_eq!(
        a.say(&b, Room::Ask, "hello").await.err(),
        Some(PeerError::Unknown)
    );
}

#[tokio::test(start_paused = true)]
async fn whoever_is_warmed_up_to_is_there_at_once() {
    let (a, b, faults) = pair().await;
    faults.delay(&a.id, &b.id, Duration::from_millis(100));
    a.peers.warm(&b.id);
    a.peers.warm(&b.id);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let start = tokio::time::Instant::now();
    for room in [Room::Control, Room::Look, Room::Fetch] {
        assert_eq!(a.say(&b, room, "hello").await.unwrap(), ["hello"]);
    }
    assert_eq!(
        start.elapsed().as_millis() / 100,
        6,
        "there and back for each"
    );
    assert_eq!(a.stats().dialled.get(), 3);
    a.peers.warm(&"nobody".into());
}
