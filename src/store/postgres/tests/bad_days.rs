//! A server that is frozen, slow, gone, or not there yet, told as stories over a relay to a real one.
//! Time is the machine's own: sockets know no other. Every wait is for a condition, with a bound.

use std::sync::atomic::Ordering;
use std::time::Duration;

use fgy_cluster::Key;
use tokio::time::Instant;

use super::relay::{Mood, Relay};
use super::{Postgres, Scratch, Settings};
use crate::answer::stamp::Millis;
use crate::ledger::samples::line;
use crate::ledger::totals::Period;
use crate::store::postgres::breaker;
use crate::store::{Entries, Error, Ledger, Scope};

const LOOK: Duration = Duration::from_millis(100);
/// What the machine may add to a deadline, being shared with other tests.
const LEEWAY: Duration = Duration::from_millis(250);

struct Story {
    scratch: Scratch,
    relay: Relay,
    through: String,
}

impl Story {
    async fn begin() -> Option<Story> {
        let scratch = Scratch::new().await?;
        let (relay, through) = Relay::to(scratch.url()).await;
        Some(Story {
            scratch,
            relay,
            through,
        })
    }

    async fn open(&self) -> Result<Postgres, Error> {
        let settings = Settings {
            connections_max: 4,
            look_wait_max: LOOK,
            chore_wait_max: Duration::from_secs(1),
            ..Settings::default()
        };
        Postgres::open(&self.through, &settings).await
    }

    /// A store that has answered already.
    async fn well(&self) -> Postgres {
        let store = self.open().await.unwrap();
        store.get(Key([0; 32]), Millis(0)).await.unwrap();
        store
    }
}

/// One look, and how long it took.
async fn look(store: &Postgres) -> (bool, Duration) {
    let began = Instant::now();
    let asked = store.get(Key([1; 32]), Millis(0)).await;
    (asked.is_ok(), began.elapsed())
}

/// Looks until it is well again; the breaker's pause is two seconds and a quarter of that.
async fn comes_back(store: &Postgres) {
    let began = Instant::now();
    while !look(store).await.0 {
        assert!(began.elapsed() < Duration::from_secs(20), "still away");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(!store.away().load(Ordering::Relaxed));
}

/// What a look costs while the server is as it is: its deadline a few times, then nothing.
async fn gives_up_soon(story: &Story, store: &Postgres) {
    let began = Instant::now();
    let mut slow = 0;
    while !store.away().load(Ordering::Relaxed) {
        let (well, took) = look(store).await;
        assert!(!well && took < LOOK + LEEWAY, "{took:?}");
        slow += 1;
        assert!(slow <= breaker::IN_A_ROW, "the breaker does not open");
    }
    assert!(began.elapsed() < Duration::from_millis(1_500));
    let taken = story.relay.taken();
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(!look(store).await.0);
    }
    assert!(began.elapsed() < LOOK, "refused looks cost nothing");
    // A connection that a caller gave up waiting for may still be on its way.
    assert!(story.relay.taken() <= taken + 3, "nobody is asked");
}

#[tokio::test]
async fn a_server_that_freezes_costs_a_few_deadlines_and_comes_back() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    for _ in 0..2 {
        story.relay.turn(Mood::Frozen);
        gives_up_soon(&story, &store).await;
        story.relay.turn(Mood::Fair);
        comes_back(&store).await;
    }
    story.scratch.end().await;
}

#[tokio::test]
async fn a_slow_server_is_a_lost_one_and_a_probe_is_no_easier_than_a_look() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    // Each way: a look takes three deadlines, a probe two.
    story.relay.turn(Mood::Slow(LOOK));
    gives_up_soon(&story, &store).await;
    // A probe that failed leaves its connection behind: the next one, and so two, need new ones.
    let (began, taken) = (Instant::now(), story.relay.taken());
    while story.relay.taken() < taken + 2 {
        let (well, took) = look(&store).await;
        assert!(!well && took < LOOK, "no caller pays for a probe: {took:?}");
        assert!(began.elapsed() < Duration::from_secs(20), "nobody probes");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    story.relay.turn(Mood::Fair);
    comes_back(&store).await;
    story.scratch.end().await;
}

#[tokio::test]
async fn a_server_that_is_killed_is_found_again_and_no_line_is_lost() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    store.post(vec![line(1)]).await.unwrap();
    story.relay.turn(Mood::Gone);
    gives_up_soon(&story, &store).await;
    let refused = store.post(vec![line(2)]).await;
    assert!(
        matches!(refused, Err(Error::Unavailable(_))),
        "not lost, but not taken: {refused:?}"
    );
    story.relay.turn(Mood::Fair);
    comes_back(&store).await;
    let began = Instant::now();
    while store.post(vec![line(1), line(2)]).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ever = Period {
        from: Millis(0),
        to: Millis(u64::MAX),
    };
    let totals = store.totals("acme".into(), ever).await.unwrap();
    assert_eq!(totals.whole().replies, 2, "each once");
    story.scratch.end().await;
}

#[tokio::test]
async fn a_caller_who_gives_up_leaves_the_next_a_sound_connection() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    // Given up at every possible moment of a look, with the answer still on the wire.
    for step in 0..60 {
        let patience = Duration::from_micros(step * 50);
        let key = Key([step as u8; 32]);
        let _given_up = tokio::time::timeout(patience, store.get(key, Millis(0))).await;
        let counted = store.get(Key([9; 32]), Millis(0)).await;
        assert_eq!(counted, Ok(None), "after {patience:?}");
    }
    assert!(!store.away().load(Ordering::Relaxed), "nobody was to blame");
    story.scratch.end().await;
}

#[tokio::test]
async fn impatient_callers_open_the_breaker_though_no_failure_is_ever_reported() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    story.relay.turn(Mood::Frozen);
    for _ in 0..breaker::IN_A_ROW {
        let look = store.get(Key([1; 32]), Millis(0));
        let patience = LOOK * 3 / 4;
        assert!(tokio::time::timeout(patience, look).await.is_err());
    }
    assert!(store.away().load(Ordering::Relaxed));
    story.scratch.end().await;
}

#[tokio::test]
async fn more_callers_than_places_wait_no_longer_than_one() {
    let Some(story) = Story::begin().await else {
        return;
    };
    let store = story.well().await;
    story.relay.turn(Mood::Frozen);
    let began = Instant::now();
    let all = futures_util::future::join_all((0..64).map(|_| look(&store))).await;
    assert!(began.elapsed() < LOOK + LEEWAY, "{:?}", began.elapsed());
    assert!(all.iter().all(|(well, _)| !well));
    assert!(store.away().load(Ordering::Relaxed));
    assert!(
        story.relay.taken() <= 6,
        "{} connections",
        story.relay.taken()
    );
    story.scratch.end().await;
}

#[tokio::test]
async fn a_server_that_is_away_at_start_is_prepared_when_it_comes() {
    let Some(story) = Story::begin().await else {
        return;
    };
    story.relay.turn(Mood::Gone);
    let store = story.open().await.unwrap();
    assert!(store.away().load(Ordering::Relaxed));
    let (well, took) = look(&store).await;
    assert!(!well && took < LOOK, "{took:?}");
    assert!(store.count(Scope::default()).await.is_err());
    story.relay.turn(Mood::Fair);
    // Chores alone find it, too: a node may be answering nothing but hits.
    let began = Instant::now();
    while store.count(Scope::default()).await != Ok(0) {
        assert!(began.elapsed() < Duration::from_secs(20), "still away");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    comes_back(&store).await;
    story.scratch.end().await;
}
