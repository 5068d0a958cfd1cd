//! Goal: a stream loses nothing on its way through, live, replayed or made of a plain answer, and
//! a reader who is slow is slow alone. Method: the same question asked of the provider itself, and
//! what each way through the node says held against it, event by event.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::{Live, Told, World, chat, client_h2, eventually, payloads, streamed, with};

/// Everything a stream may carry, each once.
const KINDS: [&str; 8] = [
    "[[mock chunks=6]] words",
    "[[mock chunks=4 choices=3]] several choices",
    "[[mock chunks=7 tools=2 text=\"{\\\"city\\\":\\\"Rome\\\"}\"]] tools in pieces",
    "[[mock chunks=3 logprobs=true]] token by token",
    "[[mock chunks=3 refusal=\"I would rather not\"]] a refusal",
    "[[mock chunks=3 reasoning=4]] thoughts first",
    "[[mock chunks=3 extra=true]] fields nobody knows",
    "[[mock chunks=5 text=\"größer als ∞ 🦀🦀 \\\"quoted\\\"\"]] letters of many bytes",
];

/// The stream as the provider itself would say it, asked for usage as nodes ask.
async fn direct(world: &World, body: &Value) -> Vec<Value> {
    let body = with(body, "stream_options", json!({"include_usage": true}));
    let mut ask = world.post("", body);
    ask = ask.at(format!("{}/chat/completions", world.mock.base_url()));
    numberless(&ask.open().await.rest().await)
}

/// The payloads without what names the call.
fn numberless(told: &[Told]) -> Vec<Value> {
    let (last, events) = told.split_last().expect("events");
    assert!(last.is_done(), "{last:?}");
    let id = events[0].json()["id"].as_str().map(str::to_owned);
    let call = id
        .and_then(|id| Some(id.rsplit_once('-')?.1.to_owned()))
        .expect("a call");
    let event = |told: &Told| {
        let mut event = told.json();
        event["created"] = json!(0);
        event["id"] = json!("");
        let text = event.to_string();
        let text = text
            .replace(&format!("{call}/"), "N/")
            .replace(&format!("mock_{call}_"), "mock_N_");
        let text = text.replace(&format!("\"call\":{call}"), "\"call\":0");
        let mut event: Value = serde_json::from_str(&text).expect("JSON");
        strip_bytes(&mut event);
        event
    };
    events.iter().map(event).collect()
}

/// The bytes of a token spell the call's number as well.
fn strip_bytes(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(strip_bytes),
        Value::Object(members) => {
            if members.contains_key("logprob") {
                assert!(
                    members
                        .remove("bytes")
                        .is_some_and(|bytes| bytes.is_array())
                );
            }
            members.values_mut().for_each(strip_bytes);
        }
        _ => {}
    }
}

/// What a caller hears who did not ask for usage: no usage anywhere.
fn usage_free(events: &[Value]) -> Vec<Value> {
    let kept = events.iter().filter(|event| event["choices"] != json!([]));
    let bare = kept.map(|event| {
        let mut event = event.clone();
        event.as_object_mut().expect("an object").remove("usage");
        event
    });
    bare.collect()
}

