//! Goal: when the one call fails, everyone who waited for it hears so and nothing is kept; a
//! failure that is one caller's own is not the others'. Method: crowds, as in `coalesce`, and a
//! provider that fails once.

use std::time::Duration;

use crate::support::crowd::{Heard, Shape, crowd};
use crate::support::{Told, World, until};

/// What the failure of a flight must sound like to one who listens.
fn heard_a_failure(heard: &Heard) {
    match &heard.plain {
        Some(answer) => {
            assert_eq!(answer.status, 502, "{}", answer.text());
            assert_eq!(answer.error_code(), "provider-unreachable");
        }
        None => {
            let last = heard.told.last().expect("something was heard");
            assert_eq!(last.event.as_deref(), Some("error"), "{last:?}");
            assert_eq!(last.json()["error"]["code"], "fgy_truncated");
            assert!(
                !heard.told.iter().any(Told::is_done),
                "no part is sold as the whole"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn when_the_provider_fails_at_chunk_five_all_thousand_hear_it() {
    let world = World::new().await;
    let prompt = "[[mock chunks=40 pace_ms=800 fail=cut fail_at=5 times=1]] break";
    let over = Duration::from_secs(2);
    let (led, heard) = crowd(&world, prompt, Shape::Stream, Shape::Mixed, 999, over).await;
    assert_eq!(world.calls(), 1, "all of them came before the failure");
    assert_eq!((led.cache.as_str(), heard.len()), ("miss", 999));
    for heard in heard.iter().chain([&led]) {
        heard_a_failure(heard);
    }
    let said: Vec<usize> = heard.iter().map(|heard| heard.told.len()).collect();
    assert!(
        said.iter().all(|said| [0, 6].contains(said)),
        "five events and the error: {said:?}"
    );
    let kept = world.chat(prompt).header("cache-control", "only-if-cached");
    assert_eq!(kept.send().await.status, 504, "nothing is kept");
    assert_eq!(world.gauge("fgy_inflight").await, 0);
}

/// A refusal that is the account's is not the others' business.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn followers_with_another_provider_key_fly_anew_by_one_of_them() {
    let world = World::new().await;
    let refusal = r#"{"error":{"message":"slow down"}}"#.replace('"', "\\\"");
    let prompt = format!(
        "[[mock status=429 retry_after_seconds=7 body=\"{refusal}\" latency_ms=700 times=1]] hi"
    );
    let mut all = tokio::task::JoinSet::new();
    let ask = |key: &str| world.chat(&prompt).header("x-provider-auth", key);
    let poor = ask("Bearer sk-poor");
    let first = poor.clone();
    all.spawn(async move { ("led", first.send().await) });
    until("the first call is in the air", || world.calls() == 1).await;
    for _ in 0..5 {
        let (poor, rich) = (poor.clone(), ask("Bearer sk-rich"));
        all.spawn(async move { ("poor", poor.send().await) });
        all.spawn(async move { ("rich", rich.send().await) });
    }
    let answers = all.join_all().await;
    assert_eq!(world.calls(), 2, "the refused call and one more");
    for (who, answer) in &answers {
        let expected = if *who == "rich" { 200 } else { 429 };
        assert_eq!(answer.status, expected, "{who}: {}", answer.text());
        if expected == 429 {
            assert_eq!(answer.text(), r#"{"error":{"message":"slow down"}}"#);
        }
    }
    let anew = answers
        .iter()
        .filter(|(who, answer)| *who == "rich" && answer.cache() == "miss");
    assert_eq!(anew.count(), 1, "one of them led, four followed");
    let told = answers
        .iter()
        .find(|(who, _)| *who == "led")
        .expect("the first caller");
    assert_eq!(told.1.header("retry-after"), Some("7"));
}
