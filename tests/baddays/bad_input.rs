//! What bad input gets: a table of everything that is not a good request, each with what its
//! sender has to hear, and at the end a node that did not panic, did not grow and kept nothing.

use fgy::mock::{Mock, Settings};
use serde_json::json;

use crate::heard::chat;
use crate::home::Home;
use crate::node::{KEY, Node, Start};
use crate::raw::{Raw, head, statuses};

const MIB: usize = 1 << 20;

/// What a caller hears: an error of fgy's own with its code, or the provider's answer passed on.
enum Hears {
    Error(u16, &'static str),
    Passed,
}

use Hears::{Error, Passed};

fn bodies() -> Vec<(&'static str, Vec<u8>, Hears)> {
    let user = |content: &str| {
        format!(
            "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":{content}}}]}}"
        )
    };
    let nested = |levels: usize| user(&format!("{}{}", "[".repeat(levels), "]".repeat(levels)));
    let open = format!(
        "{{\"model\":\"m\",\"messages\":{}",
        "[{\"a\":".repeat(5_000)
    );
    let bad = Error(400, "bad-body");
    let refused = |name, body: String| (name, body.into_bytes(), Error(400, "bad-body"));
    let passed = |name, body: String| (name, body.into_bytes(), Passed);
    let mut invalid = user("\"x\"").into_bytes();
    let at = invalid.iter().position(|byte| *byte == b'x').unwrap();
    invalid[at] = 0xFF;
    let mut nul = user("\"x\"").into_bytes();
    nul[at] = 0;
    vec![
        ("invalid UTF-8", invalid, bad),
        ("a NUL in a string", nul, Error(400, "bad-body")),
        refused("nothing at all", String::new()),
        refused("blanks", "  \n".into()),
        refused("half an object", "{\"model\":\"gpt-4o\",\"mess".into()),
        refused("a trailing comma", "{\"model\":\"gpt-4o\",}".into()),
        refused("two objects", format!("{}{}", user("\"a\""), user("\"b\""))),
        refused("single quotes", "{'model':'gpt-4o'}".into()),
        refused("NaN", "{\"model\":\"gpt-4o\",\"temperature\":NaN}".into()),
        refused("a NUL after the end", format!("{}\0", user("\"a\""))),
        refused("a lone surrogate cut short", user("\"\\ud83\"")),
        refused(
            "duplicate keys",
            "{\"model\":\"a\",\"model\":\"b\",\"messages\":[]}".into(),
        ),
        refused("duplicate keys below", user("{\"a\":1,\"a\":2}")),
        refused(
            "the same key spelled twice",
            "{\"a\":1,\"\\u0061\":2}".into(),
        ),
        refused("nested too deep", nested(129)),
        refused("10,000 levels", nested(10_000)),
        refused("10,000 levels, never closed", open),
        refused("an array", "[1,2]".into()),
        passed("messages absent", "{\"model\":\"gpt-4o\"}".into()),
        passed(
            "messages a string",
            "{\"model\":\"gpt-4o\",\"messages\":\"hi\"}".into(),
        ),
        passed(
            "messages null",
            "{\"model\":\"gpt-4o\",\"messages\":null}".into(),
        ),
        passed("the model a number", "{\"model\":4,\"messages\":[]}".into()),
        passed(
            "stream a word",
            "{\"model\":\"m\",\"messages\":[],\"stream\":\"yes\"}".into(),
        ),
        passed(
            "a number beyond u64",
            "{\"model\":\"m\",\"messages\":[],\"seed\":99999999999999999999999}".into(),
        ),
        passed(
            "a number beyond f64",
            "{\"model\":\"m\",\"messages\":[],\"top_p\":1e999}".into(),
        ),
    ]
}

