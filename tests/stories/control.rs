//! Goal: what an operator tells a running node is in force when the command has returned, is
//! listed, is written down, and outlives the node. Method: the admin API and the command line on
//! one side, callers and simulated providers on the other.

use fgy::config::{Auth, Provider, ProviderKind};
use fgy::mock::{self, Mock};
use serde_json::{Value, json};

use crate::support::{Answer, Ask, CHAT, World, chat, with};

/// One more simulated provider.
async fn other() -> Mock {
    Mock::start(mock::Settings::default())
        .await
        .expect("a provider")
}

fn calls(mock: &Mock) -> u64 {
    mock.calls().totals().calls
}

fn section(name: &str, mock: &Mock, rest: &str) -> String {
    format!(
        "[providers.{name}]\nbase_url = \"{}/\"\n{rest}\n",
        mock.base_url()
    )
}

fn asking(world: &World, provider: &str, prompt: &str) -> Ask {
    world.chat(prompt).header("x-fgy-provider", provider)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_is_called_from_the_moment_it_is_applied() {
    let world = World::new().await;
    let (first, second) = (other().await, other().await);
    assert_eq!(
        asking(&world, "side", "a").send().await.error_code(),
        "no-such-provider"
    );

    let file = world.file("p.toml", &section("side", &first, "models = [\"llama*\"]"));
    assert_eq!(
        world.cli(&["provider", "apply", "-f", &file]).trim(),
        "1 applied"
    );
    assert_eq!(asking(&world, "side", "a").send().await.cache(), "miss");
    assert_eq!(asking(&world, "side", "a").send().await.cache(), "hit");
    let llama = with(&chat("a"), "model", json!("llama3"));
    assert_eq!(world.post(CHAT, &llama).send().await.cache(), "miss");
    assert_eq!(
        (calls(&first), world.calls()),
        (2, 0),
        "by name and by model"
    );

    // Elsewhere, while it runs: what was kept from the one place is not the other's answer.
    let file = world.file("p.toml", &section("side", &second, "auth = \"none\""));
    world.cli(&["provider", "apply", "-f", &file]);
    world.cli(&["provider", "apply", "-f", &file]);
    let unpaid = asking(&world, "side", "a").without("x-provider-auth");
    assert_eq!(unpaid.send().await.cache(), "miss");
    assert_eq!((calls(&first), calls(&second)), (2, 1));
    assert_eq!(world.post(CHAT, &llama).send().await.cache(), "miss");
    assert_eq!(
        (calls(&second), world.calls()),
        (1, 1),
        "no longer by model"
    );

    let table = world.cli(&["provider", "list"]);
    assert!(
        table.contains("side") && table.contains(&second.base_url()),
        "{table}"
    );
    let listed: Value =
        serde_json::from_str(&world.cli(&["provider", "list", "--output", "json"])).unwrap();
    assert_eq!(listed[0]["base_url"], second.base_url());
    assert_eq!(
        (&listed[0]["kind"], &listed[0]["auth"]),
        (&json!("openai"), &json!("none"))
    );

    assert_eq!(world.cli(&["provider", "remove", "side"]).trim(), "removed");
    assert_eq!(
        asking(&world, "side", "a").send().await.error_code(),
        "no-such-provider"
    );
    let again = world.admin("DELETE", "/admin/v1/providers/side", "").await;
    assert_eq!(
        (again.status, again.error_code().as_str()),
        (404, "not-found")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_provider_that_cannot_be_is_refused_with_all_its_company() {
    let world = World::new().await;
    let good = json!({"name": "good", "base_url": "http://127.0.0.1:9/v1"});
    for (bad, why) in [
        (
            json!({"name": "default", "base_url": "http://127.0.0.1:9"}),
            "FGY_UPSTREAM",
        ),
        (
            json!({"name": "x", "base_url": "http://user:word@127.0.0.1"}),
            "credentials",
        ),
        (
            json!({"name": "x", "base_url": "http://[::1/v1"}),
            "no http or https URL",
        ),
        (
            json!({"name": "x", "base_url": "file:///etc/passwd"}),
            "no URL",
        ),
        (
            json!({"name": "x", "base_url": "http://x", "auth": "operator"}),
            "not there yet",
        ),
        (
            json!({"name": "x", "base_url": "http://x", "auth": "mine"}),
            "unknown variant",
        ),
        (
            json!({"name": "x", "base_url": "http://x", "key": "sk-1"}),
            "unknown field",
        ),
        (
            json!({"name": "x", "base_url": "http://x", "forward_headers": ["Cookie"]}),
            "never",
        ),
        (json!({"name": "x"}), "missing field"),
    ] {
        let body = json!({"providers": [good, bad]});
        let answer = world.admin("POST", "/admin/v1/providers", &body).await;
        assert_eq!(answer.status, 400, "{bad}: {}", answer.text());
        let said = answer.text();
        assert!(
            said.contains(why) && !said.contains("word@"),
            "{bad}: {said}"
        );
    }
    assert_eq!(
        asking(&world, "good", "a").send().await.error_code(),
        "no-such-provider"
    );
}

/// The file speaks at the first start; from then on the registry does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_file_tells_of_providers_once() {
    let (filed, applied) = (other().await, other().await);
    let from_file = |base_url: String| Provider {
        name: "side".into(),
        kind: ProviderKind::OpenAi,
        base_url,
        models: Vec::new(),
        auth: Auth::None,
        forward_headers: Vec::new(),
    };
    let file = from_file(filed.base_url());
    let mut world = World::told(mock::Settings::default(), |settings| {
        settings.providers.insert("side".into(), file.clone());
    })
    .await;
    assert_eq!(asking(&world, "side", "a").send().await.cache(), "miss");
    assert_eq!(calls(&filed), 1, "the file's");

    let body = json!({"providers": [from_file(applied.base_url())]});
    world.administer("POST", "/providers", body).await;
    assert_eq!(asking(&world, "side", "b").send().await.cache(), "miss");
    let tell = |settings: &mut fgy::config::Settings| {
        settings.providers.insert("side".into(), file.clone());
    };
    world.restart(tell).await;
    assert_eq!(asking(&world, "side", "c").send().await.cache(), "miss");
    assert_eq!((calls(&filed), calls(&applied)), (1, 2), "what was applied");

    world.administer("DELETE", "/providers/side", "").await;
    world.restart(tell).await;
    assert_eq!(
        asking(&world, "side", "d").send().await.error_code(),
        "no-such-provider"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_price_counts_from_the_next_reply_on() {
    let mut world = World::new().await;
    let unknown = |prompt: &str| {
        world
            .post(CHAT, with(&chat(prompt), "model", json!("house-model")))
            .send()
    };
    assert_eq!(unknown("a").await.cache(), "miss");
    assert_eq!(
        unknown("a").await.header("x-fgy-saved-usd"),
        None,
        "no price, no saving"
    );

    let apply = |world: &World, text: &str| {
        let file = world.file("prices.toml", text);
        world
            .cli(&["price", "apply", "-f", &file])
            .trim()
            .to_owned()
    };
    let dear = "[models]\n\"house-model\" = { input = 1000, output = 1000 }\n";
    assert_eq!(apply(&world, dear), "1 applied, edition 1");
    assert_eq!(apply(&world, dear), "1 applied, edition 1", "nothing new");
    let first = unknown("a").await;
    let saved = first
        .header("x-fgy-saved-usd")
        .expect("a saving")
        .to_owned();
    let half = dear.replace("1000", "500");
    assert_eq!(apply(&world, &half), "1 applied, edition 2");
    let second = unknown("a").await;
    let amount = |text: &str| text.parse::<f64>().expect("dollars");
    let now = second.header("x-fgy-saved-usd").expect("a saving");
    assert!(
        (amount(&saved) - 2.0 * amount(now)).abs() < 1e-9,
        "{saved} {now}"
    );

    let table = world.cli(&["price", "list"]);
    assert!(
        table.contains("house-model") && table.contains("$500.00"),
        "{table}"
    );
    assert!(
        table.contains("gpt-4o-mini"),
        "laid over the built-in ones: {table}"
    );
    let bad = world
        .admin(
            "POST",
            "/admin/v1/prices",
            "[models]\na = 5\nb = { input = 1 }",
        )
        .await;
    assert_eq!(bad.status, 400);
    assert!(
        bad.text().contains("line 2") && bad.text().contains("line 3"),
        "{}",
        bad.text()
    );

    // What was applied outlives the node, and an empty table takes it back.
    world.restart(|_| {}).await;
    let listed = world
        .administer("GET", "/prices?after=house&limit=1", "")
        .await;
    assert_eq!(
        (&listed["version"], &listed["applied"]),
        (&json!(2), &json!(2))
    );
    assert_eq!(
        listed["prices"][0]["input"],
        json!(500_000_000_000_u64),
        "{listed}"
    );
    assert_eq!(apply(&world, "[models]\n"), "0 applied, edition 3");
    let ask = world.post(CHAT, with(&chat("a"), "model", json!("house-model")));
    assert_eq!(ask.send().await.header("x-fgy-saved-usd"), None);

    let lines = world.lines("default").await;
    let editions: Vec<u32> = lines.iter().map(|line| line.price_version).collect();
    assert_eq!(
        editions,
        [1, 1, 1, 2, 3],
        "the first two are of the built-in table"
    );
    let priced: Vec<bool> = lines.iter().map(|line| line.priced).collect();
    assert_eq!(priced, [false, false, true, true, false]);
}

/// A command told twice is done once: by its own words, or by the caller's `Idempotency-Key`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_retry_changes_nothing_more() {
    let world = World::new().await;
    let provider = json!({"providers": [{"name": "p", "base_url": "http://127.0.0.1:9/v1"}]});
    let policy = "policies: [{name: faq, type: exact_cache}]";
    let tenant = json!({"id": "acme", "name": "Acme"});
    let settings = json!({"requests_per_minute": 600});
    let retried = [
        ("POST", "/tenants", tenant.to_string()),
        ("PUT", "/tenants/acme", settings.to_string()),
        ("POST", "/policies", policy.to_owned()),
        ("POST", "/providers", provider.to_string()),
        (
            "POST",
            "/prices",
            "[models]\nm = { input = 1, output = 1 }".to_owned(),
        ),
    ];
    let state = async || {
        let mut all = Vec::new();
        for path in ["/tenants", "/policies", "/providers", "/prices", "/audit"] {
            all.push(world.administer("GET", path, "").await);
        }
        all
    };
    for (method, path, body) in &retried {
        let before = state().await;
        world.administer(method, path, body).await;
        let after = state().await;
        assert_ne!(before, after, "{method} {path} changes something");
        let again = world.administer(method, path, body).await;
        assert_eq!(again.get("key"), None, "no key is shown twice");
        assert_eq!(state().await, after, "{method} {path}: once is enough");
    }

    // A key has no words of its own.
    let key = async |path: &str, word: &str, agent: &str| {
        let ask = world
            .admin_ask("POST", &format!("/admin/v1/tenants/acme/{path}"))
            .header("idempotency-key", word)
            .body(json!({"agent": agent}).to_string());
        let made: Answer = ask.send().await;
        assert_eq!(made.status, 200, "{}", made.text());
        let made = made.json();
        let count = made["keys"].as_array().expect("keys").len();
        (made["key"].as_str().map(str::to_owned), count)
    };
    let (first, count) = key("keys", "deploy-17", "bot").await;
    assert!(first.is_some() && count == 2, "beside the tenant's first");
    assert_eq!(key("keys", "deploy-17", "bot").await, (None, 2));
    let (other, count) = key("keys", "deploy-17", "another").await;
    assert!(other.is_some() && count == 3, "asked for something else");
    let (rotated, count) = key("rotate", "deploy-17", "bot").await;
    assert!(rotated.is_some() && count == 4);
    assert_eq!(key("rotate", "deploy-17", "bot").await, (None, 4));
    let long = "x".repeat(256);
    let ask = world
        .admin_ask("POST", "/admin/v1/tenants/acme/keys")
        .body("{}");
    let refused = ask.header("idempotency-key", &long).send().await;
    assert_eq!(
        (refused.status, refused.error_code().as_str()),
        (400, "bad-header")
    );
}
