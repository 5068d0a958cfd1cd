//! The embedder around the real model: its states, its bounds, its threads.

use std::os::unix::fs::symlink;
use std::path::Path;

use super::*;
use crate::semantic::model::FILES;
use crate::semantic::model::tests::folder;

/// Far longer than anything here takes, and short enough that a test ends.
const LONG: Duration = Duration::from_secs(120);

fn settings(folder: &Path) -> LocalSettings {
    LocalSettings {
        threads: NonZeroUsize::new(2).unwrap(),
        patience: LONG,
        look_every: Duration::from_millis(5),
        ..LocalSettings::new(folder.to_owned())
    }
}

async fn until(local: &Local, state: State) {
    let mut states = local.states();
    let reached = tokio::time::timeout(LONG, states.wait_for(|now| *now == state)).await;
    reached.expect("the state, in time").unwrap();
    assert_eq!(local.state(), state);
}

async fn ready(settings: LocalSettings) -> Local {
    let local = Local::start(settings).unwrap();
    until(&local, State::Ready).await;
    local
}

fn one(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

#[tokio::test]
async fn without_a_model_it_is_off_and_declines() {
    let empty = tempfile::tempdir().unwrap();
    let local = Local::start(settings(empty.path())).unwrap();
    until(&local, State::Off).await;
    assert_eq!(local.embed(one("hello")).await, Err(Declined::Loading));
    assert_eq!(local.count_tokens("four tokens or so"), 6);
    assert_eq!(
        local.model().to_string(),
        "all-MiniLM-L6-v2@53aa51172d14/384"
    );
    assert_eq!(local.window_tokens(), 256);
}

#[tokio::test]
async fn what_is_no_model_is_told_once_and_the_real_one_is_taken_when_it_comes() {
    let Some(real) = folder() else { return };
    let later = tempfile::tempdir().unwrap();
    let local = Local::start(settings(later.path())).unwrap();
    until(&local, State::Off).await;
    let mut states = local.states();
    states.borrow_and_update();
    for file in FILES {
        std::fs::write(later.path().join(file.name), "no model").unwrap();
    }
    // It is looked at, and found wanting.
    tokio::time::timeout(LONG, states.changed())
        .await
        .expect("in time")
        .unwrap();
    until(&local, State::Off).await;
    for file in FILES {
        let path = later.path().join(file.name);
        std::fs::remove_file(&path).unwrap();
        symlink(real.join(file.name), &path).unwrap();
    }
    until(&local, State::Ready).await;
    let vectors = local.embed(one("hello")).await.unwrap();
    assert_eq!(vectors[0].as_slice().len(), 384);
    assert_eq!(local.count_tokens("hello there"), 4);
    let spaces = " ".repeat(COUNTED_BYTES_MAX);
    assert_eq!(local.count_tokens(&spaces), 2);
    assert_eq!(local.count_tokens(&format!("{spaces} ")), COUNT_MAX);
}

#[tokio::test]
async fn many_at_once_each_hear_their_own_in_order() {
    let Some(real) = folder() else { return };
    let local = ready(settings(&real)).await;
    let texts: Vec<String> = (0..24).map(|n| format!("order number {n}")).collect();
    let mut alone = Vec::new();
    for text in &texts {
        alone.extend(local.embed(one(text)).await.unwrap());
    }
    assert_ne!(alone[1], alone[2]);
    // All wait before the first is polled, some with several texts and some with none.
    let asked: Vec<_> = texts
        .chunks(3)
        .map(|some| local.embed(some.to_vec()))
        .collect();
    let none = local.embed(Vec::new());
    let mut together = Vec::new();
    for asked in asked {
        together.extend(asked.await.unwrap());
    }
    assert_eq!(together, alone);
    assert_eq!(none.await, Ok(Vec::new()));
}

#[tokio::test]
async fn more_than_can_wait_is_declined_at_once_and_the_rest_is_done() {
    let Some(real) = folder() else { return };
    let tight = LocalSettings {
        waiting_texts_max: 4,
        threads: NonZeroUsize::MIN,
        ..settings(&real)
    };
    let local = ready(tight).await;
    let long = "a long story ".repeat(200);
    // Each takes far longer to do than all of them to ask.
    let asked: Vec<_> = (0..64).map(|_| local.embed(one(&long))).collect();
    let (mut done, mut busy) = (0, 0);
    for asked in asked {
        match asked.await {
            Ok(_) => done += 1,
            Err(Declined::Busy) => busy += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(done >= 4 && busy >= 1 && done + busy == 64, "{done} {busy}");
}

#[tokio::test]
async fn who_would_wait_too_long_is_declined_and_the_next_is_served() {
    let Some(real) = folder() else { return };
    let hurried = LocalSettings {
        patience: Duration::ZERO,
        ..settings(&real)
    };
    let local = ready(hurried).await;
    let long = "a long story ".repeat(200);
    assert_eq!(local.embed(one(&long)).await, Err(Declined::Busy));
    let patient = ready(settings(&real)).await;
    assert!(patient.embed(one("hello")).await.is_ok());
}

#[tokio::test]
async fn dropped_it_ends_its_threads() {
    let Some(real) = folder() else { return };
    let local = ready(settings(&real)).await;
    let shared = Arc::downgrade(&local.shared);
    drop(local);
    let gone = tokio::task::spawn_blocking(move || {
        // A thread that stays keeps what they share; the wait is bounded below.
        while shared.strong_count() > 0 {
            std::thread::yield_now();
        }
    });
    tokio::time::timeout(LONG, gone)
        .await
        .expect("in time")
        .unwrap();
}

#[test]
fn a_text_is_read_as_far_as_a_window_can_reach() {
    let text = "é".repeat(TEXT_BYTES_MAX);
    assert_eq!(beginning(&text).len(), TEXT_BYTES_MAX);
    let odd = format!("x{text}");
    assert_eq!(beginning(&odd).len(), TEXT_BYTES_MAX - 1);
    assert_eq!(beginning("short"), "short");
}
