//! Goal: once a purge is settled nobody serves without it, whoever was cut off or died, and it is
//! settled as soon as can be. Method: replicas on the paused clock; a purge is a command, and a
//! node serves without it if it holds a lease and its state lacks the command.

use std::time::Duration;

use tokio::time::Instant;

use super::town::Town;
use crate::control::{ControlError, Timers};
use crate::node::Phase;

const PATIENCE: Duration = Duration::from_secs(10);

impl Town {
    async fn with_leases(count: u64) -> Town {
        let town = Town::of(count, Timers::default()).await;
        town.until("everybody holds a lease", || town.all_hold())
            .await;
        town.until("one leads", || town.leader().is_some()).await;
        // What voters remember of the time before they voted has run out.
        tokio::time::sleep(Duration::from_secs(5)).await;
        town
    }

    fn all_hold(&self) -> bool {
        self.houses
            .values()
            .all(|house| house.control.lease().holds())
    }

    /// Nobody who serves lacks what was purged.
    fn check(&self, purged: u64, when: &str) {
        for (name, house) in &self.houses {
            let (holds, sum) = (house.control.lease().holds(), house.control.state().sum);
            assert!(
                !holds || sum >= purged,
                "{when}: {name} serves {sum} of {purged}"
            );
        }
    }

    fn other_than(&self, names: &[&str]) -> String {
        let other = self
            .houses
            .keys()
            .find(|name| !names.contains(&name.as_str()));
        other.unwrap().clone()
    }
}

