//! Goal: a good file is read to the letter, a bad one tells everything that is wrong with it and
//! where. Method: whole files.

use super::*;

/// One policy for everyone, models named inside `config`, `ttl` for `ttl_seconds`.
const ONE: &str = r"
policies:
  - name: semantic-cache-global
    type: semantic_cache
    enabled: true
    config:
      similarity_threshold: 0.95
      ttl: 3600 # an hour
      max_entries: 50000
      models:
        - gpt-4o
        - gpt-4o-mini
        - claude-sonnet-4-20250514
        - claude-haiku-4-20250414
";

/// A policy per kind of agent, one of them off.
const PER_AGENT: &str = r"
policies:
  # stable answers
  - name: faq-cache
    type: semantic_cache
    enabled: true
    agents:
      - faq-bot
      - support-triage
    config:
      similarity_threshold: 0.92
      ttl: 86400
      max_entries: 100000

  # fresher answers
  - name: code-review-cache
    type: semantic_cache
    enabled: true
    agents:
      - code-reviewer
    config:
      similarity_threshold: 0.97
      ttl: 1800
      max_entries: 20000

  # no two alike
  - name: no-cache-creative
    type: semantic_cache
    enabled: false
    agents:
      - content-writer
      - marketing-copy
";

/// Every key there is.
const ALL: &str = r#"
policies:
  - name: all
    type: exact_cache
    enabled: on_request
    agents: [a, b]
    models: [gpt-4o, "claude-*"]
    tenants: [acme]
    paths: ["/v1/chat/completions"]
    prompts: ["*stock price*"]
    config:
      profile: verified
      similarity_threshold: 1.0
      ttl_seconds: 60
      max_entries: 7
      scope: user
      namespace: v3
      share: [models, agents]
      max_prompt_tokens: 8000
      long_prompt_threshold: 0.97
      max_temperature: 0.3
      guard: {off: [entity], antonyms: [[buy, sell]], entities: [Alps], synonyms: [[a, b, c]]}
      languages: [en, de]
      target_wrong: 0.02
      coalesce_scope: region
      on_abandon: cancel
"#;

fn names(list: &[&str]) -> Vec<Name> {
    list.iter().map(|name| (*name).into()).collect()
}

#[test]
fn one_policy_with_its_models_inside() {
    let policies = parse(ONE).unwrap();
    let models = [
        "gpt-4o",
        "gpt-4o-mini",
        "claude-sonnet-4-20250514",
        "claude-haiku-4-20250414",
    ];
    let expected = Policy {
        name: "semantic-cache-global".into(),
        models: models.iter().map(|model| (*model).into()).collect(),
        config: Config {
            similarity_basis_points: Some(9_500),
            ttl_seconds: 3_600,
            max_entries: Some(50_000),
            ..Config::default()
        },
        ..Policy::default()
    };
    assert_eq!(policies, [expected]);
}

#[test]
fn a_policy_per_agent() {
    let policies = parse(PER_AGENT).unwrap();
    let facts: Vec<_> = policies
        .iter()
        .map(|p| {
            (
                &*p.name,
                p.enabled,
                p.config.similarity_min(),
                p.config.ttl_seconds,
            )
        })
        .collect();
    let expected = [
        ("faq-cache", Enabled::Yes, 9_200, 86_400),
        ("code-review-cache", Enabled::Yes, 9_700, 1_800),
        ("no-cache-creative", Enabled::No, 9_200, 3_600),
    ];
    assert_eq!(facts, expected);
    assert_eq!(policies[0].agents, names(&["faq-bot", "support-triage"]));
    assert_eq!(policies[1].config.max_entries, Some(20_000));
    assert_eq!(
        policies[2].agents,
        names(&["content-writer", "marketing-copy"])
    );
}