#[tokio::test]
async fn what_is_no_request_is_told_so_or_passed_on() {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let home = Home::new();
    let node = Start::new(&home, &mock.base_url()).go().await;
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/embeddings"] {
        for (name, body, hears) in bodies() {
            let about = format!("{name} to {path}");
            let calls = mock.calls().totals().calls;
            let heard = node.ask_bytes(path, body).await;
            let asked = mock.calls().totals().calls - calls;
            match hears {
                Error(status, code) => {
                    assert_eq!(heard.assert_error(status, &about), code, "{about}");
                    assert_eq!((heard.cache(), asked), ("bypass", 0), "{about}");
                }
                // For its endpoint this may be something understood, which then goes upstream too.
                Passed => assert_eq!(asked, 1, "{about}: {} {}", heard.status, heard.text()),
            }
            assert!(heard.header("x-request-id").len() > 36, "{about}: no id");
        }
    }
    let seen = node
        .ask_bytes("/v1/chat/completions", b"{\"model\":\"gpt-4o\"}".to_vec())
        .await;
    assert_eq!(seen.cache(), "bypass");
    assert_eq!(seen.header("x-fgy-cache-reason"), "not-understood");
    node.assert_calm().await;
}

#[tokio::test]
async fn who_is_not_known_or_cannot_pay_is_told_what_to_send() {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let home = Home::new();
    let node = Start::new(&home, &mock.base_url()).go().await;
    let body = chat("hello").to_string();
    let bearer = |key: &str| format!("Authorization: Bearer {key}\r\n");
    let pays = "X-Provider-Auth: Bearer sk\r\n";
    let table = [
        ("no key", pays.to_owned(), 401, "unknown-key"),
        (
            "an unknown key",
            bearer("fgy_0000") + pays,
            401,
            "unknown-key",
        ),
        (
            "a key that is no text",
            bearer("\u{e9}") + pays,
            401,
            "unknown-key",
        ),
        (
            "another scheme",
            format!("Authorization: Basic {KEY}\r\n{pays}"),
            401,
            "unknown-key",
        ),
        ("no provider key", bearer(KEY), 401, "no-provider-key"),
        (
            "an unreadable age",
            bearer(KEY) + pays + "Cache-Control: max-age=abc\r\n",
            400,
            "bad-header",
        ),
        (
            "a fraction of a second",
            bearer(KEY) + pays + "X-Fgy-TTL-Seconds: 1.5\r\n",
            400,
            "bad-header",
        ),
        (
            "an unreadable threshold",
            bearer(KEY) + pays + "X-Fgy-Similarity-Threshold: 2\r\n",
            400,
            "bad-header",
        ),
        (
            "an unheard-of reach",
            bearer(KEY) + pays + "X-Fgy-Cache: maybe\r\n",
            400,
            "bad-header",
        ),
        (
            "an unknown provider",
            bearer(KEY) + pays + "X-Fgy-Provider: http://127.0.0.1:9\r\n",
            400,
            "no-such-provider",
        ),
        (
            "nothing kept",
            bearer(KEY) + pays + "Cache-Control: only-if-cached\r\n",
            504,
            "only-if-cached",
        ),
    ];
    for (name, lines, status, code) in table {
        let mut raw = Raw::connect(node.address).await;
        let request = format!(
            "POST /v1/chat/completions HTTP/1.1\r\nHost: fgy\r\nConnection: close\r\n{lines}\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        assert!(raw.send(request).await);
        let answer = raw.until_closed().await;
        assert_eq!(statuses(&answer), [status], "{name}: {answer}");
        let code = format!("\"code\":\"{code}\"");
        assert!(answer.contains(&code), "{name}: {answer}");
    }
    assert_eq!(mock.calls().totals().calls, 0);
    node.assert_calm_and_empty().await;
    // Unheard-of by the prices and by nobody else: it is asked, kept, and costs nobody knows what.
    let mut unheard = chat("hello");
    unheard["model"] = json!("no-such-model");
    assert_eq!(node.ask(&unheard).await.cache(), "miss");
    let hit = node.ask(&unheard).await;
    assert_eq!((hit.cache(), hit.header("x-fgy-saved-usd")), ("hit", ""));
}

/// Attempts to put a header, or a second request, into what goes upstream or comes back.
#[tokio::test]
async fn what_a_caller_names_becomes_no_header() {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let home = Home::new();
    let node = Start::new(&home, &mock.base_url()).go().await;
    for name in [
        "x-fgy-agent",
        "x-fgy-namespace",
        "x-fgy-user",
        "idempotency-key",
        "x-fgy-provider",
    ] {
        for value in [
            "a\tb: c",
            "a%0d%0aX-Evil: 1",
            "\u{e9}",
            "a,b;c=\"d\"",
            &"x".repeat(9_000),
        ] {
            let request = node
                .post("/v1/chat/completions")
                .body(chat("hi").to_string());
            let sent = request.header(name, value.as_bytes()).send().await.unwrap();
            assert!(sent.headers().get("x-evil").is_none(), "{name}: {value}");
            let status = sent.status().as_u16();
            assert!(matches!(status, 200 | 400), "{name}: {value}: {status}");
        }
    }
    let body = chat("[[mock echo=true]] what came").to_string();
    let lines = format!(
        "X-Evil: 1\r\nCookie: a=b\r\nContent-Length: {}\r\n",
        body.len()
    );
    let mut raw = Raw::connect(node.address).await;
    assert!(raw.send(head(&lines) + &body).await && raw.hears("\"usage\"").await);
    let heard = raw.text().to_lowercase();
    assert!(
        heard.contains("content-type") && !heard.contains("x-evil"),
        "{heard}"
    );
    assert!(
        !heard.contains("a=b") && !heard.contains("cookie"),
        "{heard}"
    );
    node.assert_calm().await;
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused_without_being_held() {
    let mock = Mock::start(Settings::default()).await.unwrap();
    let home = Home::new();
    // What is still being sent behind a refusal is taken and thrown away, for so long.
    let start = Start::new(&home, &mock.base_url()).limits("body_chunk_seconds_max = 1");
    let node = start.go().await;
    node.ask_bytes("/v1/chat/completions", b"{}".to_vec()).await;
    let before = node.memory("VmHWM:");

    // Announced: refused without a byte of the body being there or made room for.
    let mut announced = Raw::connect(node.address).await;
    assert!(announced.send(head("Content-Length: 67108864\r\n")).await);
    assert!(announced.hears("body_bytes_max").await);
    assert_eq!(statuses(&announced.text()), [413]);
    assert!(
        node.memory("VmHWM:") < before + 8 * MIB as u64,
        "it made room beforehand"
    );

    // In chunks: refused once the limit is passed; it need not be taken to its end.
    let mut chunked = Raw::connect(node.address).await;
    assert!(chunked.send(head("Transfer-Encoding: chunked\r\n")).await);
    let chunk = [b"100000\r\n".as_slice(), &vec![b' '; MIB], b"\r\n"].concat();
    let mut taken = 0;
    while taken < 64 && chunked.send(&chunk).await {
        taken += 1;
    }
    assert!(taken >= 32, "refused after {taken} MiB, below the limit");
    assert!(chunked.hears("413").await, "{}", chunked.text());
    let grown = node.memory("VmHWM:") - before;
    println!(
        "chunked: {taken} MiB were taken; the node grew by {} MiB",
        grown / MIB as u64
    );
    assert!(grown < 160 * MIB as u64, "grew by {grown}");
    node.assert_calm_and_empty().await;
    within_limits(&node).await;
}

/// The node still takes what it should.
async fn within_limits(node: &Node) {
    let body = "{\"model\":\"gpt-4o\",\"messages\":[]".to_owned() + &" ".repeat(MIB) + "}";
    let heard = node
        .ask_bytes("/v1/chat/completions?x=1", body.into_bytes())
        .await;
    assert!(heard.status < 500, "{}", heard.text());
}
