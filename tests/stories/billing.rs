//! Goal: a customer is billed for what it was spared and for nothing else. Method: every kind of
//! reply once, then the ledger read line by line from what the stopped node left behind, and held
//! against what the client itself heard and a price list of two numbers.

use std::collections::BTreeMap;

use fgy::ledger::line::{Line, Outcome};
use fgy::ledger::money::NanoUsd;
use serde_json::{Value, json};

use crate::support::{Answer, CHAT, World, chat, client_h2, eventually, this_month, until, with};

/// What a token of gpt-4o-mini costs at list price, in nano-dollars: read, read from the
/// provider's cache, written.
const PRICES: [u64; 3] = [150, 75, 600];

/// The list price of an answer, from the usage it told.
fn cost(answer: &Answer) -> u64 {
    let usage = &answer.json()["usage"];
    let count = |value: &Value| value.as_u64().expect("a count");
    let cached = count(&usage["prompt_tokens_details"]["cached_tokens"]);
    let input = count(&usage["prompt_tokens"]) - cached;
    let counts = [input, cached, count(&usage["completion_tokens"])];
    counts
        .iter()
        .zip(PRICES)
        .map(|(count, price)| count * price)
        .sum()
}

/// The ledger's name of a reply, out of its `X-Request-Id`.
fn line_id(answer: &Answer) -> String {
    let id = answer.header("x-request-id").expect("an id");
    id.rsplit_once('.').expect("a node and an id").1.to_owned()
}

