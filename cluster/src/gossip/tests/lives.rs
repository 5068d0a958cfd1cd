//! One name, several lives: a restart elsewhere, a name taken twice, a process that stands still, and
//! ends.

use std::sync::mpsc;

use super::*;

#[tokio::test]
async fn a_restart_elsewhere_is_one_node() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    sees_names(&one, &["one", "two"]).await;
    let first_address = two.address();
    drop(two);
    let mut again = settings("two", &[one.address()]);
    again.incarnation = Incarnation(1_001);
    again.peer_address = ([127, 0, 0, 1], 8).into();
    let two = Gossip::start(again, &tasks).await.unwrap();
    assert_ne!(two.address(), first_address);
    let view = sees(&one, |view| {
        let two = view.get(&NodeId::from("two"));
        two.is_some_and(|two| two.incarnation == Incarnation(1_001))
    })
    .await;
    assert_eq!(names(&view), ["one", "two"]);
    let seen = view.get(&NodeId::from("two")).unwrap();
    assert_eq!(seen.address.port(), 8);
    assert_eq!(sees_names(&two, &["one", "two"]).await, view);
    assert_eq!(two.stats().twins.get(), 0, "its own past is no twin");
}

#[tokio::test]
async fn a_node_learns_that_its_name_was_taken() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let first = started("two", &[one.address()], &tasks).await;
    let mut later = settings("two", &[one.address()]);
    later.incarnation = Incarnation(1_001);
    let later = Gossip::start(later, &tasks).await.unwrap();
    let is = |view: &Arc<View>, life| {
        let two = view.get(&NodeId::from("two"));
        two.is_some_and(|two| two.incarnation == Incarnation(life))
    };
    sees(&one, |view| is(view, 1_001)).await;
    until_so(|| first.stats().twins.get() > 0).await;
    sees(&first, |view| is(view, 1_000)).await;
    assert_eq!(later.stats().twins.get(), 0);
}

/// The node's whole process stands still, as under SIGSTOP: its runtime has one thread, and that
/// thread is held.
#[tokio::test]
async fn a_frozen_node_is_gone_and_comes_back() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    let seeds = [one.address()];
    let (freeze, frozen) = mpsc::channel::<mpsc::Receiver<()>>();
    let process = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.unwrap().block_on(async {
            let three = started("three", &seeds, &Tasks::new()).await;
            let mut looks = interval(LOOK_PAUSE);
            loop {
                looks.tick().await;
                match frozen.try_recv() {
                    Ok(thaw) => thaw.recv().unwrap(),
                    Err(mpsc::TryRecvError::Empty) => {}
                    Err(mpsc::TryRecvError::Disconnected) => return three.view().borrow().clone(),
                }
            }
        })
    });
    for node in [&one, &two] {
        sees_names(node, &["one", "three", "two"]).await;
    }
    let began = Instant::now();
    let (thaw, thawed) = mpsc::channel();
    freeze.send(thawed).unwrap();
    for node in [&one, &two] {
        sees_names(node, &["one", "two"]).await;
    }
    figure("a frozen node seen by all", began, Duration::from_secs(2));
    let began = Instant::now();
    thaw.send(()).unwrap();
    for node in [&one, &two] {
        sees_names(node, &["one", "three", "two"]).await;
    }
    figure(
        "a thawed node seen by all",
        began,
        Duration::from_millis(1_500),
    );
    drop(freeze);
    assert!(process.join().unwrap().count() > 0);
}

#[tokio::test]
async fn an_end_of_the_librarys_task_is_told() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    one.handle.abort();
    let ended = timeout(BOUND, one.ended()).await.unwrap();
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    // And nothing of it runs on.
    until_so(|| tasks.running() == 0).await;
}

#[tokio::test]
async fn a_panic_in_a_part_of_it_ends_it_and_is_told() {
    let tasks = Tasks::new();
    let mut outside = Outside::real().unwrap();
    outside.resolve = Arc::new(|_| panic!("as it was told"));
    let mut one = settings("one", &[]);
    one.seeds = vec!["fgy.internal:7946".to_owned()];
    let one = Gossip::start_in(outside, one, &tasks).await.unwrap();
    let ended = timeout(BOUND, one.ended()).await.unwrap();
    assert!(matches!(ended, Ended::Failed(_)), "{ended:?}");
    assert_eq!(tasks.panics(), 1);
    until_so(|| tasks.running() == 0).await;
}

#[tokio::test]
async fn a_node_that_ends_its_tasks_ends_its_gossip() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    assert!(tasks.end(BOUND).await);
    assert_eq!(one.ended().await, Ended::Left);
}
