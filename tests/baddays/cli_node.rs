//! The command line against a running node: tenants and keys, policies, purges, what would happen
//! and what was saved, for people and as JSON.

use fgy::mock::{Mock, Settings};
use serde_json::Value;

use crate::heard::chat;
use crate::home::{Home, Said};
use crate::node::{Node, Start};

/// The policies of the interface's own example.
const POLICIES: &str = r#"policies:
  - name: faq-cache
    type: semantic_cache
    enabled: true
    agents: [faq-bot, support-triage]
    models: [gpt-4o, "claude-*"]
    tenants: [acme]
    paths: ["/v1/chat/completions"]
    prompts: ["*stock price*"]
    config:
      profile: safe
      similarity_threshold: 0.92
      ttl_seconds: 86400
      max_entries: 100000
      scope: auto
      namespace: v3
      share: [models]
      max_prompt_tokens: 8000
      long_prompt_threshold: 0.97
      max_temperature: 1.0
      guard: {off: [entity], antonyms: [], entities: [], synonyms: []}
      languages: auto
      target_wrong: 0.02
      coalesce_scope: global
      on_abandon: finish
  - name: never
    type: exact_cache
    enabled: false
    models: [secret-model]
"#;

struct Desk {
    home: Home,
    node: Node,
    mock: Mock,
}

impl Desk {
    async fn new() -> Desk {
        let mock = Mock::start(Settings::default()).await.unwrap();
        let home = Home::new();
        let node = Start::new(&home, &mock.base_url()).go().await;
        Desk { home, node, mock }
    }

    fn run(&self, args: &[&str]) -> Said {
        let (url, data) = (format!("http://{}", self.node.admin), self.home.data());
        let env = [
            ("FGY_ADMIN_URL", url.as_str()),
            ("FGY_DATA", data.to_str().unwrap()),
        ];
        self.home.fgy(args, &env)
    }

    fn ok(&self, args: &[&str]) -> String {
        let said = self.run(args);
        assert_eq!(
            (said.status, said.err.as_str()),
            (0, ""),
            "{args:?}: {}",
            said.out
        );
        said.out
    }

    fn json(&self, args: &[&str]) -> Value {
        let out = self.ok(&[args, &["--output", "json"]].concat());
        serde_json::from_str(&out).unwrap_or_else(|error| panic!("{args:?}: {error}: {out}"))
    }

    /// The answer is no: status 1, and the words say why.
    fn no(&self, args: &[&str], why: &str) {
        let said = self.run(args);
        assert_eq!(
            (said.status, said.out.as_str()),
            (1, ""),
            "{args:?}: {}",
            said.err
        );
        assert!(
            said.err.contains(why),
            "{args:?} does not say {why}: {}",
            said.err
        );
    }

    async fn status_with(&self, key: &str) -> u16 {
        let request = self
            .node
            .post("/v1/chat/completions")
            .body(chat("hello").to_string());
        let mut request = request.build().unwrap();
        let value = format!("Bearer {key}").parse().unwrap();
        request.headers_mut().insert("authorization", value);
        reqwest::Client::new()
            .execute(request)
            .await
            .unwrap()
            .status()
            .as_u16()
    }
}

