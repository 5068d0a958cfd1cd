//! Stories of gossip over real sockets on loopback: nodes meet, change, fall silent, come back.
//! Every wait is for something and has a bound far above what is expected. Figures are printed
//! beside their goals (`--nocapture`).

mod hostile;
mod lives;
mod names;
mod sizes;
mod tap;

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::time::{Instant, interval, timeout};

use super::*;
use crate::node::NodeId;
use crate::secret::ClusterSecret;

/// No wait is longer.
const BOUND: Duration = Duration::from_secs(10);

/// How often something without a wake is looked at.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// What names mean, and may be changed to mean.
#[derive(Clone, Default)]
struct Names(Arc<Mutex<HashMap<String, Vec<SocketAddr>>>>);

impl Names {
    fn mean(&self, name: &str, addresses: &[SocketAddr]) {
        let mut names = self.0.lock().unwrap();
        names.insert(name.to_owned(), addresses.to_vec());
    }

    /// The system's world, but for what names mean.
    fn outside(&self) -> Outside {
        let names = self.0.clone();
        Outside {
            resolve: Arc::new(move |name| {
                let meant = names.lock().unwrap().get(&name).cloned();
                let meant = meant.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound));
                Box::pin(async move { meant })
            }),
            ..Outside::real().unwrap()
        }
    }
}

fn secrets(current: &str, previous: Option<&str>) -> ClusterSecrets {
    let secret = |text: &str| ClusterSecret::new(text.as_bytes());
    ClusterSecrets {
        current: secret(current),
        previous: previous.map(secret),
    }
}

const SECRET: &str = "the secret of these tests";

fn settings(name: &str, seeds: &[SocketAddr]) -> GossipSettings {
    let any_port = ([127, 0, 0, 1], 0).into();
    GossipSettings {
        me: Member {
            id: NodeId::from(name),
            region: "region-of-tests".into(),
            zone: "zone-of-tests".into(),
            weight: Member::WEIGHT,
        },
        incarnation: Incarnation(1_000),
        replica: 7,
        cluster: "cluster-of-tests".to_owned(),
        listen: any_port,
        advertise: any_port,
        peer_address: ([127, 0, 0, 1], 7).into(),
        seeds: seeds.iter().map(SocketAddr::to_string).collect(),
        secrets: Some(secrets(SECRET, None)),
    }
}

async fn started(name: &str, seeds: &[SocketAddr], tasks: &Tasks) -> Gossip {
    Gossip::start(settings(name, seeds), tasks).await.unwrap()
}

/// Waits until `gossip` sees what `is` wants.
async fn sees(gossip: &Gossip, is: impl FnMut(&Arc<View>) -> bool) -> Arc<View> {
    let mut view = gossip.view();
    let seen = timeout(BOUND, view.wait_for(is)).await;
    let seen = seen.expect("it was never seen").unwrap();
    seen.clone()
}

fn names(view: &View) -> Vec<&str> {
    view.iter().map(|seen| seen.member.id.as_str()).collect()
}

async fn sees_names(gossip: &Gossip, expected: &[&str]) -> Arc<View> {
    sees(gossip, |view| names(view) == expected).await
}

async fn sees_phase(gossip: &Gossip, name: &str, phase: Option<Phase>) {
    let id = NodeId::from(name);
    sees(gossip, |view| view.get(&id).map(|seen| seen.phase) == phase).await;
}

/// Looks until `is` holds.
async fn until_so(mut is: impl FnMut() -> bool) {
    let waited = timeout(BOUND, async {
        let mut looks = interval(LOOK_PAUSE);
        while !is() {
            looks.tick().await;
        }
    });
    waited.await.expect("it never became so");
}

/// Waits until every node heard `count` datagrams more.
async fn hear_more(nodes: &[&Gossip], count: u64) {
    let heard = |node: &&Gossip| node.stats().heard.get();
    let targets: Vec<_> = nodes.iter().map(|node| heard(node) + count).collect();
    for (node, target) in nodes.iter().zip(targets) {
        until_so(|| heard(node) >= target).await;
    }
}

/// Prints a figure beside its goal; it fails nobody, for the machine may have other work.
fn figure(what: &str, began: Instant, goal: Duration) {
    let took = began.elapsed();
    let verdict = if took > goal { "MISSED, goal" } else { "goal" };
    println!("{what}: {:.2} s ({verdict} {goal:?})", took.as_secs_f32());
}

#[tokio::test]
async fn two_nodes_see_each_other_and_what_they_say_of_themselves() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let mut second = settings("two", &[one.address()]);
    second.incarnation = Incarnation(2_000);
    second.replica = 8;
    second.peer_address = "[::1]:9".parse().unwrap();
    second.me.zone = "".into();
    let two = Gossip::start(second, &tasks).await.unwrap();
    let view = sees_names(&one, &["one", "two"]).await;
    let seen = view.get(&NodeId::from("two")).unwrap();
    assert_eq!(seen.incarnation, Incarnation(2_000));
    assert_eq!(seen.replica, 8);
    assert_eq!(seen.phase, Phase::Joining);
    assert_eq!(seen.address, "[::1]:9".parse().unwrap());
    assert_eq!(seen.member.region, "region-of-tests");
    assert_eq!(seen.member.zone, "");
    assert_eq!(seen.member.weight, Member::WEIGHT);
    let mirrored = sees_names(&two, &["one", "two"]).await;
    assert_eq!(mirrored, view);
    assert!(one.stats().heard.get() > 0 && one.stats().sent.get() > 0);

    // What is not in the view does not make it anew: a further key, and the same phase again.
    let mut view = one.view();
    view.mark_unchanged();
    let further = |chitchat: &mut chitchat::Chitchat| chitchat.self_node_state().set("k", "v");
    two.handle.with_chitchat(further).await;
    two.set_phase(Phase::Joining);
    hear_more(&[&one, &two], 20).await;
    two.set_phase(Phase::Ready);
    let mut before = mirrored;
    loop {
        timeout(BOUND, view.changed()).await.unwrap().unwrap();
        let now = view.borrow_and_update().clone();
        assert_ne!(before, now);
        let two = now.get(&NodeId::from("two"));
        if two.is_some_and(|two| two.phase == Phase::Ready) {
            break;
        }
        before = now;
    }
}

