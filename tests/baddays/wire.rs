//! HTTP itself, abused: framing that two readers could read differently, heads that never fit,
//! requests sent ahead, bodies that wait to be asked for. Nobody's request may become another's.

use fgy::mock::{Mock, Settings};

use crate::heard::chat;
use crate::home::Home;
use crate::node::{KEY, Node, Start};
use crate::raw::{Raw, head, statuses};

async fn node(home: &Home) -> (Node, Mock) {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let node = Start::new(home, &mock.base_url()).go().await;
    (node, mock)
}

#[tokio::test]
async fn framing_that_can_be_read_two_ways_is_refused_and_the_connection_closed() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    let smuggled = format!(
        "GET /v1/smuggled HTTP/1.1\r\nHost: fgy\r\nAuthorization: Bearer {KEY}\r\n\
         X-Provider-Auth: Bearer sk\r\n\r\n"
    );
    let table = [
        (
            "two lengths",
            "Content-Length: 4\r\nContent-Length: 5\r\n".to_owned(),
            "{}  ",
        ),
        (
            "two lengths in one line",
            "Content-Length: 4, 5\r\n".to_owned(),
            "{}  ",
        ),
        (
            "a signed length",
            "Content-Length: +4\r\n".to_owned(),
            "{}  ",
        ),
        (
            "a negative length",
            "Content-Length: -4\r\n".to_owned(),
            "{}  ",
        ),
        (
            "a hexadecimal length",
            "Content-Length: 0x4\r\n".to_owned(),
            "{}  ",
        ),
        (
            "a length beyond numbers",
            "Content-Length: 99999999999999999999\r\n".to_owned(),
            "{}  ",
        ),
        (
            "an unknown encoding",
            "Transfer-Encoding: xchunked\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        (
            "chunked, then another",
            "Transfer-Encoding: chunked, identity\r\n".to_owned(),
            "0\r\n\r\n",
        ),
        ("a bare CR", "X-A: b\rContent-Length: 0\r\n".to_owned(), ""),
        (
            "a blank before the colon",
            "Content-Length : 0\r\n".to_owned(),
            "",
        ),
        ("a folded line", "X-A: b\r\n c: d\r\n".to_owned(), ""),
        ("a NUL", "X-A: b\0c\r\n".to_owned(), ""),
    ];
    for (name, lines, body) in table {
        let mut raw = Raw::connect(node.address).await;
        raw.send(head(&lines) + body + &smuggled).await;
        let (answer, closed) = raw.until_quiet().await;
        assert_eq!(statuses(&answer), [400], "{name}: {answer}");
        assert!(closed, "{name}: the connection stays open");
    }
    assert_eq!(
        mock.calls().totals().calls,
        0,
        "something reached the provider"
    );
    node.assert_calm().await;
}

#[tokio::test]
async fn a_length_beside_chunks_never_makes_a_second_request() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    let body = "0\r\n\r\nGET /v1/smuggled HTTP/1.1\r\nHost: fgy\r\n\r\n";
    for lines in [
        format!(
            "Content-Length: {}\r\nTransfer-Encoding: chunked\r\n",
            body.len()
        ),
        format!(
            "Transfer-Encoding: chunked\r\nContent-Length: {}\r\n",
            body.len()
        ),
    ] {
        let mut raw = Raw::connect(node.address).await;
        raw.send(head(&lines) + body).await;
        let (answer, _) = raw.until_quiet().await;
        // By chunks the body is empty (400), and what follows is a request of its own that names
        // no key (401), or the connection is closed: never a request in another's name.
        let heard = statuses(&answer);
        assert!(heard == [400] || heard == [400, 401], "{heard:?} {answer}");
    }
    let mut raw = Raw::connect(node.address).await;
    raw.send(head("Transfer-Encoding: chunked\r\n") + "5\r\n{\"a\":1 }\r\n0\r\n\r\n")
        .await;
    let (answer, closed) = raw.until_quiet().await;
    assert_eq!(statuses(&answer), [400], "a chunk that lies: {answer}");
    assert!(closed, "a chunk that lies leaves the connection open");
    assert_eq!(mock.calls().totals().calls, 0);
    node.assert_calm().await;
}

