//! Providers that hang, reset, stop half way, lie about the length and never stop talking: the
//! caller hears a clear error or exactly as much as there was, and nothing of it is kept.

use std::net::SocketAddr;

use fgy::mock::{Mock, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::heard::{Heard, chat, chat_streamed};
use crate::home::Home;
use crate::node::{Node, Start};

const LIMITS: &str = "provider_first_byte_seconds_max = 1\nprovider_chunk_seconds_max = 1";

async fn node(home: &Home) -> (Node, Mock) {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let node = Start::new(home, &mock.base_url()).limits(LIMITS).go().await;
    (node, mock)
}

/// Asked again, it is asked anew: nothing was kept.
async fn assert_asked_anew(node: &Node, mock: &Mock, body: &serde_json::Value) {
    // The caller may have lost patience a moment before the call did.
    node.assert_calm().await;
    let calls = mock.calls().totals().calls;
    node.ask(body).await;
    assert_eq!(mock.calls().totals().calls, calls + 1, "{body}");
}

#[tokio::test]
async fn a_plain_answer_that_does_not_come_or_is_not_whole_is_an_error() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    for (directive, status, code) in [
        ("hang=true", 504, "provider-too-slow"),
        ("fail=cut", 502, "provider-unreachable"),
        ("fail=half", 502, "provider-unreachable"),
        ("fail=hang", 504, "provider-too-slow"),
        ("length_error=100", 502, "provider-unreachable"),
    ] {
        let body = chat(&format!("[[mock {directive}]]"));
        let heard = node.ask(&body).await;
        assert_eq!(heard.assert_error(status, directive), code, "{directive}");
        assert_eq!((heard.cache(), heard.whole), ("miss", true), "{directive}");
        assert_asked_anew(&node, &mock, &body).await;
    }
    node.assert_calm_and_empty().await;
}

#[tokio::test]
async fn a_plain_answer_that_says_it_is_shorter_than_it_is_is_never_kept() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    let body = chat("[[mock length_error=-40]]");
    let heard = node.ask(&body).await;
    // What a shorter length leaves is cut JSON: the caller is told so or gets it as it was, unkept.
    assert!(
        heard.status == 502 || heard.status == 200,
        "{}",
        heard.text()
    );
    assert_asked_anew(&node, &mock, &body).await;
    node.assert_calm_and_empty().await;
}

#[tokio::test]
async fn a_stream_that_breaks_off_says_so_and_has_no_done() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    for fail in ["cut", "half", "end", "event", "inside", "hang"] {
        let body = chat_streamed(&format!("[[mock chunks=10 fail={fail} fail_at=5]]"));
        let heard = node.ask(&body).await;
        let text = heard.text();
        assert!(!text.contains("[DONE]"), "{fail}: {text}");
        if heard.status == 200 {
            assert!(
                text.starts_with("data: {"),
                "{fail}: what there was: {text}"
            );
            let last = text.trim_end().rsplit("\n\n").next().unwrap();
            assert!(last.contains("fgy_truncated"), "{fail}: {text}");
        } else {
            heard.assert_error(heard.status, fail);
        }
        assert_asked_anew(&node, &mock, &body).await;
    }
    node.assert_calm_and_empty().await;
    let lines = posted(&node, 12).await;
    assert!(
        lines.iter().all(|line| line["delivered"] == false),
        "{lines:?}"
    );
}

async fn posted(node: &Node, count: u64) -> Vec<serde_json::Value> {
    node.reaches("fgy_ledger_posted", count).await;
    node.lines().await
}

#[tokio::test]
async fn a_gigabyte_is_neither_held_nor_kept() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    node.ask(&chat("[[mock status=500]] warm")).await;
    let before = node.memory("VmHWM:");
    for body in [
        chat("[[mock flood_bytes=1073741824]]"),
        chat_streamed("[[mock flood_bytes=1073741824]]"),
        chat("[[mock status=500 flood_bytes=1073741824]]"),
    ] {
        let heard = node.ask(&body).await;
        let grown = (node.memory("VmHWM:") - before) >> 20;
        println!(
            "{}: {} bytes heard, the node grew by {grown} MiB",
            heard.status,
            heard.body.len()
        );
        assert!(heard.body.len() < 70 << 20, "{} bytes", heard.body.len());
        assert!(grown < 400, "grew by {grown} MiB");
        assert!(!heard.text().contains("[DONE]"));
        if heard.status == 200 {
            assert!(
                heard.text().contains("fgy_truncated"),
                "{} bytes",
                heard.body.len()
            );
        } else if heard.status != 500 {
            heard.assert_error(502, "a flood");
        }
    }
    assert_eq!(mock.calls().totals().calls, 4);
    node.assert_calm_and_empty().await;
}

