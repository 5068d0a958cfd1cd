//! Pings against nodes that answer, refuse, hang and come back, with a clock that is paused.

use std::collections::HashMap;
use std::sync::Mutex;

use tokio::time::advance;

use super::*;
use crate::mask::Reason;
use crate::node::{Incarnation, Member};
use crate::view::Seen;

/// What a node does with a ping.
#[derive(Clone, Copy)]
enum Does {
    Answer(Phase),
    Refuse,
    Nothing,
    Panic,
}

/// Nodes that do as they are told, and when each was pinged.
#[derive(Default)]
struct Nodes {
    does: Mutex<HashMap<NodeId, Does>>,
    pinged: Mutex<HashMap<NodeId, Vec<Instant>>>,
}

impl Nodes {
    fn will(&self, name: &str, does: Does) {
        self.does.lock().unwrap().insert(NodeId::from(name), does);
    }

    fn pinged(&self, name: &str) -> Vec<Instant> {
        let pinged = self.pinged.lock().unwrap();
        pinged.get(&NodeId::from(name)).cloned().unwrap_or_default()
    }
}

impl Pinger for Nodes {
    fn ping<'a>(&'a self, to: &'a NodeId) -> BoxFuture<'a, Result<Phase, Unanswered>> {
        let mut pinged = self.pinged.lock().unwrap();
        pinged.entry(to.clone()).or_default().push(Instant::now());
        let does = self.does.lock().unwrap().get(to).copied();
        Box::pin(async move {
            match does.unwrap_or(Does::Answer(Phase::Ready)) {
                Does::Answer(phase) => Ok(phase),
                Does::Refuse => Err(Unanswered::Reset),
                Does::Panic => panic!("as it was told"),
                Does::Nothing => std::future::pending().await,
            }
        })
    }
}

fn view_of(names: &[&str]) -> Arc<View> {
    let seen = names.iter().map(|name| Seen {
        member: Member {
            id: NodeId::from(*name),
            region: "".into(),
            zone: "".into(),
            weight: Member::WEIGHT,
        },
        incarnation: Incarnation(1),
        phase: Phase::Ready,
        address: ([127, 0, 0, 1], 1).into(),
        replica: 1,
    });
    Arc::new(View::of(seen))
}

struct Story {
    nodes: Arc<Nodes>,
    view: watch::Sender<Arc<View>>,
    mask: Arc<Mask>,
    stalls: Arc<Mutex<Vec<Stall>>>,
    tasks: Tasks,
    health: Health,
}

impl Story {
    fn of(names: &[&str]) -> Story {
        let (tasks, nodes, stalls) = (Tasks::new(), Arc::new(Nodes::default()), Arc::default());
        let (view, views) = watch::channel(view_of(names));
        let mask = Arc::new(Mask::of(&view.borrow(), Instant::now()));
        let told: Arc<Mutex<Vec<Stall>>> = Arc::clone(&stalls);
        let on_stall = move |stall| told.lock().unwrap().push(stall);
        let me = NodeId::from("me");
        let health = Health::start(me, views, nodes.clone(), mask.clone(), on_stall, &tasks);
        Story {
            nodes,
            view,
            mask,
            stalls,
            tasks,
            health,
        }
    }

    /// Lets time pass in steps that no clock takes for a stall, until `is` holds; how long it took.
    async fn until(&self, bound_millis: u64, is: impl Fn(&Story) -> bool) -> Duration {
        let began = Instant::now();
        while !is(self) {
            assert!(began.elapsed() <= Duration::from_millis(bound_millis));
            advance(Duration::from_millis(10)).await;
            settle().await;
        }
        began.elapsed()
    }

    async fn pass(&self, millis: u64) {
        let end = Instant::now() + Duration::from_millis(millis);
        self.until(millis + 10, |_| Instant::now() >= end).await;
    }

    fn why(&self, name: &str) -> Option<Reason> {
        self.mask.why(&NodeId::from(name))
    }
}

