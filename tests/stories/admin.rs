//! Goal: the admin API is what its description says, its lists end, its records are kept, and a
//! token that may only read changes nothing. Method: the description is asked for and believed:
//! every call in it is made.

use std::collections::{BTreeMap, BTreeSet};

use fgy_cluster::Secret;
use serde_json::{Value, json};

use crate::support::{World, chat};

const READ_TOKEN: &str = "Bearer k7Qw2nZx9Lr4Tb6Vm8Yc1Hd3-read";

/// A world that has a token which may only read.
async fn world() -> World {
    World::told(fgy::mock::Settings::default(), |settings| {
        let token = READ_TOKEN.trim_start_matches("Bearer ");
        settings.admin_read_token = Some(Secret::new(token.as_bytes()));
    })
    .await
}

/// Every call of a description: method, path, and what it says of it.
fn calls(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().expect("paths");
    let mut calls = Vec::new();
    for (path, methods) in paths {
        for (method, call) in methods.as_object().expect("methods") {
            calls.push((method.to_uppercase(), path.clone(), call.clone()));
        }
    }
    calls
}

fn may_read(call: &Value) -> bool {
    let tokens = call["security"].as_array();
    tokens.is_some_and(|tokens| tokens.iter().any(|token| token.get("read").is_some()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_description_is_whole_and_true() {
    let world = world().await;
    let document = world.administer("GET", "/openapi.json", "").await;
    assert_eq!(document["openapi"], "3.1.0");
    let calls = calls(&document);
    let described: BTreeSet<String> = calls
        .iter()
        .map(|(method, path, _)| format!("{method} {path}"))
        .collect();
    for named in [
        "GET /admin/v1/tenants",
        "POST /admin/v1/tenants",
        "POST /admin/v1/policies",
        "POST /admin/v1/providers",
        "POST /admin/v1/prices",
        "POST /admin/v1/purge",
        "POST /admin/v1/explain",
        "GET /admin/v1/stats",
        "GET /admin/v1/statements/{tenant}",
        "GET /admin/v1/audit",
        "GET /admin/v1/openapi.json",
        "GET /metrics",
        "GET /healthz",
    ] {
        assert!(described.contains(named), "{named} is not described");
    }

    // Each answers; what it answers is of the form that it says.
    let mut names = BTreeSet::new();
    for (method, path, call) in &calls {
        assert!(
            names.insert(call["operationId"].to_string()),
            "{path}: two of one name"
        );
        assert!(
            call["summary"]
                .as_str()
                .is_some_and(|line| !line.is_empty()),
            "{path}"
        );
        let parameters = call["parameters"].as_array().cloned().unwrap_or_default();
        let mut at = path.clone();
        for parameter in parameters.iter().filter(|one| one["in"] == "path") {
            at = at.replace(
                &format!("{{{}}}", parameter["name"].as_str().unwrap()),
                "default",
            );
        }
        assert!(
            !at.contains('{'),
            "{path}: a part of the path is not described"
        );
        if path.contains("statements") {
            at += "?month=2026-11";
        }
        // By the token that may only read, so that nothing changes.
        let ask = world
            .admin_ask(method, &at)
            .header("authorization", READ_TOKEN);
        let answer = ask.body("{}").send().await;
        if call["security"] == json!([]) {
            assert_eq!(answer.status, 200, "{method} {at}");
        } else if !may_read(call) {
            assert_eq!(answer.status, 403, "{method} {at}: {}", answer.text());
        } else if method == "GET" {
            assert_eq!(answer.status, 200, "{method} {at}: {}", answer.text());
            let content = call["responses"]["200"]["content"].as_object().unwrap();
            if let Some(json) = content.get("application/json") {
                fits(&document, &json["schema"], &answer.json(), path);
            }
        } else {
            assert_eq!(answer.status, 400, "an empty question: {method} {at}");
        }
    }

    // Whatever a schema refers to is there.
    let text = document.to_string();
    let mut referred = 0;
    for rest in text.split("\"$ref\":\"#/components/schemas/").skip(1) {
        let name = rest.split('"').next().unwrap();
        assert!(
            document["components"]["schemas"].get(name).is_some(),
            "{name}"
        );
        referred += 1;
    }
    assert!(referred > 20, "{referred}");
    for path in ["/admin/v1/nothing", "/admin/v2/tenants", "/"] {
        assert_eq!(world.admin("GET", path, "").await.status, 404, "{path}");
    }
}

/// Whether a value has what its schema requires and nothing that it does not know of.
fn fits(document: &Value, schema: &Value, value: &Value, place: &str) {
    let schema = match schema["$ref"].as_str() {
        Some(path) => {
            let pointer = path.trim_start_matches('#');
            document.pointer(pointer).expect("a schema")
        }
        None => schema,
    };
    for name in schema["required"].as_array().into_iter().flatten() {
        let name = name.as_str().unwrap();
        assert!(
            value.get(name).is_some(),
            "{place}: {name} is missing in {value}"
        );
    }
    let (Some(members), Some(known)) = (value.as_object(), schema["properties"].as_object()) else {
        if let (Some(items), Some(of)) = (value.as_array(), schema.get("items")) {
            items
                .iter()
                .for_each(|item| fits(document, of, item, place));
        }
        return;
    };
    for (name, value) in members {
        let schema = known.get(name);
        let schema = schema.unwrap_or_else(|| panic!("{place}: {name} is not described"));
        fits(document, schema, value, &format!("{place}.{name}"));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_may_only_read_changes_nothing() {
    let world = world().await;
    world.tenant("acme", json!({})).await;
    world
        .policy("policies: [{name: faq, type: exact_cache}]")
        .await;
    let document = world.administer("GET", "/openapi.json", "").await;
    let changing: Vec<_> = calls(&document)
        .into_iter()
        .filter(|(method, _, call)| method != "GET" && !may_read(call))
        .collect();
    assert!(changing.len() >= 12, "{}", changing.len());
    let told = world.administer("GET", "/audit", "").await;
    for (method, path, _) in &changing {
        let path = path.replace("{id}", "acme").replace("{name}", "faq");
        for (token, status, code) in [
            (READ_TOKEN, 403, "read-only"),
            ("Bearer nobody-knows-this-token-at-all", 401, "bad-token"),
            ("Bearer ", 401, "bad-token"),
        ] {
            let ask = world
                .admin_ask(method, &path)
                .header("authorization", token);
            let body = json!({"id": "x", "all": true}).to_string();
            let answer = ask.body(body).send().await;
            assert_eq!(answer.status, status, "{method} {path}");
            assert_eq!(answer.error_code(), code, "{method} {path}");
        }
        let ask = world.admin_ask(method, &path).without("authorization");
        assert_eq!(ask.send().await.status, 401, "{method} {path}");
    }
    assert_eq!(world.administer("GET", "/audit", "").await, told);
    // It reads, and it may ask what would happen.
    let ask = |method: &str, path: &str| {
        let ask = world.admin_ask(method, path);
        ask.header("authorization", READ_TOKEN)
    };
    assert_eq!(ask("GET", "/admin/v1/tenants").send().await.status, 200);
    let question = json!({"body": chat("what if?")}).to_string();
    let explained = ask("POST", "/admin/v1/explain").body(question).send().await;
    assert_eq!(explained.json()["outcome"], "miss");
}

/// Every page of a list: the items, in their order.
async fn pages(world: &World, path: &str, called: &str, limit: usize) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("{path}?limit={limit}{after}");
        let mut page = world.administer("GET", &path, "").await;
        let more = page[called].take();
        let more = more.as_array().expect("a list");
        assert!(more.len() <= limit, "{path}");
        items.extend(more.iter().cloned());
        match page["next"].as_str() {
            Some(next) => {
                assert_eq!(more.len(), limit, "{path}: a short page in the middle");
                after = format!("&after={next}");
            }
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_list_is_read_page_by_page_and_ends() {
    let world = world().await;
    for n in 0..5 {
        world.tenant(&format!("t{n}"), json!({})).await;
    }
    let policies: Vec<String> = ["z", "a", "m"]
        .map(|name| format!("{{name: {name}, type: exact_cache}}"))
        .to_vec();
    world
        .policy(&format!("policies: [{}]", policies.join(", ")))
        .await;
    let providers: Vec<Value> = ["c", "b", "a"]
        .map(|name| json!({"name": name, "base_url": "http://127.0.0.1:9"}))
        .to_vec();
    world
        .administer("POST", "/providers", json!({"providers": providers}))
        .await;
    for _ in 0..5 {
        assert_eq!(world.chat("pages").send().await.status, 200);
    }

    let all: BTreeMap<&str, (&str, &str, Vec<&str>)> = BTreeMap::from([
        (
            "/tenants",
            (
                "tenants",
                "id",
                vec!["default", "t0", "t1", "t2", "t3", "t4"],
            ),
        ),
        ("/policies", ("policies", "name", vec!["z", "a", "m"])),
        ("/providers", ("providers", "name", vec!["a", "b", "c"])),
    ]);
    for (path, (called, member, expected)) in all {
        for limit in [1, 2, 3, 6, 1_000] {
            let items = pages(&world, path, called, limit).await;
            let names: Vec<&str> = items
                .iter()
                .filter_map(|item| item[member].as_str())
                .collect();
            assert_eq!(names, expected, "{path} by {limit}");
        }
    }
    let whole = pages(&world, "/prices", "prices", 1_000).await;
    assert!(whole.len() > 20);
    assert_eq!(pages(&world, "/prices", "prices", 7).await, whole);
    let whole = pages(&world, "/audit", "audit", 1_000).await;
    assert_eq!(pages(&world, "/audit", "audit", 2).await, whole);

    for path in ["/tenants", "/policies", "/providers", "/prices", "/audit"] {
        for query in ["limit=0", "limit=1001", "limit=-1", "limit=many", "page=2"] {
            let answer = world
                .admin("GET", &format!("/admin/v1{path}?{query}"), "")
                .await;
            assert_eq!(answer.status, 400, "{path}?{query}");
            assert_eq!(answer.error_code(), "bad-query", "{path}?{query}");
        }
    }
    for (path, after) in [("/policies", "gone"), ("/audit", "x")] {
        let answer = world
            .admin("GET", &format!("/admin/v1{path}?after={after}"), "")
            .await;
        assert_eq!(
            (answer.status, answer.error_code().as_str()),
            (400, "bad-query"),
            "{path}"
        );
    }
    let month = crate::support::this_month();
    for query in ["limit=0", "limit=1001", "after=x"] {
        let path = format!("/admin/v1/statements/default/lines?month={month}&{query}");
        assert_eq!(world.admin("GET", &path, "").await.status, 400, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_changed_what_is_kept_and_says_nothing_secret() {
    let mut world = world().await;
    let key = world.tenant("acme", json!({})).await;
    let nobody = world.admin("DELETE", "/admin/v1/tenants/nobody", "").await;
    assert_eq!(nobody.status, 404);
    world
        .administer(
            "POST",
            "/purge",
            json!({"tenant": "acme", "model": "gpt-4o"}),
        )
        .await;
    world
        .administer("POST", "/purge", json!({"all": true, "dry_run": true}))
        .await;
    world
        .policy("policies: [{name: faq, type: exact_cache}]")
        .await;
    world.administer("DELETE", "/policies/faq", "").await;
    world.restart(|_| {}).await;

    let told = world.administer("GET", "/audit", "").await;
    let entries = told["audit"].as_array().expect("entries");
    let lines: Vec<String> = entries
        .iter()
        .map(|one| {
            let of: Vec<String> = one["of"]
                .as_object()
                .expect("names")
                .iter()
                .filter(|(kind, _)| *kind != "key")
                .map(|(kind, name)| format!("{kind}={}", name.as_str().unwrap()))
                .collect();
            let by = one["by"].as_str().unwrap();
            format!("{by} {} {}", one["change"].as_str().unwrap(), of.join(" "))
        })
        .collect();
    assert_eq!(
        lines,
        [
            "admin remove-policy policy=faq",
            "admin apply-policies policies=faq",
            "admin purge model=gpt-4o tenant=acme",
            "admin add-key tenant=acme",
            "admin create-tenant tenant=acme",
            "start add-key tenant=default",
            "start create-tenant tenant=default",
        ],
        "the latest first; what was refused or changed nothing is not there"
    );
    assert_eq!(told["dropped"], 0);
    let node = world.chat("who?").send().await;
    let node = node.header("x-fgy-node").expect("its name").to_owned();
    let now = crate::support::now_micros() / 1_000;
    for one in entries {
        assert_eq!(one["node"], node.as_str());
        let at = one["at"].as_u64().expect("a time");
        assert!(at <= now && now - at < 120_000, "{at}");
    }
    let text = told.to_string();
    for secret in [&key, &world.key] {
        assert!(!text.contains(secret.as_str()) && !text.contains(&secret[4..]));
    }
}

/// Whatever the command line prints for people it prints for programs too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_table_can_be_had_as_json() {
    let world = world().await;
    let month = crate::support::this_month();
    let request = world.file("request.json", &chat("what if?").to_string());
    let policies = world.file("p.yaml", "policies: [{name: faq, type: exact_cache}]");
    let providers = world.file("p.toml", "[providers.p]\nbase_url = \"http://127.0.0.1:9\"");
    let prices = world.file("prices.toml", "[models]\nm = { input = 1, output = 1 }");
    for args in [
        &["tenant", "create", "acme"][..],
        &["tenant", "list"],
        &["policy", "apply", "-f", &policies],
        &["policy", "list"],
        &["policy", "remove", "faq"],
        &["provider", "apply", "-f", &providers],
        &["provider", "list"],
        &["provider", "remove", "p"],
        &["price", "apply", "-f", &prices],
        &["price", "list"],
        &["stats"],
        &["statement", "default", "--month", &month],
        &["explain", "-f", &request],
        &["purge", "--all", "--dry-run"],
    ] {
        let said = world.cli(&[args, &["--output", "json"]].concat());
        let told = serde_json::from_str::<Value>(&said);
        let told = told.unwrap_or_else(|_| panic!("fgy {args:?}: no JSON: {said}"));
        assert!(
            told.is_object() || args.contains(&"list") && told.is_array(),
            "{args:?}: {told}"
        );
    }
}
