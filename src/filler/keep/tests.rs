//! Keeping, against a store that fails on command. Time is paused: no test waits for real.

use std::sync::atomic::AtomicU32;

use bytes::Bytes;

use super::*;
use crate::answer::stamp::Stamp;
use crate::key::Space;
use crate::store::{self, ModelKey, Point, Reply, Scope, Stored};

/// Fails the next so many puts, and counts all of them.
struct Fickle {
    entries: Arc<dyn Entries>,
    failures: AtomicU32,
    puts: AtomicU32,
}

impl Entries for Fickle {
    fn get(&self, key: Key, now: Millis) -> Reply<'_, Option<Stored>> {
        self.entries.get(key, now)
    }

    fn get_many<'a>(&'a self, keys: &'a [Key], now: Millis) -> Reply<'a, Vec<Option<Stored>>> {
        self.entries.get_many(keys, now)
    }

    fn put(&self, puts: Vec<Put>) -> Reply<'_, ()> {
        self.puts.fetch_add(1, Ordering::Relaxed);
        let one_less = |left: u32| left.checked_sub(1);
        let order = Ordering::Relaxed;
        if self.failures.fetch_update(order, order, one_less).is_ok() {
            return Box::pin(async { Err(Error::Unavailable("on command".into())) });
        }
        self.entries.put(puts)
    }

    fn touch(&self, uses: Vec<(Key, Millis)>) -> Reply<'_, ()> {
        self.entries.touch(uses)
    }

    fn count(&self, scope: Scope) -> Reply<'_, u64> {
        self.entries.count(scope)
    }

    fn forget(&self, scope: Scope, limit: u32) -> Reply<'_, u64> {
        self.entries.forget(scope, limit)
    }

    fn forget_expired(&self, now: Millis, limit: u32) -> Reply<'_, u64> {
        self.entries.forget_expired(now, limit)
    }

    fn trim(&self, policy: Name, tenant: TenantId, keep_max: u64, limit: u32) -> Reply<'_, u64> {
        self.entries.trim(policy, tenant, keep_max, limit)
    }
}

/// It is always noon; the policy `small` holds three.
struct Noon;

const NOON: Millis = Millis(1_000_000);

impl Around for Noon {
    fn now(&self) -> Millis {
        NOON
    }

    fn entries_max(&self, policy: &Name, _: &TenantId) -> Option<u64> {
        (&**policy == "small").then_some(3)
    }
}

fn put(number: u8, policy: &str, until: u64) -> Put {
    let stamp = Stamp {
        tenant: "acme".into(),
        agent: "".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: policy.into(),
        source: Key([number; 32]),
        epoch: 0,
        began: Millis(u64::from(number)),
        until: Millis(until),
    };
    Put {
        key: Key([number; 32]),
        stamp,
        bytes: Bytes::from(vec![1; 1000]),
        point: None,
    }
}

fn lasting(number: u8) -> Put {
    put(number, "", NOON.0 + 1)
}

/// The same, with what its question means.
fn meant(number: u8, vector: Vec<f32>) -> Put {
    let put = lasting(number);
    let point = Point {
        space: Space([7; 32]),
        key: put.key,
        model: mini(),
        vector,
        stamp: put.stamp.clone(),
        fingerprint: Vec::new(),
        message: "how long?".into(),
    };
    Put {
        point: Some(Arc::new(point)),
        ..put
    }
}

fn mini() -> ModelKey {
    ModelKey {
        name: "mini".into(),
        revision: "".into(),
        dimensions: 2,
    }
}

/// The answers that are found by what their questions mean.
async fn found(keep: &Keep) -> Vec<Key> {
    let (model, asked) = (mini(), vec![1.0, 0.0]);
    let near = keep
        .vectors
        .nearest(Space([7; 32]), &model, asked, 0.5, 9, NOON);
    near.await.unwrap().iter().map(|it| it.key).collect()
}

async fn keeper(failures: u32, settings: Settings) -> (Arc<Keep>, Arc<Fickle>) {
    let stores = store::open("volatile:", &store::Settings::default())
        .await
        .unwrap();
    let (failures, puts) = (AtomicU32::new(failures), AtomicU32::new(0));
    let fickle = Arc::new(Fickle {
        entries: stores.entries,
        failures,
        puts,
    });
    (
        Arc::new(Keep::new(
            (fickle.clone(), stores.vectors),
            Arc::new(Noon),
            settings,
        )),
        fickle,
    )
}

/// Runs the keeper beside a story, then stops it.
async fn beside(keep: &Arc<Keep>, story: impl Future<Output = ()>) {
    let stop = CancellationToken::new();
    let told = async {
        story.await;
        stop.cancel();
    };
    tokio::join!(keep.clone().run(stop.clone()), told);
}

