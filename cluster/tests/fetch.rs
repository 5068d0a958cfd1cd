//! The main path, with an application that counts what it is asked: who leads, who follows, who
//! asks again, and what becomes of everyone when the one who flew fails.

#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::{
    BoxFuture, Budget, Cluster, Coalesce, Copied, Credential, Fault, Fetched, Fill, Filling,
    FlightLimits, Frame, Freshness, HeardBy, Join, Key, Part, Recorder, Refusal, Sealed, Secret,
    Tape, Tasks, Terms, Want,
};
use tokio::sync::Semaphore;

/// An application whose answers are `head`, then the number of the call. What it does is read
/// off the job; it goes on only when the test lets it.
struct Kitchen {
    calls: AtomicUsize,
    kept: Mutex<HashMap<Key, Tape>>,
    gate: Semaphore,
    keeps: bool,
}

impl Kitchen {
    fn open() -> Arc<Kitchen> {
        Kitchen::with(Semaphore::MAX_PERMITS, true)
    }

    fn shut() -> Arc<Kitchen> {
        Kitchen::with(0, true)
    }

    fn with(permits: usize, keeps: bool) -> Arc<Kitchen> {
        Arc::new(Kitchen {
            calls: AtomicUsize::new(0),
            kept: Mutex::default(),
            gate: Semaphore::new(permits),
            keeps,
        })
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn let_in(&self, count: usize) {
        self.gate.add_permits(count);
    }
}

impl Fill for Kitchen {
    fn peek(&self, key: &Key, terms: &Terms) -> Option<Tape> {
        let strict = terms.age_millis_max == Some(0);
        self.kept
            .lock()
            .unwrap()
            .get(key)
            .filter(|_| !strict)
            .cloned()
    }

    fn look<'a>(&'a self, keys: &'a [Key], terms: &'a Terms) -> BoxFuture<'a, Vec<Option<Tape>>> {
        Box::pin(async move { keys.iter().map(|key| self.peek(key, terms)).collect() })
    }

    fn fill(&self, filling: Filling, recorder: Recorder) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let call = self.calls.fetch_add(1, Ordering::SeqCst) + 1;
            self.gate.acquire().await.unwrap().forget();
            match filling.job.as_ref() {
                b"panic" => panic!("on purpose"),
                b"refuse-account" => {
                    let heard_by = HeardBy::Holders(filling.credential);
                    return recorder.fail(refused(heard_by));
                }
                b"refuse-question" => return recorder.fail(refused(HeardBy::All)),
                _ => {}
            }
            let old = filling.freshness == Freshness::Any && filling.job == "find-old";
            let head = Bytes::from_static(if old { b"old" } else { b"new" });
            recorder.push(head).unwrap();
            recorder.push(Bytes::from(call.to_string())).unwrap();
            let sealed = recorder.seal();
            if self.keeps {
                self.kept
                    .lock()
                    .unwrap()
                    .insert(filling.key, Tape::from(sealed.clone()));
            }
            recorder.finish(sealed);
        })
    }

    fn stamp(&self, _: &Key) -> Option<Bytes> {
        None
    }

    fn keep(&self, _: &Key, _: &[u8], _: Arc<Sealed>, _: Copied) -> bool {
        false
    }

    fn moved(&self, _: &dyn Fn(&Key) -> bool, _: usize) -> Vec<Key> {
        Vec::new()
    }

    fn suits(&self, head: &Frame, terms: &Terms) -> bool {
        terms.age_millis_max.is_none() || head == "new"
    }
}

fn refused(heard_by: HeardBy) -> Fault {
    Fault::Refused(
        Refusal {
            status: 401,
            head: Bytes::new(),
            aside: Bytes::from_static(b"for the leader"),
            body: Bytes::from_static(b"no"),
            heard_by,
        }
        .into(),
    )
}

