//! Goal: under the profile `verified` a near answer is served where judged look-ups say that it would
//! be right, and nowhere else; what is learned is shown, and not aimed lower than it can be told.
//! Method: texts that all look alike, answers that are the same or never the same, and what the
//! statistics and the stopped node's labels say of it.

use fgy::label::{Judge, Verdict};
use serde_json::{Value, json};

use crate::semantic::{guarded, said, saying, unguarded, words};
use crate::support::{CHAT, World, chat, eventually};

fn policy(aim: &str) -> String {
    let verified = format!("profile: verified\n    target_wrong: {aim}");
    unguarded("learned", "").replace("profile: aggressive", &verified)
}

async fn ask(world: &World, namespace: &str, n: usize, text: &str) -> (String, String) {
    let ask = world.post(CHAT, saying(&words(n), text));
    let heard = ask.header("x-fgy-namespace", namespace).send().await;
    assert_eq!(heard.status, 200, "{}", heard.text());
    assert!(!said(&heard).is_empty());
    (heard.cache().to_owned(), heard.reason().to_owned())
}

/// What the statistics say of a namespace.
async fn learned(world: &World, namespace: &str) -> Option<Value> {
    let stats = world.administer("GET", "/stats", "").await;
    let all = stats["verified"].as_array()?.iter();
    let mut mine = all.filter(|it| it["namespace"] == namespace);
    mine.next().cloned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_proves_right_is_served_and_what_proves_wrong_is_not() {
    let mut world = guarded(None).await;
    world.policy(&policy("0.05")).await;
    // Every answer is the same, and nobody knows that yet: the first are all compared.
    assert_eq!(ask(&world, "alike", 0, "1007").await.0, "miss");
    for n in 1..=150 {
        let heard = ask(&world, "alike", n, "1007").await;
        assert_eq!(heard, ("miss".to_owned(), "sampled".to_owned()), "{n}");
    }
    let all = async || {
        learned(&world, "alike")
            .await
            .filter(|it| it["judged"] == 150)
    };
    let report = eventually("all are judged", all).await;
    assert!(
        report["bar"].as_f64().is_some_and(|bar| bar <= 1.0),
        "{report}"
    );
    assert_eq!(report["wrong_share"][1], 0.0, "{report}");
    assert_eq!(
        (&report["refused"], &report["target_wrong"]),
        (&json!(false), &json!(0.05))
    );
    let mut served = 0;
    for n in 200..260 {
        let (cache, reason) = ask(&world, "alike", n, "1007").await;
        match (cache.as_str(), reason.as_str()) {
            ("semantic-hit", _) => served += 1,
            other => assert_eq!(other, ("miss", "sampled")),
        }
    }
    assert!(
        (50..60).contains(&served),
        "a few of sixty are compared: {served}"
    );

    // Every answer is another: none is ever served, and soon none is called near enough.
    for n in 0..180 {
        let (cache, _) = ask(&world, "apart", n, &format!("{}", 2_000 + n)).await;
        assert_eq!(cache, "miss", "{n}");
    }
    let retreated = async || {
        let report = learned(&world, "apart").await?;
        (report["bar"].is_null() && report["judged"].as_u64() > Some(100)).then_some(report)
    };
    eventually("it serves nothing there", retreated).await;
    let heard = ask(&world, "apart", 300, "2300").await;
    assert_eq!(heard, ("miss".to_owned(), String::new()));
    let text = world.cli(&["stats"]);
    assert!(
        text.contains("JUDGE ERRS") && text.contains("apart"),
        "{text}"
    );

    let stores = world.left_behind().await;
    let labels = stores.labels.labels("default".into(), 10_000).await;
    let labels = labels.expect("labels");
    let of = |namespace: &str, verdict| {
        let mine = labels.iter().filter(move |it| it.namespace == namespace);
        let mine = mine.filter(move |it| it.verdict == verdict && it.judge == Judge::Node);
        mine.count()
    };
    assert!(of("alike", Verdict::Right) >= 150 && of("alike", Verdict::Wrong) == 0);
    assert!(of("apart", Verdict::Wrong) > 100 && of("apart", Verdict::Right) == 0);
    assert!(
        labels.iter().any(|it| it.weight == 20),
        "some stand for twenty"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_aims_below_what_the_judge_can_tell() {
    let world = guarded(None).await;
    world.policy(&policy("0.02")).await;
    // One question, asked anew again and again: no two answers are the same.
    let body = chat("what number is it?");
    for n in 0..40 {
        world.behave(&[("alike", "true"), ("text", &format!("{}", 3_000 + n))]);
        let fresh = world.post(CHAT, body.clone());
        let fresh = fresh.header("cache-control", "no-cache").send().await;
        assert_eq!(fresh.cache(), "refresh");
    }
    // Somebody must have been near for the namespace to be shown.
    world.chat("which number may it be?").send().await;
    let told = async || {
        let report = learned(&world, "").await?;
        (report["judge_error"] == 1.0).then_some(report)
    };
    let report = eventually("the judge's error is known", told).await;
    assert_eq!(
        (&report["refused"], &report["bar"]),
        (&json!(true), &json!(0.95))
    );
    let again = world
        .admin("POST", "/admin/v1/policies", policy("0.02"))
        .await;
    assert_eq!(again.status, 409, "{}", again.text());
    assert!(again.text().contains("aim at more"), "{}", again.text());
    // What has no such aim is applied.
    world.policy(&unguarded("learned", "")).await;
}