#[tokio::test]
async fn a_head_that_does_not_fit_is_431() {
    let home = Home::new();
    let (node, _mock) = node(&home).await;
    let wide = format!("X-A: {}\r\n", "a".repeat(80_000));
    let many: String = (0..500).map(|n| format!("X-{n}: a\r\n")).collect();
    for (name, lines) in [("one wide line", wide), ("500 lines", many)] {
        let mut raw = Raw::connect(node.address).await;
        raw.send(head(&lines)).await;
        let (answer, closed) = raw.until_quiet().await;
        assert_eq!(statuses(&answer), [431], "{name}: {answer}");
        assert!(closed, "{name}");
    }
    let mut raw = Raw::connect(node.address).await;
    raw.send(format!(
        "GET /{} HTTP/1.1\r\nHost: fgy\r\n\r\n",
        "a".repeat(70_000)
    ))
    .await;
    let (answer, _) = raw.until_quiet().await;
    assert!(
        matches!(statuses(&answer)[..], [414 | 431]),
        "a long path: {answer}"
    );
    let fits = format!("X-A: {}\r\nContent-Length: 2\r\n", "a".repeat(30_000));
    let mut raw = Raw::connect(node.address).await;
    raw.send(head(&fits) + "{}").await;
    assert!(
        raw.hears("x-request-id").await,
        "30 kB of headers fit: {}",
        raw.text()
    );
    node.assert_calm().await;
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    let request = |prompt: &str| {
        let body = chat(prompt).to_string();
        head(&format!("Content-Length: {}\r\n", body.len())) + &body
    };
    let words = ["slow", "quick", "quicker"];
    let all = [
        request("[[mock latency_ms=300 text=slow]]"),
        request("[[mock text=quick]]"),
        request("[[mock text=quicker]]"),
    ];
    let mut raw = Raw::connect(node.address).await;
    raw.send(all.concat()).await;
    let (answer, _) = raw.until_quiet().await;
    assert_eq!(statuses(&answer), [200, 200, 200], "{answer}");
    let places = words.map(|word| answer.find(&format!("\"content\":\"{word}\"")).unwrap());
    assert!(places.is_sorted(), "{places:?} {answer}");
    assert_eq!(mock.calls().totals().calls, 3);
}

#[tokio::test]
async fn a_body_is_asked_for_once_the_caller_is_known_and_the_length_allowed() {
    let home = Home::new();
    let (node, _mock) = node(&home).await;
    let body = chat("later").to_string();
    let expecting = |length: usize| {
        head(&format!(
            "Content-Length: {length}\r\nExpect: 100-continue\r\n"
        ))
    };
    let mut raw = Raw::connect(node.address).await;
    raw.send(expecting(body.len())).await;
    assert!(raw.hears("100 Continue").await, "{}", raw.text());
    raw.send(&body).await;
    assert!(raw.hears("\"usage\"").await, "{}", raw.text());
    assert_eq!(statuses(&raw.text()), [100, 200]);

    let mut long = Raw::connect(node.address).await;
    long.send(expecting(64 << 20)).await;
    let (answer, closed) = long.until_quiet().await;
    assert_eq!(statuses(&answer), [413], "{answer}");
    assert!(closed, "what was never sent cannot be skipped");

    let mut stranger = Raw::connect(node.address).await;
    stranger
        .send(expecting(10).replace(KEY, "fgy_somebody_else_entirely"))
        .await;
    let (answer, _) = stranger.until_quiet().await;
    assert_eq!(statuses(&answer), [401], "{answer}");
}

#[tokio::test]
async fn what_is_no_http_of_ours_is_told_so() {
    let home = Home::new();
    let (node, mock) = node(&home).await;
    for (name, bytes) in [
        (
            "a TLS greeting",
            b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        ),
        (
            "noise",
            (0..2_000_u32).map(|n| ((n * 7919) >> 3) as u8).collect(),
        ),
        ("no path", b"GET\r\n\r\n".to_vec()),
        (
            "half an HTTP/2 preface",
            b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n".to_vec(),
        ),
        (
            "an HTTP/2 preface and noise",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\xff\xff\xff\xff\xff".to_vec(),
        ),
    ] {
        let mut raw = Raw::connect(node.address).await;
        raw.send(bytes).await;
        let (answer, closed) = raw.until_quiet().await;
        assert!(closed, "{name}: {answer}");
        assert!(!answer.contains("HTTP/1.1 200"), "{name}: {answer}");
    }
    let mut upgrade = Raw::connect(node.address).await;
    let lines = "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n";
    upgrade
        .send(head(lines).replace("POST /v1/chat/completions", "GET /v1/realtime"))
        .await;
    assert!(upgrade.hears("directly").await, "{}", upgrade.text());
    assert_eq!(statuses(&upgrade.text()), [501]);
    for path in ["/", "/v2/chat/completions", "/admin/v1/tenants", "/metrics"] {
        assert_eq!(
            node.get(path).await.assert_error(404, path),
            "not-found",
            "{path}"
        );
    }
    assert_eq!(mock.calls().totals().calls, 0);
    node.assert_calm().await;
}
