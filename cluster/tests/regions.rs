//! Regions far apart: what is kept in one is near in another from the second time on, one call is
//! made for all of them, and none of them needs the others.

#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

mod world;

use std::time::Duration;

use fgy_cluster::{Coalesce, Join, Key, Part, Terms};
use world::{CHUNK_EVERY, Heard, Step, World};

/// Longer than anything within a region takes, shorter than the way to any other and back.
const NEAR: Duration = Duration::from_millis(20);

const REGIONS: [&str; 3] = ["ams", "iad", "syd"];

/// Three regions of two nodes each, 80, 150 and 250 ms there and back, whose nodes have met.
async fn earth() -> World {
    let mut world = World::over(&[
        ("ams", &["ams-1", "ams-2"]),
        ("iad", &["iad-1", "iad-2"]),
        ("syd", &["syd-1", "syd-2"]),
    ])
    .await;
    world.far("ams", "iad", 80);
    world.far("iad", "syd", 150);
    world.far("ams", "syd", 250);
    world.take(Step::Wait(3_000)).await;
    world
}

/// A key that is at home in this region.
fn at_home(world: &World, region: &str) -> Key {
    world.key_of(&format!("{region}-1"))
}

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

/// Whoever is not the owner of this key in its region.
fn stranger(world: &World, region: &str, key: &Key) -> &'static str {
    let owner = world.owner_in(region, key);
    let others = world.names().into_iter();
    others
        .filter(|name| name.starts_with(region))
        .find(|name| *name != owner)
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_cold_prompt_asked_in_three_regions_at_once_is_one_call() {
    let world = earth().await;
    for (number, home) in REGIONS.into_iter().enumerate() {
        let key = at_home(&world, home);
        let names = world.names();
        let asks = (0..300).map(|i| world.ask(names[i % 6], key)).collect();
        let heard = all(asks).await;
        assert_eq!(whole(&heard), 300);
        assert_eq!(world.calls(), number + 1, "at home in {home}");
        assert_eq!(world.callers(&key), [world.owner_in(home, &key).into()]);
        let led = |heard: &&Heard| heard.result.as_ref().unwrap().part == Part::Led;
        assert_eq!(heard.iter().filter(led).count(), 1, "one caller paid");
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_hit_stored_in_another_region_is_near_from_the_second_time_on() {
    let world = earth().await;
    for home in REGIONS {
        let key = at_home(&world, home);
        world.whole(world.owner_in(home, &key), key).await;
        for region in REGIONS.into_iter().filter(|region| *region != home) {
            let (owner, other) = (world.owner_in(region, &key), stranger(&world, region, &key));
            let far = world.ask(other, key).await.unwrap();
            assert!(far.first > NEAR, "{:?}: it was far away", far.first);
            assert_eq!(far.result.unwrap().part, Part::Kept);
            assert!(world.keeps(owner, &key) && !world.keeps(other, &key));
            for at in [owner, other] {
                let near = world.ask(at, key).await.unwrap();
                assert!(near.first < NEAR, "{:?} at {at}", near.first);
                let answer = near.result.unwrap();
                assert!(answer.whole() && answer.part == Part::Kept);
            }
        }
    }
    assert_eq!(world.calls(), 3);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_made_far_away_for_a_region_is_near_the_next_time() {
    let mut world = earth().await;
    let key = at_home(&world, "ams");
    let asker = stranger(&world, "syd", &key);
    world.whole(asker, key).await;
    world.take(Step::Wait(600)).await;
    let near = world.ask(asker, key).await.unwrap();
    assert!(near.first < NEAR, "{:?}", near.first);
    // One made anew replaces it there.
    let anew = world.ask_as(asker, key, Join::Alone).await.unwrap();
    assert_eq!(anew.result.unwrap().calls(), [2]);
    world.take(Step::Wait(600)).await;
    for at in [asker, world.owner_in("ams", &key)] {
        assert_eq!(world.whole(at, key).await.calls(), [2], "at {at}");
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn hits_in_a_region_do_not_feel_a_dead_link_to_another() {
    let mut world = earth().await;
    let key = at_home(&world, "syd");
    world.whole("iad-1", key).await;
    world.take(Step::Wait(600)).await;
    world.take(Step::CutOff("syd")).await;
    // At once, and when everybody has found out.
    for _ in 0..40 {
        for at in ["iad-1", "iad-2"] {
            let heard = world.ask(at, key).await.unwrap();
            assert!(heard.first < NEAR, "{:?}", heard.first);
            assert_eq!(heard.result.unwrap().part, Part::Kept);
        }
        world.take(Step::Wait(100)).await;
    }
    assert_eq!(world.calls(), 1);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_region_cut_off_costs_one_call_on_each_side() {
    for known in [false, true] {
        let mut world = earth().await;
        let key = at_home(&world, "syd");
        world.take(Step::CutOff("syd")).await;
        if known {
            world.take(Step::Wait(3_000)).await;
        }
        let names = world.names();
        let asks = (0..300).map(|i| world.ask(names[i % 6], key)).collect();
        let heard = all(asks).await;
        assert_eq!(whole(&heard), 300);
        let callers = world.callers(&key);
        let abroad = callers.iter().filter(|it| !it.as_str().starts_with("syd"));
        assert_eq!((callers.len(), abroad.count()), (2, 1), "{callers:?}");
        let slowest = heard.iter().map(|heard| heard.first).max().unwrap();
        let bound = if known { 500 } else { 4_500 };
        assert!(
            slowest < CHUNK_EVERY + Duration::from_millis(bound),
            "{slowest:?}"
        );
        let stood_in = |region| {
            let owner = world.owner_in(region, &key);
            world.cluster(owner).stats().stood_in.get()
        };
        assert!(stood_in("ams") > 0 && stood_in("iad") > 0);
        assert_eq!(stood_in("syd"), 0);
        world.comes_to_rest().await;
    }
}

#[tokio::test(start_paused = true)]
async fn regions_that_all_lost_each_other_make_a_call_each_and_no_more() {
    let mut world = earth().await;
    let key = at_home(&world, "ams");
    for region in REGIONS {
        world.take(Step::CutOff(region)).await;
    }
    let names = world.names();
    let asks = (0..300).map(|i| world.ask(names[i % 6], key)).collect();
    assert_eq!(whole(&all(asks).await), 300);
    assert_eq!(world.callers(&key).len(), 3, "{:?}", world.callers(&key));
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn an_owner_in_the_region_that_dies_is_walked_over() {
    let mut world = earth().await;
    let key = at_home(&world, "ams");
    let (owner, other) = (world.owner_in("syd", &key), stranger(&world, "syd", &key));
    let asks = (0..50).map(|_| world.ask(other, key)).collect();
    // By now home has heard of it, and its first chunk is on the way.
    world.take(Step::Wait(900)).await;
    world.take(Step::Kill(owner)).await;
    assert_eq!(whole(&all(asks).await), 50);
    let mut callers = world.callers(&key);
    callers.retain(|caller| caller.as_str() != owner);
    assert_eq!(
        callers,
        [world.owner_in("ams", &key).into()],
        "it was joined"
    );
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_scope_of_a_region_is_one_call_in_each_and_nothing_between_them() {
    let world = earth().await;
    let key = at_home(&world, "iad");
    let names = world.names();
    let ask = |i: usize| world.ask_within(names[i % 6], key, Join::Owned, Coalesce::Region);
    let heard = all((0..300).map(ask).collect()).await;
    assert_eq!(whole(&heard), 300);
    let mut callers = world.callers(&key);
    callers.sort();
    let owners = REGIONS.map(|region| world.owner_in(region, &key).into());
    assert_eq!(callers, owners);
    let slowest = heard.iter().map(|heard| heard.first).max().unwrap();
    assert!(slowest < CHUNK_EVERY + NEAR, "{slowest:?}");
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_look_goes_home_where_it_may_and_makes_no_call() {
    let world = earth().await;
    let key = at_home(&world, "iad");
    world.whole(world.owner_in("iad", &key), key).await;
    for at in ["syd-1", "syd-2", "ams-1", "ams-2"] {
        let (cluster, terms) = (world.cluster(at), Terms::default());
        for (scope, found) in [(Coalesce::Region, false), (Coalesce::World, true)] {
            let looked = cluster.look(&[key], &terms, scope).await;
            assert_eq!(looked[0].is_some(), found, "at {at}, {scope:?}");
        }
    }
    assert_eq!(world.calls(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_scope_of_the_node_asks_nobody() {
    let world = earth().await;
    let key = at_home(&world, "iad");
    for (number, at) in ["ams-1", "ams-2"].into_iter().enumerate() {
        for join in [Join::Owned, Join::Alone] {
            let heard = world
                .ask_within(at, key, join, Coalesce::Node)
                .await
                .unwrap();
            assert!(heard.result.unwrap().whole());
        }
        assert_eq!(world.callers(&key).len(), 2 * (number + 1));
    }
    let callers = world.callers(&key);
    assert_eq!(
        callers,
        ["ams-1", "ams-1", "ams-2", "ams-2"].map(Into::into)
    );
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_the_only_one_of_its_region_works() {
    let mut world = World::over(&[("ams", &["ams-1"]), ("syd", &["syd-1"])]).await;
    world.far("ams", "syd", 250);
    world.take(Step::Wait(3_000)).await;
    for (number, home) in ["ams-1", "syd-1"].into_iter().enumerate() {
        let key = world.key_of(home);
        let asks = (0..100)
            .map(|i| world.ask(["ams-1", "syd-1"][i % 2], key))
            .collect();
        assert_eq!(whole(&all(asks).await), 100);
        assert_eq!(world.callers(&key), [home.into()]);
        assert_eq!(world.calls(), number + 1);
    }
    world.take(Step::Wait(600)).await;
    for home in ["ams-1", "syd-1"] {
        let key = world.key_of(home);
        for at in ["ams-1", "syd-1"] {
            assert!(world.ask(at, key).await.unwrap().first < NEAR);
        }
    }
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn a_home_that_moves_to_another_region_is_asked_for_what_it_kept() {
    let mut world = World::over(&[("ams", &["ams-1", "ams-2"]), ("iad", &["iad-1"])]).await;
    world.far("ams", "iad", 80);
    world.take(Step::Wait(2_000)).await;
    let keys: Vec<_> = (0..40).map(world::key).collect();
    for key in &keys {
        world.whole("ams-1", *key).await;
    }
    assert_eq!(world.calls(), 40);
    world.take(Step::Ring(&["ams-1", "iad-1"], &[])).await;
    for at in ["iad-1", "ams-1", "ams-2"] {
        for key in &keys {
            world.whole(at, *key).await;
        }
    }
    assert_eq!(world.calls(), 40);
    world.comes_to_rest().await;
}

#[tokio::test(start_paused = true)]
async fn nodes_that_see_different_rings_and_links_do_not_wait_in_a_circle() {
    let mut world = earth().await;
    let keys: Vec<_> = (0..30).map(world::key).collect();
    world.take(Step::CutOneWay("ams-1", "iad-1")).await;
    world.take(Step::Cut("iad-2", "syd-1")).await;
    world.take(Step::Cut("ams-1", "ams-2")).await;
    let all_but_one = &["ams-1", "ams-2", "iad-1", "iad-2", "syd-1"];
    world
        .take(Step::Ring(all_but_one, &["iad-1", "ams-2"]))
        .await;
    let names = world.names();
    let mut asks = Vec::new();
    for key in &keys {
        asks.extend(names.iter().map(|name| world.ask(name, *key)));
    }
    let heard = all(asks).await;
    assert_eq!(whole(&heard), keys.len() * names.len());
    for key in &keys {
        assert!(world.callers(key).len() <= 5, "{:?}", world.callers(key));
    }
    world.comes_to_rest().await;
}
