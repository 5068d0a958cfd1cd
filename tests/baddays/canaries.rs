//! Canaries: a provider key, a tenant key, a prompt and an answer that occur nowhere else, sent
//! through everything that can happen to a request, at the most talkative log. Then every byte the
//! node said or wrote is searched. The answer is the control: it has to be found in the store.

use fgy::mock::{Behaviour, Mock, Settings};
use serde_json::Value;
use tokio::time::Instant;

use crate::heard::{Heard, chat, chat_streamed};
use crate::home::{Home, holds};
use crate::node::{LOOK, Node, PATIENCE, Start};
use crate::raw::Raw;

const TENANT_KEY: &str = "fgy_canarytenant77d1f0c2a9b84e65";
const PROVIDER_KEY: &str = concat!("sk", "-canaryprovider93ab5e17c0d2f846");
const STRANGER: &str = "fgy_canarystranger5508cc12ab90ef";
const PROMPT: &str = "canaryprompt61e2d94b7a3f";
const ANSWER: &str = "canaryanswer2f80c7d51e6b";
const LOG: &str = "debug,fgy=trace,fgy_cluster=trace";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn secrets_and_prompts_are_nowhere_they_do_not_belong() {
    let mock = Mock::start(Settings::default()).await.unwrap();
    mock.behave(Behaviour {
        text: Some(format!("so it is: {ANSWER}")),
        ..Behaviour::default()
    });
    let home = Home::new();
    let start = Start::new(&home, &mock.base_url()).arg("--log", LOG);
    let start = start
        .arg("--access-log", "all")
        .env("FGY_FAULTS", "handler=1");
    let mut node = start.env("FGY_BOOTSTRAP_KEY", TENANT_KEY).go().await;
    node.key = TENANT_KEY.to_owned();

    let mut errors = Vec::new();
    if cfg!(feature = "faults") {
        let panicked = ask(&node, &chat(&said("panic"))).await;
        assert_eq!(panicked.status, 500);
        errors.push(panicked);
    }
    good_days(&node).await;
    errors.extend(bad_days(&node, &mock).await);
    hang_up(&node, &mock).await;
    mock.behave(Behaviour::default());

    node.reaches("fgy_store_kept", 2).await;
    let metrics = node.metrics().await;
    let lines = format!("{:?}", node.lines().await);
    search(&home, &metrics, &lines, &errors);
    node.signal("TERM");
    assert!(node.ended().await.success());
    search(&home, &metrics, &lines, &errors);
}

fn said(what: &str) -> String {
    format!("{what} {PROMPT}")
}

fn request(node: &Node, body: String) -> reqwest::RequestBuilder {
    let url = format!("http://{}/v1/chat/completions", node.address);
    let request = reqwest::Client::new().post(url).bearer_auth(TENANT_KEY);
    request
        .header("x-provider-auth", format!("Bearer {PROVIDER_KEY}"))
        .body(body)
}

async fn ask(node: &Node, body: &Value) -> Heard {
    let sent = request(node, body.to_string())
        .header("x-fgy-user", "u-1")
        .send();
    Heard::to_the_end(sent.await.unwrap()).await
}

/// Misses, hits, streams, passing through, HTTP/2.
async fn good_days(node: &Node) {
    for body in [chat(&said("one")), chat_streamed(&said("two"))] {
        for expected in ["miss", "hit"] {
            let heard = ask(node, &body).await;
            assert_eq!(
                (heard.cache(), heard.status),
                (expected, 200),
                "{}",
                heard.text()
            );
        }
    }
    let client = reqwest::Client::builder()
        .http2_prior_knowledge()
        .build()
        .unwrap();
    for path in ["/v1/chat/completions", "/v1/elsewhere"] {
        let request = client.post(format!("http://{}{path}", node.address));
        let request = request.header("x-api-key", TENANT_KEY);
        let request = request.header("x-provider-auth", format!("Bearer {PROVIDER_KEY}"));
        let heard = request
            .body(chat(&said("three")).to_string())
            .send()
            .await
            .unwrap();
        assert_eq!(heard.status(), 200);
    }
}

