//! Clients who are slow, and too many of them: each holds its connection as long as the limits say
//! and no longer, and nobody else waits for it.

use std::time::Duration;

use fgy::mock::{Mock, Settings};
use tokio::time::Instant;

use crate::heard::{chat, chat_streamed};
use crate::home::Home;
use crate::node::{Node, Start};
use crate::raw::{Raw, head, statuses};

const LIMITS: &str = "header_seconds_max = 1\nidle_seconds_max = 2\nbody_chunk_seconds_max = 1";

async fn node(home: &Home, limits: &str) -> (Node, Mock) {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let node = Start::new(home, &mock.base_url()).limits(limits).go().await;
    (node, mock)
}

#[tokio::test]
async fn who_never_sends_a_byte_is_let_go() {
    let home = Home::new();
    let (node, _mock) = node(&home, LIMITS).await;
    let (began, mut raw) = (Instant::now(), Raw::connect(node.address).await);
    assert_eq!(raw.until_closed().await, "");
    let held = began.elapsed();
    assert!(
        held > Duration::from_millis(800) && held < Duration::from_secs(8),
        "{held:?}"
    );
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_however_steadily_it_trickles() {
    let home = Home::new();
    let (node, _mock) = node(&home, LIMITS).await;
    let (began, mut raw) = (Instant::now(), Raw::connect(node.address).await);
    let mut letters = head("X-Never: ").into_bytes().into_iter().cycle();
    // A letter ten times a second never ends a head and never is silent.
    while began.elapsed() < Duration::from_secs(15) {
        let sent = raw.send([letters.next().unwrap()]).await;
        let (answer, closed) = raw.within(Duration::from_millis(100)).await;
        if closed || !sent {
            assert!(!answer.contains(" 200 "), "{answer}");
            assert!(began.elapsed() > Duration::from_millis(800));
            return node.assert_calm().await;
        }
    }
    panic!("a trickling head was listened to for {:?}", began.elapsed());
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_408() {
    let home = Home::new();
    let (node, mock) = node(&home, LIMITS).await;
    for lines in ["Content-Length: 100\r\n", "Transfer-Encoding: chunked\r\n"] {
        let mut raw = Raw::connect(node.address).await;
        raw.send(head(lines) + "5\r\n{\"mod").await;
        let answer = raw.until_closed().await;
        assert_eq!(statuses(&answer), [408], "{answer}");
        assert!(answer.contains("\"code\":\"slow-body\""), "{answer}");
    }
    let mut gone = Raw::connect(node.address).await;
    gone.send(head("Content-Length: 100\r\n") + "{\"mod").await;
    drop(gone);
    assert_eq!(mock.calls().totals().calls, 0);
    node.assert_calm_and_empty().await;
}

#[tokio::test]
async fn a_connection_nothing_is_asked_on_is_closed() {
    let home = Home::new();
    let (node, _mock) = node(&home, LIMITS).await;
    let body = chat("once").to_string();
    let mut raw = Raw::connect(node.address).await;
    raw.send(head(&format!("Content-Length: {}\r\n", body.len())) + &body)
        .await;
    let began = Instant::now();
    assert_eq!(statuses(&raw.until_closed().await), [200]);
    assert!(
        began.elapsed() > Duration::from_millis(1_500),
        "closed at once"
    );
}

/// A reader who takes nothing of a long stream holds up neither another reader of the same stream
/// nor the node's memory, and is let go.
#[tokio::test]
async fn a_reader_who_takes_nothing_slows_only_itself() {
    let home = Home::new();
    let (node, mock) = node(&home, LIMITS).await;
    let body = chat_streamed("[[mock chunks=60 pace_ms=20 answer_bytes=20000000]]");
    let mut stuck = Raw::connect(node.address).await;
    let text = body.to_string();
    stuck
        .send(head(&format!("Content-Length: {}\r\n", text.len())) + &text)
        .await;
    assert!(stuck.hears("data: ").await);
    let heard = node.ask(&body).await;
    assert_eq!(heard.cache(), "coalesced");
    assert!(
        heard.text().ends_with("data: [DONE]\n\n"),
        "{}",
        heard.status
    );
    assert_eq!(mock.calls().totals().calls, 1);
    // It is let go without having read; its bill says that it did not get the answer.
    node.reaches("fgy_ledger_posted", 2).await;
    let lines = node.lines().await;
    let delivered = lines
        .iter()
        .filter(|line| line["delivered"] == true)
        .count();
    assert_eq!((lines.len(), delivered), (2, 1), "{lines:?}");
    node.assert_calm().await;
}

#[tokio::test]
async fn above_the_most_connections_further_ones_wait_for_a_place() {
    let home = Home::new();
    let (node, _mock) = node(&home, "connections_max = 2\nheader_seconds_max = 600").await;
    let first = Raw::connect(node.address).await;
    let second = Raw::connect(node.address).await;
    let mut third = Raw::connect(node.address).await;
    third
        .send("GET /healthz HTTP/1.1\r\nHost: fgy\r\n\r\n")
        .await;
    let (answer, closed) = third.until_quiet().await;
    assert_eq!(
        (answer.as_str(), closed),
        ("", false),
        "there were two places"
    );
    // The admin listener has places of its own.
    assert_eq!(node.metric("fgy_panics_total").await, 0);
    drop(first);
    assert!(third.hears("200 OK").await);
    drop(second);
}

#[tokio::test]
async fn above_the_most_requests_the_next_is_503() {
    let home = Home::new();
    let (node, _mock) = node(&home, "requests_inflight_max = 1").await;
    let slow = chat("[[mock latency_ms=1500]] slow");
    let quick = chat("quick");
    let second = async {
        node.reaches("fgy_inflight", 1).await;
        node.ask(&quick).await
    };
    let (first, second) = tokio::join!(node.ask(&slow), second);
    assert_eq!(first.status, 200);
    assert_eq!(second.assert_error(503, "a second request"), "overloaded");
    assert_eq!(second.header("retry-after"), "1");
    assert_eq!(node.ask(&quick).await.status, 200);
}
