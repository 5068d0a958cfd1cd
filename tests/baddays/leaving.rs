//! Leaving: at SIGTERM and SIGINT what is being answered is finished, nothing new is taken, and the
//! status is 0. And the probes that balancers look at meanwhile.

use std::time::Duration;

use fgy::mock::{Mock, Settings};
use tokio::net::TcpStream;
use tokio::time::Instant;

use crate::heard::{chat, chat_streamed};
use crate::home::Home;
use crate::node::{LOOK, PATIENCE, Start};
use crate::raw::{Raw, head, statuses};

#[tokio::test]
async fn the_probes_say_what_they_should() {
    let home = Home::new();
    let node = Start::new(&home, "http://127.0.0.1:1/v1").go().await;
    assert_eq!(node.get("/healthz").await.status, 200);
    let ready = node.get("/readyz").await;
    assert_eq!(ready.status, 200);
    let body = ready.json();
    assert_eq!(body["ready"], true);
    // The model may not be here, or not yet: then nothing else is amiss.
    let degraded = match body["semantic"].as_str() {
        Some("ready") => serde_json::json!([]),
        Some("loading" | "off") => serde_json::json!(["semantic"]),
        other => panic!("{other:?}"),
    };
    assert_eq!(body["degraded"], degraded);
}

async fn a_signal_lets_the_stream_finish(signal: &str) {
    let (home, mock) = (Home::new(), Mock::start(Settings::default()).await.unwrap());
    let mut node = Start::new(&home, &mock.base_url()).go().await;
    let body = chat_streamed("[[mock chunks=20 pace_ms=100]] a long one").to_string();
    let mut raw = Raw::connect(node.address).await;
    let mut idle = Raw::connect(node.address).await;
    let plain = chat("before").to_string();
    let ask = |body: &str| head(&format!("Content-Length: {}\r\n", body.len())) + body;
    idle.send(ask(&plain)).await;
    assert!(idle.hears("\"usage\"").await);
    raw.send(ask(&body)).await;
    assert!(raw.hears("\"content\"").await);

    let began = Instant::now();
    node.signal(signal);
    while TcpStream::connect(node.address).await.is_ok() {
        assert!(
            began.elapsed() < PATIENCE,
            "new connections are still taken"
        );
        tokio::time::sleep(LOOK).await;
    }
    assert!(
        began.elapsed() < Duration::from_millis(1_500),
        "the stream was waited for first"
    );
    assert!(node.lives(), "it left with a stream under way");
    // A connection nothing is asked on is closed without waiting for its limit.
    idle.until_closed().await;
    let heard = raw.until_closed().await;
    assert_eq!(statuses(&heard), [200]);
    assert!(
        heard.contains("data: [DONE]"),
        "{signal}: the stream was cut: {heard}"
    );
    assert!(node.ended().await.success(), "{}", home.logs());

    // Nothing accepted is lost: the answers are kept, the bills are posted.
    let node = Start::new(&home, &mock.base_url()).go().await;
    let calls = mock.calls().totals().calls;
    let again = chat_streamed("[[mock chunks=20 pace_ms=100]] a long one");
    assert_eq!(node.ask(&again).await.cache(), "hit");
    assert_eq!(mock.calls().totals().calls, calls);
    node.reaches("fgy_ledger_posted", 1).await;
    let lines = node.lines().await;
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(
        lines.iter().all(|line| line["delivered"] == true),
        "{lines:?}"
    );
}

#[tokio::test]
async fn sigterm_lets_the_stream_finish() {
    a_signal_lets_the_stream_finish("TERM").await;
}

#[tokio::test]
async fn sigint_lets_the_stream_finish() {
    a_signal_lets_the_stream_finish("INT").await;
}

/// A connection on which a plain answer is under way is told that it is the last one.
#[tokio::test]
async fn an_answer_given_while_draining_says_that_the_connection_closes() {
    let (home, mock) = (Home::new(), Mock::start(Settings::default()).await.unwrap());
    let mut node = Start::new(&home, &mock.base_url()).go().await;
    let body = chat("[[mock latency_ms=1000]] slow").to_string();
    let mut raw = Raw::connect(node.address).await;
    raw.send(head(&format!("Content-Length: {}\r\n", body.len())) + &body)
        .await;
    node.reaches("fgy_inflight", 1).await;
    node.signal("TERM");
    let heard = raw.until_closed().await;
    assert_eq!(statuses(&heard), [200]);
    assert!(
        heard.to_lowercase().contains("connection: close"),
        "{heard}"
    );
    assert!(node.ended().await.success());
}

#[tokio::test]
async fn a_stream_that_outlives_the_drain_is_left() {
    let (home, mock) = (Home::new(), Mock::start(Settings::default()).await.unwrap());
    let start = Start::new(&home, &mock.base_url()).limits("drain_seconds = 1");
    let mut node = start.go().await;
    let body = chat_streamed("[[mock chunks=500 pace_ms=100]] for ever").to_string();
    let mut raw = Raw::connect(node.address).await;
    raw.send(head(&format!("Content-Length: {}\r\n", body.len())) + &body)
        .await;
    assert!(raw.hears("\"content\"").await);
    let began = Instant::now();
    node.signal("TERM");
    node.ended().await;
    let took = began.elapsed();
    assert!(
        took > Duration::from_millis(900) && took < Duration::from_secs(15),
        "{took:?}"
    );
    let heard = raw.until_closed().await;
    assert!(!heard.contains("[DONE]"), "{heard}");
}
