//! Who must get nowhere: other secrets, other clocks, replays, junk, and who listens on the wire.

use tokio::net::UdpSocket;

use super::tap::Tap;
use super::*;

fn holds(datagrams: &[Vec<u8>], text: &str) -> bool {
    let text = text.as_bytes();
    let held = |datagram: &Vec<u8>| datagram.windows(text.len()).any(|part| part == text);
    datagrams.iter().any(held)
}

#[tokio::test]
async fn a_wrong_secret_stays_alone_and_is_counted() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    let mut wrong = settings("intruder", &[one.address(), two.address()]);
    wrong.secrets = Some(secrets("another secret", None));
    let intruder = Gossip::start(wrong, &tasks).await.unwrap();
    for node in [&one, &two] {
        sees_names(node, &["one", "two"]).await;
        until_so(|| node.stats().wrong_key.get() >= 5).await;
        assert_eq!(names(&node.view().borrow()), ["one", "two"]);
    }
    assert_eq!(names(&intruder.view().borrow()), ["intruder"]);
    assert_eq!(intruder.stats().heard.get(), 0);
}

#[tokio::test]
async fn a_clock_that_is_far_off_stays_alone_and_is_counted() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let mut outside = Outside::real().unwrap();
    let right = outside.wall_millis.clone();
    outside.wall_millis = Arc::new(move || right() - 40_000);
    let late = settings("late", &[one.address()]);
    let late = Gossip::start_in(outside, late, &tasks).await.unwrap();
    until_so(|| one.stats().old.get() >= 3).await;
    assert_eq!(names(&one.view().borrow()), ["one"]);
    assert_eq!(names(&late.view().borrow()), ["late"]);
}

#[tokio::test]
async fn replays_and_junk_are_refused_and_change_nothing() {
    let tasks = Tasks::new();
    let (tap, one) = Tap::before(settings("one", &[]), &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    sees_names(&one, &["one", "two"]).await;
    until_so(|| tap.kept().len() >= 10).await;
    let wire = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    for datagram in tap.kept().iter().take(5) {
        wire.send_to(datagram, one.bound()).await.unwrap();
    }
    until_so(|| one.stats().replayed.get() >= 5).await;
    for junk in [&b"junk"[..], b"", &[0; 1_400], b"GET / HTTP/1.1\r\n\r\n"] {
        wire.send_to(junk, one.bound()).await.unwrap();
    }
    until_so(|| one.stats().malformed.get() >= 4).await;
    assert_eq!(one.stats().replayed.get(), 5);
    hear_more(&[&one, &two], 5).await;
    assert_eq!(names(&one.view().borrow()), ["one", "two"]);
}

/// A datagram of a dead node cannot be used to keep it alive.
#[tokio::test]
async fn the_dead_are_not_kept_alive_by_replays() {
    let tasks = Tasks::new();
    let (tap, one) = Tap::before(settings("one", &[]), &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    sees_names(&one, &["one", "two"]).await;
    hear_more(&[&one], 10).await;
    drop(two);
    let wire = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let said = tap.kept();
    let replaying = async {
        let mut pauses = interval(LOOK_PAUSE);
        for datagram in said.iter().cycle() {
            wire.send_to(datagram, one.bound()).await.unwrap();
            pauses.tick().await;
        }
    };
    tokio::select! {
        () = replaying => {}
        _ = sees_names(&one, &["one"]) => {}
    }
    assert!(one.stats().replayed.get() > 10);
}

#[tokio::test]
async fn the_wire_shows_no_names() {
    let tasks = Tasks::new();
    let hidden = [
        "one", "two", "of-tests", "cluster", "phase", "joining", "127.0.",
    ];
    let (tap_one, one) = Tap::before(settings("node-one", &[]), &tasks).await;
    let (tap_two, two) = Tap::before(settings("node-two", &[one.address()]), &tasks).await;
    for node in [&one, &two] {
        sees_names(node, &["node-one", "node-two"]).await;
    }
    hear_more(&[&one, &two], 10).await;
    let all = [tap_one.kept(), tap_two.kept()].concat();
    assert!(all.len() >= 20);
    for text in hidden {
        assert!(!holds(&all, text), "{text} was seen");
    }

    // The same search does find a name where speech is plain.
    let wire = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut plain = settings("node-one", &[wire.local_addr().unwrap()]);
    plain.secrets = None;
    let _plain = Gossip::start(plain, &tasks).await.unwrap();
    let mut buffer = vec![0; 2_000];
    let asked = timeout(BOUND, wire.recv(&mut buffer)).await;
    let length = asked.unwrap().unwrap();
    let said = [buffer[..length].to_vec()];
    assert!(holds(&said, "one") && holds(&said, "of-tests"));
}

#[tokio::test]
async fn secrets_change_while_the_cluster_runs() {
    let (old, new, tasks) = (SECRET, "the next secret", Tasks::new());
    let one = started("one", &[], &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    let three = started("three", &[one.address()], &tasks).await;
    let nodes = [&one, &two, &three];
    for node in nodes {
        sees_names(node, &["one", "three", "two"]).await;
    }
    for step in [(old, Some(new)), (new, Some(old)), (new, None)] {
        for node in nodes {
            // One node after the other, and all hear each other in between.
            node.rotate(&secrets(step.0, step.1));
            hear_more(&nodes, 4).await;
        }
    }
    for node in nodes {
        assert_eq!(node.stats().wrong_key.get(), 0, "at no step");
        sees_names(node, &["one", "three", "two"]).await;
    }
    let stale = started("stale", &[one.address()], &tasks).await;
    let mut fresh = settings("fresh", &[one.address()]);
    fresh.secrets = Some(secrets(new, None));
    let fresh = Gossip::start(fresh, &tasks).await.unwrap();
    sees_names(&fresh, &["fresh", "one", "three", "two"]).await;
    until_so(|| one.stats().wrong_key.get() > 0).await;
    assert_eq!(names(&stale.view().borrow()), ["stale"]);
}

/// A node that can speak and not hear goes on being seen: gossip says nothing of who can be
/// reached, which is why reachability is measured apart.
#[tokio::test]
async fn a_deaf_node_loses_sight_of_the_others() {
    let tasks = Tasks::new();
    let (tap, one) = Tap::before(settings("one", &[]), &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    for node in [&one, &two] {
        sees_names(node, &["one", "two"]).await;
    }
    tap.cut();
    sees_names(&one, &["one"]).await;
    hear_more(&[&two], 3).await;
    assert_eq!(names(&two.view().borrow()), ["one", "two"]);
}
