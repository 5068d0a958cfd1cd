//! Goal: the same question is answered once and a different one never by mistake. Method: one
//! table for each side, every row asked of a running node and counted at the provider; a row that
//! must miss is asked again and must then hit, so that it missed for being different and not for
//! being uncacheable.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, CHAT, Told, World, chat, payloads, streamed, with};

/// Asks something that must be answered from the cache.
async fn hits(world: &World, ask: Ask, what: &str) -> Answer {
    let calls = world.calls();
    let answer = ask.send().await;
    assert_eq!(
        (answer.status, answer.cache()),
        (200, "hit"),
        "{what}: {}",
        answer.text()
    );
    assert_eq!(world.calls(), calls, "{what}: no call");
    answer
}

/// Asks something that must go upstream with this outcome.
async fn calls(world: &World, ask: Ask, outcome: &str, what: &str) -> Answer {
    let calls = world.calls();
    let answer = ask.send().await;
    assert_eq!(
        (answer.status, answer.cache()),
        (200, outcome),
        "{what}: {}",
        answer.text()
    );
    assert_eq!(world.calls(), calls + 1, "{what}: one call");
    answer
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_means_the_same_hits() {
    let world = World::new().await;
    let asked = r#"{"model":"gpt-4o-mini","messages":[{"role":"user","content":"same?"}],
        "temperature":0,"top_p":0.5,"x_unheard_of":{"b":[1,2],"a":null},
        "user":"u-1","metadata":{"run":"1"},"safety_identifier":"s-1","prompt_cache_key":"k-1"}"#;
    let first = calls(&world, world.post(CHAT, asked), "miss", "the first time").await;
    let swapped = r#"{"x_unheard_of":{"a":null,"b":[1,2]},"top_p":0.5,"temperature":0,
        "messages":[{"content":"same?","role":"user"}],"model":"gpt-4o-mini"}"#;
    let table: Vec<(&str, String)> = vec![
        ("the very same", asked.into()),
        ("keys in another order", swapped.into()),
        ("no whitespace", asked.split_whitespace().collect()),
        ("more whitespace", asked.replace(':', " :\t\r\n ")),
        (
            "0.0",
            asked.replace("\"temperature\":0", "\"temperature\":0.0"),
        ),
        (
            "-0",
            asked.replace("\"temperature\":0", "\"temperature\":-0"),
        ),
        (
            "0e5",
            asked.replace("\"temperature\":0", "\"temperature\":0e5"),
        ),
        ("5e-1", asked.replace("\"top_p\":0.5", "\"top_p\":5e-1")),
        ("escapes", asked.replace("same?", "s\\u0061me\\u003f")),
        ("another user", asked.replace("u-1", "u-2")),
        (
            "other metadata",
            asked.replace("\"run\":\"1\"", "\"walk\":\"9\""),
        ),
        ("another safety_identifier", asked.replace("s-1", "s-2")),
        ("another prompt_cache_key", asked.replace("k-1", "k-2")),
    ];
    for (what, body) in table {
        let answer = hits(&world, world.post(CHAT, body), what).await;
        assert_eq!(answer.body, first.body, "{what}: byte for byte");
    }
    let options = asked.replace("\"top_p\"", "\"stream_options\":null,\"top_p\"");
    hits(&world, world.post(CHAT, options), "stream_options").await;
}