#[tokio::test(start_paused = true)]
async fn a_purge_is_settled_in_a_few_round_trips() {
    for (delay, nodes) in [(1, 5), (20, 5), (1, 1), (1, 2)] {
        let town = Town::with_leases(nodes).await;
        town.net.delay(Duration::from_millis(delay));
        tokio::time::sleep(Duration::from_secs(1)).await;
        let mut worst = Duration::ZERO;
        for purge in 1..=5 {
            let begun = Instant::now();
            let at = town.at("n1");
            let (index, _) = at.propose(1).await.unwrap();
            at.settle(index, PATIENCE).await.unwrap();
            worst = worst.max(begun.elapsed());
            town.check(purge, "settled");
            assert!(town.all_hold(), "and nobody lost its lease by it");
            tokio::time::sleep(Duration::from_millis(330)).await;
        }
        println!("{nodes} nodes, {delay} ms one way: a purge is settled after {worst:?} at worst");
        assert!(worst <= Duration::from_millis(4 * delay + 80), "{worst:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_cut_off_stops_serving_before_a_purge_is_settled() {
    type Cut = fn(&Town, &str);
    let cuts: &[(&str, Cut)] = &[
        ("both ways", |town, lost| town.cut_off(lost)),
        ("it hears nothing", |town, lost| {
            for other in town.houses.keys().filter(|other| *other != lost) {
                town.net.cut_one_way(other, lost);
            }
        }),
        ("it is not heard", |town, lost| {
            for other in town.houses.keys().filter(|other| *other != lost) {
                town.net.cut_one_way(lost, other);
            }
        }),
    ];
    for (what, cut) in cuts {
        for leads in [false, true] {
            let town = Town::with_leases(5).await;
            let leader = town.leader().unwrap();
            let lost = if leads {
                leader.clone()
            } else {
                town.other_than(&[&leader])
            };
            let asker = town.at(&town.other_than(&[&leader, &lost]));
            cut(&town, &lost);
            let begun = Instant::now();
            let (index, _) = asker.propose(1).await.unwrap();
            assert!(
                town.at(&lost).state().sum == 1 || town.at(&lost).lease().holds() || leads,
                "{what}: the fault is one"
            );
            asker.settle(index, PATIENCE).await.unwrap();
            let took = begun.elapsed();
            town.check(1, what);
            let limit = if leads { 6500 } else { 3500 };
            println!("{what}, leader {leads}: settled after {took:?}");
            assert!(took <= Duration::from_millis(limit), "{what}: {took:?}");
            for _ in 0..50 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                town.check(1, what);
            }
            town.net.heal();
            town.until("everybody serves again", || town.all_hold())
                .await;
            town.check(1, "healed");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_dies_between_agreeing_and_settling_takes_nothing_along() {
    let mut town = Town::with_leases(5).await;
    let leader = town.leader().unwrap();
    // One that only listens: of three voters no two may be lost.
    let lost = town.at(&leader).standing().learners[0].to_string();
    let asker = town.at(&town.other_than(&[&leader, &lost]));
    town.cut_off(&lost);
    let begun = Instant::now();
    let (index, _) = asker.propose(1).await.unwrap();
    town.kill(&leader).await;
    asker.settle(index, PATIENCE).await.unwrap();
    println!(
        "leader dead, another node cut off: settled after {:?}",
        begun.elapsed()
    );
    assert!(
        begun.elapsed() <= Duration::from_millis(6500),
        "{:?}",
        begun.elapsed()
    );
    town.check(1, "settled");
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_settled_and_nobody_serves_for_long() {
    let mut town = Town::with_leases(3).await;
    let leader = town.leader().unwrap();
    let (index, _) = town.at(&leader).propose(1).await.unwrap();
    let asker = town.other_than(&[&leader]);
    let third = town.other_than(&[&leader, &asker]);
    town.kill(&leader).await;
    town.kill(&third).await;
    let said = town
        .at(&asker)
        .settle(index, Duration::from_secs(5))
        .await
        .unwrap_err();
    assert!(matches!(said, ControlError::Unsettled), "{said}");
    assert!(
        !town.at(&asker).lease().holds(),
        "one of three grants nothing"
    );
}

#[tokio::test(start_paused = true)]
async fn leaders_that_die_make_nobody_lose_its_lease() {
    let mut town = Town::with_leases(5).await;
    let mut least = Duration::MAX;
    for death in 1..=20 {
        town.until("one leads", || town.leader().is_some()).await;
        let leader = town.leader().unwrap();
        let asker = town.at(&town.other_than(&[&leader]));
        let number = town.kill(&leader).await;
        let writing = async {
            for _ in 0..10 {
                asker.propose(1).await.unwrap();
            }
        };
        let watching = async {
            for _ in 0..250 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                for (name, house) in &town.houses {
                    let lease = house.control.lease();
                    least = least.min(lease.left());
                    assert!(lease.holds(), "death {death}: {name} lost its lease");
                }
            }
        };
        tokio::join!(writing, watching);
        town.open(&leader, number).await;
        town.until("everybody serves again", || town.all_hold())
            .await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    println!("20 leaders died under writes: the shortest lease had {least:?} left");
}

/// Cuts, deaths and restarts at random, and one question after every settled purge.
#[tokio::test(start_paused = true)]
async fn whatever_happens_a_settled_purge_holds() {
    let (mut settled, mut lost) = (0, 0);
    for seed in 1..=4u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice >> 11) % sides
        };
        let mut town = Town::with_leases(5).await;
        let mut dead: Option<(String, u64)> = None;
        for _ in 0..12 {
            let names: Vec<String> = town.houses.keys().cloned().collect();
            let some = |n: u64| names[usize::try_from(n).unwrap() % names.len()].clone();
            match roll(6) {
                0 => town.cut_off(&some(roll(5))),
                1 => town.net.cut_one_way(&some(roll(5)), &some(roll(5))),
                2 => town.net.heal(),
                3 if dead.is_none() => {
                    let name = some(roll(5));
                    let number = town.kill(&name).await;
                    dead = Some((name, number));
                }
                4 => {
                    if let Some((name, number)) = dead.take() {
                        town.open(&name, number).await;
                    }
                }
                _ => town.net.delay(Duration::from_millis(1 + roll(40))),
            }
            let asker = town.at(&town.houses.keys().next().unwrap().clone());
            let Ok((index, sum)) = asker.propose(1).await else {
                continue;
            };
            if asker.settle(index, PATIENCE).await.is_ok() {
                settled += 1;
                for _ in 0..20 {
                    town.check(sum, "settled");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                lost += u32::from(!town.all_hold());
            }
        }
    }
    println!("{settled} purges settled, {lost} of them with a node that had no lease");
    assert!(
        settled >= 20 && lost >= 3,
        "{settled} {lost}: too little happened"
    );
}

/// Voters are swapped all the time, by draining one and another, while links fail and purges run.
#[tokio::test(start_paused = true)]
async fn voters_that_change_let_nobody_serve_what_was_purged() {
    let brief = Duration::from_millis(200);
    let timers = Timers {
        pilot_every: Duration::from_millis(50),
        join_after: brief,
        stable_after: brief,
        change_pause: brief,
        gone_after: Duration::from_secs(2),
        ..Timers::default()
    };
    let (mut settled, mut changes, mut lost) = (0, 0, 0);
    for seed in 11..=14u64 {
        let mut dice = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut roll = |sides: u64| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            usize::try_from((dice >> 11) % sides).unwrap()
        };
        let mut town = Town::of(6, timers).await;
        let names: Vec<String> = town.houses.keys().cloned().collect();
        let mut voters = town.at("n1").standing().voters;
        for _ in 0..30 {
            let (one, other) = (&names[roll(6)], &names[roll(6)]);
            match roll(5) {
                0 => town.cut_off(one),
                1 => town.net.cut_one_way(one, other),
                2 => town.net.heal(),
                _ => {}
            }
            for name in &names {
                town.phase(name, Phase::Ready);
            }
            town.phase(one, Phase::Draining);
            tokio::time::sleep(Duration::from_millis(u64::try_from(roll(900)).unwrap())).await;
            let asker = town.at(&names[roll(6)]);
            let Ok((index, sum)) = asker.propose(1).await else {
                continue;
            };
            if asker.settle(index, PATIENCE).await.is_ok() {
                settled += 1;
                for _ in 0..20 {
                    town.check(sum, "settled");
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                lost += u32::from(!town.all_hold());
            }
            let now = asker.standing().voters;
            changes += u32::from(now != voters);
            voters = now;
        }
    }
    println!(
        "{settled} purges settled amid {changes} changes of voters, {lost} with a node cut off"
    );
    assert!(
        settled >= 40 && changes >= 20 && lost >= 5,
        "{settled} {changes} {lost}"
    );
}

/// The same on the machine's own clock and threads, where nothing waits for anything: a story that
/// prints its times and holds them to bounds that a busy machine keeps.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_a_real_clock_too() {
    let soon = Duration::from_millis(100);
    let timers = Timers {
        pilot_every: soon,
        join_after: soon,
        stable_after: soon,
        change_pause: soon,
        ..Timers::default()
    };
    let mut town = Town::of(3, timers).await;
    town.until("everybody holds a lease", || town.all_hold())
        .await;
    // What voters remember of the time before they voted has run out.
    tokio::time::sleep(Duration::from_millis(3300)).await;
    for purge in 1..=2 {
        town.until("one leads", || town.leader().is_some()).await;
        let leader = town.leader().unwrap();
        let asker = town.at(&town.other_than(&[&leader]));
        let begun = Instant::now();
        let (index, _) = asker.propose(1).await.unwrap();
        asker.settle(index, PATIENCE).await.unwrap();
        let usual = begun.elapsed();
        town.check(2 * purge - 1, "settled");

        let number = town.kill(&leader).await;
        let begun = Instant::now();
        let (index, _) = asker.propose(1).await.unwrap();
        let wrote = begun.elapsed();
        asker.settle(index, PATIENCE).await.unwrap();
        println!(
            "settled after {usual:?}; leader killed: wrote after {wrote:?}, settled after {:?}",
            begun.elapsed()
        );
        assert!(
            begun.elapsed() < Duration::from_millis(6500),
            "{:?}",
            begun.elapsed()
        );
        town.check(2 * purge, "settled");
        town.open(&leader, number).await;
        town.until("it serves again", || town.all_hold()).await;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    let control = town.at("n1");
    let begun = Instant::now();
    let held = (0..100_000)
        .filter(|_| std::hint::black_box(control.lease()).holds())
        .count();
    println!(
        "holds(): {} ns, unoptimised; {held}",
        begun.elapsed().as_nanos() / 100_000
    );
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stood_still_gives_its_lease_up() {
    let town = Town::with_leases(3).await;
    let control = town.at("n1");
    assert!(control.lease().left() > Duration::from_secs(2));
    tokio::time::advance(Duration::from_millis(700)).await;
    for _ in 0..100 {
        if !control.lease().holds() {
            break;
        }
        tokio::task::yield_now().await;
    }
    assert!(
        !control.lease().holds(),
        "long before it would have run out"
    );
    town.until("it is asked for anew", || town.all_hold()).await;
}