/// Lets every task run as far as it can.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test(start_paused = true)]
async fn everybody_else_is_pinged_twice_a_second() {
    let story = Story::of(&["a", "b", "me"]);
    story.pass(10_000).await;
    for name in ["a", "b"] {
        let times = story.nodes.pinged(name);
        assert!((18..=23).contains(&times.len()), "{}", times.len());
        let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let near = |gap: &Duration| (440..=560).contains(&gap.as_millis());
        assert!(gaps.iter().all(near), "{gaps:?}");
        assert!(gaps.iter().any(|gap| *gap != gaps[0]), "no jitter");
        assert_eq!(story.why(name), None);
    }
    assert_eq!(story.nodes.pinged("me"), []);
    assert!(story.stalls.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_hanging_node_is_masked_by_its_second_ping_and_back_with_its_first_answer() {
    let story = Story::of(&["a", "b", "me"]);
    story.pass(2_000).await;
    story.nodes.will("a", Does::Nothing);
    let masked = |story: &Story| story.why("a") == Some(Reason::Missed);
    let took = story.until(1_700, masked).await;
    assert!(took >= PING_PATIENCE * 2, "{took:?}");
    assert_eq!(story.why("b"), None);
    story.nodes.will("a", Does::Answer(Phase::Ready));
    story.until(1_100, |story| story.why("a").is_none()).await;
}

#[tokio::test(start_paused = true)]
async fn a_refusing_node_is_masked_by_its_first_ping() {
    let story = Story::of(&["a", "me"]);
    story.pass(2_000).await;
    story.nodes.will("a", Does::Refuse);
    let masked = |story: &Story| story.why("a") == Some(Reason::Reset);
    story.until(600, masked).await;
    assert!(story.health.stats().reset.get() >= 1);
}

#[tokio::test(start_paused = true)]
async fn a_phase_is_known_from_the_answer_before_the_rumour() {
    let story = Story::of(&["a", "me"]);
    story.nodes.will("a", Does::Answer(Phase::Draining));
    let masked = |story: &Story| story.why("a") == Some(Reason::Draining);
    story.until(600, masked).await;
}

#[tokio::test(start_paused = true)]
async fn a_rest_ends_by_itself() {
    let story = Story::of(&["a", "me"]);
    story.pass(100).await;
    let a = NodeId::from("a");
    for _ in 0..3 {
        story.mask.hear(&a, Event::Reset, Instant::now());
        story.mask.hear(&a, Event::Answered, Instant::now());
    }
    assert_eq!(story.why("a"), Some(Reason::Resting));
    let took = story.until(2_200, |story| story.why("a").is_none()).await;
    assert!(took >= Duration::from_millis(1_900), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn who_leaves_the_view_is_no_longer_pinged_and_who_comes_is() {
    let story = Story::of(&["a", "me"]);
    story.pass(1_000).await;
    let running = story.tasks.running();
    story.view.send_replace(view_of(&["b", "me"]));
    story.pass(100).await;
    assert_eq!(story.why("a"), Some(Reason::Gone));
    let before = story.nodes.pinged("a").len();
    story.pass(2_000).await;
    assert!(before > 0);
    assert_eq!(story.nodes.pinged("a").len(), before);
    assert!(story.nodes.pinged("b").len() >= 4);
    assert_eq!(story.tasks.running(), running);
}

#[tokio::test(start_paused = true)]
async fn too_many_nodes_are_counted_and_the_first_are_pinged() {
    let names: Vec<_> = (0..300).map(|number| format!("n{number:03}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let story = Story::of(&names);
    story.pass(1_000).await;
    assert_eq!(story.nodes.pinged.lock().unwrap().len(), PEERS_COUNT_MAX);
    assert_eq!(story.health.stats().beyond.get(), 44);
}

#[tokio::test(start_paused = true)]
async fn a_stall_is_told_once_and_not_held_against_others() {
    let story = Story::of(&["a", "me"]);
    story.pass(2_000).await;
    // A ping is on its way when this process stops for six seconds.
    story.nodes.will("a", Does::Nothing);
    let pinged = story.nodes.pinged("a").len();
    story
        .until(600, |story| story.nodes.pinged("a").len() > pinged)
        .await;
    advance(Duration::from_secs(6)).await;
    story.nodes.will("a", Does::Answer(Phase::Ready));
    settle().await;
    {
        let stalls = story.stalls.lock().unwrap();
        let [stall] = stalls[..] else {
            panic!("{stalls:?}");
        };
        assert!(stall.gap >= Duration::from_secs(6));
    }
    story.pass(2_000).await;
    assert_eq!(story.stalls.lock().unwrap().len(), 1);
    assert_eq!(story.health.stats().missed.get(), 0);
    assert_eq!(story.health.stats().own.get(), 1);
    assert_eq!(story.why("a"), None);
}

#[tokio::test(start_paused = true)]
async fn a_short_pause_is_no_stall() {
    let story = Story::of(&["a", "me"]);
    story.pass(1_000).await;
    advance(Duration::from_millis(390)).await;
    settle().await;
    story.pass(1_000).await;
    assert!(story.stalls.lock().unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_does_not_end_the_pings() {
    let story = Story::of(&["a", "me"]);
    story.nodes.will("a", Does::Panic);
    story.pass(100).await;
    assert_eq!(story.tasks.panics(), 1);
    story.nodes.will("a", Does::Refuse);
    let masked = |story: &Story| story.why("a") == Some(Reason::Reset);
    story.until(1_200, masked).await;
}

#[tokio::test(start_paused = true)]
async fn it_ends_with_its_holder() {
    let story = Story::of(&["a", "me"]);
    story.pass(1_000).await;
    assert!(story.tasks.running() >= 3);
    drop(story.health);
    settle().await;
    assert_eq!(story.tasks.running(), 0);
}