fn cluster(kitchen: &Arc<Kitchen>) -> Arc<Cluster> {
    let limits = FlightLimits {
        flights_max: 10,
        listeners_per_flight_max: 5_000,
        tape_bytes_max: 1 << 20,
    };
    let fill: Arc<dyn Fill> = kitchen.clone();
    Arc::new(Cluster::solo(
        "alone".into(),
        fill,
        limits,
        Budget::new(1 << 20),
        Tasks::new(),
    ))
}

fn want(job: &'static str) -> Want {
    Want {
        key: Key([7; 32]),
        since: 0,
        terms: Terms::default(),
        join: Join::Owned,
        coalesce: Coalesce::World,
        job: Bytes::from_static(job.as_bytes()),
        secret: Some(Secret::new(b"sk-canary")),
        credential: Credential([1; 16]),
        wish: 60,
        patience: Duration::from_secs(60),
    }
}

fn holding(credential: u8, want: Want) -> Want {
    Want {
        credential: Credential([credential; 16]),
        ..want
    }
}

async fn answer(mut fetched: Fetched) -> String {
    let body = fetched.player.next().await.unwrap().unwrap();
    String::from_utf8(body.to_vec()).unwrap()
}

/// Starts callers, waits until all of them sit, then lets the kitchen work.
async fn crowd(
    cluster: &Arc<Cluster>,
    kitchen: &Kitchen,
    wants: Vec<Want>,
) -> Vec<Result<(Part, String), Fault>> {
    let count = wants.len();
    let callers: Vec<_> = wants
        .into_iter()
        .map(|want| {
            let cluster = cluster.clone();
            tokio::spawn(async move {
                let fetched = cluster.fetch(&want).await?;
                let part = fetched.part;
                Ok((part, answer(fetched).await))
            })
        })
        .collect();
    let seated = || (cluster.stats().led.get() + cluster.stats().followed.get()) as usize;
    while seated() < count {
        tokio::task::yield_now().await;
    }
    kitchen.let_in(count);
    let mut heard = Vec::new();
    for caller in callers {
        heard.push(caller.await.unwrap());
    }
    heard
}

#[tokio::test]
async fn a_thousand_callers_are_one_call() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let heard = crowd(&cluster, &kitchen, vec![want("cook"); 1000]).await;
    assert_eq!(kitchen.calls(), 1);
    let led = heard
        .iter()
        .filter(|h| matches!(h, Ok((Part::Led, text)) if text == "1"))
        .count();
    let followed = heard
        .iter()
        .filter(|h| matches!(h, Ok((Part::Followed, text)) if text == "1"))
        .count();
    assert_eq!((led, followed), (1, 999));
    assert_eq!(cluster.flights(), 0);
    assert_eq!(cluster.bytes_in_flight(), 0);
    let kept = cluster.peek(&want("").key, &Terms::default()).unwrap();
    assert_eq!(kept.part, Part::Kept);
}

#[tokio::test]
async fn the_first_caller_may_go() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let leader = {
        let cluster = cluster.clone();
        tokio::spawn(async move { cluster.fetch(&want("cook")).await.map(|_| ()) })
    };
    while cluster.stats().led.get() == 0 {
        tokio::task::yield_now().await;
    }
    leader.abort();
    assert!(leader.await.unwrap_err().is_cancelled());
    let heard = crowd(&cluster, &kitchen, vec![want("cook"); 3]).await;
    assert_eq!(kitchen.calls(), 1);
    assert!(
        heard.iter().all(|h| *h == Ok((Part::Followed, "1".into()))),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_panic_in_the_flight_is_one_fault_and_the_next_caller_flies() {
    let kitchen = Kitchen::open();
    let cluster = cluster(&kitchen);
    let fault = cluster.fetch(&want("panic")).await.err();
    assert_eq!(fault, Some(Fault::Abandoned));
    let fetched = cluster.fetch(&want("cook")).await.unwrap();
    assert_eq!(answer(fetched).await, "2");
    assert_eq!(cluster.flights(), 0);
}

#[tokio::test]
async fn a_refused_question_is_refused_to_everyone_at_once() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let wants = (0..50)
        .map(|i| holding(i, want("refuse-question")))
        .collect();
    let heard = crowd(&cluster, &kitchen, wants).await;
    assert_eq!(kitchen.calls(), 1);
    let asides = heard.iter().filter(|h| match h {
        Err(Fault::Refused(refusal)) => !refusal.aside.is_empty(),
        _ => panic!("everyone is refused"),
    });
    assert_eq!(
        asides.count(),
        1,
        "what was said aside is the leader's alone"
    );
}

