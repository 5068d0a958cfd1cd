//! Goal: every answer says what became of the request, in the contract's words, and no header goes
//! where it does not belong. Method: one request for each outcome, its headers against a table;
//! what reached the provider is read from its own echo.

use futures_util::StreamExt;
use serde_json::{Value, json};

use crate::support::{Answer, CHAT, PROVIDER_KEY, World, chat, streamed, until, with};

/// Splits a `Cache-Status` of one member, as RFC 9211 writes it, into its cache and parameters.
fn cache_status(answer: &Answer) -> (String, Vec<(String, String)>) {
    let status = answer.header("cache-status").expect("a Cache-Status");
    let mut parts = status.split(';').map(str::trim);
    let cache = parts.next().expect("a cache").to_owned();
    let parameter = |part: &str| {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let lower = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-_*.".contains(&b);
        assert!(!name.is_empty() && name.bytes().all(lower), "{status}");
        let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&b);
        assert!(value.bytes().all(token), "{status}");
        (name.to_owned(), value.to_owned())
    };
    (cache, parts.map(parameter).collect())
}

/// What every answer has.
fn is_named(answer: &Answer, outcome: &str, reason: &str, forwarded: &str) {
    let what = format!("{outcome} {reason}: {:?}", answer.headers);
    assert_eq!(
        (answer.cache(), answer.reason()),
        (outcome, reason),
        "{what}"
    );
    let node = answer.header("x-fgy-node").expect("a node");
    let id = answer.header("x-request-id").expect("an id");
    assert!(
        id.starts_with(&format!("{node}.")) && id.len() == node.len() + 37,
        "{what}"
    );
    assert_eq!(
        answer.headers.get_all("x-request-id").iter().count(),
        1,
        "{what}"
    );
    let (cache, parameters) = cache_status(answer);
    assert_eq!(cache, "fgy", "{what}");
    let get = |name: &str| parameters.iter().find(|(found, _)| found == name);
    assert_eq!(get("hit").is_some(), outcome == "hit", "{what}");
    assert_eq!(
        get("fwd").map_or("", |(_, value)| value),
        forwarded,
        "{what}"
    );
    assert_eq!(get("ttl").is_some(), outcome == "hit", "{what}");
    let detail = if reason.is_empty() { outcome } else { reason };
    assert_eq!(
        get("detail").map(|(_, value)| value.as_str()),
        Some(detail),
        "{what}"
    );
    assert_eq!(answer.header("age").is_some(), outcome == "hit", "{what}");
    assert_eq!(answer.headers.get("set-cookie"), None, "{what}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_outcome_is_told_in_full() {
    let world = World::new().await;
    world.behave(&[("cookie", "true")]);
    // Without a model a miss would say that it could not be matched by meaning.
    let exact = "policies:\n- name: exact\n  type: exact_cache\n";
    world.policy(exact).await;
    for ask in [world.chat("told"), world.stream("told in pieces")] {
        let miss = ask.clone().header("x-request-id", "my-own").send().await;
        is_named(&miss, "miss", "", "miss");
        assert_eq!(miss.header("x-fgy-owner"), miss.header("x-fgy-node"));
        let own = format!("req-mock-{}", world.last_call().number);
        assert_eq!(miss.header("x-fgy-provider-request-id"), Some(own.as_str()));
        assert_eq!(miss.header("x-ratelimit-remaining-requests"), Some("4999"));
        assert_eq!(miss.header("openai-version"), Some("mock"));
        let hit = ask.clone().send().await;
        is_named(&hit, "hit", "", "");
        assert_eq!(hit.header("age"), Some("0"));
        tells_nothing_of_the_provider(&hit);
        let refresh = ask.clone().header("cache-control", "no-cache").send().await;
        is_named(&refresh, "refresh", "no-cache", "request");
        assert!(refresh.header("openai-version").is_some(), "its own call");
        let bypass = ask.clone().header("x-fgy-cache", "off").send().await;
        is_named(&bypass, "bypass", "cache-off", "bypass");
    }
    let prompt = "[[mock latency_ms=400]] together";
    let calls = world.calls();
    let leader = tokio::task::JoinSet::from_iter([world.chat(prompt).send()]);
    until("the call is in the air", || world.calls() > calls).await;
    let follower = world.chat(prompt).send().await;
    is_named(&follower, "coalesced", "", "miss");
    let (_, parameters) = cache_status(&follower);
    assert!(parameters.contains(&("collapsed".into(), String::new())));
    tells_nothing_of_the_provider(&follower);
    let leader = leader.join_all().await.remove(0);
    is_named(&leader, "miss", "", "miss");
    assert!(leader.header("x-fgy-provider-request-id").is_some());
}

fn tells_nothing_of_the_provider(answer: &Answer) {
    let names = answer.headers.keys().map(|name| name.as_str());
    let theirs = names.filter(|name| {
        name.starts_with("openai-")
            || name.starts_with("x-ratelimit-")
            || *name == "x-fgy-provider-request-id"
    });
    assert_eq!(theirs.count(), 0, "{:?}", answer.headers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_is_named_like_any_answer_and_shaped_like_the_apis() {
    let world = World::new().await;
    let refused = world
        .chat("[[mock status=429 retry_after_seconds=5]] x")
        .send()
        .await;
    is_named(&refused, "miss", "provider-error", "miss");
    assert_eq!(
        (refused.status, refused.header("retry-after")),
        (429, Some("5"))
    );
    assert_eq!(refused.header("content-type"), Some("application/json"));
    let only = world
        .chat("x")
        .header("cache-control", "only-if-cached")
        .send()
        .await;
    is_named(&only, "bypass", "only-if-cached", "");
    let mut nested = "[".repeat(10_000);
    nested.push_str(&"]".repeat(10_000));
    let table = [
        (world.post(CHAT, "{"), 400, "bad-body"),
        (
            world.post(CHAT, "{\"model\":\"m\",\"model\":\"m\"}"),
            400,
            "bad-body",
        ),
        (world.post(CHAT, nested), 400, "bad-body"),
        (
            world.chat("x").header("x-fgy-ttl-seconds", "soon"),
            400,
            "bad-header",
        ),
        (
            world.chat("x").header("x-fgy-provider", "nobody"),
            400,
            "no-such-provider",
        ),
        (world.chat("x").key("fgy_unknown"), 401, "unknown-key"),
        (world.chat("x").without("authorization"), 401, "unknown-key"),
        (
            world.chat("x").without("x-provider-auth"),
            401,
            "no-provider-key",
        ),
        (
            world.post(CHAT, " ".repeat((32 << 20) + 1)),
            413,
            "too-large",
        ),
    ];
    for (ask, status, code) in table {
        let answer = ask.send().await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (status, code)
        );
        is_named(&answer, "bypass", code, "");
        assert!(!answer.text().contains("sk-story") && !answer.text().contains("fgy_unknown"));
    }
}

/// The headers the provider saw, by its own echo; credentials come as digests.
fn echoed(answer: &Answer) -> Vec<(String, String)> {
    let body = answer.json();
    let text = body["choices"][0]["message"]["content"].as_str();
    let echo: Value = text.map_or(body.clone(), |text| {
        serde_json::from_str(text).expect("an echo")
    });
    serde_json::from_value(echo["headers"].clone()).expect("headers")
}

fn all<'h>(headers: &'h [(String, String)], name: &str) -> Vec<&'h str> {
    let found = headers.iter().filter(|(found, _)| found == name);
    found.map(|(_, value)| value.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cached_path_sends_on_what_is_named_and_nothing_else() {
    let world = World::new().await;
    let ask = world
        .chat("[[mock echo=true]] mirror")
        .header("user-agent", "story/1")
        .header("traceparent", "00-1-2-01")
        .header("openai-organization", "org-1")
        .header("openai-beta", "assistants=v2")
        .header("cookie", "a=b")
        .header("x-private", "mine")
        .header("x-fgy-agent", "faq-bot")
        .header("x-request-id", "my-own");
    let headers = echoed(&ask.send().await);
    for (name, value) in [
        ("user-agent", "story/1"),
        ("traceparent", "00-1-2-01"),
        ("openai-organization", "org-1"),
        ("openai-beta", "assistants=v2"),
        ("accept-encoding", "identity"),
    ] {
        assert_eq!(all(&headers, name), [value], "{headers:?}");
    }
    let key = format!("digest {}", fgy::mock::Digest::of(b"sk-story"));
    assert_eq!(
        all(&headers, "authorization"),
        [key],
        "the caller's own, and not ours"
    );
    for name in [
        "cookie",
        "x-private",
        "x-provider-auth",
        "x-api-key",
        "x-request-id",
    ] {
        assert!(all(&headers, name).is_empty(), "{name}: {headers:?}");
    }
    assert!(
        !headers.iter().any(|(name, _)| name.starts_with("x-fgy-")),
        "{headers:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_passes_through_keeps_its_headers_both_ways() {
    let world = World::new().await;
    let ask = world
        .post("/v1/fine_tuning/jobs", json!({"any": "thing"}))
        .query("limit=2&after=x%20y")
        .header("x-private", "one")
        .header_too("x-private", "two")
        .header("cookie", "a=b")
        .header("x-fgy-agent", "faq-bot")
        .header("helicone-cache-enabled", "true")
        .header("openai-beta", "b");
    let answer = ask.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    is_named(&answer, "bypass", "pass-through", "bypass");
    assert!(answer.header("x-fgy-provider-request-id").is_some());
    assert_eq!(answer.header("openai-version"), Some("mock"));
    let echo = answer.json();
    assert_eq!(echo["query"], "limit=2&after=x%20y");
    let headers = echoed(&answer);
    assert_eq!(
        all(&headers, "x-private"),
        ["one", "two"],
        "all values, in order"
    );
    assert_eq!(all(&headers, "openai-beta"), ["b"]);
    let key = format!("digest {}", fgy::mock::Digest::of(b"sk-story"));
    assert_eq!(all(&headers, "authorization"), [key]);
    for name in [
        "cookie",
        "x-provider-auth",
        "x-fgy-agent",
        "helicone-cache-enabled",
    ] {
        assert!(all(&headers, name).is_empty(), "{name}: {headers:?}");
    }
    let models = world.get("/v1/models").send().await;
    is_named(&models, "bypass", "pass-through", "bypass");
    assert_eq!(models.json()["data"][0]["id"], "gpt-4o");
}

/// A path nobody here knows, with a body far beyond what is buffered, sent as it is made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_path_is_streamed_both_ways() {
    let world = World::new().await;
    let piece = bytes::Bytes::from(vec![b'x'; 1 << 20]);
    let pieces = futures_util::stream::iter(std::iter::repeat_n(piece, 48));
    let sent = world
        .client
        .put(format!("{}/v1/files/content", world.base))
        .header("authorization", format!("Bearer {}", world.key))
        .header("x-provider-auth", PROVIDER_KEY)
        .body(reqwest::Body::wrap_stream(
            pieces.map(Ok::<_, std::io::Error>),
        ))
        .send()
        .await
        .expect("an answer");
    assert_eq!(sent.status(), 200);
    let echo: Value = serde_json::from_slice(&sent.bytes().await.unwrap()).unwrap();
    assert_eq!(
        (&echo["method"], echo["body_bytes"].as_u64()),
        (&json!("PUT"), Some(48 << 20))
    );
    // And back: events arrive while the provider is still speaking.
    let body = streamed(&chat("[[mock chunks=20 pace_ms=100]] slowly"));
    let mut live = world
        .post(CHAT, body)
        .header("x-fgy-cache", "off")
        .open()
        .await;
    assert_eq!(live.cache(), "bypass");
    live.take(2).await;
    let said = world.last_call().chunks_micros().len();
    assert!(said < 15, "two events in hand only when {said} were said");
    assert!(live.rest().await.last().is_some_and(|told| told.is_done()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_cached_passes_with_its_reason() {
    let world = World::new().await;
    let huge = format!(
        r#"{{"model":"m","messages":[],"seed":1{}}}"#,
        "0".repeat(40)
    );
    let odd = with(&chat("x"), "stream", json!("yes"));
    let table = [
        (
            world.chat("x").header("content-encoding", "gzip"),
            "encoded",
        ),
        (
            world.post("/v1/responses", json!({"model": "m", "input": "x"})),
            "not-yet",
        ),
        (
            world.post("/v1/messages", json!({"model": "m", "messages": []})),
            "not-yet",
        ),
        (world.post(CHAT, odd), "not-understood"),
        (world.post(CHAT, huge), "not-understood"),
        (
            world.post("/v1/moderations", json!({"input": "x"})),
            "pass-through",
        ),
    ];
    world.behave(&[("cookie", "true")]);
    for (ask, reason) in table {
        let calls = world.calls();
        let answer = ask.send().await;
        assert_eq!(
            world.calls(),
            calls + 1,
            "{reason}: it reached the provider"
        );
        is_named(&answer, "bypass", reason, "bypass");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_realtime_connection_is_shown_the_way() {
    let world = World::new().await;
    let ask = world
        .get("/v1/realtime")
        .header("connection", "upgrade")
        .header("upgrade", "websocket");
    let answer = ask.send().await;
    assert_eq!(
        (answer.status, answer.error_code().as_str()),
        (501, "upgrade")
    );
    assert!(
        answer.text().contains(&world.mock.base_url()),
        "{}",
        answer.text()
    );
    assert_eq!(world.calls(), 0);
}