/// A provider key is not needed where nothing has to be paid, and another one changes nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hit_needs_no_provider_key() {
    let world = World::new().await;
    let refused = world.chat("mine").without("x-provider-auth").send().await;
    assert_eq!((refused.status, world.calls()), (401, 0));
    assert!(
        refused.text().contains("X-Provider-Auth"),
        "{}",
        refused.text()
    );
    calls(&world, world.chat("mine"), "miss", "paid").await;
    hits(
        &world,
        world.chat("mine").without("x-provider-auth"),
        "unpaid",
    )
    .await;
    let other = world
        .chat("mine")
        .header("x-provider-auth", "Bearer sk-other");
    hits(&world, other, "paid by another").await;
    let by_x_api_key = world
        .chat("mine")
        .without("authorization")
        .header("x-api-key", &world.key);
    hits(&world, by_x_api_key, "x-api-key").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_differs_misses_and_then_has_an_answer_of_its_own() {
    let world = World::new().await;
    let other_tenant = world.tenant("other", json!({})).await;
    let body = chat("differ?");
    let ask = |body: &Value| world.post(CHAT, body);
    calls(&world, ask(&body), "miss", "the first time").await;
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {}}}]);
    let turned =
        json!([{"role": "system", "content": "x"}, {"role": "user", "content": "differ?"}]);
    let set = |name, value: Value| ask(&with(&body, name, value));
    let table: Vec<(&str, Ask)> = vec![
        ("tenant", ask(&body).key(&other_tenant)),
        ("agent", ask(&body).header("x-fgy-agent", "faq-bot")),
        ("namespace", ask(&body).header("x-fgy-namespace", "staging")),
        ("query string", ask(&body).query("api-version=1")),
        (
            "openai-beta",
            ask(&body).header("openai-beta", "assistants=v2"),
        ),
        ("model", set("model", json!("gpt-4o"))),
        ("temperature", set("temperature", json!(0.1))),
        (
            "temperature nearby",
            set("temperature", json!(0.1000000001)),
        ),
        ("seed", set("seed", json!(7))),
        (
            "seed beyond 2^53",
            set("seed", json!(9_007_199_254_740_993_u64)),
        ),
        (
            "seed beside it",
            set("seed", json!(9_007_199_254_740_992_u64)),
        ),
        ("max_tokens", set("max_tokens", json!(10))),
        ("unknown parameter", set("x_unheard_of", json!(1))),
        ("unknown parameter, null", set("x_unheard_of", Value::Null)),
        ("unknown parameter, text", set("x_unheard_of", json!("1"))),
        ("tools", set("tools", tool)),
        ("no tools", set("tools", json!([]))),
        ("messages", set("messages", turned)),
        ("letter case", ask(&chat("Differ?"))),
        ("a blank", ask(&chat("differ? "))),
    ];
    for (what, ask) in &table {
        calls(&world, ask.clone(), "miss", what).await;
    }
    // Each has its own answer by now, and none took another's.
    let mut ids = std::collections::BTreeSet::new();
    for (what, ask) in &table {
        let answer = hits(&world, ask.clone(), what).await;
        assert!(
            ids.insert(answer.json()["id"].to_string()),
            "{what}: an answer of its own"
        );
    }
    hits(&world, ask(&body), "the first one").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_policy_says_user_answers_are_the_end_users_own() {
    let world = World::new().await;
    let policy = "policies: [{name: mine, type: exact_cache, config: {scope: user}}]";
    world.policy(policy).await;
    let body = chat("my orders");
    let of = |user: &str| world.post(CHAT, &body).header("x-fgy-user", user);
    calls(&world, of("u-1"), "miss", "u-1").await;
    calls(&world, of("u-2"), "miss", "u-2").await;
    hits(&world, of("u-1"), "u-1").await;
    let in_body = |name| world.post(CHAT, with(&body, name, json!("u-2")));
    hits(&world, in_body("user"), "by the body's user").await;
    hits(
        &world,
        in_body("safety_identifier"),
        "by the safety_identifier",
    )
    .await;
    let nobody = calls(&world, world.post(CHAT, &body), "bypass", "nobody").await;
    assert_eq!(nobody.reason(), "no-user");
    calls(&world, world.post(CHAT, &body), "bypass", "nobody again").await;
}

/// A plain answer plays as a stream and a stream folds to a plain answer, field by field.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_shape_asked_for_is_not_part_of_the_question() {
    let world = World::new().await;
    let rich = "[[mock chunks=5 choices=2 logprobs=true reasoning=3 extra=true]]";
    for (at, prompt) in ["plain words", rich].into_iter().enumerate() {
        // Plain first.
        let body = chat(&format!("{prompt} plain first {at}"));
        let plain = calls(&world, world.post(CHAT, &body), "miss", prompt)
            .await
            .json();
        let mut live = world.post(CHAT, streamed(&body)).open().await;
        assert_eq!((live.cache(), live.status), ("hit", 200));
        let told = live.rest().await;
        assert!(told.last().is_some_and(Told::is_done));
        let text: String = told
            .iter()
            .filter(|told| !told.is_done())
            .map(text_of)
            .collect();
        assert_eq!(text, plain["choices"][0]["message"]["content"]);
        assert!(told[0].json()["id"] == plain["id"] && told[0].json()["model"] == plain["model"]);
        // Stream first, and the same question asked plainly of the provider itself.
        let body = chat(&format!("{prompt} stream first {at}"));
        let mut live = world.post(CHAT, streamed(&body)).open().await;
        assert_eq!(live.cache(), "miss");
        live.rest().await;
        let folded = hits(&world, world.post(CHAT, &body), prompt).await.json();
        let direct = format!("{}/chat/completions", world.mock.base_url());
        let sent = world
            .client
            .post(direct)
            .body(body.to_string())
            .send()
            .await
            .unwrap();
        let direct: Value = serde_json::from_slice(&sent.bytes().await.unwrap()).unwrap();
        assert_eq!(same(folded, "folded"), same(direct, "direct"), "{prompt}");
    }
}