#[test]
fn every_key_is_carried() {
    let expected = Policy {
        name: "all".into(),
        kind: Kind::ExactCache,
        enabled: Enabled::OnRequest,
        agents: names(&["a", "b"]),
        models: vec!["gpt-4o".into(), "claude-*".into()],
        tenants: vec!["acme".into()],
        paths: vec!["/v1/chat/completions".into()],
        prompts: vec!["*stock price*".into()],
        config: Config {
            profile: Profile::Verified,
            similarity_basis_points: Some(10_000),
            ttl_seconds: 60,
            max_entries: Some(7),
            scope: Scope::User,
            namespace: "v3".into(),
            share: Share {
                models: true,
                agents: true,
            },
            max_prompt_tokens: Some(8_000),
            long_prompt_basis_points: Some(9_700),
            max_temperature_milli: Some(300),
            guard: Guard {
                off: names(&["entity"]),
                antonyms: vec![names(&["buy", "sell"])],
                entities: names(&["Alps"]),
                synonyms: vec![names(&["a", "b", "c"])],
            },
            languages: names(&["en", "de"]),
            target_wrong_basis_points: Some(200),
            coalesce_scope: CoalesceScope::Region,
            on_abandon: OnAbandon::Cancel,
        },
    };
    let policies = parse(ALL).unwrap();
    assert_eq!(policies, [expected]);
    let json = serde_json::to_string(&policies).unwrap();
    assert_eq!(
        serde_json::from_str::<Vec<Policy>>(&json).unwrap(),
        policies
    );
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let file = "\
policies:
  - name: one
    type: semantic_cash
    enabeld: true
    agents: {a: b}
    config:
      similarity_threshold: 1.5
      ttl: 60
      ttl_seconds: 60
      max_entries: -1
      languages: [auto, en]
      namespace: a/b
      gaurd: {}
  - name: one
    type: exact_cache
    type: exact_cache
    models: [a]
    config: {models: [b], share: [tenants], guard: {antonyms: [x]}}
  - just text
  - type: exact_cache
version: 2
";
    let told: Vec<(usize, usize, String)> = parse(file)
        .unwrap_err()
        .into_iter()
        .map(|mistake| (mistake.line, mistake.column, mistake.key))
        .collect();
    let expected = [
        (3, 11, "policies[0].type"),
        (4, 5, "policies[0].enabeld"),
        (5, 13, "policies[0].agents"),
        (7, 29, "policies[0].config.similarity_threshold"),
        (8, 12, "policies[0].config.ttl"),
        (10, 20, "policies[0].config.max_entries"),
        (11, 18, "policies[0].config.languages"),
        (12, 18, "policies[0].config.namespace"),
        (13, 7, "policies[0].config.gaurd"),
        (14, 5, "policies[1].name"),
        (16, 5, "policies[1].type"),
        (18, 22, "policies[1].config.models"),
        (18, 35, "policies[1].config.share"),
        (19, 5, "policies[2]"),
        (20, 5, "policies[3].name"),
        (21, 1, "version"),
    ];
    let expected: Vec<_> = expected
        .map(|(line, column, key)| (line, column, key.to_owned()))
        .into_iter()
        .collect();
    assert_eq!(told, expected);
}

#[test]
fn a_misspelt_key_is_answered_with_the_right_one() {
    let told = parse("policies:\n  - {name: a, type: exact_cache, agent: [b]}\n").unwrap_err();
    assert_eq!(
        told[0].to_string(),
        "2:34: policies[0].agent: unknown key, did you mean `agents`"
    );
}

#[test]
fn what_is_no_policy_file_is_refused() {
    let deep = format!("policies: {}1{}", "[".repeat(50), "]".repeat(50));
    let large = "#".repeat((1 << 20) + 1);
    let table: &[(&str, &str)] = &[
        ("", "the file is empty"),
        ("# nothing", "the file is empty"),
        ("policies:", "is a list"),
        ("hello", "is a section"),
        ("policy: []", "did you mean `policies`"),
        ("policies: [", "not YAML"),
        ("policies: &a [*a]", "anchors"),
        ("policies: !!seq []", "tags"),
        ("policies: []\n---\npolicies: []", "second document"),
        (&deep, "nested"),
        (&large, "above"),
    ];
    for (text, expected) in table {
        let told = parse(text).unwrap_err();
        let all: Vec<String> = told.iter().map(ToString::to_string).collect();
        let head: String = text.chars().take(30).collect();
        assert!(
            all.iter().any(|line| line.contains(expected)),
            "{head}: {all:?}"
        );
    }
    assert_eq!(parse("policies: []").unwrap(), []);
}

#[test]
fn a_guard_that_nobody_knows_is_a_mistake_with_its_place() {
    let file = "\
policies:
  - name: one
    type: semantic_cache
    config:
      guard:
        off: [entity, numbers]
";
    let mistakes = parse(file).unwrap_err();
    let told: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("6:23"), "{told:?}");
    assert!(
        told[0].contains("is `numbers`; write any of number, "),
        "{told:?}"
    );
}
