//! Goal: identical requests in the air are one call, whatever mixture of shapes asks, and nobody
//! notices but by the time they did not wait. Method: a provider that speaks slowly and writes
//! down when; followers that arrive while it speaks and are held against its own moments, so that
//! an answer buffered to its end cannot pass for a coalesced stream.
//!
//! The thousand come over HTTP/2, a hundred to a connection: two thousand sockets are more than
//! many a machine allows a process, and the flight does not know how its callers came.

use std::time::Duration;

use serde_json::json;

use crate::support::crowd::{Heard, Shape, all_heard_one_call, asking, crowd, hear, judge};
use crate::support::{CHAT, Live, Told, World, chat, payloads, streamed, together, until, with};

const PACED: &str = "[[mock chunks=12 pace_ms=200]] count the waves";

async fn twenty(first: Shape, others: Shape) {
    let world = World::new().await;
    let prompt = "[[mock chunks=20 pace_ms=20]] count to twenty";
    let over = Duration::from_millis(200);
    let (led, heard) = crowd(&world, prompt, first, others, 19, over).await;
    all_heard_one_call(&world, 0, &led, &heard);
    let again = world.chat(prompt).send().await;
    assert_eq!((again.cache(), world.calls()), ("hit", 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_identical_requests_are_one_call() {
    for (first, others) in [
        (Shape::Plain, Shape::Plain),
        (Shape::Stream, Shape::Stream),
        (Shape::Stream, Shape::Mixed),
        (Shape::Plain, Shape::Mixed),
    ] {
        twenty(first, others).await;
    }
}

async fn thousand(first: Shape, others: Shape) {
    let world = World::new().await;
    let over = Duration::from_secs(2);
    let (led, heard) = crowd(&world, PACED, first, others, 999, over).await;
    all_heard_one_call(&world, 0, &led, &heard);
    if first == Shape::Stream {
        // A second of a provider that speaks five times a second: what a machine busy with a
        // hundred other things may take. One that buffers to the end is eight behind and more.
        judge(&world, &led, &heard, 5);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_streams_hear_one_call_as_it_speaks() {
    thousand(Shape::Stream, Shape::Stream).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_plain_requests_are_one_call() {
    thousand(Shape::Plain, Shape::Plain).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_of_both_shapes_share_a_streaming_first_caller() {
    thousand(Shape::Stream, Shape::Mixed).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_of_both_shapes_share_a_plain_first_caller() {
    thousand(Shape::Plain, Shape::Mixed).await;
}

/// Starts a stream and waits until the provider has written so many events of it.
async fn leading(world: &World, prompt: &str, events: usize) -> Live {
    let before = world.calls();
    let live = world.stream(prompt).open().await;
    until("the provider is in the middle of its answer", || {
        world.calls() > before && world.last_call().chunks_micros().len() >= events
    })
    .await;
    live
}

/// The same as above without a clock in the client: what a follower has in hand is counted before
/// the provider has said more than a few events on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_follower_has_everything_said_so_far_at_once() {
    let world = World::new().await;
    let mut first = leading(&world, "[[mock chunks=60 pace_ms=50]] a long tale", 10).await;
    let mut late = world
        .stream("[[mock chunks=60 pace_ms=50]] a long tale")
        .open()
        .await;
    let caught_up = late.take(10).await;
    let said = world.last_call().chunks_micros().len();
    assert!(
        said < 30,
        "ten events in hand only when {said} of 63 were said"
    );
    assert_eq!(late.cache(), "coalesced");
    let mut told = first.rest().await;
    let rest = late.rest().await;
    let heard: Vec<&str> = payloads(&caught_up)
        .into_iter()
        .chain(payloads(&rest))
        .collect();
    assert_eq!(heard, payloads(&told));
    assert!(told.pop().is_some_and(|last| last.is_done()));
    assert_eq!(world.calls(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_first_caller_hanging_up_changes_nothing() {
    for first_streams in [true, false] {
        let world = World::new().await;
        let prompt = "[[mock chunks=20 pace_ms=30]] who is left?";
        let mut first = tokio::task::JoinSet::new();
        let ask = asking(&world, prompt, first_streams, &crate::support::client());
        first.spawn(async move { hear(ask, first_streams).await });
        until("the call is in the air", || world.calls() == 1).await;
        let mut following = tokio::task::JoinSet::new();
        for at in 0..10 {
            let streams = at % 2 == 0;
            following.spawn(hear(
                asking(&world, prompt, streams, &world.client),
                streams,
            ));
        }
        world.followers(10).await;
        first.abort_all();
        let heard = following.join_all().await;
        assert!(
            heard
                .iter()
                .all(|heard| heard.whole() && heard.cache == "coalesced"),
            "{heard:?}"
        );
        assert_eq!(world.calls(), 1);
        assert_eq!(world.last_call().end(), fgy::mock::End::Complete);
        let again = world.chat(prompt).without("x-provider-auth").send().await;
        assert_eq!((again.cache(), world.calls()), ("hit", 1));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_with_no_cache_never_joins_and_is_never_joined() {
    let world = World::new().await;
    let prompt = "[[mock chunks=20 pace_ms=40]] fresh, please";
    let mut first = leading(&world, prompt, 2).await;
    let fresh = together((0..3).map(|_| {
        let ask = world.stream(prompt).header("cache-control", "no-cache");
        hear(ask, true)
    }));
    let fresh = fresh.await;
    assert_eq!(world.calls(), 4, "each made its own call");
    for heard in &fresh {
        assert!(heard.whole() && heard.cache == "refresh", "{heard:?}");
    }
    assert!(first.rest().await.last().is_some_and(Told::is_done));
    let ids = fresh
        .iter()
        .map(|heard| heard.told[0].json()["id"].to_string());
    let ids: std::collections::BTreeSet<String> = ids.collect();
    assert_eq!(ids.len(), 3, "three answers of their own");
    // Not joined either: a plain request beside a refresh in the air makes a call of its own.
    let prompt = "[[mock chunks=20 pace_ms=40]] fresh again";
    let ask = world.stream(prompt).header("cache-control", "no-cache");
    let mut refresh = ask.open().await;
    let beside = world.stream(prompt).open().await;
    assert_eq!((beside.cache(), world.calls()), ("miss", 6));
    assert!(refresh.rest().await.last().is_some_and(Told::is_done));
}

/// The answer is kept where any of its listeners may keep it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_no_store_leader_does_not_spoil_it_for_a_follower() {
    let world = World::new().await;
    for (follows, kept) in [(true, 200), (false, 504)] {
        let prompt = format!("[[mock latency_ms=400]] followed: {follows}");
        let before = world.gauge("fgy_flights_followed").await;
        let leader = world.chat(&prompt).header("cache-control", "no-store");
        let mut all = tokio::task::JoinSet::new();
        let calls = world.calls();
        all.spawn(leader.send());
        until("the call is in the air", || world.calls() > calls).await;
        if follows {
            all.spawn(world.chat(&prompt).send());
            world.followers(before + 1).await;
        }
        assert!(
            all.join_all()
                .await
                .iter()
                .all(|answer| answer.status == 200)
        );
        let again = world
            .chat(&prompt)
            .header("cache-control", "only-if-cached");
        assert_eq!(again.send().await.status, kept, "followed: {follows}");
    }
}

/// One question in two shapes is one key; two questions are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn different_requests_in_the_air_are_different_calls() {
    let world = World::new().await;
    let body = chat("[[mock latency_ms=300]] same words");
    let bodies = [1, 2, 3].map(|seed| with(&body, "seed", json!(seed)));
    let asks = bodies.iter().flat_map(|body| {
        let plain = world.post(CHAT, body);
        let stream = world.post(CHAT, streamed(body));
        [hear(plain, false), hear(stream, true)]
    });
    let heard = together(asks.collect::<Vec<_>>()).await;
    assert!(heard.iter().all(Heard::whole));
    assert_eq!(world.calls(), 3, "two callers each");
}