#[tokio::test]
async fn an_error_of_the_providers_comes_as_it_is_and_is_never_kept() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    for status in [400, 401, 402, 403, 404, 422, 429, 500, 503, 529] {
        let body = chat(&format!(
            "[[mock status={status} retry_after_seconds=7 body=\"as {status} it is\"]]"
        ));
        let heard = node.ask(&body).await;
        assert_eq!(
            (heard.status, heard.text()),
            (status, format!("as {status} it is"))
        );
        assert_eq!(
            (heard.cache(), heard.header("retry-after")),
            ("miss", "7"),
            "{status}"
        );
        assert_asked_anew(&node, &mock, &body).await;
    }
    node.assert_calm_and_empty().await;
}

/// A provider of a few bytes: it hears a request and says exactly this, then hangs up.
async fn says(words: &'static [u8]) -> (SocketAddr, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, mut server) = (listener.local_addr().unwrap(), JoinSet::new());
    server.spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut heard = [0; 16 * 1024];
            let _heard = stream.read(&mut heard).await;
            let _said = stream.write_all(words).await;
        }
    });
    (address, server)
}

#[tokio::test]
async fn what_is_no_answer_at_all_is_502() {
    const JSON: &str = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n";
    let table: [(&str, &'static [u8]); 7] = [
        ("nothing", b""),
        ("noise", b"\x00\xff\x17 who are you\r\n\r\n"),
        ("half a head", b"HTTP/1.1 200 OK\r\nContent-Ty"),
        ("half a chunk", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n{\"id\":"),
        ("a chunk of no size", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"),
        ("two lengths", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\n{}"),
        ("a promise not kept", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{}"),
    ];
    assert!(table.iter().all(|(_, words)| words.len() < JSON.len() * 3));
    for (name, words) in table {
        let home = Home::new();
        let (address, _server) = says(words).await;
        let node = Start::new(&home, &format!("http://{address}/v1"))
            .go()
            .await;
        let heard = node.ask(&chat(name)).await;
        assert_eq!(
            heard.assert_error(502, name),
            "provider-unreachable",
            "{name}"
        );
        passes_no_half(&node, name).await;
        node.assert_calm_and_empty().await;
    }
    let home = Home::new();
    let node = Start::new(&home, "http://127.0.0.1:1/v1").go().await;
    assert_eq!(
        node.ask(&chat("nobody")).await.assert_error(502, "nobody"),
        "provider-unreachable"
    );
    node.assert_calm_and_empty().await;
}

/// The same on a path that only passes: an error, or an answer that visibly breaks off.
async fn passes_no_half(node: &Node, name: &str) {
    let sent = node.post("/v1/elsewhere").body("{}").send().await;
    if let Ok(sent) = sent {
        let heard = Heard::to_the_end(sent).await;
        assert!(heard.status == 502 || !heard.whole, "{name}: {heard:?}");
    }
}

/// A success that is no answer: what it is goes to the caller, unkept.
#[tokio::test]
async fn a_success_that_is_no_answer_is_never_kept() {
    let table: [(&str, &'static [u8]); 4] = [
        ("not JSON", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello"),
        ("an empty object", b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}"),
        ("a web page", b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\nContent-Length: 13\r\n\r\n<html></html>"),
        ("a redirection", b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"),
    ];
    for (name, words) in table {
        let home = Home::new();
        let (address, _server) = says(words).await;
        let node = Start::new(&home, &format!("http://{address}/v1"))
            .go()
            .await;
        for body in [chat(name), chat_streamed(name)] {
            let heard = node.ask(&body).await;
            assert_ne!(heard.cache(), "hit", "{name}");
            assert_ne!(node.ask(&body).await.cache(), "hit", "{name}");
        }
        node.assert_calm_and_empty().await;
    }
}