#[tokio::test(start_paused = true)]
async fn what_waits_is_written_together_within_a_tenth_of_a_second() {
    let (keep, store) = keeper(0, Settings::default()).await;
    beside(&keep, async {
        assert!((0..50).all(|number| keep.offer(lasting(number))));
        assert_eq!(keep.counts().waiting, 50);
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((keep.counts().kept, keep.counts().waiting), (50, 0));
    })
    .await;
    assert_eq!(store.puts.load(Ordering::Relaxed), 1);
    assert_eq!(store.count(Scope::default()).await, Ok(50));
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses_by_count_and_by_bytes_and_counts() {
    for settings in [
        Settings {
            queue_entries_max: 3,
            ..Settings::default()
        },
        Settings {
            queue_bytes_max: 3_999,
            ..Settings::default()
        },
    ] {
        let (keep, _) = keeper(0, settings).await;
        let taken: Vec<bool> = (0..5).map(|number| keep.offer(lasting(number))).collect();
        assert_eq!(taken, [true, true, true, false, false]);
        beside(&keep, async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            assert!(keep.offer(lasting(9)), "written ones give their room back");
        })
        .await;
        let counts = keep.counts();
        assert_eq!((counts.kept, counts.refused, counts.dropped), (4, 2, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_is_away_is_waited_for_but_not_for_ever() {
    let settings = || Settings {
        tries_max: 4,
        ..Settings::default()
    };
    for (failures, kept, dropped) in [(3, 1, 0), (4, 0, 1)] {
        let (keep, _) = keeper(failures, settings()).await;
        beside(&keep, async {
            keep.offer(lasting(1));
            tokio::time::sleep(Duration::from_secs(60)).await;
            let counts = keep.counts();
            assert_eq!(
                (counts.kept, counts.dropped, counts.waiting),
                (kept, dropped, 0)
            );
            // It goes on afterwards.
            keep.offer(lasting(2));
        })
        .await;
        assert_eq!(keep.counts().kept, kept + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn stopping_in_the_midst_of_a_write_writes_it_still() {
    let (keep, store) = keeper(1, Settings::default()).await;
    beside(&keep, async {
        keep.offer(lasting(1));
        // In the pause after the first failure.
        tokio::time::sleep(Duration::from_millis(130)).await;
        keep.offer(lasting(2));
        assert_eq!(keep.counts().waiting, 2);
    })
    .await;
    assert_eq!(store.count(Scope::default()).await, Ok(2));
    assert!(
        !keep.offer(lasting(3)),
        "nothing is taken that nobody would write"
    );
}

#[tokio::test(start_paused = true)]
async fn stopping_gives_up_in_time_and_counts_what_was_lost() {
    let (keep, _) = keeper(u32::MAX, Settings::default()).await;
    let before = Instant::now();
    keep.offer(lasting(1));
    beside(&keep, async {}).await;
    assert!(before.elapsed() <= Settings::default().flush_wait_max + Duration::from_millis(10));
    assert_eq!((keep.counts().dropped, keep.counts().waiting), (1, 0));
}

#[tokio::test(start_paused = true)]
async fn expired_and_surplus_entries_are_removed_and_used_ones_stay() {
    let settings = Settings {
        step_entries_max: 2,
        ..Settings::default()
    };
    let (keep, store) = keeper(0, settings).await;
    beside(&keep, async {
        (0..3).for_each(|number| assert!(keep.offer(put(number, "small", NOON.0 + 1))));
        (100..105).for_each(|number| assert!(keep.offer(put(number, "", NOON.0))));
        keep.used(Key([0; 32]), Millis(500));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(keep.counts().expired, 5);
        (3..8).for_each(|number| assert!(keep.offer(put(number, "small", NOON.0 + 1))));
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert_eq!(keep.counts().trimmed, 5);
    })
    .await;
    assert_eq!(store.count(Scope::default()).await, Ok(3));
    for (number, there) in [(0, true), (1, false), (6, true), (7, true)] {
        let found = store.get(Key([number; 32]), NOON).await.unwrap();
        assert_eq!(found.is_some(), there, "{number}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_meaning_is_found_at_once_and_lands_with_its_answer() {
    let (keep, store) = keeper(0, Settings::default()).await;
    beside(&keep, async {
        assert!(keep.offer(meant(1, vec![1.0, 0.1])));
        assert_eq!(keep.counts().waiting, 1);
        assert_eq!(found(&keep).await, [Key([1; 32])], "before it is written");
        // What no store takes is no reason to lose the answer, nor those written with it.
        assert!(keep.offer(meant(2, vec![1.0; 3])));
        tokio::time::sleep(Duration::from_millis(100)).await;
        let counts = keep.counts();
        assert_eq!((counts.kept, counts.pointless, counts.dropped), (2, 1, 0));
    })
    .await;
    assert_eq!(found(&keep).await, [Key([1; 32])]);
    assert_eq!(store.forget(Scope::default(), 9).await, Ok(2));
    assert_eq!(found(&keep).await, []);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_kept_is_not_found() {
    let settings = Settings {
        tries_max: 1,
        queue_entries_max: 1,
        ..Settings::default()
    };
    let (keep, _) = keeper(1, settings).await;
    beside(&keep, async {
        assert!(keep.offer(meant(1, vec![1.0, 0.1])));
        assert!(!keep.offer(meant(2, vec![1.0, 0.2])), "no room");
        assert_eq!(found(&keep).await, [Key([1; 32])], "it may be kept still");
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!((keep.counts().dropped, keep.counts().refused), (1, 1));
        assert_eq!(found(&keep).await, []);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn what_a_point_weighs_counts() {
    let settings = Settings {
        queue_bytes_max: 2_500,
        ..Settings::default()
    };
    let (keep, _) = keeper(0, settings).await;
    let wordy = |number| {
        let mut put = meant(number, vec![1.0, 0.0]);
        if let Some(point) = put.point.as_mut() {
            Arc::make_mut(point).message = "x".repeat(1_000);
        }
        put
    };
    assert!(keep.offer(wordy(1)));
    assert!(!keep.offer(lasting(2)), "one answer and one point fill it");
}
