//! Panics on order, in a build that has points for them (`--features faults`): each ends one
//! request or restarts one part, is counted, quotes nothing of what was handled, and the next
//! request succeeds.

use fgy::mock::{Mock, Settings};

use crate::heard::{chat, chat_streamed};
use crate::home::Home;
use crate::node::{Node, Start};

const PROMPT: &str = "a prompt that a careless message quotes";

/// A node with these points armed.
async fn armed(home: &Home, mock: &Mock, points: &str) -> Node {
    let start = Start::new(home, &mock.base_url()).env("FGY_FAULTS", points);
    start.arg("--log", "debug").go().await
}

async fn mock() -> Mock {
    Mock::start(Settings::default()).await.unwrap()
}

/// The log tells that it panicked and where, and not on what.
fn assert_told_by_place(home: &Home) {
    let logs = home.logs();
    assert!(
        logs.contains("a panic ended one request or restarts one part"),
        "{logs}"
    );
    assert!(logs.contains(".rs:"), "{logs}");
    assert!(
        !logs.contains(PROMPT) && !logs.contains("ordered at"),
        "{logs}"
    );
}

#[tokio::test]
async fn in_a_handler_it_ends_that_request() {
    let (home, mock) = (Home::new(), mock().await);
    let node = armed(&home, &mock, "handler=1").await;
    let heard = node.ask(&chat(PROMPT)).await;
    assert_eq!(heard.assert_error(500, "handler"), "internal");
    assert!(!heard.text().contains(PROMPT), "{}", heard.text());
    assert_eq!(node.metric("fgy_panics_total").await, 1);
    assert_eq!(node.ask(&chat(PROMPT)).await.cache(), "miss");
    assert_eq!(node.ask(&chat(PROMPT)).await.cache(), "hit");
    node.reaches("fgy_ledger_posted", 3).await;
    let lines = node.lines().await;
    let refused = lines
        .iter()
        .filter(|line| line["outcome"] == "refused")
        .count();
    assert_eq!((lines.len(), refused), (3, 1), "{lines:?}");
    assert_told_by_place(&home);
}

#[tokio::test]
async fn in_a_writer_it_ends_that_answer() {
    let (home, mock) = (Home::new(), mock().await);
    let node = armed(&home, &mock, "writer=1").await;
    let broken = node.try_ask(&chat_streamed(PROMPT)).await;
    let whole = broken.is_ok_and(|heard| heard.whole && heard.text().contains("[DONE]"));
    assert!(!whole, "nothing was broken off");
    node.reaches("fgy_task_panics", 1).await;
    let heard = node.ask(&chat_streamed(PROMPT)).await;
    assert!(
        heard.whole && heard.text().contains("[DONE]"),
        "{}",
        heard.text()
    );
    node.reaches("fgy_ledger_posted", 2).await;
    let lines = node.lines().await;
    let delivered = lines
        .iter()
        .filter(|line| line["delivered"] == true)
        .count();
    assert_eq!((lines.len(), delivered), (2, 1), "{lines:?}");
    assert_eq!(node.metric("fgy_task_panics").await, 1);
    assert_told_by_place(&home);
}

#[tokio::test]
async fn in_a_recording_it_ends_that_flight_and_stores_nothing() {
    let (home, mock) = (Home::new(), mock().await);
    let node = armed(&home, &mock, "recorder=1").await;
    let heard = node.ask(&chat(PROMPT)).await;
    assert!(heard.status >= 500, "{}", heard.text());
    assert!(!heard.text().contains(PROMPT), "{}", heard.text());
    assert_eq!(node.metric("fgy_task_panics").await, 1);
    assert_eq!(node.metric("fgy_entries").await, 0);
    assert_eq!(node.metric("fgy_inflight").await, 0);
    assert_eq!(node.ask(&chat(PROMPT)).await.cache(), "miss");
    assert_told_by_place(&home);
}

#[tokio::test]
async fn in_the_background_it_restarts_that_part_and_loses_nothing() {
    let (home, mock) = (Home::new(), mock().await);
    let node = armed(&home, &mock, "keep=2,post=2,sweep=2").await;
    assert_eq!(node.ask(&chat(PROMPT)).await.cache(), "miss");
    node.reaches("fgy_store_kept", 1).await;
    node.reaches("fgy_ledger_posted", 1).await;
    node.reaches("fgy_task_panics", 6).await;
    assert_eq!(node.ask(&chat(PROMPT)).await.cache(), "hit");
    node.reaches("fgy_ledger_posted", 2).await;
    // Posted again after each panic, counted once.
    assert_eq!(node.lines().await.len(), 2);
    assert_eq!(node.metric("fgy_task_panics").await, 6);
    assert_told_by_place(&home);
    let mut node = node;
    node.signal("TERM");
    assert!(node.ended().await.success());
    let again = armed(&home, &mock, "").await;
    assert_eq!(again.ask(&chat(PROMPT)).await.cache(), "hit");
}
