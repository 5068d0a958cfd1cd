//! Whatever happens to the links, in whatever order: every ask ends, what is heard is of one making
//! and in order, nothing is left in the air, and once the links are good again every node answers
//! every key. Seeded: a failure prints the seed and the steps, and `FGY_TEST_SEED` repeats it.

#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

#[allow(dead_code, reason = "the other stories use the rest of it")]
mod world;

use std::time::Duration;

use fgy_cluster::{Fault, Join};
use tokio::task::JoinHandle;
use world::{CHUNKS, Heard, Step, World, key};

const NODES: &[&str] = &["a", "b", "c", "d"];

/// Keys that are asked for: few, so that flights meet.
const KEYS: u64 = 6;

const STEPS: u64 = 40;

/// More of them: `FGY_TEST_SEEDS=500`.
const SEEDS: u64 = 16;

/// The longest an ask may take: every peer it may go to hangs, each found out in its time, and the
/// answer is made here at last.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// A small generator that is the same everywhere.
struct Draw(u64);

impl Draw {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }

    fn node(&mut self) -> &'static str {
        NODES[self.below(NODES.len() as u64) as usize]
    }

    fn two(&mut self) -> (&'static str, &'static str) {
        let first = self.below(NODES.len() as u64) as usize;
        let other = first + 1 + self.below(NODES.len() as u64 - 1) as usize;
        (NODES[first], NODES[other % NODES.len()])
    }

    fn ring(&mut self) -> &'static [&'static str] {
        [
            &["a", "b", "c", "d"][..],
            &["a", "b", "c"],
            &["b", "c", "d"],
            &["a", "d"],
        ][self.below(4) as usize]
    }

    fn step(&mut self) -> Step {
        match self.below(9) {
            0 => {
                let (a, b) = self.two();
                Step::Cut(a, b)
            }
            1 => {
                let (a, b) = self.two();
                Step::CutOneWay(a, b)
            }
            2 => Step::Freeze(self.node()),
            3 | 4 => Step::Heal(self.node()),
            5 => Step::Ring(self.ring(), &[]),
            6 => Step::Ring(self.ring(), &["b"]),
            _ => Step::Wait(self.below(3_000)),
        }
    }
}

async fn schedule(seed: u64) {
    let mut draw = Draw(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
    let mut world = World::with(NODES).await;
    let mut asks: Vec<JoinHandle<Heard>> = Vec::new();
    for _ in 0..STEPS {
        for _ in 0..draw.below(6) {
            let (at, wanted) = (draw.node(), key(draw.below(KEYS)));
            let join = match draw.below(8) {
                0 => Join::Alone,
                _ => Join::Owned,
            };
            asks.push(world.ask_as(at, wanted, join));
        }
        let step = draw.step();
        world.take(step).await;
    }
    for node in NODES {
        world.take(Step::Heal(node)).await;
    }
    world.take(Step::Ring(NODES, &[])).await;
    let asked = asks.len();
    for ask in asks {
        check(seed, &world, &ask.await.unwrap());
    }
    assert!(
        world.calls() <= asked,
        "seed {seed}: a call that nobody asked for"
    );
    world.comes_to_rest().await;
    for number in 0..KEYS {
        for at in NODES {
            world.whole(at, key(number)).await;
        }
    }
}

fn check(seed: u64, world: &World, heard: &Heard) {
    let told = || format!("seed {seed}: {heard:?} after {:#?}", world.steps());
    assert!(heard.first < ENDED_WITHIN, "{}", told());
    let answer = match &heard.result {
        Ok(answer) => answer,
        Err(fault) => {
            assert!(
                matches!(fault, Fault::OwnerLost | Fault::Abandoned),
                "{}",
                told()
            );
            return;
        }
    };
    assert_eq!(answer.calls().len(), 1, "{}", told());
    match &answer.broke {
        None => assert!(answer.whole(), "{}", told()),
        Some(fault) => {
            assert_eq!(*fault, Fault::OwnerLost, "{}", told());
            assert!(
                answer.in_order() && answer.chunks.len() < CHUNKS,
                "{}",
                told()
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn every_ask_ends_and_nothing_is_mixed_whatever_happens_to_the_links() {
    let told = |name| std::env::var(name).ok().map(|seed| seed.parse().unwrap());
    let seeds: std::ops::Range<u64> = match (told("FGY_TEST_SEED"), told("FGY_TEST_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, count) => 0..count.unwrap_or(SEEDS),
    };
    for seed in seeds {
        schedule(seed).await;
    }
}
