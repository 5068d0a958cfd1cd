//! Many nodes, one call: what the cluster promises while its members stay, and what becomes of it
//! when they die, hang, lose each other, or disagree about who owns what.

#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

mod world;

use std::time::Duration;

use fgy_cluster::{Fault, GivingLimits, Join, Part};
use world::{CHUNK_EVERY, Heard, Step, World};

/// The longest any caller waits for a first byte or an error when a node hangs, beside the time the
/// provider takes.
const FOUND_OUT_WITHIN: Duration = Duration::from_millis(2_500);

async fn all(asks: Vec<tokio::task::JoinHandle<Heard>>) -> Vec<Heard> {
    let mut heard = Vec::new();
    for ask in asks {
        heard.push(ask.await.unwrap());
    }
    heard
}

fn whole(heard: &[Heard]) -> usize {
    let is_whole = |heard: &&Heard| heard.result.as_ref().is_ok_and(|answer| answer.whole());
    heard.iter().filter(is_whole).count()
}

fn unmixed(heard: &[Heard]) -> bool {
    heard
        .iter()
        .filter_map(|heard| heard.result.as_ref().ok())
        .all(|answer| answer.calls().len() == 1)
}

#[tokio::test(start_paused = true)]
async fn a_thousand_callers_at_three_nodes_are_one_call_whoever_owns_the_key() {
    let world = World::with(&["a", "b", "c"]).await;
    for (number, owner) in world.names().into_iter().enumerate() {
        let key = world.key_of(owner);
        let asks = (0..1_000)
            .map(|i| world.ask(world.names()[i % 3], key))
            .collect();
        let heard = all(asks).await;
        assert_eq!(whole(&heard), 1_000);
        assert_eq!(world.calls(), number + 1, "owner {owner}");
        assert_eq!(world.callers(&key), [owner.into()]);
        let led = heard.iter().filter(|heard| {
            heard
                .result
                .as_ref()
                .is_ok_and(|answer| answer.part == Part::Led)
        });
        assert_eq!(led.count(), 1, "one caller paid");
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_one_node_keeps_every_node_answers() {
    let world = World::with(&["a", "b", "c"]).await;
    let key = world.key_of("b");
    world.whole("a", key).await;
    for at in world.names() {
        let answer = world.whole(at, key).await;
        assert_eq!(answer.part, Part::Kept, "at {at}");
    }
    assert_eq!(world.calls(), 1);
    assert!(world.keeps("b", &key) && !world.keeps("a", &key));
}

#[tokio::test(start_paused = true)]
async fn a_late_caller_elsewhere_hears_the_stream_from_its_first_chunk() {
    let world = World::with(&["a", "b", "c"]).await;
    let key = world.key_of("a");
    let early = world.ask("b", key);
    tokio::time::sleep(CHUNK_EVERY * 6).await;
    let late = world.ask("c", key).await.unwrap();
    assert!(
        late.first < CHUNK_EVERY,
        "{:?}: it waited for a chunk of its own",
        late.first
    );
    assert!(late.result.unwrap().whole());
    assert!(early.await.unwrap().result.unwrap().whole());
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_fresh_answer_is_made_at_the_owner_so_that_later_callers_have_it() {
    let world = World::with(&["a", "b", "c"]).await;
    let key = world.key_of("c");
    assert_eq!(world.whole("a", key).await.calls(), [1]);
    let fresh = world.ask_as("a", key, Join::Alone).await.unwrap();
    assert_eq!(fresh.result.unwrap().calls(), [2]);
    assert_eq!(world.whole("b", key).await.calls(), [2]);
    assert_eq!(world.callers(&key), ["c".into(), "c".into()]);
}

#[tokio::test(start_paused = true)]
async fn an_owner_killed_before_the_first_byte_costs_one_more_call_and_no_caller() {
    let mut world = World::with(&["a", "b", "c"]).await;
    let key = world.key_of("a");
    let asks = (0..200)
        .map(|i| world.ask(["b", "c"][i % 2], key))
        .collect();
    tokio::time::sleep(CHUNK_EVERY / 2).await;
    world.take(Step::Kill("a")).await;
    let heard = all(asks).await;
    assert_eq!(whole(&heard), 200);
    assert_eq!(world.calls(), 2);
    assert_eq!(world.callers(&key)[1], world.successor_of(&key));
    let slowest = heard.iter().map(|heard| heard.first).max().unwrap();
    assert!(
        slowest < CHUNK_EVERY * 2 + Duration::from_millis(300),
        "{slowest:?}"
    );
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_killed_in_mid_stream_breaks_its_answers_and_mixes_none() {
    let mut world = World::with(&["a", "b", "c"]).await;
    let key = world.key_of("a");
    let asks = (0..100)
        .map(|i| world.ask(["b", "c"][i % 2], key))
        .collect();
    tokio::time::sleep(CHUNK_EVERY * 5 + CHUNK_EVERY / 2).await;
    world.take(Step::Kill("a")).await;
    let heard = all(asks).await;
    assert!(unmixed(&heard));
    for heard in &heard {
        let answer = heard.result.as_ref().unwrap();
        assert_eq!(answer.broke, Some(Fault::OwnerLost));
        assert_eq!(answer.chunks.len(), 5);
    }
    // Whoever has passed nothing on asks again: all of them are one call more.
    let again = (0..100)
        .map(|i| world.ask(["b", "c"][i % 2], key))
        .collect();
    assert_eq!(whole(&all(again).await), 100);
    assert_eq!(world.calls(), 2);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_that_hangs_is_found_out_and_walked_over() {
    for frozen_after in [Duration::ZERO, CHUNK_EVERY / 2] {
        let mut world = World::with(&["a", "b", "c"]).await;
        let key = world.key_of("a");
        if frozen_after.is_zero() {
            world.take(Step::Freeze("a")).await;
        }
        let asks = (0..100)
            .map(|i| world.ask(["b", "c"][i % 2], key))
            .collect();
        if !frozen_after.is_zero() {
            tokio::time::sleep(frozen_after).await;
            world.take(Step::Freeze("a")).await;
        }
        let heard = all(asks).await;
        assert_eq!(whole(&heard), 100);
        let slowest = heard.iter().map(|heard| heard.first).max().unwrap();
        assert!(slowest < FOUND_OUT_WITHIN + CHUNK_EVERY, "{slowest:?}");
        // Nobody waits for the hanging node a second time.
        let other = world.ask("b", key).await.unwrap();
        assert!(other.first < CHUNK_EVERY, "{:?}", other.first);
        world.take(Step::Heal("a")).await;
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_link_cut_one_way_holds_nobody_up() {
    for (from, to) in [("a", "b"), ("b", "a")] {
        let mut world = World::with(&["a", "b", "c"]).await;
        let key = world.key_of("a");
        world.whole("c", key).await;
        world.take(Step::CutOneWay(from, to)).await;
        let heard = world.ask("b", key).await.unwrap();
        assert!(
            heard.first < FOUND_OUT_WITHIN + CHUNK_EVERY,
            "{:?}",
            heard.first
        );
        assert!(heard.result.unwrap().whole());
        assert!(world.calls() <= 2, "as many as there are sides");
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_lost_each_other_and_share_a_third_do_not_loop() {
    let mut world = World::with(&["a", "b", "c"]).await;
    world.take(Step::Cut("a", "b")).await;
    for owner in ["a", "b", "c"] {
        let key = world.key_of(owner);
        let asks = (0..90)
            .map(|i| world.ask(["a", "b", "c"][i % 3], key))
            .collect();
        let heard = all(asks).await;
        assert_eq!(whole(&heard), 90, "owner {owner}");
        assert!(world.callers(&key).len() <= 2, "{:?}", world.callers(&key));
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_missed_a_change_of_the_ring_is_told_and_nothing_hangs() {
    let mut world = World::with(&["a", "b", "c", "d"]).await;
    world.take(Step::Wait(700_000)).await;
    // d leaves the ring, and b does not hear of it.
    let key = world.key_of("d");
    world.take(Step::Ring(&["a", "b", "c"], &["b"])).await;
    let asks = (0..120)
        .map(|i| world.ask(["a", "b", "c", "d"][i % 4], key))
        .collect();
    let heard = all(asks).await;
    assert_eq!(whole(&heard), 120);
    assert!(world.callers(&key).len() <= 2, "{:?}", world.callers(&key));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn two_nodes_that_take_each_other_for_the_owner_before_do_not_wait_for_each_other() {
    let mut world = World::with(&["a", "b"]).await;
    let key = world.key_of("a");
    // To b the key has just come from a; to a, which knows the newer ring, from b.
    world.take(Step::Ring(&["b"], &[])).await;
    world.take(Step::Ring(&["a", "b"], &["b"])).await;
    let asks = (0..100)
        .map(|i| world.ask(["a", "b"][i % 2], key))
        .collect();
    let heard = all(asks).await;
    assert_eq!(whole(&heard), 100);
    assert!(world.calls() <= 2, "as many as there are rings");
    let slowest = heard.iter().map(|heard| heard.first).max().unwrap();
    assert!(slowest < CHUNK_EVERY * 2, "{slowest:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_moves_to_a_new_owner_is_not_made_again() {
    let mut world = World::with(&["a", "b"]).await;
    let keys: Vec<_> = (0..60).map(world::key).collect();
    for key in &keys {
        world.whole("a", *key).await;
    }
    assert_eq!(world.calls(), 60);
    world.take(Step::Add(&["c"])).await;
    let mut moved = 0;
    for key in &keys {
        world.whole("a", *key).await;
        moved += usize::from(world.keeps("c", key));
    }
    assert_eq!(world.calls(), 60, "the owner before was asked");
    assert!((8..=35).contains(&moved), "{moved} of 60 moved");
}

#[tokio::test(start_paused = true)]
async fn a_flight_under_a_change_of_the_ring_is_joined_by_the_new_owner() {
    let mut world = World::with(&["a", "b"]).await;
    let flying: Vec<_> = (0..60).map(|i| world.ask("a", world::key(i))).collect();
    tokio::time::sleep(CHUNK_EVERY * 3).await;
    world.take(Step::Add(&["c"])).await;
    let late: Vec<_> = (0..60).map(|i| world.ask("b", world::key(i))).collect();
    assert_eq!(whole(&all(flying).await), 60);
    assert_eq!(whole(&all(late).await), 60);
    assert_eq!(world.calls(), 60);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_a_leaving_node_keeps_or_flies_is_not_made_again() {
    let mut world = World::with(&["a", "b", "c"]).await;
    for i in 0..30 {
        world.whole("a", world::key(i)).await;
    }
    let flying: Vec<_> = (30..60).map(|i| world.ask("a", world::key(i))).collect();
    tokio::time::sleep(CHUNK_EVERY * 3).await;
    world.take(Step::Drain("c")).await;
    let before: Vec<_> = (0..60).map(|i| world.ask("b", world::key(i))).collect();
    tokio::time::sleep(CHUNK_EVERY).await;
    world.take(Step::Ring(&["a", "b"], &[])).await;
    let after: Vec<_> = (0..60)
        .map(|i| world.ask(["a", "b", "c"][i as usize % 3], world::key(i)))
        .collect();
    for heard in [flying, before, after] {
        let heard = all(heard).await;
        assert_eq!(whole(&heard), heard.len());
    }
    assert_eq!(world.calls(), 60);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_hot_answer_is_copied_to_where_it_is_asked_for() {
    let world = World::with(&["a", "b"]).await;
    let (hot, cold) = (world.key_of("a"), world::key(1_000));
    world.whole("b", hot).await;
    assert!(!world.keeps_near("b", &hot));
    for _ in 0..20 {
        assert_eq!(world.whole("b", hot).await.part, Part::Kept);
    }
    assert!(world.keeps_near("b", &hot));
    world.whole("b", cold).await;
    assert!(!world.keeps_near("b", &cold));
    let asked = world.cluster("a").stats().kept.get();
    world.whole("b", hot).await;
    assert_eq!(
        world.cluster("a").stats().kept.get(),
        asked,
        "the owner heard nothing of it"
    );
}

/// Answers of a story take about 700 bytes of the rate: 50 of them a second.
const SLOWLY: GivingLimits = GivingLimits {
    bytes_per_second_max: 36_000,
    ..GivingLimits::USUAL
};

#[tokio::test(start_paused = true)]
async fn what_moved_comes_to_its_new_owner_unasked_the_hottest_first_and_no_faster_than_told() {
    let mut world = World::giving(&["a"], SLOWLY).await;
    let keys: Vec<_> = (0..120).map(world::key).collect();
    for (number, key) in keys.iter().enumerate() {
        world.whole("a", *key).await;
        for _ in 0..number % 7 {
            world.whole("a", *key).await;
        }
    }
    let asked = |key: &_| world.asked("a", key);
    let heat: std::collections::HashMap<_, _> = keys.iter().map(|key| (*key, asked(key))).collect();
    let began = tokio::time::Instant::now();
    world.take(Step::Add(&["b"])).await;
    assert!(world.cluster("a").handoff().pending > 0);
    world.handed_off("a").await;
    let given = world.given("b");
    assert!((30..=90).contains(&given.len()), "{} moved", given.len());
    let heats: Vec<_> = given.iter().map(|(key, _)| heat[key]).collect();
    assert!(heats.is_sorted_by(|a, b| a >= b), "{heats:?}");
    for (number, (_, came)) in given.iter().enumerate() {
        let after = came.duration_since(began);
        let earliest = Duration::from_secs(1) * number as u32 / 60;
        assert!(after >= earliest, "answer {number} came after {after:?}");
    }
    assert!(given.last().unwrap().1.duration_since(began) < Duration::from_secs(3));
    let stats = world.cluster("a").stats();
    assert_eq!(stats.handoff_pushed.get(), given.len() as u64);
    assert_eq!(stats.handoff_refused.get(), 0);
    let taken = world.cluster("b").stats().handoff_taken.get();
    assert_eq!(taken, given.len() as u64);
    for (key, _) in &given {
        assert_eq!(world.whole("b", *key).await.part, Part::Kept);
    }
    assert_eq!(world.calls(), 120);
    assert_eq!(world.cluster("b").stats().inherited.get(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_leaves_its_answers_with_the_others() {
    let mut world = World::with(&["a", "b", "c"]).await;
    let keys: Vec<_> = (0..90).map(world::key).collect();
    for key in &keys {
        world.whole("a", *key).await;
    }
    let had = keys.iter().filter(|key| world.keeps("c", key)).count();
    assert!(had > 10, "{had}");
    world.cluster("c").set_phase(fgy_cluster::Phase::Draining);
    world.take(Step::Ring(&["a", "b"], &[])).await;
    world.handed_off("c").await;
    assert_eq!(world.cluster("c").handoff().pending, 0);
    world.take(Step::Kill("c")).await;
    for (number, key) in keys.iter().enumerate() {
        let at = ["a", "b"][number % 2];
        assert_eq!(world.whole(at, *key).await.part, Part::Kept);
    }
    assert_eq!(world.calls(), 90);
    let stats = world.cluster("c").stats();
    assert_eq!(stats.handoff_pushed.get(), had as u64);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_given_is_counted_and_holds_nobody_up() {
    for step in [Step::Kill("c"), Step::Freeze("c")] {
        let mut world = World::with(&["a", "b", "c"]).await;
        world.take(Step::Ring(&["a", "b"], &[])).await;
        let keys: Vec<_> = (0..90).map(world::key).collect();
        for key in &keys {
            world.whole("a", *key).await;
        }
        world.take(step).await;
        world.take(Step::Ring(&["a", "b", "c"], &[])).await;
        for node in ["a", "b"] {
            let began = tokio::time::Instant::now();
            world.handed_off(node).await;
            assert!(began.elapsed() < Duration::from_secs(6));
            let stats = world.cluster(node).stats();
            assert_eq!(stats.handoff_pushed.get(), 0);
            assert!(stats.handoff_refused.get() > 3, "at {node}");
        }
        // Nothing was given up for it.
        for key in &keys {
            assert!(world.keeps("a", key) || world.keeps("b", key));
        }
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_purged_on_its_way_is_not_taken_in() {
    let mut world = World::with(&["a"]).await;
    let keys: Vec<_> = (0..40).map(world::key).collect();
    for key in &keys {
        world.whole("a", *key).await;
    }
    world.take(Step::Add(&["b"])).await;
    world.handed_off("a").await;
    let moved = world.given("b").len();
    assert!(moved > 5);
    // The same once more, and all of it void at its new owner.
    world.take(Step::Add(&["c"])).await;
    for node in ["a", "b"] {
        world.handed_off(node).await;
    }
    let purged: Vec<_> = world.given("c").iter().map(|(key, _)| *key).collect();
    assert!(purged.len() > 3, "{}", purged.len());
    let given = world.given("b").len();
    for key in &purged {
        world.purge("b", key);
        world.purge("a", key);
    }
    world.take(Step::Ring(&["a", "b"], &[])).await;
    world.handed_off("c").await;
    assert_eq!(world.given("b").len(), given);
    let stats = world.cluster("c").stats();
    assert_eq!(stats.handoff_pushed.get(), 0);
    assert_eq!(stats.handoff_refused.get(), purged.len() as u64);
}

#[tokio::test(start_paused = true)]
async fn what_was_made_for_another_owner_is_given_to_it() {
    let world = World::with(&["a", "b", "c"]).await;
    let keys: Vec<_> = (0..60).map(world::key).collect();
    for key in &keys {
        world.put("a", *key);
    }
    world.cluster("a").give(&keys);
    tokio::time::sleep(Duration::from_secs(1)).await;
    for key in &keys {
        assert_eq!(world.whole("b", *key).await.part, Part::Kept);
    }
    assert_eq!(world.calls(), 0);
    let (b, c) = (world.given("b").len(), world.given("c").len());
    assert!(b > 5 && c > 5, "{b} and {c}");
    assert_eq!(
        world.cluster("a").stats().handoff_pushed.get(),
        (b + c) as u64
    );
    // Nobody asked for more than it has, or for more keys than may wait.
    world.cluster("a").give(&[world::key(1_000)]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(world.given("b").len() + world.given("c").len(), b + c);
}

#[tokio::test(start_paused = true)]
async fn what_is_made_by_a_node_that_leaves_is_joined_and_given_as_well() {
    let mut world = World::with(&["a", "b", "c"]).await;
    let flying: Vec<_> = (0..60).map(|i| world.ask("a", world::key(i))).collect();
    tokio::time::sleep(CHUNK_EVERY * 3).await;
    world.cluster("c").set_phase(fgy_cluster::Phase::Draining);
    // Everyone hears of it before the ring changes.
    world.take(Step::Wait(700)).await;
    world.take(Step::Ring(&["a", "b"], &[])).await;
    let late: Vec<_> = (0..60).map(|i| world.ask("b", world::key(i))).collect();
    assert_eq!(whole(&all(flying).await), 60);
    assert_eq!(whole(&all(late).await), 60);
    assert_eq!(world.calls(), 60);
    world.take(Step::Wait(1_000)).await;
    world.take(Step::Kill("c")).await;
    for i in 0..60 {
        assert_eq!(world.whole("a", world::key(i)).await.part, Part::Kept);
    }
    assert_eq!(world.calls(), 60);
    world.comes_to_rest().await;
}
