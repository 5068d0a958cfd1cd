//! Goal: a tenant's keys, limits and answers are its own, and what is purged is gone. Method: two
//! tenants who ask the same things in every combination of headers; keys that come and go; one
//! entry for every mixture of purge fields, and which of them are left.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Ask, CHAT, Draws, World, chat, eventually, now_micros, with};

/// Whatever they say about themselves, callers never have each other's answers: an answer heard
/// once by one partition is never heard by another.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_crosses_from_one_partition_to_another() {
    let world = World::new().await;
    let keys = [
        world.key.clone(),
        world.tenant("b", json!({})).await,
        world.tenant("a", json!({})).await,
    ];
    let seed = 0x5eed_0001;
    println!("seed {seed:#x}");
    let mut draws = Draws(seed);
    // Names made to run into each other where parts are merely put side by side.
    let names = ["", "a", "b", "ab", "a-b", "default"];
    let mut heard: std::collections::BTreeMap<String, [String; 4]> = Default::default();
    let (mut hits, mut misses) = (0, 0);
    for _ in 0..400 {
        let tenant = draws.below(keys.len());
        let agent = draws.one_of(&names);
        let namespace = draws.one_of(&names);
        let model = draws.one_of(&["gpt-4o", "gpt-4o-mini"]);
        let mut ask = world
            .post(CHAT, with(&chat("shared?"), "model", json!(model)))
            .key(&keys[tenant]);
        for (name, value) in [("x-fgy-agent", agent), ("x-fgy-namespace", namespace)] {
            if !value.is_empty() {
                ask = ask.header(name, value);
            }
        }
        let answer = ask.send().await;
        let partition = [
            tenant.to_string(),
            agent.into(),
            namespace.into(),
            model.into(),
        ];
        let id = answer.json()["id"].to_string();
        match answer.cache() {
            "miss" => {
                misses += 1;
                let before = heard.insert(id, partition.clone());
                assert_eq!(before, None, "{partition:?}");
                let of = heard.values().filter(|of| **of == partition).count();
                assert_eq!(of, 1, "{partition:?} had an answer already");
            }
            "hit" => {
                hits += 1;
                assert_eq!(heard.get(&id), Some(&partition));
            }
            other => panic!("{other}"),
        }
    }
    println!("{hits} hits, {misses} misses");
    let partitions: BTreeSet<_> = heard.values().collect();
    assert_eq!(partitions.len() as u64, world.calls());
    assert!(hits > 100 && misses > 100, "both were tried");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_is_rotated_with_an_overlap_and_revoked_at_once() {
    let world = World::new().await;
    let first = world.tenant("acme", json!({})).await;
    let ask = |key: &str| world.chat("keys").key(key);
    assert_eq!(ask(&first).send().await.cache(), "miss");
    let rotated = world.administer(
        "POST",
        "/tenants/acme/rotate",
        json!({"overlap_seconds": 2}),
    );
    let rotated = rotated.await;
    let second = rotated["key"].as_str().expect("shown once").to_owned();
    assert_eq!(ask(&second).send().await.cache(), "hit", "the same tenant");
    assert_eq!(ask(&first).send().await.cache(), "hit", "still good");
    let ended = async || (ask(&first).send().await.status == 401).then_some(());
    eventually("the overlap ends", ended).await;
    assert_eq!(ask(&second).send().await.status, 200);
    // A key is known by its digest alone, and never shown again.
    let listed = world.administer("GET", "/tenants", "").await;
    assert!(!listed.to_string().contains(&second));
    let acme = listed["tenants"]
        .as_array()
        .expect("a list")
        .iter()
        .find(|one| one["id"] == "acme");
    let keys = acme.expect("acme")["keys"]
        .as_array()
        .expect("keys")
        .clone();
    let lasting = keys
        .iter()
        .find(|key| key["until"].is_null())
        .expect("the new one");
    let path = format!(
        "/tenants/acme/keys/{}",
        lasting["id"].as_str().expect("an id")
    );
    world.administer("DELETE", &path, "").await;
    assert_eq!(ask(&second).send().await.status, 401, "at once");
    assert_eq!(
        world.chat("keys").send().await.status,
        200,
        "another tenant's is good"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_key_bound_to_an_agent_speaks_for_no_other() {
    let world = World::new().await;
    let made = world.administer("POST", "/tenants/default/keys", json!({"agent": "faq-bot"}));
    let bound = made.await["key"].as_str().expect("a key").to_owned();
    let free = |agent: &str| world.chat("who?").header("x-fgy-agent", agent).send();
    assert_eq!(free("faq-bot").await.cache(), "miss");
    assert_eq!(world.chat("who?").key(&bound).send().await.cache(), "hit");
    let posing = world.chat("who?").key(&bound).header("x-fgy-agent", "boss");
    assert_eq!(
        posing.send().await.cache(),
        "hit",
        "the header is not heard"
    );
    assert_eq!(free("boss").await.cache(), "miss");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn above_its_rate_a_tenant_is_told_when_to_come_back() {
    let world = World::new().await;
    let key = world
        .tenant("busy", json!({"requests_per_minute": 5}))
        .await;
    let mut told = Vec::new();
    for _ in 0..8 {
        told.push(world.chat("rate").key(&key).send().await);
    }
    let let_in = told.iter().filter(|answer| answer.status == 200).count();
    assert!((5..=6).contains(&let_in), "{let_in} of 8");
    let refused = told.last().expect("the last");
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (429, "rate-limited")
    );
    let after: u64 = refused
        .header("retry-after")
        .and_then(|v| v.parse().ok())
        .expect("seconds");
    assert!((1..=60).contains(&after), "{after}");
    assert_eq!(
        world.chat("rate").send().await.status,
        200,
        "the others are not slowed"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_tenant_leaves_nothing_behind() {
    let world = World::new().await;
    let key = world.tenant("gone", json!({})).await;
    let first = world.chat("mine").key(&key).send().await;
    assert_eq!(world.chat("mine").key(&key).send().await.cache(), "hit");
    world.administer("DELETE", "/tenants/gone", "").await;
    assert_eq!(world.chat("mine").key(&key).send().await.status, 401);
    // One of the same name is not the same tenant.
    let key = world.tenant("gone", json!({})).await;
    let again = world.chat("mine").key(&key).send().await;
    assert_eq!(again.cache(), "miss");
    assert_ne!(again.body, first.body);
}

/// One kept entry.
struct Entry {
    name: &'static str,
    ask: Ask,
}

/// Five entries that differ in one thing each.
async fn entries(world: &World) -> Vec<Entry> {
    let other = world.tenant("other", json!({})).await;
    let ask = || world.chat("purge");
    let model = world.post(CHAT, with(&chat("purge"), "model", json!("gpt-4o")));
    let all = [
        ("plain", ask()),
        ("tenant", ask().key(&other)),
        ("agent", ask().header("x-fgy-agent", "faq-bot")),
        ("namespace", ask().header("x-fgy-namespace", "staging")),
        ("model", model),
    ];
    all.map(|(name, ask)| Entry { name, ask }).into()
}

async fn kept(entries: &[Entry]) -> Vec<&'static str> {
    let mut kept = Vec::new();
    for entry in entries {
        let ask = entry.ask.clone().header("cache-control", "only-if-cached");
        match ask.send().await.status {
            200 => kept.push(entry.name),
            status => assert_eq!(status, 504),
        }
    }
    kept
}

/// Fills all entries and waits until the store has them, where purges count.
async fn fill(world: &World, entries: &[Entry]) {
    let before = world.gauge("fgy_store_kept").await;
    let mut missed = 0;
    for entry in entries {
        missed += u64::from(entry.ask.clone().send().await.cache() == "miss");
    }
    let stored = async || {
        let now = world.gauge("fgy_store_kept").await;
        (now >= before + missed && world.gauge("fgy_store_waiting").await == 0).then_some(())
    };
    eventually("all are in the store", stored).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_purge_takes_what_it_names_and_no_more() {
    let world = World::new().await;
    let entries = entries(&world).await;
    let explained = world.administer("POST", "/explain", json!({"body": chat("purge")}));
    let key = explained.await["keys"][0].clone();
    let soon = now_micros() / 1_000 + 600_000;
    let everything: &[&str] = &["plain", "tenant", "agent", "namespace", "model"];
    let table: [(Value, &[&str]); 10] = [
        (json!({"key": key}), &["plain"]),
        (json!({"tenant": "other"}), &["tenant"]),
        (json!({"agent": "faq-bot"}), &["agent"]),
        (json!({"namespace": "staging"}), &["namespace"]),
        (json!({"model": "gpt-4o"}), &["model"]),
        (
            json!({"tenant": "default", "model": "gpt-4o-mini"}),
            &["plain", "agent", "namespace"],
        ),
        (json!({"tenant": "other", "agent": "faq-bot"}), &[]),
        (json!({"older_than": 1}), &[]),
        (json!({"all": true}), everything),
        // Last: clocks differ, so what is made just after it falls with what was made before.
        (json!({"older_than": soon, "agent": "faq-bot"}), &["agent"]),
    ];
    for (purge, gone) in table {
        fill(&world, &entries).await;
        assert_eq!(kept(&entries).await.len(), entries.len(), "{purge}");
        let dry = world
            .administer("POST", "/purge", with(&purge, "dry_run", json!(true)))
            .await;
        assert_eq!(
            (dry["entries"].as_u64(), &dry["epoch"]),
            (Some(gone.len() as u64), &Value::Null)
        );
        assert_eq!(
            kept(&entries).await.len(),
            entries.len(),
            "a dry run does nothing: {purge}"
        );
        let done = world.administer("POST", "/purge", &purge).await;
        assert_eq!(done["entries"].as_u64(), Some(gone.len() as u64), "{purge}");
        assert!(done["epoch"].is_u64(), "{done}");
        let left: Vec<_> = entries.iter().map(|entry| entry.name).collect();
        let left: Vec<_> = left
            .into_iter()
            .filter(|name| !gone.contains(name))
            .collect();
        assert_eq!(kept(&entries).await, left, "{purge}");
    }
    for purge in [json!({}), json!({"all": true, "tenant": "other"})] {
        let answer = world.admin("POST", "/admin/v1/purge", &purge).await;
        assert_eq!(answer.status, 400, "{purge}");
    }
}

/// A purge holds for answers that were being made when it came, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_in_the_air_at_a_purge_is_not_served_after_it() {
    let world = World::new().await;
    let prompt = "[[mock chunks=10 pace_ms=60]] in the air";
    let mut live = world.stream(prompt).open().await;
    live.take(3).await;
    world
        .administer("POST", "/purge", json!({"all": true}))
        .await;
    assert!(
        live.rest().await.last().is_some_and(|told| told.is_done()),
        "it is heard to its end"
    );
    let after = world.chat(prompt).send().await;
    assert_eq!((after.cache(), world.calls()), ("miss", 2));
    assert_eq!(world.chat(prompt).send().await.cache(), "hit");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_admin_api_is_for_holders_of_its_token() {
    let world = World::new().await;
    for token in [
        "",
        "Bearer ",
        "Bearer wrong",
        &format!("Bearer {}", world.key),
    ] {
        for (method, path) in [
            ("GET", "/admin/v1/tenants"),
            ("POST", "/admin/v1/purge"),
            ("GET", "/metrics"),
            ("GET", "/admin/v1/nothing"),
        ] {
            let answer = world
                .admin_ask(method, path)
                .header("authorization", token)
                .send()
                .await;
            assert_eq!(
                (answer.status, answer.error_code().as_str()),
                (401, "bad-token"),
                "{path}"
            );
        }
    }
}
