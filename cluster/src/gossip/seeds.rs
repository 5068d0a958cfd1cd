//! Where to ask first: seeds by name, resolved again and again, and those of their addresses where
//! no live node answers yet, asked in turn. It keeps no view of its own.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat::ChitchatHandle;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};

use super::outside::Outside;
use super::stats::GossipStats;
use super::{ALONE_RESOLVE_PAUSE, GOSSIP_INTERVAL, RESOLVE_PAUSE};

/// Addresses kept of all seeds together; further ones wait for the next resolution, which may
/// order them otherwise.
const ADDRESSES_COUNT_MAX: usize = 256;

/// How long one name may take.
const RESOLVE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Addresses asked at once while alone: at every gossip interval at first, and slower later.
const ALONE_ASKED_COUNT: usize = 3;
const ALONE_EAGER_TURNS: u64 = 10;
const ALONE_LATER_TURNS: u64 = 5;

/// Resolves for as long as it runs. A name that fails keeps what it meant before.
pub(super) async fn resolve(
    seeds: Vec<String>,
    outside: Outside,
    stats: Arc<GossipStats>,
    mut alone: watch::Receiver<bool>,
    found: watch::Sender<BTreeSet<SocketAddr>>,
) {
    let mut meanings: Vec<Vec<SocketAddr>> = vec![Vec::new(); seeds.len()];
    loop {
        for (seed, meaning) in seeds.iter().zip(&mut meanings) {
            match meaning_of(seed, &outside).await {
                Some(now) => *meaning = now,
                None => stats.unresolved.add(),
            }
        }
        let all = meanings.iter().flatten().copied();
        let all: BTreeSet<_> = all.take(ADDRESSES_COUNT_MAX).collect();
        found.send_if_modified(|held| {
            let changed = *held != all;
            *held = all;
            changed
        });
        let pause = match *alone.borrow_and_update() {
            true => ALONE_RESOLVE_PAUSE,
            false => RESOLVE_PAUSE,
        };
        // Who becomes alone looks again soon.
        tokio::select! {
            () = sleep(pause) => {}
            Ok(_) = alone.wait_for(|alone| *alone), if pause == RESOLVE_PAUSE => {}
        }
    }
}

async fn meaning_of(seed: &str, outside: &Outside) -> Option<Vec<SocketAddr>> {
    if let Ok(address) = seed.parse() {
        return Some(vec![address]);
    }
    let resolved = timeout(RESOLVE_WAIT_MAX, (outside.resolve)(seed.to_owned())).await;
    resolved.ok()?.ok()
}

/// Asks the seeds that are missing for as long as it runs.
pub(super) async fn ask(
    handle: Arc<ChitchatHandle>,
    me: SocketAddr,
    mut found: watch::Receiver<BTreeSet<SocketAddr>>,
) {
    let mut ticks = interval(GOSSIP_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut turn, mut asked) = (0, 0);
    loop {
        tokio::select! {
            _ = ticks.tick() => turn += 1,
            Ok(()) = found.changed() => turn = 0,
        }
        let live = live_addresses(&handle).await;
        let count = asked_at(turn, live.len());
        let addresses = missing(&found.borrow_and_update(), &live, me, asked, count);
        asked = asked.wrapping_add(count);
        for address in addresses {
            if handle.gossip(address).is_err() {
                return;
            }
        }
    }
}

/// How many addresses to ask at this turn, of which one comes every gossip interval, with `live`
/// nodes in sight, this one among them. The more there are the less each asks, so that together
/// they ask about once an interval: a seed that is slow because it has much to do must not get
/// more to do from everybody who misses it.
fn asked_at(turn: u64, live: usize) -> usize {
    match live {
        0 | 1 if turn < ALONE_EAGER_TURNS => ALONE_ASKED_COUNT,
        0 | 1 if turn.is_multiple_of(ALONE_LATER_TURNS) => ALONE_ASKED_COUNT,
        2.. if turn.is_multiple_of(live as u64) => 1,
        _ => 0,
    }
}

async fn live_addresses(handle: &ChitchatHandle) -> BTreeSet<SocketAddr> {
    let chitchat = handle.chitchat();
    let chitchat = chitchat.lock().await;
    let live = chitchat.live_nodes();
    live.map(|id| id.gossip_advertise_addr).collect()
}

/// Up to `count` of the seeds that are neither live nor this node, another part every turn.
fn missing(
    seeds: &BTreeSet<SocketAddr>,
    live: &BTreeSet<SocketAddr>,
    me: SocketAddr,
    turn: usize,
    count: usize,
) -> Vec<SocketAddr> {
    let missing: Vec<_> = seeds
        .iter()
        .filter(|seed| **seed != me && !live.contains(seed))
        .copied()
        .collect();
    let from = turn.checked_rem(missing.len()).unwrap_or(0);
    let turned = missing[from..].iter().chain(&missing[..from]);
    turned.take(count).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ports: &[u16]) -> BTreeSet<SocketAddr> {
        ports.iter().map(|port| one(*port)).collect()
    }

    fn one(port: u16) -> SocketAddr {
        ([127, 0, 0, 1], port).into()
    }

    #[test]
    fn who_is_live_or_here_is_not_asked() {
        let asked = missing(&at(&[1, 2, 3, 4]), &at(&[2, 9]), one(3), 0, 9);
        assert_eq!(asked, [one(1), one(4)]);
        assert_eq!(missing(&at(&[1]), &at(&[1]), one(3), 7, 9), []);
    }

    #[test]
    fn many_together_ask_no_more_than_one() {
        let asked = |live: usize| (0..1_000).map(|turn| asked_at(turn, live)).sum::<usize>();
        for live in 2..50 {
            let together = live * asked(live);
            assert!((1_000..1_000 + 2 * live).contains(&together), "{together}");
        }
        assert_eq!(asked(1), 3 * (10 + 198));
        assert!((0..10).all(|turn| asked_at(turn, 1) == 3), "eager at first");
    }

    #[test]
    fn everybody_has_a_turn() {
        let seeds = at(&[1, 2, 3, 4, 5]);
        let mut asked = BTreeSet::new();
        for turn in 0..5 {
            let now = missing(&seeds, &at(&[]), one(9), turn, 1);
            assert_eq!(now.len(), 1);
            asked.extend(now);
        }
        assert_eq!(asked, seeds);
        let far = missing(&seeds, &at(&[]), one(9), usize::MAX, 3);
        assert_eq!(far.len(), 3);
    }
}