#[tokio::test]
async fn five_nodes_meet_a_sixth_joins_and_one_dies() {
    let tasks = Tasks::new();
    let five = ["n1", "n2", "n3", "n4", "n5"];
    // The name service answers once it knows all five, as if they had been entered before.
    let (enter, entered) = watch::channel(Vec::new());
    let outside = || Outside {
        resolve: Arc::new({
            let entered = entered.clone();
            move |_| {
                let mut entered = entered.clone();
                Box::pin(async move {
                    let all = entered.wait_for(|all: &Vec<_>| !all.is_empty()).await;
                    Ok(all.unwrap().clone())
                })
            }
        }),
        ..Outside::real().unwrap()
    };
    let by_name = |name| {
        let mut settings = settings(name, &[]);
        settings.seeds = vec!["all.internal:7946".to_owned()];
        settings
    };
    let began = Instant::now();
    let mut nodes = Vec::new();
    for name in five {
        let node = Gossip::start_in(outside(), by_name(name), &tasks).await;
        nodes.push(node.unwrap());
    }
    enter.send_replace(nodes.iter().map(Gossip::address).collect());
    for node in &nodes {
        sees_names(node, &five).await;
    }
    figure(
        "five nodes cold to one view",
        began,
        Duration::from_millis(1_500),
    );

    let began = Instant::now();
    let sixth = Gossip::start_in(outside(), by_name("n6"), &tasks).await;
    nodes.push(sixth.unwrap());
    for node in &nodes {
        sees(node, |view| view.count() == 6).await;
    }
    figure("a join seen by all", began, Duration::from_millis(1_500));

    let began = Instant::now();
    drop(nodes.remove(2));
    for node in &nodes {
        sees_names(node, &["n1", "n2", "n4", "n5", "n6"]).await;
    }
    figure("a death seen by all", began, Duration::from_secs(2));
    let large: u64 = nodes.iter().map(|node| node.stats().large.get()).sum();
    assert_eq!(large, 0, "six nodes fit into whole datagrams");
}

#[tokio::test]
async fn phases_are_seen_and_a_leave_is_seen_before_it_happens() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let two = started("two", &[one.address()], &tasks).await;
    sees_phase(&one, "two", Some(Phase::Joining)).await;
    two.set_phase(Phase::Ready);
    sees_phase(&two, "two", Some(Phase::Ready)).await;
    sees_phase(&one, "two", Some(Phase::Ready)).await;
    let (mut phases, mut view) = (Vec::new(), one.view());
    let left = async {
        two.leave().await;
        two.ended().await
    };
    let watched = async {
        let seen = timeout(BOUND, async {
            loop {
                let now = view.borrow_and_update().clone();
                let Some(two) = now.get(&NodeId::from("two")) else {
                    return;
                };
                phases.push(two.phase);
                view.changed().await.unwrap();
            }
        });
        seen.await.expect("it never left");
    };
    let (ended, ()) = tokio::join!(left, watched);
    assert_eq!(ended, Ended::Left);
    assert_eq!(phases, [Phase::Ready, Phase::Draining]);
}

#[tokio::test]
async fn the_newer_family_of_addresses_will_do() {
    let tasks = Tasks::new();
    let six = |name: &str, seeds: &[SocketAddr]| {
        let mut settings = settings(name, seeds);
        settings.listen = "[::1]:0".parse().unwrap();
        settings.advertise = settings.listen;
        settings
    };
    let one = Gossip::start(six("one", &[]), &tasks).await.unwrap();
    assert!(one.address().is_ipv6());
    let two = Gossip::start(six("two", &[one.address()]), &tasks).await;
    let two = two.unwrap();
    for node in [&one, &two] {
        sees_names(node, &["one", "two"]).await;
    }
}

#[tokio::test]
async fn plain_speech_is_for_loopback() {
    let tasks = Tasks::new();
    let plain = |name: &str, seeds: &[SocketAddr]| {
        let mut settings = settings(name, seeds);
        settings.secrets = None;
        settings
    };
    let one = Gossip::start(plain("one", &[]), &tasks).await.unwrap();
    let two = Gossip::start(plain("two", &[one.address()]), &tasks).await;
    for node in [&one, &two.unwrap()] {
        sees_names(node, &["one", "two"]).await;
    }
    let mut wide = plain("wide", &[]);
    wide.listen = "0.0.0.0:0".parse().unwrap();
    let refused = Gossip::start(wide, &tasks).await.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
    let mut nowhere = settings("nowhere", &[]);
    nowhere.advertise = "0.0.0.0:7946".parse().unwrap();
    let refused = Gossip::start(nowhere, &tasks).await.err().unwrap();
    assert_eq!(refused.kind(), io::ErrorKind::InvalidInput);
}
