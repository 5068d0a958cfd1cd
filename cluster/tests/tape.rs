//! What a tape promises, through its public face: everyone hears everything from the first
//! frame, it ends once, and nobody is left waiting, whatever becomes of the recorder.

#![cfg(not(feature = "shuttle"))]
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test that panics has failed"
)]

use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::{Budget, Fault, Player, Recorder, Tape};

const ROOMY: u64 = 1 << 30;

fn record() -> (Recorder, Tape) {
    Tape::record(1 << 20, &Budget::new(ROOMY))
}

fn frame(text: &str) -> Bytes {
    Bytes::copy_from_slice(text.as_bytes())
}

async fn hear(mut player: Player) -> (Vec<Bytes>, Option<Fault>) {
    let mut heard = Vec::new();
    loop {
        match player.next().await {
            Ok(Some(frame)) => heard.push(frame),
            Ok(None) => return (heard, None),
            Err(fault) => return (heard, Some(fault)),
        }
    }
}

fn finish(recorder: Recorder) {
    let sealed = recorder.seal();
    recorder.finish(sealed);
}

#[tokio::test]
async fn early_and_late_listeners_hear_the_same_from_the_beginning() {
    let (recorder, tape) = record();
    let early = tape.play();
    recorder.push(frame("a")).unwrap();
    let middle = tape.play();
    recorder.push(frame("b")).unwrap();
    finish(recorder);
    let late = tape.play();
    for player in [early, middle, late] {
        assert_eq!(hear(player).await, (vec![frame("a"), frame("b")], None));
    }
}

#[tokio::test]
async fn a_listener_in_mid_tape_goes_on_in_the_finished_form() {
    let (recorder, tape) = record();
    let mut player = tape.play();
    for text in ["a", "b", "c"] {
        recorder.push(frame(text)).unwrap();
    }
    assert_eq!(player.next().await, Ok(Some(frame("a"))));
    recorder.push(frame("d")).unwrap();
    finish(recorder);
    assert!(tape.sealed().is_some());
    assert_eq!(
        hear(player).await,
        (vec![frame("b"), frame("c"), frame("d")], None)
    );
}

#[tokio::test(start_paused = true)]
async fn a_listener_waits_for_what_is_not_there_yet() {
    let (recorder, tape) = record();
    let mut player = tape.play();
    let early = tokio::time::timeout(Duration::from_secs(3600), player.next()).await;
    assert!(early.is_err(), "nothing was recorded");
    recorder.push(frame("a")).unwrap();
    assert_eq!(player.next().await, Ok(Some(frame("a"))));
}

#[tokio::test]
async fn a_dropped_recorder_breaks_the_tape_after_what_was_recorded() {
    let (recorder, tape) = record();
    let player = tape.play();
    recorder.push(frame("a")).unwrap();
    drop(recorder);
    assert_eq!(
        hear(player).await,
        (vec![frame("a")], Some(Fault::Abandoned))
    );
    assert!(tape.broken());
}

#[tokio::test]
async fn a_recorder_in_a_task_that_panics_leaves_nobody_waiting() {
    let (recorder, tape) = record();
    let player = tape.play();
    let task = std::thread::spawn(move || {
        recorder.push(frame("a")).unwrap();
        panic!("on purpose");
    });
    assert!(task.join().is_err());
    assert_eq!(
        hear(player).await,
        (vec![frame("a")], Some(Fault::Abandoned))
    );
}

#[tokio::test]
async fn a_tape_that_grows_too_long_breaks_for_everyone() {
    let (recorder, tape) = Tape::record(10, &Budget::new(ROOMY));
    recorder.push(frame("12345678")).unwrap();
    assert_eq!(recorder.push(frame("abc")), Err(Fault::TooLong));
    assert_eq!(
        recorder.push(frame("a")),
        Err(Fault::TooLong),
        "and stays broken"
    );
    finish(recorder);
    assert_eq!(
        hear(tape.play()).await,
        (vec![frame("12345678")], Some(Fault::TooLong))
    );
}

#[tokio::test]
async fn tapes_share_a_budget_and_give_it_back() {
    let budget = Budget::new(10);
    let (first, first_tape) = Tape::record(100, &budget);
    let (second, second_tape) = Tape::record(100, &budget);
    first.push(frame("123456")).unwrap();
    assert_eq!(second.push(frame("12345")), Err(Fault::NoRoom));
    drop((first, first_tape));
    assert_eq!(budget.used(), 0);
    drop((second, second_tape));
}

#[tokio::test(start_paused = true)]
async fn the_recorder_learns_that_everyone_has_gone() {
    let (recorder, tape) = record();
    let (one, two) = (tape.play(), tape.play());
    let wait = Duration::from_secs(60);
    drop(one);
    assert!(
        tokio::time::timeout(wait, recorder.deserted())
            .await
            .is_err()
    );
    drop(two);
    tokio::time::timeout(wait, recorder.deserted())
        .await
        .unwrap();
}

#[tokio::test]
async fn the_longest_wish_stands() {
    let (recorder, tape) = record();
    for wish in [0, 60, 30] {
        tape.wish(wish);
    }
    assert_eq!(recorder.wish(), 60);
}

#[tokio::test]
async fn a_copy_has_its_own_head_and_the_rest() {
    let sealed = Tape::finished(["old head", "body", "end"].map(frame))
        .sealed()
        .unwrap();
    let (recorder, tape) = record();
    recorder.copy(frame("new head"), &sealed).unwrap();
    finish(recorder);
    let expected = ["new head", "body", "end"].map(frame).to_vec();
    assert_eq!(hear(tape.play()).await, (expected, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_crowd_on_two_threads_hears_every_frame_in_order() {
    const PLAYERS: usize = 200;
    const FRAMES: u32 = 500;
    let (recorder, tape) = record();
    let crowd: Vec<_> = (0..PLAYERS)
        .map(|_| tokio::spawn(hear(tape.play())))
        .collect();
    for i in 0..FRAMES {
        recorder
            .push(Bytes::copy_from_slice(&i.to_le_bytes()))
            .unwrap();
        tokio::task::yield_now().await;
    }
    finish(recorder);
    let expected: Vec<Bytes> = (0..FRAMES)
        .map(|i| Bytes::copy_from_slice(&i.to_le_bytes()))
        .collect();
    for player in crowd {
        assert_eq!(player.await.unwrap(), (expected.clone(), None));
    }
}
