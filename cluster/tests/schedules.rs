//! Tape and flights under thousands of interleavings, each printed if it breaks a promise:
//! `cargo test -p fgy-cluster --features shuttle --test schedules`.

#![cfg(feature = "shuttle")]
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

use bytes::Bytes;
use fgy_cluster::{Budget, Fault, FlightLimits, Flights, Freshness, Key, Player, Seat, Tape};
use shuttle::future::{block_on, spawn};
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};

const SCHEDULES: usize = 2_000;

fn explore(story: impl Fn() + Send + Sync + 'static) {
    shuttle::check_random(story, SCHEDULES);
}

async fn hear(mut player: Player) -> Result<usize, Fault> {
    let mut heard = 0;
    while player.next().await?.is_some() {
        heard += 1;
    }
    Ok(heard)
}

fn limits() -> FlightLimits {
    FlightLimits {
        flights_max: 8,
        listeners_per_flight_max: 8,
        tape_bytes_max: 1 << 10,
    }
}

#[test]
fn every_player_hears_every_frame_and_none_sleeps_through_the_end() {
    explore(|| {
        let (recorder, tape) = Tape::record(1 << 10, &Budget::new(1 << 10));
        block_on(async move {
            let players: Vec<_> = (0..2).map(|_| spawn(hear(tape.play()))).collect();
            let writer = spawn(async move {
                for _ in 0..3 {
                    recorder.push(Bytes::from_static(b"x")).unwrap();
                    shuttle::future::yield_now().await;
                }
                let sealed = recorder.seal();
                recorder.finish(sealed);
            });
            let late = spawn(hear(tape.play()));
            writer.await.unwrap();
            for player in players.into_iter().chain([late]) {
                assert_eq!(player.await.unwrap(), Ok(3));
            }
        });
    });
}

#[test]
fn a_recorder_that_goes_at_any_moment_leaves_nobody_waiting() {
    explore(|| {
        let (recorder, tape) = Tape::record(1 << 10, &Budget::new(1 << 10));
        block_on(async move {
            let player = spawn(hear(tape.play()));
            let writer = spawn(async move {
                let _unused = recorder.push(Bytes::from_static(b"x"));
                drop(recorder);
            });
            assert_eq!(player.await.unwrap(), Err(Fault::Abandoned));
            writer.await.unwrap();
        });
    });
}

#[test]
fn one_flight_per_key_while_what_it_kept_is_found_before_it_lands() {
    explore(|| {
        let flights = Arc::new(Flights::new(limits(), Budget::new(1 << 12)));
        let calls = Arc::new(AtomicUsize::new(0));
        let kept = Arc::new(AtomicUsize::new(0));
        block_on(async move {
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (flights, calls, kept) = (flights.clone(), calls.clone(), kept.clone());
                    spawn(async move { ask(&flights, &calls, &kept).await })
                })
                .collect();
            for caller in callers {
                assert_eq!(caller.await.unwrap(), Ok(2));
            }
            assert_eq!(calls.load(Ordering::SeqCst), 1);
            assert_eq!(flights.count(), 0);
        });
    });
}

/// What a node does with one ask: look, join, and, as the leader, look again before flying.
async fn ask(
    flights: &Arc<Flights>,
    calls: &AtomicUsize,
    kept: &AtomicUsize,
) -> Result<usize, Fault> {
    if kept.load(Ordering::SeqCst) > 0 {
        return Ok(2);
    }
    match flights.join(Key([1; 32]), Freshness::Any, 0)? {
        Seat::Follow(player) => hear(player).await,
        Seat::Lead(recorder, player, landing) => {
            if kept.load(Ordering::SeqCst) == 0 {
                calls.fetch_add(1, Ordering::SeqCst);
            }
            recorder.push(Bytes::from_static(b"head"))?;
            recorder.push(Bytes::from_static(b"body"))?;
            let sealed = recorder.seal();
            kept.store(1, Ordering::SeqCst);
            recorder.finish(sealed);
            drop(landing);
            hear(player).await
        }
    }
}

#[test]
fn a_broken_flight_is_flown_again_by_one_and_its_landing_clears_only_its_own_row() {
    explore(|| {
        let flights = Arc::new(Flights::new(limits(), Budget::new(1 << 12)));
        let leads = Arc::new(AtomicUsize::new(0));
        block_on(async move {
            let callers: Vec<_> = (0..3)
                .map(|_| {
                    let (flights, leads) = (flights.clone(), leads.clone());
                    spawn(async move { insist(&flights, &leads).await })
                })
                .collect();
            for caller in callers {
                caller.await.unwrap();
            }
            assert_eq!(flights.count(), 0);
            let leads = leads.load(Ordering::SeqCst);
            assert!(
                (2..=4).contains(&leads),
                "{leads} flights for one failure and three callers"
            );
        });
    });
}

/// The first flight fails; whoever hears that asks again.
async fn insist(flights: &Arc<Flights>, leads: &AtomicUsize) {
    loop {
        let heard = match flights.join(Key([1; 32]), Freshness::Any, 0).unwrap() {
            Seat::Follow(player) => hear(player).await,
            Seat::Lead(recorder, player, landing) => {
                if leads.fetch_add(1, Ordering::SeqCst) == 0 {
                    recorder.fail(Fault::Lost);
                } else {
                    let sealed = recorder.seal();
                    recorder.finish(sealed);
                }
                drop(landing);
                hear(player).await
            }
        };
        if heard.is_ok() {
            return;
        }
    }
}