async fn stream(world: &World, body: &Value, cache: &str) -> Vec<Told> {
    let mut live = world
        .post(crate::support::CHAT, streamed(body))
        .open()
        .await;
    assert_eq!((live.status, live.cache()), (200, cache), "{body}");
    live.rest().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_and_replayed_a_stream_says_what_the_provider_said() {
    let world = World::new().await;
    for kind in KINDS {
        let body = chat(kind);
        let usage = with(&body, "stream_options", json!({"include_usage": true}));
        let original = direct(&world, &streamed(&body)).await;
        let miss = stream(&world, &body, "miss").await;
        assert_eq!(numberless(&miss), usage_free(&original), "live: {kind}");
        // A refusal is passed on and not kept; all others are.
        if kind.contains("refusal") {
            let live = stream(&world, &usage, "miss").await;
            assert_eq!(numberless(&live), original, "live, with usage: {kind}");
            continue;
        }
        let hit = stream(&world, &body, "hit").await;
        assert_eq!(
            payloads(&hit),
            payloads(&miss),
            "replayed, byte for byte: {kind}"
        );
        let counted = stream(&world, &usage, "hit").await;
        assert_eq!(
            numberless(&counted),
            original,
            "replayed, with usage: {kind}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn live_with_usage_when_it_was_asked_for_and_only_then() {
    let world = World::new().await;
    let body = chat("[[mock chunks=3]] counted");
    let usage = with(&body, "stream_options", json!({"include_usage": true}));
    let told = stream(&world, &usage, "miss").await;
    let last = &told[told.len() - 2].json();
    assert_eq!(
        (
            &last["choices"],
            last["usage"]["completion_tokens"].as_u64()
        ),
        (&json!([]), Some(3))
    );
    let without = stream(&world, &body, "hit").await;
    assert_eq!(without.len(), told.len() - 1);
    assert!(
        without.iter().all(|told| !told.data.contains("\"usage\"")),
        "{:?}",
        payloads(&without)
    );
}

/// A plain answer as a stream: every part of it is there when the chunks are put together again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plain_answer_played_as_a_stream_loses_nothing() {
    let world = World::new().await;
    for kind in KINDS.into_iter().filter(|kind| !kind.contains("refusal")) {
        let body = chat(kind);
        let plain = world.post(crate::support::CHAT, &body).send().await;
        assert_eq!(plain.cache(), "miss");
        let usage = with(&body, "stream_options", json!({"include_usage": true}));
        let told = stream(&world, &usage, "hit").await;
        assert_eq!(put_together(&told), plain.json(), "{kind}");
    }
}

/// What a client makes of a stream's chunks, written without a look at how the node does it.
fn put_together(told: &[Told]) -> Value {
    let events: Vec<Value> = told
        .iter()
        .filter(|told| !told.is_done())
        .map(Told::json)
        .collect();
    let mut whole = events[0].clone();
    whole["object"] = json!("chat.completion");
    let mut choices: Vec<Value> = Vec::new();
    for event in &events {
        if let Some(usage) = event.get("usage").filter(|usage| !usage.is_null()) {
            whole["usage"] = usage.clone();
        }
        for choice in event["choices"].as_array().expect("choices") {
            let at = choice["index"].as_u64().expect("an index") as usize;
            if choices.len() <= at {
                choices.resize(at + 1, json!({"message": {}}));
            }
            let made = &mut choices[at];
            for (name, value) in choice.as_object().expect("a choice") {
                match name.as_str() {
                    "delta" => grow(&mut made["message"], value),
                    "logprobs" => grow(&mut made["logprobs"], value),
                    _ => made[name.as_str()] = value.clone(),
                }
            }
        }
    }
    whole["choices"] = choices.into();
    whole
}

fn grow(made: &mut Value, piece: &Value) {
    match (&mut *made, piece) {
        (Value::String(text), Value::String(more)) => text.push_str(more),
        (Value::Object(members), Value::Object(more)) => {
            for (name, value) in more {
                grow(members.entry(name.clone()).or_insert(Value::Null), value);
            }
        }
        (Value::Array(items), Value::Array(more)) => {
            for (at, item) in more.iter().enumerate() {
                let mut item = item.clone();
                // Pieces of tool calls say which call they belong to; a whole one does not.
                let index = item.as_object_mut().and_then(|item| item.remove("index"));
                let at = index
                    .and_then(|index| index.as_u64())
                    .map_or(items.len() + at, |at| at as usize);
                match items.get_mut(at) {
                    Some(made) => grow(made, &item),
                    None => items.push(item),
                }
            }
        }
        (_, Value::Null) => {}
        (made, piece) => {
            *made = piece.clone();
            if let Value::Array(items) = made {
                for item in items.iter_mut().filter_map(Value::as_object_mut) {
                    item.remove("index");
                }
            }
        }
    }
}

/// How the provider cut its text is part of what it said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replay_keeps_the_recorded_chunks_and_not_their_pace() {
    let world = World::new().await;
    let body = chat("[[mock chunks=30 pace_ms=20]] thirty pieces");
    let began = tokio::time::Instant::now();
    let live = stream(&world, &body, "miss").await;
    let live_took = began.elapsed();
    let began = tokio::time::Instant::now();
    let hit = stream(&world, &body, "hit").await;
    let hit_took = began.elapsed();
    println!("live {live_took:?}, replayed {hit_took:?}");
    assert_eq!((payloads(&hit), hit.len()), (payloads(&live), 33));
    assert!(live_took >= Duration::from_millis(570) && hit_took * 2 < live_took);
}

/// One who reads an event and then nothing: the others, and the call, go on without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_slows_only_itself() {
    let world = World::new().await;
    // More than an HTTP/2 stream's window holds: whoever waits for this reader waits for ever.
    let prompt = "[[mock chunks=64 pace_ms=5 answer_bytes=8000000]] a flood";
    let mut slow: Live = world.stream(prompt).through(&client_h2()).open().await;
    assert_eq!(slow.cache(), "miss", "the slow one even leads");
    let first = slow.next().await.expect("a first event");
    let mut quick = world.stream(prompt).open().await;
    assert_eq!(quick.cache(), "coalesced");
    let told = quick.rest().await;
    assert!(told.last().is_some_and(Told::is_done));
    let bytes: usize = told.iter().map(|told| told.data.len()).sum();
    assert!(bytes > 8_000_000, "{bytes}");
    assert_eq!(world.last_call().end(), fgy::mock::End::Complete);
    let again = world.chat(prompt).send().await;
    assert_eq!((again.cache(), world.calls()), ("hit", 1));
    assert_eq!(
        world.gauge("fgy_journal_lines").await,
        2,
        "the slow one is not through yet"
    );
    // And when it reads on, all of it is there.
    let rest = slow.rest().await;
    assert_eq!(payloads(&[vec![first], rest].concat()), payloads(&told));
}

/// While the provider thinks, the connection shows life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_in_mid_stream_is_filled_with_comments() {
    let world = World::new().await;
    let prompt = "[[mock chunks=2 pace_ms=17000]] think long";
    let mut live = world.stream(prompt).open().await;
    let told = live.rest().await;
    let comments = told.iter().filter(|told| told.data.starts_with(':'));
    assert_eq!(comments.count(), 1, "{:?}", payloads(&told));
    assert!(told.last().is_some_and(Told::is_done));
    let hit = world.stream(prompt).open().await.rest().await;
    assert!(
        hit.iter().all(|told| !told.data.starts_with(':')),
        "life is not part of the answer"
    );
}

/// When every listener has gone the call goes on to its end, and its answer is kept.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_nobody_waits_for_any_more_is_still_kept() {
    let world = World::new().await;
    let prompt = "[[mock chunks=20 pace_ms=20]] left alone";
    let mut live = world.stream(prompt).open().await;
    live.take(3).await;
    drop(live);
    let kept = async || {
        let ask = world.chat(prompt).header("cache-control", "only-if-cached");
        (ask.send().await.status == 200).then_some(())
    };
    eventually("it is kept", kept).await;
    assert_eq!(
        (world.calls(), world.last_call().end()),
        (1, fgy::mock::End::Complete)
    );
}
