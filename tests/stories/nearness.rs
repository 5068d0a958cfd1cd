//! Goal: whoever wonders why an answer was given, or was not, is told; who may cause no call is
//! answered by meaning as others are; what vectors cost is on the bill. Method: the simulated
//! provider's embeddings, all alike, counted beside its chats.

use fgy::ledger::line::Outcome;
use fgy::ledger::money::NanoUsd;
use serde_json::{Value, json};

use crate::semantic::{guarded, said, saying, unguarded, words, world};
use crate::support::{CHAT, World, chat, this_month};

async fn explained(world: &World, body: Value, headers: Value) -> Value {
    let question = json!({"body": body, "headers": headers});
    world.administer("POST", "/explain", question).await
}

fn verdicts(explained: &Value) -> Vec<&str> {
    let neighbours = explained["near"]["neighbours"].as_array();
    let neighbours = neighbours.expect("neighbours").iter();
    neighbours
        .map(|it| it["verdict"].as_str().expect("a verdict"))
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explaining_names_the_nearest_and_what_is_said_of_each() {
    let world = guarded(None).await;
    let made = world.chat("how do I cancel order 12345?").send().await;
    assert_eq!(made.cache(), "miss");
    let other = world.chat("how do I cancel order 99?").send().await;
    assert_eq!(
        (other.cache(), other.reason()),
        ("miss", "vetoed-number"),
        "the second is an answer of its own"
    );
    let calls = world.calls();
    let told = explained(&world, chat("how do I cancel order 7?"), json!([])).await;
    assert_eq!(
        (&told["outcome"], &told["reason"]),
        (&json!("miss"), &json!("vetoed-number"))
    );
    assert_eq!(verdicts(&told), ["vetoed-number", "vetoed-number"]);
    let first = &told["near"]["neighbours"][0];
    assert!(first["similarity"].as_f64().expect("a number") > 0.999);
    assert!(first["counted"].is_null(), "a veto counts nothing: {first}");
    assert!(!told.to_string().contains("12345"), "no words of others");
    assert_eq!(world.calls(), calls + 1, "one embedding and nothing else");

    // Other words for the first: its entry would be served, and is named as a purge names it.
    let same = chat("how can I cancel order 12345?");
    let told = explained(&world, same.clone(), json!([])).await;
    assert_eq!(told["outcome"], "semantic-hit", "{told}");
    let neighbours = told["near"]["neighbours"].as_array().expect("neighbours");
    let accepted = neighbours.iter().find(|it| it["verdict"] == "accepted");
    let accepted = accepted.expect("one is accepted");
    assert!(accepted["counted"].as_f64() >= told["near"]["bar"].as_f64());
    // A bar of the caller's own.
    let strict = json!([["X-Fgy-Similarity-Threshold", "0.9999"]]);
    let when = chat("how do I cancel order 12345 of last month?");
    let told = explained(&world, when, strict).await;
    assert_eq!(told["outcome"], "miss");
    assert!(verdicts(&told).contains(&"below-threshold"), "{told}");
    // Nothing of it happened: who asks flies, and hears what was foretold.
    let heard = world.post(CHAT, same.clone()).send().await;
    assert_eq!(heard.cache(), "semantic-hit");
    let text = world.cli(&["explain", "-f", &file(&same)]);
    assert!(text.contains("hit"), "{text}");
    // Purged, it is not there, or said to be purged.
    let key = accepted["key"].as_str().expect("a key");
    world
        .administer("POST", "/purge", json!({"key": key}))
        .await;
    let told = explained(&world, chat("how could I cancel order 12345?"), json!([])).await;
    assert_ne!(told["outcome"], "semantic-hit", "{told}");
    assert!(!verdicts(&told).contains(&"accepted"), "{told}");
}

/// A request's body in a file that is left to the system's own folder for such.
fn file(body: &Value) -> String {
    let name = format!("fgy-story-{}.json", std::process::id());
    let path = std::env::temp_dir().join(name);
    std::fs::write(&path, body.to_string()).expect("a file");
    path.display().to_string()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn explaining_pays_for_no_comparison_of_windows() {
    let world = world(None).await;
    let long = |end: &str| {
        let shop = "we keep a small shop with bread and cake and coffee near the old bridge. ";
        chat(&format!("{}{end}", shop.repeat(6)))
    };
    let made = world.post(CHAT, long("which door should be painted?"));
    assert_eq!(made.send().await.cache(), "miss");
    let calls = world.calls();
    let told = explained(&world, long("what door shall we paint?"), json!([])).await;
    assert_eq!(verdicts(&told), ["window"], "{told}");
    assert_eq!(world.calls(), calls + 1, "one embedding");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_cause_no_call_is_answered_by_meaning() {
    let world = world(None).await;
    world.post(CHAT, saying(&words(1), "blue")).send().await;
    let calls = world.calls();
    let other = world.post(CHAT, saying(&words(2), "red"));
    let only = other.clone().header("cache-control", "only-if-cached");
    let heard = only.clone().send().await;
    assert_eq!(
        (heard.status, heard.cache(), said(&heard).as_str()),
        (200, "semantic-hit", "blue")
    );
    assert!(heard.header("x-fgy-saved-usd").is_some() && heard.header("age").is_some());
    let poor = other.clone().without("x-provider-auth");
    let heard = poor.clone().send().await;
    assert_eq!(
        (heard.status, heard.cache(), said(&heard).as_str()),
        (200, "semantic-hit", "blue")
    );
    assert_eq!(world.calls(), calls + 2, "two embeddings");
    // How far it may go is still the caller's to say, and where nothing is near they hear as before.
    let exact = only.clone().header("x-fgy-cache", "exact").send().await;
    assert_eq!((exact.status, exact.cache()), (504, "bypass"));
    for (ask, status) in [(only, 504), (poor, 401)] {
        let elsewhere = ask.header("x-fgy-namespace", "elsewhere");
        assert_eq!(elsewhere.send().await.status, status);
    }
    assert_eq!(world.calls(), calls + 4, "two embeddings more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refreshed_answer_is_found_by_its_meaning() {
    let world = world(None).await;
    let fresh = world.post(CHAT, saying(&words(1), "blue"));
    let fresh = fresh.header("cache-control", "no-cache").send().await;
    assert_eq!(fresh.cache(), "refresh");
    let near = world.post(CHAT, saying(&words(2), "red")).send().await;
    assert_eq!(
        (near.cache(), said(&near).as_str()),
        ("semantic-hit", "blue")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vectors_cost_is_taken_off_what_was_saved() {
    let mut world = world(None).await;
    let first = saying(&words(1), "blue");
    assert_eq!(world.post(CHAT, first.clone()).send().await.cache(), "miss");
    let near = saying(&words(2), "red");
    for _ in 0..2 {
        let heard = world.post(CHAT, near.clone()).send().await;
        assert_eq!(heard.cache(), "semantic-hit");
    }
    assert_eq!(world.post(CHAT, first).send().await.cache(), "hit");
    let only = world.post(CHAT, saying(&words(3), "green"));
    let only = only.header("cache-control", "only-if-cached");
    let only = only.header("x-fgy-namespace", "elsewhere").send().await;
    assert_eq!(only.status, 504);
    let month = format!("/statements/default?month={}", this_month());
    let statement = crate::support::eventually("all lines are posted", async || {
        let statement = world.administer("GET", &month, "").await;
        let parts = statement["parts"].as_array()?.iter();
        let replies: u64 = parts.filter_map(|it| it["sum"]["replies"].as_u64()).sum();
        (replies == 5).then_some(statement)
    })
    .await;
    let lines = world.lines("default").await;
    let paid = |line: &fgy::ledger::line::Line| line.embedding > NanoUsd::ZERO;
    let told: Vec<(Outcome, bool)> = lines.iter().map(|it| (it.outcome, paid(it))).collect();
    assert_eq!(
        told,
        [
            (Outcome::Miss, true),
            (Outcome::SemanticHit, true),
            // Kept by now: nobody asks what it means.
            (Outcome::SemanticHit, false),
            (Outcome::Hit, false),
            // Looked for by meaning, in vain.
            (Outcome::Refused, true),
        ]
    );
    let sum = |of: fn(&fgy::ledger::line::Line) -> NanoUsd| -> u64 {
        lines.iter().map(|line| of(line).0).sum()
    };
    let (embedding, saved, fees) = (sum(|it| it.embedding), sum(|it| it.saved), sum(|it| it.fee));
    assert_eq!(statement["embedding"], embedding);
    assert_eq!(statement["saved"], saved);
    let fee = statement["fee"].as_u64().expect("a fee");
    assert!(embedding < saved && fee < fees, "{fee} of {fees}");
    let most = (saved - embedding) * 15 / 100;
    assert!(fee <= most && fee + 5 > most, "{fee}, {most} to the nano");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guard_that_nobody_knows_refuses_the_policy() {
    let world = World::new().await;
    let yaml = unguarded("mine", "").replace("off: [", "off: [numbers, ");
    let answer = world.admin("POST", "/admin/v1/policies", yaml).await;
    let text = answer.text();
    assert_eq!(answer.status, 400, "{text}");
    assert!(text.contains("`numbers`") && text.contains("7:"), "{text}");
}
