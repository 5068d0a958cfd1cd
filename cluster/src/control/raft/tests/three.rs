//! Goal: any node takes a proposal, everybody comes to the same state, and no fault makes an
//! answered command be lost, done twice, or said to be undone. Method: three or more replicas over
//! a net of the test's own, on the paused clock.

use std::time::Duration;

use bytes::Bytes;
use tokio::time::Instant;

use super::super::payload::{Head, Kind, Refused, ask, replied};
use super::Tally;
use super::town::{Town, member};
use crate::control::{Control, ControlError, Timers};
use crate::node::{NodeId, Phase};

const PATIENCE: Duration = Duration::from_secs(5);

/// Everybody has the same sum.
async fn agree_on(town: &Town, sum: u64) {
    for (name, house) in &town.houses {
        house.control.catch_up(PATIENCE).await.unwrap();
        assert_eq!(house.control.state().sum, sum, "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_proposal_from_any_node_is_in_force_on_every_node() {
    let mut town = Town::of(3, Timers::default()).await;
    let mut sum = 0;
    for name in ["n1", "n2", "n3"] {
        sum += 5;
        let (index, outcome) = town.at(name).propose(5).await.unwrap();
        assert_eq!(outcome, sum, "{name} hears the outcome");
        let here = town.at(name);
        assert!(
            here.index() >= index && here.state().sum == sum,
            "{name} sees it"
        );
        assert_eq!(here.look(|tally| tally.sum), sum);
    }
    agree_on(&town, 15).await;
    assert!(matches!(
        town.at("n2").propose(13).await,
        Err(ControlError::Panicked)
    ));
    agree_on(&town, 15).await;

    let mut numbers = Vec::new();
    for name in ["n1", "n2", "n3"] {
        numbers.push((name, town.kill(name).await));
    }
    for (name, number) in numbers {
        town.open(name, number).await;
        assert_eq!(town.at(name).state().sum, 15, "{name} after a restart");
    }
    assert_eq!(town.at("n3").propose(1).await.unwrap().1, 16);
    agree_on(&town, 16).await;
}

#[tokio::test(start_paused = true)]
async fn a_lost_leader_costs_seconds_and_no_command() {
    let mut town = Town::of(5, Timers::default()).await;
    town.at("n5").propose(1).await.unwrap();
    let mut worst = Duration::ZERO;
    for sum in 2..22 {
        town.until("one leads", || town.leader().is_some()).await;
        let leader = town.leader().unwrap();
        let asker = town
            .houses
            .keys()
            .find(|name| **name != leader)
            .unwrap()
            .clone();
        let number = town.kill(&leader).await;
        let killed = Instant::now();
        assert_eq!(town.at(&asker).propose(1).await.unwrap().1, sum);
        worst = worst.max(killed.elapsed());
        town.open(&leader, number).await;
        agree_on(&town, sum).await;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    println!("writes again after the leader's death, worst of 20: {worst:?}");
    assert!(worst <= Duration::from_millis(2000), "{worst:?}");
    agree_on(&town, 21).await;
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_was_cut_off_says_that_it_does_not_know() {
    let town = Town::of(3, Timers::default()).await;
    town.until("one leads", || town.leader().is_some()).await;
    let leader = town.leader().unwrap();
    let other = town
        .houses
        .keys()
        .find(|name| **name != leader)
        .unwrap()
        .clone();
    town.cut_off(&leader);

    let begun = Instant::now();
    let said = town.at(&leader).propose(100).await.unwrap_err();
    assert!(matches!(said, ControlError::Unknown), "{said}");
    assert!(
        said.to_string().contains("may or may not be in force"),
        "{said}"
    );
    assert!(begun.elapsed() <= Duration::from_secs(11), "bounded");
    let said = town
        .at(&leader)
        .catch_up(Duration::from_secs(2))
        .await
        .unwrap_err();
    assert!(matches!(said, ControlError::Away), "{said}");
    assert_eq!(town.at(&leader).state().sum, 0, "and shows what was agreed");

    assert_eq!(
        town.at(&other).propose(1).await.unwrap().1,
        1,
        "the others go on"
    );
    town.net.heal();
    town.until("the lost one follows", || town.leader().is_some())
        .await;
    agree_on(&town, 1).await;
}

#[tokio::test(start_paused = true)]
async fn without_a_majority_nothing_is_said_to_be_changed() {
    let mut town = Town::of(3, Timers::default()).await;
    let numbers = [("n1", town.kill("n1").await), ("n2", town.kill("n2").await)];
    let begun = Instant::now();
    let said = town.at("n3").propose(1).await.unwrap_err();
    assert!(
        matches!(said, ControlError::Away | ControlError::Unknown),
        "{said}"
    );
    assert!(begun.elapsed() <= Duration::from_secs(11), "bounded");
    assert!(
        town.at("n3")
            .catch_up(Duration::from_secs(1))
            .await
            .is_err()
    );
    for (name, number) in numbers {
        town.open(name, number).await;
    }
    town.at("n3").propose(10).await.unwrap();
    let sum = town.at("n3").state().sum;
    assert!(
        sum == 10 || sum == 11,
        "what was unknown was done once or not at all: {sum}"
    );
    agree_on(&town, sum).await;
}

#[tokio::test(start_paused = true)]
async fn a_lone_node_becomes_a_cluster_with_what_it_had_agreed() {
    let mut town = Town::new(Timers::default());
    let solo = Control::<Tally>::solo(town.path("solo.json"))
        .await
        .unwrap();
    for _ in 0..40 {
        solo.propose(1).await.unwrap();
    }
    let path = town.path("n1-1");
    let me = member("n1");
    Control::found(&path, 1, &me, &solo).await.unwrap();
    let again = Control::found(&path, 1, &me, &solo).await.unwrap_err();
    assert!(matches!(again, ControlError::Refused(..)), "{again}");
    town.open("n1", 1).await;
    town.at("n1").initialise().await.unwrap();
    let control = town.at("n1");
    assert!(control.index() >= 40 && control.state().sum == 40);
    let (index, sum) = control.propose(1).await.unwrap();
    assert!(index > 40 && sum == 41, "indexes go on: {index}");
    town.open("n2", 2).await;
    town.open("n3", 3).await;
    town.until("all vote", || {
        let standing = town.at("n3").standing();
        standing.voters.len() == 3 && !standing.changing
    })
    .await;
    assert_eq!(town.at("n2").propose(1).await.unwrap().1, 42);
    agree_on(&town, 42).await;
}

#[tokio::test(start_paused = true)]
async fn a_command_whose_answer_was_lost_is_done_once() {
    let town = Town::of(3, Timers::default()).await;
    town.until("one leads", || town.leader().is_some()).await;
    let leader = town.leader().unwrap();
    let asker = town
        .houses
        .keys()
        .find(|name| **name != leader)
        .unwrap()
        .clone();
    // The asker is heard, and hears nothing.
    for other in town.houses.keys().filter(|other| **other != asker) {
        town.net.cut_one_way(other, &asker);
    }
    let control = town.at(&asker);
    let asked = control.propose(7);
    let healed = async {
        tokio::time::sleep(Duration::from_millis(2300)).await;
        assert_eq!(town.at(&leader).state().sum, 7, "it was heard and done");
        town.net.heal();
    };
    let (answer, ()) = tokio::join!(asked, healed);
    assert_eq!(answer.unwrap().1, 7);
    agree_on(&town, 7).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_meant_for_another_is_refused() {
    let town = Town::of(3, Timers::default()).await;
    let head = Head {
        kind: Kind::ReadIndex,
        cluster: 1,
        from: 2,
        to: 1,
    };
    let table = [
        (
            "another replica",
            "n2",
            Head { to: 99, ..head },
            Refused::Target,
        ),
        (
            "another cluster",
            "n2",
            Head { cluster: 9, ..head },
            Refused::Cluster,
        ),
        ("another's number", "n3", head, Refused::Sender),
    ];
    for (what, from, head, refused) in table {
        let said = town.at("n1").hear(from.into(), ask(head, &(), &[])).await;
        assert_eq!(replied::<Option<u64>>(&said), Err(refused), "{what}");
    }
    let said = town.at("n1").hear("n2".into(), ask(head, &(), &[])).await;
    assert!(
        replied::<Option<u64>>(&said).is_ok(),
        "what is meant for it is heard"
    );
    let said = town
        .at("n1")
        .hear(NodeId::from("n2"), Bytes::from_static(b"no"))
        .await;
    assert_eq!(replied::<()>(&said), Err(Refused::Malformed));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_lost_its_file_comes_back_as_another_and_the_old_one_is_forgotten() {
    let mut town = Town::of(4, Timers::default()).await;
    town.at("n1").propose(3).await.unwrap();
    town.until("one leads", || town.leader().is_some()).await;
    let leader = town.leader().unwrap();
    let voters = town.at("n1").standing().voters;
    let lost = voters
        .iter()
        .find(|name| name.as_str() != leader)
        .unwrap()
        .to_string();
    town.kill(&lost).await;
    town.open(&lost, 77).await;
    town.until("the old one is gone", || {
        let standing = town.at(&leader).standing();
        standing.voters.len() == 3 && standing.voters.len() + standing.learners.len() == 4
    })
    .await;
    tokio::time::sleep(Duration::from_secs(30)).await;
    let standing = town.at(&leader).standing();
    assert_eq!((standing.voters.len(), standing.learners.len()), (3, 1));
    assert_eq!(town.at(&lost).propose(1).await.unwrap().1, 4);
    agree_on(&town, 4).await;
}

#[tokio::test(start_paused = true)]
async fn two_voters_lost_one_after_the_other_are_replaced() {
    let mut town = Town::of(5, Timers::default()).await;
    for sum in 1..3 {
        town.until("one leads", || town.leader().is_some()).await;
        let leader = town.leader().unwrap();
        town.kill(&leader).await;
        tokio::time::sleep(Duration::from_secs(90)).await;
        let asker = town.houses.keys().next().unwrap().clone();
        let standing = town.at(&asker).standing();
        assert_eq!(standing.voters.len(), 3, "{standing:?}");
        assert!(
            standing
                .voters
                .iter()
                .all(|name| town.houses.contains_key(name.as_str())),
            "{standing:?}"
        );
        assert_eq!(town.at(&asker).propose(1).await.unwrap().1, sum);
        let rings = std::sync::Arc::clone(&town.at(&asker).rings().borrow());
        assert_eq!(rings.current.members.len(), town.houses.len());
    }
}

#[tokio::test(start_paused = true)]
async fn a_leader_that_drains_hands_over_and_leaves_the_ring() {
    let mut town = Town::of(4, Timers::default()).await;
    town.until("one leads", || town.leader().is_some()).await;
    let leader = town.leader().unwrap();
    town.phase(&leader, Phase::Draining);
    let id = NodeId::from(leader.as_str());
    let at = town
        .houses
        .keys()
        .find(|name| **name != leader)
        .unwrap()
        .clone();
    town.until("it votes no longer", || {
        let standing = town.at(&at).standing();
        !standing.voters.contains(&id) && standing.voters.len() == 3
    })
    .await;
    let rings = std::sync::Arc::clone(&town.at(&at).rings().borrow());
    assert!(rings.current.members.iter().all(|member| member.id != id));
    assert!(
        rings
            .previous
            .as_ref()
            .is_some_and(|ring| ring.members.len() == 4)
    );
    town.kill(&leader).await;
    assert_eq!(town.at(&at).propose(1).await.unwrap().1, 1);
}

#[tokio::test(start_paused = true)]
async fn a_learner_across_an_ocean_keeps_up() {
    let mut town = Town::of(3, Timers::default()).await;
    town.open("far", 9).await;
    town.net.delay(Duration::from_millis(30));
    town.until("it listens", || {
        town.at("far").standing().learners.len() == 1
    })
    .await;
    town.at("n1").propose(2).await.unwrap();
    town.at("far").catch_up(PATIENCE).await.unwrap();
    assert_eq!(town.at("far").state().sum, 2);
}

#[tokio::test(start_paused = true)]
async fn who_comes_late_is_given_the_snapshot() {
    let mut town = Town::of(3, Timers::default()).await;
    town.until("one leads", || town.leader().is_some()).await;
    let control = town.at(&town.leader().unwrap());
    let mut sum = 0;
    for _ in 0..70 {
        let together = (0..32).map(|_| control.propose(1));
        for done in futures_util::future::join_all(together).await {
            done.unwrap();
            sum += 1;
        }
    }
    assert!(control.index() > 2000, "more than is kept of the log");
    town.open("late", 9).await;
    town.until("it listens", || {
        town.at("late").standing().learners.len() == 1
    })
    .await;
    assert_eq!(town.at("late").propose(1).await.unwrap().1, sum + 1);
    agree_on(&town, sum + 1).await;
    assert_eq!(*town.at("late").rings().borrow(), *control.rings().borrow());
    town.until("it may serve", || town.at("late").lease().holds())
        .await;
    let number = town.kill("late").await;
    town.open("late", number).await;
    assert_eq!(town.at("late").state().sum, sum + 1, "and keeps it");
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_stops_the_changes_and_not_the_readers_until_there_is_room() {
    let alone = Town::of(1, Timers::default()).await;
    let control = alone.at("n1");
    control.propose(1).await.unwrap();
    alone.fill("n1", true);
    let said = control.propose(1).await.unwrap_err();
    assert!(
        matches!(said, ControlError::Unknown | ControlError::Refused(..)),
        "{said}"
    );
    let said = control.propose(1).await.unwrap_err();
    assert!(said.to_string().contains("make room"), "{said}");
    let standing = control.standing();
    assert!(
        standing.role == "stopped" && standing.trouble.is_some(),
        "{standing:?}"
    );
    assert_eq!(control.look(|tally| tally.sum), 1, "readers go on");
    alone.fill("n1", false);
    alone
        .until("it goes on by itself", || {
            control.standing().trouble.is_none()
        })
        .await;
    assert_eq!(control.propose(1).await.unwrap().1, 2);

    let town = Town::of(3, Timers::default()).await;
    town.until("one leads", || town.leader().is_some()).await;
    let leader = town.leader().unwrap();
    let other = town
        .houses
        .keys()
        .find(|name| **name != leader)
        .unwrap()
        .clone();
    town.fill(&leader, true);
    let _ = town.at(&leader).propose(1).await;
    town.at(&other).propose(1).await.unwrap();
    town.fill(&leader, false);
    town.until("it is back", || {
        town.at(&leader).standing().trouble.is_none()
    })
    .await;
    let sum = town.at(&other).state().sum;
    agree_on(&town, sum).await;
    town.until("it may serve", || town.at(&leader).lease().holds())
        .await;
}