fn key_in(text: &str) -> String {
    let key = text
        .split_whitespace()
        .find(|word| word.starts_with("fgy_"));
    key.unwrap_or_else(|| panic!("no key in {text}")).to_owned()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tenants_and_keys_from_the_first_to_the_last_day() {
    let desk = Desk::new().await;
    let first = key_in(&desk.ok(&["tenant", "create", "acme", "--name", "Acme Ltd"]));
    assert_eq!(desk.status_with(&first).await, 200);
    let table = desk.ok(&["tenant", "list"]);
    assert!(
        table.contains("acme") && table.contains("Acme Ltd"),
        "{table}"
    );
    assert!(!table.contains(&first), "a key is shown once: {table}");
    let bound = desk.json(&["tenant", "create-key", "acme", "--agent", "faq-bot"]);
    assert_eq!(desk.status_with(bound["key"].as_str().unwrap()).await, 200);

    // Rotated with overlap both are good; without, the old one ends.
    let second = key_in(&desk.ok(&["tenant", "rotate-key", "acme", "--overlap", "1h"]));
    assert_eq!(desk.status_with(&first).await, 200);
    let third = key_in(&desk.ok(&["tenant", "rotate-key", "acme", "--overlap", "0s"]));
    for (key, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(desk.status_with(key).await, status);
    }

    let tenants = desk.json(&["tenant", "list"]);
    let acme = tenants
        .as_array()
        .unwrap()
        .iter()
        .find(|tenant| tenant["id"] == "acme");
    let keys = acme.unwrap()["keys"].as_array().unwrap().clone();
    assert!(!keys.is_empty(), "{tenants}");
    for key in keys {
        desk.ok(&["tenant", "revoke-key", "acme", key["id"].as_str().unwrap()]);
    }
    assert_eq!(desk.status_with(&third).await, 401);
    desk.no(
        &["tenant", "revoke-key", "acme", "nosuchkey"],
        "no such key",
    );
    desk.no(&["tenant", "rotate-key", "nobody"], "no such tenant");
    desk.no(&["tenant", "create", "not a name/"], "");
    desk.ok(&["tenant", "delete", "acme"]);
    desk.no(&["tenant", "delete", "acme"], "no such tenant");
    assert!(!desk.ok(&["tenant", "list"]).contains("acme"));
    assert!(!desk.home.logs().contains(&third));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_as_the_interface_writes_them() {
    let desk = Desk::new().await;
    desk.home.write("policies.yaml", POLICIES);
    assert!(
        desk.ok(&["policy", "apply", "-f", "policies.yaml"])
            .contains("2 applied")
    );
    let table = desk.ok(&["policy", "list"]);
    assert!(
        table.contains("faq-cache") && table.contains("never"),
        "{table}"
    );
    let listed = desk.json(&["policy", "list"]);
    assert_eq!(listed.as_array().unwrap().len(), 2, "{listed}");
    assert_eq!(listed[0]["config"]["ttl_seconds"], 86_400, "{listed}");

    let mut off = chat("hello");
    off["model"] = "secret-model".into();
    let heard = desk.node.ask(&off).await;
    assert_eq!(
        (heard.cache(), heard.header("x-fgy-cache-reason")),
        ("bypass", "policy-disabled")
    );
    desk.ok(&["policy", "remove", "never"]);
    assert_eq!(desk.node.ask(&off).await.cache(), "miss");
    desk.no(&["policy", "remove", "never"], "no such policy");

    desk.home.write(
        "bad.yaml",
        "policies:\n  - name: a\n    typ: exact_cache\n    enabled: perhaps\n",
    );
    let said = desk.run(&["policy", "apply", "-f", "bad.yaml"]);
    assert_eq!(said.status, 1, "{}", said.out);
    assert!(
        said.err.contains("3:5") && said.err.contains("4:14"),
        "both places: {}",
        said.err
    );
    assert_eq!(desk.json(&["policy", "list"]).as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_purged_is_never_served_again() {
    let desk = Desk::new().await;
    let body = chat("hello");
    desk.home.write("request.json", &body.to_string());
    let fill = async |after: &str| {
        let kept = desk.node.metric("fgy_store_kept").await;
        assert_eq!(desk.node.ask(&body).await.cache(), "miss", "{after}");
        desk.node.reaches("fgy_store_kept", kept + 1).await;
        assert_eq!(desk.node.ask(&body).await.cache(), "hit", "{after}");
    };
    fill("at first").await;
    let counted = desk.json(&["purge", "--all", "--dry-run"]);
    assert_eq!(
        (&counted["entries"], &counted["epoch"]),
        (&1.into(), &Value::Null),
        "{counted}"
    );
    assert_eq!(
        desk.node.ask(&body).await.cache(),
        "hit",
        "a dry run purges nothing"
    );
    for args in [
        &["purge", "--all"][..],
        &["purge", "--tenant", "default"],
        &["purge", "--model", "gpt-4o"],
        &["purge", "--request", "request.json"],
    ] {
        let said = desk.ok(args);
        assert!(said.contains("1 stored entries purged"), "{args:?}: {said}");
        fill(&args.join(" ")).await;
    }
    for args in [
        &["purge", "--older-than", "24h"][..],
        &["purge", "--model", "gpt-4o", "--namespace", "elsewhere"],
    ] {
        desk.ok(args);
        assert_eq!(desk.node.ask(&body).await.cache(), "hit", "{args:?}");
    }
    let explained = desk.json(&["explain", "-f", "request.json"]);
    let key = explained["keys"][0].as_str().unwrap().to_owned();
    desk.ok(&["purge", "--key", &key]);
    fill("purge --key").await;
    // By age the doubt about two clocks goes against the entry, for two seconds.
    desk.ok(&["purge", "--older-than", "0s"]);
    assert_eq!(desk.node.ask(&body).await.cache(), "miss");
    desk.no(&["purge", "--tenant", "nobody"], "no such tenant");
    desk.no(&["purge"], "say what to purge");
    desk.no(&["purge", "--key", "xyz"], "");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_would_happen_and_what_was_saved() {
    let desk = Desk::new().await;
    desk.home.write("request.json", &chat("hello").to_string());
    let explained = desk.json(&["explain", "-f", "request.json"]);
    assert_eq!(explained["outcome"], "miss", "{explained}");
    assert_eq!(
        desk.mock.calls().totals().calls,
        0,
        "explaining asks nobody"
    );
    let heard = desk.node.ask(&chat("hello")).await;
    assert_eq!(heard.cache(), "miss");
    assert_eq!(
        desk.json(&["explain", "-f", "request.json"])["outcome"],
        "hit"
    );
    let told = desk.ok(&["explain", "-f", "request.json", "-H", "X-Fgy-Cache: off"]);
    assert!(told.contains("bypass"), "{told}");
    desk.home.write("broken.json", "{\"model\":");
    desk.no(&["explain", "-f", "broken.json"], "broken.json");

    assert_eq!(desk.node.ask(&chat("hello")).await.cache(), "hit");
    desk.node.reaches("fgy_ledger_posted", 2).await;
    let stats = desk.json(&["stats", "--tenant", "default"]);
    assert_eq!(
        (&stats["requests"], &stats["hit_rate"]),
        (&2.into(), &0.5.into()),
        "{stats}"
    );
    let table = desk.ok(&["stats"]);
    assert!(
        table.contains("50.0 % hits") && table.contains("miss"),
        "{table}"
    );
    statement(&desk, &stats["saved"]);
    assert_eq!(
        desk.run(&["statement", "default", "--month", "2026-13"])
            .status,
        1
    );
}

fn statement(desk: &Desk, saved: &Value) {
    let month = jiff::Timestamp::now().strftime("%Y-%m").to_string();
    let ask = |format: &str| {
        desk.ok(&[
            "statement",
            "default",
            "--month",
            &month,
            "--format",
            format,
        ])
    };
    let table = ask("table");
    assert!(
        table.contains("OUTCOME") && table.contains("hit") && table.contains("fee $"),
        "{table}"
    );
    let json: Value = serde_json::from_str(&ask("json")).unwrap();
    assert_eq!(&json["saved"], saved, "{json}");
    assert!(json["saved"].as_u64().unwrap() > 0, "{json}");
    let csv = ask("csv");
    let rows: Vec<usize> = csv.lines().map(|line| line.split(',').count()).collect();
    assert!(
        rows.len() == 3 && rows.iter().all(|cells| *cells == 8),
        "{csv}"
    );
}