/// Everything that goes wrong; the answers in fgy's own words.
async fn bad_days(node: &Node, mock: &Mock) -> Vec<Heard> {
    let mut own = Vec::new();
    let broken = format!("{{\"model\":\"gpt-4o\",\"messages\":[{{\"content\":\"{PROMPT}\",}}");
    let twice = format!("{{\"{PROMPT}\":1,\"{PROMPT}\":2}}");
    for body in [broken, twice, format!("\"{PROMPT}\"")] {
        let sent = request(node, body).send().await.unwrap();
        own.push(Heard::to_the_end(sent).await);
    }
    let url = format!("http://{}/v1/chat/completions", node.address);
    let stranger = reqwest::Client::new().post(url).bearer_auth(STRANGER);
    let stranger = stranger.header("x-provider-auth", format!("Bearer {PROVIDER_KEY}"));
    let sent = stranger.body(chat(&said("stranger")).to_string()).send();
    own.push(Heard::to_the_end(sent.await.unwrap()).await);
    for (name, value) in [("cache-control", "max-age=x"), ("x-fgy-provider", "nobody")] {
        let sent = request(node, chat(&said(name)).to_string())
            .header(name, value)
            .send();
        own.push(Heard::to_the_end(sent.await.unwrap()).await);
    }
    own.iter()
        .for_each(|heard| assert!(heard.status >= 400, "{heard:?}"));
    // A provider that tells the caller its own key and prompt tells nobody else.
    let words = format!("Incorrect API key provided: {PROVIDER_KEY}, asking {PROMPT}");
    for status in [401, 429, 500] {
        mock.behave(Behaviour {
            status: Some(status),
            body: Some(words.clone()),
            ..Behaviour::default()
        });
        let heard = ask(node, &chat(&said(&format!("status {status}")))).await;
        assert_eq!((heard.status, heard.text()), (status, words.clone()));
    }
    for fail in ["cut", "half", "inside", "event"] {
        let directive = format!("[[mock fail={fail} fail_at=2 text=\"{ANSWER}\"]]");
        for body in [chat(&said(&directive)), chat_streamed(&said(&directive))] {
            mock.behave(Behaviour::default());
            ask(node, &body).await;
        }
    }
    own
}

/// A caller who goes away in the middle of a stream.
async fn hang_up(node: &Node, mock: &Mock) {
    mock.behave(Behaviour {
        pace_micros: 50_000,
        chunks: 10,
        ..Behaviour::default()
    });
    let body = chat_streamed(&said("hang up")).to_string();
    let mut raw = Raw::connect(node.address).await;
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: fgy\r\nAuthorization: Bearer {TENANT_KEY}\r\n\
         X-Provider-Auth: Bearer {PROVIDER_KEY}\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    assert!(raw.send(head).await && raw.hears("data: ").await);
    let lines = node.lines().await.len();
    drop(raw);
    let deadline = Instant::now() + PATIENCE;
    while node.lines().await.len() == lines {
        assert!(
            Instant::now() < deadline,
            "the bill of a hang-up never came"
        );
        tokio::time::sleep(LOOK).await;
    }
}

fn search(home: &Home, metrics: &str, lines: &str, errors: &[Heard]) {
    let logs = home.logs();
    let talkative = logs.contains("DEBUG") && logs.contains("fgy::access");
    assert!(talkative, "the log says too little to be searched: {logs}");
    for canary in [TENANT_KEY, PROVIDER_KEY, STRANGER, PROMPT, ANSWER] {
        if let Some(line) = logs.lines().find(|line| line.contains(canary)) {
            panic!("in the log: {line}");
        }
        assert!(
            !metrics.contains(canary) && !lines.contains(canary),
            "{canary} is measured"
        );
        for heard in errors {
            assert!(!heard.text().contains(canary), "{canary}: {}", heard.text());
            assert!(
                !format!("{:?}", heard.headers).contains(canary),
                "{canary} in a header"
            );
        }
    }
    let (mut stored, files) = (false, home.files());
    assert!(
        files
            .iter()
            .any(|(path, _)| path.ends_with("registry.json"))
    );
    for (path, bytes) in &files {
        let name = path.file_name().unwrap().to_str().unwrap();
        for secret in [TENANT_KEY, PROVIDER_KEY, STRANGER] {
            // Without its prefix too: a key may be kept in parts.
            for part in [secret, &secret[12..]] {
                assert!(!holds(bytes, part), "{part} lies in {}", path.display());
            }
        }
        if name.starts_with("fgy.db") {
            stored |= holds(bytes, ANSWER);
        } else {
            assert!(
                !holds(bytes, PROMPT),
                "the prompt lies in {}",
                path.display()
            );
            assert!(
                !holds(bytes, ANSWER),
                "the answer lies in {}",
                path.display()
            );
        }
    }
    assert!(
        stored,
        "the search finds nothing: not even the answer in the store"
    );
}