fn by_id(lines: Vec<Line>) -> BTreeMap<String, Line> {
    let count = lines.len();
    let lines: BTreeMap<_, _> = lines
        .into_iter()
        .map(|line| (line.id.to_string(), line))
        .collect();
    assert_eq!(lines.len(), count, "no line twice");
    lines
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_reply_has_one_line_and_only_what_was_spared_is_billed() {
    let mut world = World::new().await;
    world.behave(&[("cached_tokens", "2")]);
    let prompt = "what is a line of a ledger?";
    let mut heard: Vec<(Answer, Outcome)> = Vec::new();
    heard.push((world.chat(prompt).send().await, Outcome::Miss));
    heard.push((world.chat(prompt).send().await, Outcome::Hit));
    heard.push((world.stream(prompt).send().await, Outcome::Hit));
    let fresh = world.chat(prompt).header("cache-control", "no-cache");
    heard.push((fresh.send().await, Outcome::Refresh));
    heard.push((
        world.chat(prompt).header("x-fgy-cache", "off").send().await,
        Outcome::Bypass,
    ));
    heard.push((world.get("/v1/models").send().await, Outcome::Bypass));
    let only = world
        .chat("never asked")
        .header("cache-control", "only-if-cached");
    heard.push((only.send().await, Outcome::Refused));
    heard.push((world.post(CHAT, "{not json").send().await, Outcome::Refused));
    heard.push((
        world.chat("[[mock status=500]] x").send().await,
        Outcome::Refused,
    ));
    heard.push((
        world.chat("[[mock finish=length]] x").send().await,
        Outcome::Miss,
    ));
    // One leads, one follows.
    let flown = "[[mock latency_ms=500]] in the air";
    let calls = world.calls();
    let leader = tokio::task::JoinSet::from_iter([world.chat(flown).send()]);
    until("it is in the air", || world.calls() > calls).await;
    heard.push((world.chat(flown).send().await, Outcome::Coalesced));
    heard.push((leader.join_all().await.remove(0), Outcome::Miss));
    // Who is not known has no ledger.
    assert_eq!(
        world.chat(prompt).key("fgy_nobody").send().await.status,
        401
    );

    let lines = by_id(world.lines("default").await);
    assert_eq!(
        lines.len(),
        heard.len(),
        "a line for each reply and no other"
    );
    for (answer, outcome) in &heard {
        let line = lines.get(&line_id(answer)).expect("its line");
        let what = format!("{outcome}: {line:?}");
        assert_eq!(line.outcome, *outcome, "{what}");
        if *outcome != Outcome::Refused {
            assert_eq!(answer.cache(), outcome.token(), "{what}");
            assert_eq!(line.status, answer.status, "{what}");
        }
        let saves = matches!(outcome, Outcome::Hit | Outcome::Coalesced);
        assert_eq!(line.saved.0 > 0, saves, "{what}");
        assert_eq!(
            answer.header("x-fgy-saved-usd").is_some(),
            saves && !is_stream(answer)
        );
        if saves {
            assert!(
                line.delivered && line.priced && !line.usage.estimated,
                "{what}"
            );
            assert_eq!(line.usage.cached_input, 2, "{what}");
        }
        assert_eq!(
            line.fee.0,
            line.saved.0 * 15 / 100,
            "fifteen per cent, rounded down: {what}"
        );
    }
    for at in [1, 10] {
        let (answer, _) = &heard[at];
        let saved = lines[&line_id(answer)].saved;
        assert_eq!(saved.0, cost(answer), "the list price of what it told");
        assert_eq!(
            answer.header("x-fgy-saved-usd"),
            Some(saved.to_string().as_str())
        );
    }
    let streamed = &lines[&line_id(&heard[2].0)];
    assert_eq!(
        streamed.saved.0,
        cost(&heard[1].0),
        "a stream saves what a plain answer does"
    );
}

fn is_stream(answer: &Answer) -> bool {
    answer.header("content-type") == Some("text/event-stream")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_hangs_up_before_the_last_frame_is_not_billed() {
    let mut world = World::new().await;
    // Live: four pieces, three of them heard.
    let prompt = "[[mock chunks=4 pace_ms=400]] going, going";
    let mut leader = world.stream(prompt).open().await;
    let mut follower = world.stream(prompt).open().await;
    let mut faithful = world.stream(prompt).open().await;
    assert_eq!(
        (follower.cache(), faithful.cache()),
        ("coalesced", "coalesced")
    );
    follower.take(4).await;
    drop(follower);
    assert!(
        leader
            .rest()
            .await
            .last()
            .is_some_and(|told| told.is_done())
    );
    assert!(
        faithful
            .rest()
            .await
            .last()
            .is_some_and(|told| told.is_done())
    );
    // From the cache: more than an HTTP/2 stream's window holds, and a reader who leaves in the
    // middle. (A kernel may take all of it off an HTTP/1.1 connection, and then it is delivered.)
    let flood = "[[mock chunks=64 answer_bytes=8000000]] a flood";
    world.stream(flood).open().await.rest().await;
    let mut hit = world.stream(flood).through(&client_h2()).open().await;
    assert_eq!(hit.cache(), "hit");
    hit.next().await.expect("its beginning");
    drop(hit);
    let whole = world.stream(flood).open().await.rest().await;
    assert!(whole.last().is_some_and(|told| told.is_done()));
    let lines = world.lines("default").await;
    let told = |outcome| {
        let lines = lines.iter().filter(move |line| line.outcome == outcome);
        let mut told: Vec<_> = lines
            .map(|line| (line.delivered, line.saved.0 > 0))
            .collect();
        told.sort_unstable();
        told
    };
    assert_eq!(told(Outcome::Coalesced), [(false, false), (true, true)]);
    assert_eq!(told(Outcome::Hit), [(false, false), (true, true)]);
    assert_eq!(told(Outcome::Miss), [(true, false), (true, false)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_counted_or_has_no_price_is_not_billed() {
    let mut world = World::new().await;
    let uncounted = "[[mock usage=never]] nobody counts";
    for ask in [
        world.chat(uncounted),
        world.stream("[[mock usage=never]] nor here"),
    ] {
        assert_eq!(ask.clone().send().await.cache(), "miss");
        let hit = ask.send().await;
        assert_eq!((hit.cache(), hit.header("x-fgy-saved-usd")), ("hit", None));
    }
    let unknown = with(&chat("a model of their own"), "model", json!("in-house-7b"));
    world.post(CHAT, &unknown).send().await;
    assert_eq!(world.post(CHAT, &unknown).send().await.cache(), "hit");
    let lines = world.lines("default").await;
    let hits: Vec<&Line> = lines
        .iter()
        .filter(|line| line.outcome == Outcome::Hit)
        .collect();
    assert_eq!(hits.len(), 3);
    for line in hits {
        assert_eq!(
            (line.saved, line.fee),
            (NanoUsd::ZERO, NanoUsd::ZERO),
            "{line:?}"
        );
        let own = &*line.model == "in-house-7b";
        assert_eq!(
            (line.priced, line.usage.estimated),
            (!own, !own),
            "{line:?}"
        );
        assert!(
            line.usage.input > 0,
            "tokens are counted all the same: {line:?}"
        );
    }
}

/// This month's statement, once so many of the tenant's replies are in it.
async fn statement(world: &World, tenant: &str, replies: u64) -> Value {
    let month = this_month();
    let path = format!("/statements/{tenant}?month={month}");
    let look = async || {
        let statement = world.administer("GET", &path, "").await;
        let parts = statement["parts"].as_array().expect("parts").clone();
        let seen: u64 = parts
            .iter()
            .map(|part| nanos(&part["sum"]["replies"]))
            .sum();
        (seen >= replies).then_some(statement)
    };
    eventually("all lines are in the store", look).await
}

fn nanos(value: &Value) -> u64 {
    value
        .as_u64()
        .unwrap_or_else(|| panic!("no number: {value}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn retries_under_one_idempotency_key_are_billed_as_one() {
    let world = World::new().await;
    let first = world.chat("retry me").send().await;
    let other = world.chat("another question").send().await;
    let retry = |prompt: &str, key: &str| world.chat(prompt).header("idempotency-key", key);
    for _ in 0..7 {
        assert_eq!(retry("retry me", "k-1").send().await.cache(), "hit");
    }
    retry("retry me", "k-2").send().await;
    retry("another question", "k-1").send().await;
    // Of seven the first five are one and the other two another: five were folded.
    let statement = statement(&world, "default", 11).await;
    assert_eq!(nanos(&statement["folded"]), 5, "{statement}");
    let saved = 3 * cost(&first) + cost(&other);
    assert_eq!(nanos(&statement["saved"]), saved, "{statement}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_statements_parts_sum_to_it_in_every_format() {
    let world = World::new().await;
    let dear = world
        .tenant("dear", json!({"share_basis_points": 2_500}))
        .await;
    for key in [&world.key, &dear] {
        for (model, times) in [("gpt-4o-mini", 3), ("gpt-4o", 2), ("in-house-7b", 2)] {
            for _ in 0..times {
                let body = with(&chat("sums"), "model", json!(model));
                assert_eq!(world.post(CHAT, body).key(key).send().await.status, 200);
            }
        }
    }
    for (tenant, share) in [("default", 1_500), ("dear", 2_500)] {
        let told = statement(&world, tenant, 7).await;
        let parts = told["parts"].as_array().expect("parts");
        let sum = |name: &str| {
            parts
                .iter()
                .map(|part| nanos(&part["sum"][name]))
                .sum::<u64>()
        };
        assert_eq!(sum("saved"), nanos(&told["saved"]), "{told}");
        assert_eq!(sum("fee"), nanos(&told["fee"]), "{told}");
        assert!(nanos(&told["saved"]) > 0);
        // Rounded down line by line: three lines saved, so less than three nano-dollars lost.
        let exact = nanos(&told["saved"]) * share / 10_000;
        assert!((exact - 2..=exact).contains(&nanos(&told["fee"])), "{told}");
        let month = this_month();
        let csv = world.cli(&["statement", tenant, "--month", &month, "--format", "csv"]);
        let mut rows = csv.lines().map(|row| row.split(',').collect::<Vec<_>>());
        let headings = rows.next().expect("headings");
        let at = |name: &str| {
            headings
                .iter()
                .position(|heading| *heading == name)
                .expect("a column")
        };
        let (mut saved, mut fee, mut replies) = (0, 0, 0);
        for row in rows {
            let money = |name| row[at(name)].parse::<NanoUsd>().expect("money").0;
            saved += money("saved");
            fee += money("fee");
            replies += row[at("replies")].parse::<u64>().expect("a count");
        }
        assert_eq!(
            (saved, fee),
            (nanos(&told["saved"]), nanos(&told["fee"])),
            "{csv}"
        );
        assert_eq!(replies, 7, "{csv}");
    }
}
