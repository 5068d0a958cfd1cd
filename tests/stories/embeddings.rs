//! Goal: a batch of embeddings is as good as its items: what is kept is not asked for again, what
//! is missing is one call, and the caller cannot tell but by the price. Method: batches that
//! overlap in every way, counted at the provider item by item, vectors held against those of the
//! provider itself.

use serde_json::{Value, json};

use crate::support::{Answer, Ask, World, eventually, together, with};

const EMBEDDINGS: &str = "/v1/embeddings";

fn batch(input: Value) -> Value {
    json!({"model": "text-embedding-3-small", "dimensions": 8, "input": input})
}

fn ask(world: &World, input: Value) -> Ask {
    world.post(EMBEDDINGS, batch(input))
}

/// Outcome, reason and how many texts the provider was asked for.
async fn told(world: &World, ask: Ask) -> (String, String, u64, Answer) {
    let before = world.mock.calls().totals().items;
    let answer = ask.send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let items = world.mock.calls().totals().items - before;
    (
        answer.cache().to_owned(),
        answer.reason().to_owned(),
        items,
        answer,
    )
}

/// The vectors of an answer, whose indices must count up.
fn vectors(answer: &Answer) -> Vec<Value> {
    let body = answer.json();
    let data = body["data"].as_array().expect("data");
    let indices: Vec<u64> = data
        .iter()
        .filter_map(|one| one["index"].as_u64())
        .collect();
    assert_eq!(indices, (0..data.len() as u64).collect::<Vec<_>>());
    data.iter().map(|one| one["embedding"].clone()).collect()
}

