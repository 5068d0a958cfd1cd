//! Goal: a caller's own words about caching are obeyed, and only ever to tighten. Method: each
//! request header of the contract, what it does to the look-up, to the call and to what is kept.

use std::time::Duration;

use crate::support::{World, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_cache_asks_anew_and_keeps_the_new_answer() {
    let world = World::new().await;
    let first = world.chat("news").send().await;
    let fresh = world
        .chat("news")
        .header("cache-control", "no-cache")
        .send()
        .await;
    assert_eq!((fresh.cache(), fresh.reason()), ("refresh", "no-cache"));
    assert_ne!(fresh.body, first.body);
    let hit = world.chat("news").send().await;
    assert_eq!((hit.cache(), &hit.body), ("hit", &fresh.body));
    assert_eq!(world.calls(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_store_keeps_nothing_but_may_be_answered_from_the_cache() {
    let world = World::new().await;
    let no_store = |prompt: &str| world.chat(prompt).header("cache-control", "no-store");
    for call in 1..=2 {
        assert_eq!(no_store("secret").send().await.cache(), "miss");
        assert_eq!(world.calls(), call);
    }
    world.chat("open").send().await;
    assert_eq!(no_store("open").send().await.cache(), "hit");
    let neither = world
        .chat("open")
        .header("cache-control", "no-store, no-cache")
        .send()
        .await;
    assert_eq!((neither.cache(), neither.reason()), ("bypass", "no-store"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn off_neither_looks_nor_keeps_nor_joins() {
    let world = World::new().await;
    let kept = world.chat("off").send().await;
    for call in 2..=3 {
        let off = world.chat("off").header("x-fgy-cache", "off").send().await;
        assert_eq!((off.cache(), off.reason()), ("bypass", "cache-off"));
        assert_eq!(world.calls(), call);
        assert_ne!(off.body, kept.body);
    }
    assert_eq!(
        world.chat("off").send().await.body,
        kept.body,
        "what was kept is still kept"
    );
    world
        .chat("never kept")
        .header("x-fgy-cache", "off")
        .send()
        .await;
    assert_eq!(world.chat("never kept").send().await.cache(), "miss");
    assert_eq!(
        world
            .chat("off")
            .header("x-fgy-cache", "exact")
            .send()
            .await
            .cache(),
        "hit"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_if_cached_is_a_hit_or_a_504_and_never_a_call() {
    let world = World::new().await;
    let only = || {
        world
            .chat("kept?")
            .header("cache-control", "only-if-cached")
    };
    let none = only().send().await;
    assert_eq!(
        (none.status, none.error_code().as_str()),
        (504, "only-if-cached")
    );
    assert_eq!(world.calls(), 0);
    world.chat("kept?").send().await;
    let hit = only().send().await;
    assert_eq!((hit.status, hit.cache(), world.calls()), (200, "hit", 1));
    let off = only().header("x-fgy-cache", "off").send().await;
    assert_eq!(
        (off.status, world.calls()),
        (504, 1),
        "not even past the cache"
    );
    // Nor does it join a flight: it would have to wait.
    let prompt = "[[mock latency_ms=600]] in the air";
    let flying = world.chat(prompt).send();
    let only = async {
        eventually("the call is in the air", async || {
            (world.calls() == 2).then_some(())
        })
        .await;
        world
            .chat(prompt)
            .header("cache-control", "only-if-cached")
            .send()
            .await
    };
    let (flown, only) = tokio::join!(flying, only);
    assert_eq!((flown.status, only.status, world.calls()), (200, 504, 2));
}

/// Time passes here in real seconds: the node's clock is the machine's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_lives_from_its_making_and_no_longer_for_being_asked_for() {
    let world = World::new().await;
    let short = || world.chat("short").header("x-fgy-ttl-seconds", "2");
    let began = tokio::time::Instant::now();
    let first = short().send().await;
    let aged = world.chat("aged").send().await;
    // Asked for all the while, and gone after its two seconds nevertheless.
    let mut hits = 0;
    let fresh = eventually("it expires", async || {
        let answer = world.chat("short").send().await;
        hits += u64::from(answer.cache() == "hit");
        (answer.cache() != "hit").then_some(answer)
    })
    .await;
    let lived = began.elapsed();
    println!("lived for {lived:?}, hit {hits} times");
    assert_eq!((fresh.cache(), hits > 0), ("miss", true));
    assert!(
        fresh.body != first.body && lived >= Duration::from_millis(1_900),
        "{lived:?}"
    );
    // By now the other is two seconds old: too old for one, young enough for another.
    let old = world
        .chat("aged")
        .header("cache-control", "max-age=60")
        .send()
        .await;
    assert_eq!((old.cache(), &old.body), ("hit", &aged.body));
    let age: u64 = old
        .header("age")
        .and_then(|age| age.parse().ok())
        .expect("an age");
    assert!((1..60).contains(&age), "{age}");
    let young = world
        .chat("aged")
        .header("cache-control", "max-age=1")
        .send()
        .await;
    assert_eq!(young.cache(), "miss");
    let again = world
        .chat("aged")
        .header("cache-control", "max-age=60")
        .send()
        .await;
    assert_eq!(
        (again.cache(), &again.body),
        ("hit", &young.body),
        "the younger took its place"
    );
    let zero = world
        .chat("no life")
        .header("x-fgy-ttl-seconds", "0")
        .send()
        .await;
    assert_eq!((zero.cache(), zero.reason()), ("miss", "no-life"));
    assert_eq!(world.chat("no life").send().await.cache(), "miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_looser_wish_is_left_as_the_policy_says_and_named() {
    let world = World::new().await;
    world
        .policy("policies: [{name: p, type: exact_cache, config: {ttl_seconds: 100}}]")
        .await;
    let longer = world
        .chat("longer")
        .header("x-fgy-ttl-seconds", "5000")
        .send()
        .await;
    assert_eq!((longer.cache(), longer.reason()), ("miss", "looser-ttl"));
    let hit = world.chat("longer").send().await;
    let status = hit.header("cache-status").expect("a status");
    let ttl = status
        .split("ttl=")
        .nth(1)
        .and_then(|rest| rest.split(';').next());
    let ttl: u64 = ttl.expect("a ttl").parse().expect("a number");
    assert!(ttl <= 100, "{status}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unreadable_wish_is_refused_by_name() {
    let world = World::new().await;
    for (name, value) in [
        ("X-Fgy-TTL-Seconds", "abc"),
        ("X-Fgy-TTL-Seconds", "1.5"),
        ("X-Fgy-TTL-Seconds", "-1"),
        ("X-Fgy-Similarity-Threshold", "1.5"),
        ("X-Fgy-Similarity-Threshold", "near"),
        ("X-Fgy-Cache", "maybe"),
        ("X-Fgy-Namespace", "a/b"),
        ("Cache-Control", "max-age=soon"),
        ("Cache-Control", "max-age=1.5"),
    ] {
        let answer = world.chat("wish").header(name, value).send().await;
        let text = answer.text().to_ascii_lowercase();
        assert_eq!(answer.status, 400, "{name}: {value}: {text}");
        assert_eq!(answer.error_code(), "bad-header");
        assert!(text.contains(&name.to_ascii_lowercase()), "{name}: {text}");
    }
    assert_eq!(world.calls(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_switch_the_cache_on_and_off() {
    let world = World::new().await;
    world
        .policy(
            "policies:\n\
             - {name: off, type: exact_cache, enabled: false, models: [gpt-4o-mini]}\n\
             - {name: asked, type: exact_cache, enabled: on_request, models: [gpt-4o]}\n",
        )
        .await;
    let off = world.chat("p").send().await;
    assert_eq!((off.cache(), off.reason()), ("bypass", "policy-disabled"));
    let mut body = crate::support::chat("p");
    body["model"] = "gpt-4o".into();
    let ask = || world.post(crate::support::CHAT, &body);
    assert_eq!(ask().send().await.reason(), "policy-on-request");
    let exact = || ask().header("x-fgy-cache", "exact");
    assert_eq!(exact().send().await.cache(), "miss");
    assert_eq!(exact().send().await.cache(), "hit");
    assert_eq!(
        ask().send().await.cache(),
        "bypass",
        "only for those who ask"
    );
}