fn text_of(told: &Told) -> String {
    let choices = &told.json()["choices"];
    let first = choices
        .as_array()
        .into_iter()
        .flatten()
        .find(|choice| choice["index"] == 0);
    let text = first.and_then(|choice| choice["delta"]["content"].as_str().map(str::to_owned));
    text.unwrap_or_default()
}

/// The answer without what names its call: the number of it in ids and texts, the second.
fn same(answer: Value, what: &str) -> Value {
    let id = answer["id"].as_str().unwrap_or_default();
    let call = id.rsplit('-').next().unwrap_or_default().to_owned();
    assert!(!call.is_empty(), "{what}: no call in {answer}");
    let mut answer = unnumbered(answer, &call);
    answer["created"] = json!(0);
    answer
}

fn unnumbered(value: Value, call: &str) -> Value {
    match value {
        Value::String(text) => {
            let text = text.replace(&format!("{call}/"), "N/");
            json!(text.replace(&format!("-mock-{call}"), "-mock-N"))
        }
        Value::Array(items) => items
            .into_iter()
            .map(|item| unnumbered(item, call))
            .collect(),
        Value::Object(members) => {
            let members = members.into_iter().map(|(name, value)| {
                let value = match name.as_str() {
                    "bytes" => json!("as the token says"),
                    // A list in a delta is a piece of one, so a list nobody knows grows too.
                    "unheard_of" => value.as_array().map_or(json!(null), |all| json!(all[..2])),
                    "call" => json!("N"),
                    _ => unnumbered(value, call),
                };
                (name, value)
            });
            Value::Object(members.collect())
        }
        other => other,
    }
}

/// What is not whole, or not a success, is heard once and never again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_went_wrong_is_never_replayed() {
    let world = World::new().await;
    // What is told to a plain caller: status and whether the body is the provider's own.
    let table = [
        ("status=429 retry_after_seconds=3", 429),
        ("status=500", 500),
        ("status=503", 503),
        ("status=401", 401),
        ("status=404", 404),
        ("finish=length", 200),
        ("finish=content_filter", 200),
        ("refusal=no", 200),
        ("tools=1 finish=tool_calls text=\"{'not json\"", 200),
        ("fail=inside", 200),
        ("fail=cut", 502),
    ];
    for (directive, status) in table {
        let prompt = format!("[[mock {directive}]] wrong");
        for time in 1..=2 {
            let calls = world.calls();
            let answer = world.chat(&prompt).send().await;
            let what = format!("{directive}, time {time}: {}", answer.text());
            assert_eq!(answer.status, status, "{what}");
            assert_eq!(answer.cache(), "miss", "{what}");
            assert_eq!(world.calls(), calls + 1, "{what}");
            if (400..502).contains(&status) {
                let own = format!("mock error {status} on call {}", world.last_call().number);
                assert_eq!(answer.json()["error"]["message"], own, "{what}");
            }
            if status == 429 {
                assert_eq!(answer.header("retry-after"), Some("3"), "{what}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_that_went_wrong_is_never_replayed() {
    let world = World::new().await;
    // How it ends: with the marker of a broken answer, or as the provider ended it.
    let table = [
        ("fail=cut fail_at=3", false),
        ("fail=half fail_at=3", false),
        ("fail=end fail_at=3", false),
        ("fail=event fail_at=3", false),
        ("finish=length", true),
        ("finish=content_filter", true),
        ("refusal=no", true),
        ("tools=1 finish=tool_calls text=\"{'not json\"", true),
    ];
    for (directive, whole) in table {
        let prompt = format!("[[mock {directive}]] wrong");
        for time in 1..=2 {
            let calls = world.calls();
            let mut live = world.stream(&prompt).open().await;
            let told = live.rest().await;
            let what = format!("{directive}, time {time}: {:?}", payloads(&told));
            assert_eq!((live.status, live.cache()), (200, "miss"), "{what}");
            assert_eq!(world.calls(), calls + 1, "{what}");
            let last = told.last().expect("something");
            assert_eq!(last.is_done(), whole, "{what}");
            if !whole {
                assert_eq!(last.json()["error"]["code"], "fgy_truncated", "{what}");
                assert!(told.len() > 3, "what came before is passed on: {what}");
            }
        }
        let calls = world.calls();
        world.chat(&prompt).send().await;
        assert_eq!(
            world.calls(),
            calls + 1,
            "{directive}: nor to a plain caller"
        );
    }
}