/// The vectors the provider itself gives.
async fn direct(world: &World, input: Value) -> Vec<Value> {
    let url = format!("{}/embeddings", world.mock.base_url());
    vectors(&ask(world, input).at(url).send().await)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_is_looked_up_item_by_item() {
    let world = World::new().await;
    // Outcome, reason, texts asked of the provider.
    let table: [(Value, &str, &str, u64); 9] = [
        (json!(["a", "b"]), "miss", "", 2),
        (json!(["a", "b"]), "hit", "", 0),
        (json!(["b", "a"]), "hit", "", 0),
        (json!("a"), "hit", "", 0),
        (json!(["b"]), "hit", "", 0),
        (
            json!(["c", "a", "d", "b", "e"]),
            "miss",
            "partial-2-of-5",
            3,
        ),
        (json!(["e", "d", "c", "b", "a"]), "hit", "", 0),
        (json!(["f", "f", "g", "f"]), "miss", "", 2),
        (json!(["f", "g", "g", "a"]), "hit", "", 0),
    ];
    for (input, outcome, reason, items) in table {
        let (found, why, asked, answer) = told(&world, ask(&world, input.clone())).await;
        assert_eq!(
            (found.as_str(), why.as_str(), asked),
            (outcome, reason, items),
            "{input}"
        );
        let expected = direct(&world, input.clone()).await;
        assert_eq!(
            vectors(&answer),
            expected,
            "the order is the caller's: {input}"
        );
        assert_eq!(answer.json()["object"], "list");
        assert_eq!(answer.json()["model"], "text-embedding-3-small");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_changes_a_vector_is_part_of_the_question() {
    let world = World::new().await;
    let body = batch(json!(["one", "two"]));
    told(&world, world.post(EMBEDDINGS, &body)).await;
    for (name, value) in [
        ("encoding_format", json!("base64")),
        ("dimensions", json!(16)),
        ("model", json!("text-embedding-3-large")),
    ] {
        let other = with(&body, name, value);
        let (outcome, _, asked, answer) = told(&world, world.post(EMBEDDINGS, &other)).await;
        assert_eq!((outcome.as_str(), asked), ("miss", 2), "{name}");
        let base64 = vectors(&answer).iter().all(Value::is_string);
        assert_eq!(base64, name == "encoding_format");
        let (outcome, _, _, again) = told(&world, world.post(EMBEDDINGS, &other)).await;
        assert_eq!(
            (outcome.as_str(), vectors(&again)),
            ("hit", vectors(&answer)),
            "{name}"
        );
    }
    let user = with(&body, "user", json!("u-1"));
    assert_eq!(told(&world, world.post(EMBEDDINGS, &user)).await.0, "hit");
    // Token lists are inputs too, and a list of numbers is one.
    let (outcome, _, _, answer) = told(&world, ask(&world, json!([1, 2, 3]))).await;
    assert_eq!(
        (outcome.as_str(), !vectors(&answer).is_empty()),
        ("miss", true)
    );
}

fn prompt_tokens(answer: &Answer) -> u64 {
    answer.json()["usage"]["prompt_tokens"]
        .as_u64()
        .expect("a count")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn usage_is_shared_out_by_bytes_and_never_adds_up_to_more() {
    let world = World::new().await;
    let (short, long) = ("x".repeat(40), "y".repeat(400));
    let (.., whole) = told(&world, ask(&world, json!([short, long]))).await;
    let (.., a) = told(&world, ask(&world, json!(short))).await;
    let (.., b) = told(&world, ask(&world, json!(long))).await;
    assert!(prompt_tokens(&a) > 0 && prompt_tokens(&b) > 5 * prompt_tokens(&a));
    let parts = prompt_tokens(&a) + prompt_tokens(&b);
    assert!((prompt_tokens(&whole) - 2..=prompt_tokens(&whole)).contains(&parts));
    let (.., again) = told(&world, ask(&world, json!([long, short]))).await;
    assert_eq!(
        prompt_tokens(&again),
        parts,
        "a hit tells the sum of its items"
    );
}

/// What was kept of a batch is what was saved, wherever in the batch it stood.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_kept_part_of_a_batch_is_saved_and_no_other() {
    use fgy::ledger::line::Outcome;
    let mut world = World::new().await;
    let (short, long) = ("x".repeat(40), "y".repeat(4_000));
    // Each alone, so that the provider counted each by itself.
    let (.., kept) = told(&world, ask(&world, json!(short))).await;
    let (_, reason, ..) = told(&world, ask(&world, json!([long, short]))).await;
    assert_eq!(reason, "partial-1-of-2");
    let (outcome, ..) = told(&world, ask(&world, json!(short))).await;
    assert_eq!(outcome, "hit");
    let lines = world.lines("default").await;
    let hit = lines
        .iter()
        .find(|line| line.outcome == Outcome::Hit)
        .expect("a hit");
    let partial = lines
        .iter()
        .find(|line| line.reason.starts_with("partial"))
        .expect("a part");
    // text-embedding-3-small: 20 nano-dollars a token.
    assert_eq!(hit.saved.0, prompt_tokens(&kept) * 20);
    assert_eq!(
        (partial.outcome, partial.saved),
        (Outcome::Miss, hit.saved),
        "{partial:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn identical_batches_at_once_are_one_call() {
    let world = World::new().await;
    world.behave(&[("latency_ms", "600")]);
    let asks = (0..40).map(|_| ask(&world, json!(["p", "q", "r"])).send());
    let answers = together(asks.collect::<Vec<_>>()).await;
    assert_eq!(world.calls(), 1);
    let led = answers
        .iter()
        .filter(|answer| answer.cache() == "miss")
        .count();
    let followed = answers
        .iter()
        .filter(|answer| answer.cache() == "coalesced")
        .count();
    assert_eq!((led, followed), (1, 39));
    for answer in &answers {
        assert_eq!(answer.body, answers[0].body);
    }
    // Another batch that misses one of them asks for that one alone.
    let (_, reason, asked, _) = told(&world, ask(&world, json!(["q", "s", "r"]))).await;
    assert_eq!((reason.as_str(), asked), ("partial-2-of-3", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_that_fails_is_told_and_kept_by_nobody() {
    let world = World::new().await;
    for (directive, status) in [
        ("status=429", 429),
        ("status=500", 500),
        ("fail=inside", 502),
        ("fail=cut", 502),
    ] {
        let input = json!([format!("[[mock {directive}]]"), "beside"]);
        for _ in 0..2 {
            let before = world.calls();
            let answer = ask(&world, input.clone()).send().await;
            assert_eq!(answer.status, status, "{directive}: {}", answer.text());
            assert_eq!(world.calls(), before + 1, "{directive}");
        }
    }
    let only = ask(&world, json!("beside")).header("cache-control", "only-if-cached");
    assert_eq!(only.send().await.status, 504);
}

/// Kept items come back from the store, in one look for all of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_batch_needs_no_provider_key_where_every_item_is_kept() {
    let world = World::new().await;
    let texts: Vec<String> = (0..200).map(|at| format!("text {at}")).collect();
    told(&world, ask(&world, json!(texts))).await;
    eventually("all are in the store", async || {
        (world.gauge("fgy_store_kept").await >= 200).then_some(())
    })
    .await;
    let unpaid = ask(&world, json!(texts))
        .without("x-provider-auth")
        .send()
        .await;
    assert_eq!((unpaid.cache(), vectors(&unpaid).len()), ("hit", 200));
    let more = ask(&world, json!(["text 0", "unheard of"])).without("x-provider-auth");
    let more = more.send().await;
    assert_eq!(
        (more.status, more.error_code().as_str()),
        (401, "no-provider-key")
    );
}