#[tokio::test]
async fn a_refused_account_concerns_its_holders_and_of_the_others_one_leads_anew() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let mut wants = vec![holding(1, want("refuse-account"))];
    wants.extend(vec![holding(1, want("cook")); 3]);
    wants.extend(vec![holding(2, want("cook")); 20]);
    let heard = crowd(&cluster, &kitchen, wants).await;
    assert_eq!(kitchen.calls(), 2, "the refused one and one of the others");
    assert!(
        heard[..4]
            .iter()
            .all(|h| matches!(h, Err(Fault::Refused(_)))),
        "{heard:?}"
    );
    assert!(
        heard[4..]
            .iter()
            .all(|h| matches!(h, Ok((_, text)) if text == "2")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn a_stricter_follower_takes_one_fresh_flight_more() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let strict = Want {
        terms: Terms {
            nearness_min: None,
            age_millis_max: Some(5),
        },
        ..want("find-old")
    };
    let mut wants = vec![want("find-old"); 2];
    wants.extend(vec![strict; 10]);
    let heard = crowd(&cluster, &kitchen, wants).await;
    assert_eq!(kitchen.calls(), 2);
    assert!(
        heard[..2]
            .iter()
            .all(|h| matches!(h, Ok((_, text)) if text == "1")),
        "{heard:?}"
    );
    assert!(
        heard[2..]
            .iter()
            .all(|h| matches!(h, Ok((_, text)) if text == "2")),
        "{heard:?}"
    );
}

#[tokio::test]
async fn who_must_not_share_flies_alone() {
    let kitchen = Kitchen::with(Semaphore::MAX_PERMITS, false);
    let cluster = cluster(&kitchen);
    let alone = Want {
        join: Join::Alone,
        ..want("cook")
    };
    let (one, two) = tokio::join!(cluster.fetch(&alone), cluster.fetch(&alone));
    assert_ne!(answer(one.unwrap()).await, answer(two.unwrap()).await);
    assert_eq!(kitchen.calls(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_silent_flight_is_too_slow_for_its_callers_and_goes_on() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let slow = cluster.fetch(&want("cook")).await.err();
    assert_eq!(slow, Some(Fault::TooSlow));
    assert_eq!(cluster.flights(), 1, "it is not the caller's to end");
    kitchen.let_in(1);
    let fetched = cluster.fetch(&want("cook")).await.unwrap();
    assert_eq!(fetched.part, Part::Followed);
}

#[tokio::test]
async fn flights_are_bounded() {
    let kitchen = Kitchen::shut();
    let cluster = cluster(&kitchen);
    let seats: Vec<_> = (0..10)
        .map(|i| {
            let (cluster, want) = (
                cluster.clone(),
                Want {
                    key: Key([i; 32]),
                    ..want("cook")
                },
            );
            tokio::spawn(async move { cluster.fetch(&want).await.map(|_| ()) })
        })
        .collect();
    while cluster.flights() < 10 {
        tokio::task::yield_now().await;
    }
    let one_more = Want {
        key: Key([99; 32]),
        ..want("cook")
    };
    assert_eq!(cluster.fetch(&one_more).await.err(), Some(Fault::NoRoom));
    kitchen.let_in(10);
    for seat in seats {
        seat.await.unwrap().unwrap();
    }
}

#[test]
fn nothing_that_is_printed_shows_a_secret() {
    assert!(!format!("{:?}", want("cook")).contains("canary"));
    assert_eq!(format!("{:?}", Credential([0xAB; 16])), "Credential(..)");
}
