//! Goal: an answer of which somebody says that it is wrong is heard by nobody again, and what was
//! said is kept without a word of what was asked. Method: near answers that really are wrong, since
//! every text looks alike; the labels read from what the stopped node left behind.

use fgy::label::{Judge, Verdict};
use serde_json::{Value, json};

use crate::semantic::{said, saying, words, world};
use crate::support::{Answer, Ask, CHAT, World};

const FEEDBACK: &str = "/fgy/feedback";

fn id(answer: &Answer) -> &str {
    answer.header("x-request-id").expect("an id")
}

fn verdict(world: &World, id: &str, verdict: &str) -> Ask {
    world.post(FEEDBACK, json!({"request_id": id, "verdict": verdict}))
}

async fn heard(world: &World, id: &str, word: &str) -> Value {
    let answer = verdict(world, id, word).send().await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_answer_is_never_heard_again_and_the_word_is_kept() {
    let mut world = world(None).await;
    let (first, other, third) = (words(1), words(2), words(3));
    let made = world.post(CHAT, saying(&first, "blue")).send().await;
    assert_eq!(made.cache(), "miss");
    let near = world.post(CHAT, saying(&other, "red")).send().await;
    assert_eq!(
        (near.cache(), said(&near).as_str()),
        ("semantic-hit", "blue")
    );
    let told = heard(&world, id(&near), "wrong").await;
    assert_eq!(
        (&told["verdict"], &told["evicted"]),
        (&json!("wrong"), &json!(true))
    );

    // The copy is gone, and so is what it was copied from, point and all.
    let again = world.post(CHAT, saying(&other, "red")).send().await;
    assert_eq!((again.cache(), said(&again).as_str()), ("miss", "red"));
    let near = world.post(CHAT, saying(&third, "green")).send().await;
    assert_eq!(
        (near.cache(), said(&near).as_str()),
        ("semantic-hit", "red")
    );
    // As right as right can be: nothing goes.
    let told = heard(&world, id(&near), "right").await;
    assert_eq!(told["evicted"], json!(false));
    let again = world.post(CHAT, saying(&third, "green")).send().await;
    assert_eq!(again.cache(), "semantic-hit");
    // An answer to the question itself may grow stale.
    let hit = world.post(CHAT, saying(&other, "red")).send().await;
    assert_eq!(hit.cache(), "hit");
    let stale = json!({"request_id": id(&hit), "verdict": "stale"});
    world.administer("POST", "/feedback", stale).await;
    let anew = world.post(CHAT, saying(&other, "violet")).send().await;
    assert_eq!((anew.cache(), said(&anew).as_str()), ("miss", "violet"));

    let stores = world.left_behind().await;
    let labels = stores.labels.labels("default".into(), 10).await;
    let labels = labels.expect("labels");
    let told: Vec<_> = labels
        .iter()
        .map(|it| (it.verdict, it.judge, it.similarity_bp.is_some()))
        .collect();
    assert_eq!(
        told,
        [
            (Verdict::Stale, Judge::Operator, false),
            (Verdict::Right, Judge::Caller, true),
            (Verdict::Wrong, Judge::Caller, true),
        ],
        "the latest first"
    );
    assert!(
        labels.iter().all(|it| it.policy == "unguarded"),
        "{labels:?}"
    );
    assert!(!format!("{labels:?}").contains("topic"), "no words of it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_near_answer_that_was_never_kept_is_found_all_the_same() {
    let world = world(None).await;
    world.post(CHAT, saying(&words(1), "blue")).send().await;
    let only = world.post(CHAT, saying(&words(2), "red"));
    let only = only.header("cache-control", "only-if-cached");
    let near = only.clone().send().await;
    assert_eq!(near.cache(), "semantic-hit");
    assert_eq!(
        heard(&world, id(&near), "wrong").await["evicted"],
        json!(true)
    );
    assert_eq!(only.send().await.status, 504);
    let first = world.post(CHAT, saying(&words(1), "blue")).send().await;
    assert_eq!(first.cache(), "miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tenant_speaks_of_its_own_replies_alone_and_not_without_end() {
    let world = World::new().await;
    let other = world.tenant("other", json!({})).await;
    let hit = world.chat("what is ours?").send().await;
    let theirs = verdict(&world, id(&hit), "wrong").key(&other).send().await;
    assert_eq!(
        (theirs.status, theirs.error_code().as_str()),
        (404, "not-found")
    );
    assert_eq!(world.chat("what is ours?").send().await.cache(), "hit");
    let old = "01901234-5678-7abc-8def-0123456789ab";
    for (ask, status) in [
        (verdict(&world, old, "wrong"), 404),
        (verdict(&world, id(&hit), "meh"), 400),
        (verdict(&world, "x", "wrong"), 400),
        (world.post(FEEDBACK, "{}"), 400),
        (verdict(&world, old, "wrong").key("fgy_nobody"), 401),
    ] {
        let answer = ask.send().await;
        assert_eq!(answer.status, status, "{}", answer.text());
    }
    // A passed-through reply left nothing that could be wrong.
    let passed = world.get("/v1/models").send().await;
    assert_eq!(
        heard(&world, id(&passed), "wrong").await["evicted"],
        json!(false)
    );
    let mut refused = None;
    for _ in 0..100 {
        let answer = verdict(&world, old, "wrong").key(&other).send().await;
        if answer.status == 429 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("not without end");
    assert!(refused.header("retry-after").is_some());
    // Of its own account: others go on, and so does asking.
    assert_eq!(verdict(&world, old, "wrong").send().await.status, 404);
    assert_eq!(
        world.chat("what is ours?").key(&other).send().await.status,
        200
    );
}
