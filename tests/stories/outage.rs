//! Goal: a shared store that is frozen, slow or dead costs exact hits nothing and misses their budget
//! at most, says so to the probes, and loses no line. Method: a PostgreSQL of the story's own, stopped
//! and killed by its processes' numbers, and slowed by a relay; the same load before and meanwhile.

#[path = "../../src/store/postgres/tests/relay.rs"]
mod relay;

use std::time::Duration;

use tokio::time::Instant;

use self::relay::{Mood, Relay};
use crate::semantic::distinct;
use crate::support::{Answer, CHAT, Server, World, chat, eventually, together};

/// What a miss may pay for a store that does not answer.
const BUDGET: Duration = Duration::from_millis(150);
/// What hits may lose.
const LOSS: Duration = Duration::from_millis(5);
/// What the machine may add, being shared with other tests.
const LEEWAY: Duration = Duration::from_millis(350);
/// When the store has been given up: nothing is paid from then on.
const GIVEN_UP: Duration = Duration::from_secs(1);

/// Questions that are kept.
const KEPT: usize = 16;
/// Callers at once.
const CALLERS: usize = 4;
/// What each asks: four of five are kept.
const ASKED: usize = 100;

struct Load {
    hits: Vec<Duration>,
    /// When each began, counted from the beginning, and how long it took.
    misses: Vec<(Duration, Duration)>,
}

fn at(sorted: &[Duration], percent: usize) -> Duration {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

impl Load {
    async fn on(world: &World, name: &str) -> Load {
        let began = Instant::now();
        let callers = (0..CALLERS).map(|caller| {
            let asks: Vec<_> = (0..ASKED)
                .map(|n| {
                    let kept = n % 5 != 0;
                    let words = if kept {
                        format!("what is kept number {}?", (caller + n) % KEPT)
                    } else {
                        format!("what is {name} number {n} of caller {caller}?")
                    };
                    (kept, world.post(CHAT, chat(&words)))
                })
                .collect();
            async move {
                let mut heard = Vec::new();
                for (kept, ask) in asks {
                    let since = Instant::now();
                    let answer: Answer = ask.send().await;
                    let expected = if kept { "hit" } else { "miss" };
                    assert_eq!((answer.status, answer.cache()), (200, expected));
                    heard.push((kept, since - began, since.elapsed()));
                }
                heard
            }
        });
        let heard: Vec<_> = together(callers).await.concat();
        let of = |wanted: bool| heard.iter().filter(move |(kept, ..)| *kept == wanted);
        let mut hits: Vec<Duration> = of(true).map(|(_, _, took)| *took).collect();
        hits.sort_unstable();
        let misses: Vec<_> = of(false).map(|(_, at, took)| (*at, *took)).collect();
        let mut sorted: Vec<Duration> = misses.iter().map(|(_, took)| *took).collect();
        sorted.sort_unstable();
        println!(
            "{name}: hits p50 {:?} p99 {:?}, misses p50 {:?} p99 {:?}",
            at(&hits, 50),
            at(&hits, 99),
            at(&sorted, 50),
            at(&sorted, 99)
        );
        Load { hits, misses }
    }

    fn misses(&self) -> Vec<Duration> {
        let mut misses: Vec<Duration> = self.misses.iter().map(|(_, took)| *took).collect();
        misses.sort_unstable();
        misses
    }

    /// Held against the load before.
    fn costs_no_more_than(&self, before: &Load) {
        let (now, then) = (at(&self.hits, 50), at(&before.hits, 50));
        assert!(
            now <= then + LOSS,
            "hits at the median: {now:?}, before {then:?}"
        );
        let (now, then) = (at(&self.hits, 99), at(&before.hits, 99));
        assert!(
            now <= then + LOSS + LEEWAY,
            "hits: {now:?}, before {then:?}"
        );
        let usual = at(&before.misses(), 99);
        let longest = *self.misses().last().expect("misses");
        assert!(
            longest <= usual + BUDGET + LEEWAY,
            "a miss: {longest:?}, before {usual:?}"
        );
        let mut later: Vec<Duration> = self
            .misses
            .clone()
            .into_iter()
            .filter(|(at, _)| *at > GIVEN_UP)
            .map(|(_, took)| took)
            .collect();
        later.sort_unstable();
        if !later.is_empty() {
            let now = at(&later, 50);
            assert!(
                now <= at(&before.misses(), 50) + LOSS * 4,
                "a miss after the store was given up: {now:?}"
            );
        }
    }
}

async fn degraded(world: &World) -> Vec<String> {
    let ready = world.get("/readyz").send().await;
    assert_eq!(ready.status, 200, "traffic is welcome all the same");
    let listed = ready.json()["degraded"].clone();
    serde_json::from_value(listed).expect("a list")
}

/// Asks until nothing is degraded any more: looks are what finds out.
async fn comes_back(world: &World, name: &str) {
    let asked = std::sync::atomic::AtomicUsize::new(0);
    eventually("the store is back", async || {
        let n = asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let words = format!("is it back after {name}, {n}?");
        world.post(CHAT, chat(&words)).send().await;
        degraded(world).await.is_empty().then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_that_is_frozen_slow_or_dead_costs_hits_nothing_and_misses_little() {
    let Some(mut server) = Server::start() else {
        return;
    };
    let (relay, through) = Relay::to(&server.url).await;
    let world = distinct(Some(through)).await;
    for n in 0..KEPT {
        let made = world
            .chat(&format!("what is kept number {n}?"))
            .send()
            .await;
        assert_eq!(made.cache(), "miss");
    }
    assert_eq!(degraded(&world).await, [""; 0]);
    let before = Load::on(&world, "before").await;

    server.signal("STOP");
    let frozen = Load::on(&world, "frozen").await;
    assert!(degraded(&world).await.contains(&"semantic".to_owned()));
    server.signal("CONT");
    frozen.costs_no_more_than(&before);
    comes_back(&world, "frost").await;

    relay.turn(Mood::Slow(Duration::from_millis(400)));
    let slow = Load::on(&world, "slow").await;
    assert!(degraded(&world).await.contains(&"semantic".to_owned()));
    relay.turn(Mood::Fair);
    slow.costs_no_more_than(&before);
    comes_back(&world, "slowness").await;

    server.kill();
    let dead = Load::on(&world, "dead").await;
    assert!(degraded(&world).await.contains(&"semantic".to_owned()));
    dead.costs_no_more_than(&before);
    server.again();
    comes_back(&world, "death").await;
    assert!(relay.taken() > 4, "connections were made anew");

    // Every reply has its line in the end.
    let replies = world.sum("fgy_requests_total").await;
    eventually("no line is lost", async || {
        let stats = world.administer("GET", "/stats", "").await;
        (stats["requests"] == replies).then_some(())
    })
    .await;
}
