//! Goal: the same commands lead to the same state everywhere, what was purged or deleted is never
//! live again, and nothing grows without bound. Method: commands in, look-ups out; a snapshot of
//! today kept beside the tests for the programs of tomorrow.

use serde_json::json;

use super::*;
use crate::policy::Config;

const NOW: Millis = Millis(1_700_000_000_000);
const HOUR: u64 = 3_600_000;

/// A registry and its log.
#[derive(Default)]
struct Story {
    registry: Registry,
    index: u64,
}

impl Story {
    fn tell(&mut self, command: Command) -> Outcome {
        // Through JSON, as a log would carry it.
        let text = serde_json::to_string(&command).unwrap();
        self.index += 1;
        self.registry
            .apply(self.index, serde_json::from_str(&text).unwrap())
    }

    fn done(&mut self, command: Command) {
        assert_eq!(self.tell(command.clone()), Outcome::Done, "{command:?}");
    }

    fn refused(&mut self, command: Command) -> Refusal {
        let before = self.registry.clone();
        match self.tell(command) {
            Outcome::Refused(refusal) => {
                assert_eq!(self.registry, before, "a refusal changes nothing");
                refusal
            }
            outcome => panic!("{outcome:?}"),
        }
    }

    fn purge(&mut self, scope: PurgeScope) -> u64 {
        match self.tell(purge(scope)) {
            Outcome::Purged { epoch, .. } => epoch,
            outcome => panic!("{outcome:?}"),
        }
    }

    /// What an answer filled now would carry.
    fn stamp(&self, fields: Fields<'_>) -> Stamp {
        Stamp {
            tenant: fields.tenant.into(),
            agent: fields.agent.into(),
            model: fields.model.into(),
            namespace: fields.namespace.into(),
            policy: "".into(),
            source: Key([9; 32]),
            epoch: self.registry.epoch_of(fields),
            began: NOW,
            until: Millis(NOW.0 + HOUR),
        }
    }

    fn live(&self, stamp: &Stamp) -> bool {
        self.registry.live(stamp, Millis(NOW.0 + 10))
    }
}

fn acme() -> Story {
    let mut story = Story::default();
    story.done(create("acme"));
    story.done(create("globex"));
    story
}

fn create(id: &str) -> Command {
    let settings = TenantSettings::default();
    Command::CreateTenant {
        id: id.into(),
        name: "A tenant".into(),
        settings,
        at: NOW,
    }
}

fn add(tenant: &str, key: u8, agent: Option<&str>) -> Command {
    let agent = agent.map(Name::from);
    Command::AddKey {
        tenant: tenant.into(),
        digest: [key; 32].into(),
        agent,
        at: NOW,
        once: None,
    }
}

fn rotate(tenant: &str, key: u8, until: Millis) -> Command {
    let digest = [key; 32].into();
    Command::RotateKey {
        tenant: tenant.into(),
        digest,
        agent: None,
        at: NOW,
        until,
        once: None,
    }
}

fn purge(scope: PurgeScope) -> Command {
    Command::Purge {
        scope,
        older_than: None,
        key: None,
        at: NOW,
    }
}

/// `tenant/agent/model/namespace`, each part left out where it is `_`.
fn scope(text: &str) -> PurgeScope {
    let mut parts = text
        .splitn(4, '/')
        .map(|part| (part != "_").then(|| Name::from(part)));
    let mut part = || parts.next().flatten();
    let tenant = part().map(TenantId);
    PurgeScope {
        tenant,
        agent: part(),
        model: part(),
        namespace: part(),
    }
}

fn fields(text: &str) -> Fields<'_> {
    let mut parts = text.splitn(4, '/');
    let mut part = || parts.next().unwrap_or_default();
    Fields {
        tenant: part(),
        agent: part(),
        model: part(),
        namespace: part(),
    }
}

#[test]
fn a_key_opens_its_own_door_until_it_ends() {
    let mut story = acme();
    story.done(add("acme", 1, None));
    story.done(add("acme", 2, Some("faq-bot")));
    story.done(add("globex", 3, None));
    let who = |story: &Story, key: u8, after: u64| {
        let known = story.registry.caller(&[key; 32], Millis(NOW.0 + after));
        known.map(|known| (known.tenant.id.to_string(), known.agent))
    };
    assert_eq!(who(&story, 1, 0), Some(("acme".into(), None)));
    assert_eq!(
        who(&story, 2, 0),
        Some(("acme".into(), Some("faq-bot".into())))
    );
    assert_eq!(who(&story, 3, 0), Some(("globex".into(), None)));
    assert_eq!(who(&story, 4, 0), None);

    story.done(rotate("acme", 5, Millis(NOW.0 + 1_000)));
    assert_eq!(
        (who(&story, 1, 999).is_some(), who(&story, 1, 1_000)),
        (true, None)
    );
    assert!(who(&story, 5, HOUR).is_some() && who(&story, 2, HOUR).is_some());
    assert!(
        who(&story, 3, HOUR).is_some(),
        "another tenant's keys go on"
    );

    story.done(rotate("acme", 6, NOW));
    assert_eq!(who(&story, 5, 0), None, "no overlap: at once");
    assert_eq!(
        who(&story, 1, 500),
        None,
        "and a key already ending ends no later"
    );

    let id = Digest::from([6; 32]).id();
    assert_eq!(
        story.refused(Command::RevokeKey {
            tenant: "globex".into(),
            key: id.clone()
        }),
        Refusal::NoSuchKey
    );
    story.done(Command::RevokeKey {
        tenant: "acme".into(),
        key: id,
    });
    assert_eq!(who(&story, 6, 0), None);
}

#[test]
fn a_command_told_twice_is_done_once() {
    let mut story = acme();
    story.done(add("acme", 1, None));
    story.done(rotate("acme", 2, NOW));
    let prices = || Command::ApplyPrices {
        table: json!({"gpt-4o": {"input": "2.5"}}),
    };
    assert_eq!(story.tell(prices()), Outcome::Priced { version: 1 });
    let policies = || Command::ApplyPolicies {
        policies: vec![named("p")],
    };
    story.done(policies());
    let before = story.registry.clone();
    for again in [create("acme"), rotate("acme", 2, NOW), prices(), policies()] {
        assert_eq!(story.tell(again.clone()), Outcome::Unchanged, "{again:?}");
    }
    assert_eq!(story.registry, before);
}

fn named(name: &str) -> Policy {
    Policy {
        name: name.into(),
        ..Policy::default()
    }
}

#[test]
fn what_cannot_be_is_refused_by_name() {
    let mut story = acme();
    story.done(add("acme", 1, None));
    let other = Command::CreateTenant {
        id: "acme".into(),
        name: "Another".into(),
        settings: TenantSettings::default(),
        at: NOW,
    };
    let nobody = || "nobody".into();
    let table: Vec<(Command, Refusal)> = vec![
        (other, Refusal::NameTaken),
        (add("nobody", 2, None), Refusal::NoSuchTenant),
        (add("globex", 1, None), Refusal::KeyTaken),
        (add("acme", 1, Some("bot")), Refusal::KeyTaken),
        (rotate("nobody", 2, NOW), Refusal::NoSuchTenant),
        (
            Command::DeleteTenant { id: nobody() },
            Refusal::NoSuchTenant,
        ),
        (
            Command::ChangeTenant {
                id: nobody(),
                settings: TenantSettings::default(),
            },
            Refusal::NoSuchTenant,
        ),
        (
            Command::RevokeKey {
                tenant: "acme".into(),
                key: "0123".into(),
            },
            Refusal::NoSuchKey,
        ),
        (
            Command::RemovePolicy { name: "p".into() },
            Refusal::NoSuchPolicy,
        ),
        (purge(scope("nobody/_/_/_")), Refusal::NoSuchTenant),
    ];
    for (command, refusal) in table {
        assert_eq!(story.refused(command.clone()), refusal, "{command:?}");
    }
    let settings = TenantSettings {
        share_basis_points: 10_001,
        ..TenantSettings::default()
    };
    let bad = [
        create(""),
        create("Acme"),
        create("a/b"),
        create("-a"),
        create(&"a".repeat(65)),
        add("acme", 2, Some("*")),
        add("acme", 2, Some("a\nb")),
        Command::ChangeTenant {
            id: "acme".into(),
            settings,
        },
        Command::ApplyPrices { table: json!([]) },
        Command::ApplyPrices {
            table: json!({"x": "y".repeat(PRICES_BYTES_MAX)}),
        },
    ];
    for command in bad {
        let refusal = story.refused(command.clone());
        assert!(matches!(refusal, Refusal::Bad(_)), "{command:?}: {refusal}");
    }
}

#[test]
fn a_purge_covers_what_it_names_and_nothing_else() {
    let everything = [
        "acme/faq/gpt/v3",
        "acme/faq/gpt/v3/staging",
        "acme/faq/claude/",
        "acme//gpt/",
        "acme/*/gpt/",
        "acme/faq/*/",
        "globex/faq/gpt/v3",
    ];
    let table: &[(&str, &[usize])] = &[
        ("_/_/_/_", &[0, 1, 2, 3, 4, 5, 6]),
        ("acme/_/_/_", &[0, 1, 2, 3, 4, 5]),
        ("globex/_/_/_", &[6]),
        // A member of a partition shared across agents or models covers the partition.
        ("_/faq/_/_", &[0, 1, 2, 4, 5, 6]),
        ("acme/other/_/_", &[4]),
        ("_/_/gpt/_", &[0, 1, 3, 4, 5, 6]),
        ("_/_/mistral/_", &[5]),
        ("acme/faq/claude/_", &[2, 5]),
        ("_/_/_/v3", &[0, 1, 6]),
        ("acme/_/_/v3/staging", &[1]),
        ("_/_/_/staging", &[]),
        ("acme/faq/gpt/v3", &[0, 1]),
    ];
    for (purged, covered) in table {
        for by_age in [false, true] {
            let mut story = acme();
            let stamps: Vec<Stamp> = everything
                .iter()
                .map(|it| story.stamp(fields(it)))
                .collect();
            assert!(stamps.iter().all(|stamp| story.live(stamp)));
            let older_than = by_age.then_some(NOW);
            let told = story.tell(Command::Purge {
                scope: scope(purged),
                older_than,
                key: None,
                at: NOW,
            });
            assert_eq!(
                told,
                Outcome::Purged {
                    epoch: 3,
                    scope: scope(purged)
                }
            );
            for (at, stamp) in stamps.iter().enumerate() {
                let dead = !story.live(stamp);
                assert_eq!(
                    dead,
                    covered.contains(&at),
                    "{purged} {by_age}: {}",
                    everything[at]
                );
                // What is filled after a purge lives; by age it must also have begun after it.
                let mut anew = story.stamp(fields(everything[at]));
                anew.began = Millis(NOW.0 + 2_000);
                assert!(
                    story.live(&anew),
                    "{purged} {by_age}: {} anew",
                    everything[at]
                );
            }
        }
    }
}

#[test]
fn the_epoch_is_the_latest_of_all_purges_that_cover() {
    let mut story = acme();
    let mut of = |purged: &str| story.purge(scope(purged));
    let (agent, all, model) = (of("acme/faq/_/_"), of("_/_/_/_"), of("_/_/gpt/_"));
    let epoch = |text| story.registry.epoch_of(fields(text));
    assert_eq!((agent, all, model), (3, 4, 5));
    assert_eq!((epoch("acme/faq/gpt/"), epoch("acme/faq/claude/")), (5, 4));
    assert_eq!(epoch("nobody/x/y/"), 4);
}

#[test]
fn a_purge_by_age_doubts_the_entry_for_two_seconds_and_never_reaches_ahead() {
    let mut story = acme();
    let fields = fields("acme/faq/gpt/");
    let older = |before| Command::Purge {
        scope: scope("acme/_/_/_"),
        older_than: Some(before),
        key: None,
        at: NOW,
    };
    let told = |story: &mut Story, before| {
        assert!(matches!(story.tell(older(before)), Outcome::Purged { .. }))
    };
    told(&mut story, Millis(NOW.0 - HOUR));
    let began = |story: &Story, at: u64| {
        let stamp = Stamp {
            began: Millis(at),
            ..story.stamp(fields)
        };
        story.live(&stamp)
    };
    assert!(!began(&story, NOW.0 - HOUR + 1_999));
    assert!(began(&story, NOW.0 - HOUR + 2_000));
    // An earlier bound does not lift a later one, and the future counts as now.
    told(&mut story, Millis(NOW.0 - 2 * HOUR));
    assert!(!began(&story, NOW.0 - HOUR + 1_999));
    told(&mut story, Millis(u64::MAX));
    assert!(!began(&story, NOW.0 + 1_999) && began(&story, NOW.0 + 2_000));
}

#[test]
fn one_entry_is_purged_with_all_that_was_promoted_from_it() {
    let mut story = acme();
    let entry = story.stamp(fields("acme/faq/gpt/v3"));
    let beside = Stamp {
        source: Key([8; 32]),
        ..entry.clone()
    };
    let key = Some(entry.source);
    let one = |text, older_than| Command::Purge {
        scope: scope(text),
        older_than,
        key,
        at: NOW,
    };

    story.tell(one("globex/_/_/_", None));
    assert!(story.live(&entry), "the entry is not globex's");
    assert_eq!(story.registry.mark(&entry.source), Some(3));
    // On other conditions: the entry alone, on none.
    story.tell(one("acme/_/_/v3", None));
    assert!(!story.live(&entry) && story.live(&beside));
    let epoch = story.registry.mark(&entry.source).unwrap();
    assert!(
        story.live(&Stamp {
            epoch,
            ..entry.clone()
        }),
        "filled anew"
    );
}

#[test]
fn what_a_deleted_tenant_left_is_never_served_even_to_its_namesake() {
    let mut story = acme();
    story.done(add("acme", 1, None));
    story.purge(scope("acme/_/_/_"));
    let left = story.stamp(fields("acme/faq/gpt/"));
    assert!(story.live(&left));
    story.done(Command::DeleteTenant { id: "acme".into() });
    assert!(!story.live(&left) && story.registry.caller(&[1; 32], NOW).is_none());
    assert_eq!(
        story.registry.purges,
        Purges::default(),
        "its purges are forgotten"
    );

    story.done(create("acme"));
    assert!(
        !story.live(&left),
        "the namesake is born after everything the first one left"
    );
    assert!(story.registry.caller(&[1; 32], NOW).is_none());
    assert!(story.live(&story.stamp(fields("acme/faq/gpt/"))));
}

#[test]
fn nothing_is_live_beyond_its_time() {
    let story = acme();
    let stamp = story.stamp(fields("acme///"));
    assert!(story.registry.live(&stamp, Millis(stamp.until.0 - 1)));
    assert!(!story.registry.live(&stamp, stamp.until));
}

#[test]
fn marks_are_forgotten_when_nothing_they_cover_can_be_alive() {
    let mut story = acme();
    let ttl_seconds = 7_200;
    let config = Config {
        ttl_seconds,
        ..Config::default()
    };
    let policies = vec![Policy {
        config,
        ..named("long")
    }];
    story.done(Command::ApplyPolicies { policies });
    // The policy goes, but what was kept under it stays its time.
    story.done(Command::RemovePolicy {
        name: "long".into(),
    });
    let mut mark = |key, at| {
        story.tell(Command::Purge {
            scope: scope("_/_/_/_"),
            older_than: None,
            key: Some(Key([key; 32])),
            at,
        });
        story.registry.mark(&Key([1; 32])).is_some()
    };
    let longest = u64::from(ttl_seconds) * 1_000 + FLIGHT_MILLIS_MAX;
    assert!(mark(1, NOW));
    assert!(mark(2, Millis(NOW.0 + longest - 1)));
    assert!(!mark(3, Millis(NOW.0 + longest)));
}

#[test]
fn a_wider_purge_takes_the_place_of_narrower_ones() {
    let mut story = acme();
    for n in 0..50 {
        story.purge(scope(&format!("acme/agent-{n}/_/_")));
    }
    story.purge(scope("acme/_/_/_"));
    let snapshot = serde_json::to_value(&story.registry).unwrap();
    let rows = snapshot["purges"]["epochs"].as_array().unwrap();
    assert_eq!(rows.len(), 1, "{rows:?}");
}

#[test]
fn full_tables_cover_more_and_never_less() {
    let mut story = acme();
    let first = story.stamp(fields("acme/agent-0/gpt/"));
    let bystander = story.stamp(fields("acme/by/gpt/"));
    let abroad = story.stamp(fields("globex/agent-0/gpt/"));
    let mut widened = false;
    for n in 0..PURGE_SCOPES_PER_TENANT_MAX {
        let narrow = scope(&format!("acme/agent-{n}/_/_"));
        let Outcome::Purged { scope: came_to, .. } = story.tell(purge(narrow.clone())) else {
            panic!("a purge is never refused for want of room")
        };
        widened |= came_to == PurgeScope::of_tenant("acme".into());
        assert!(came_to == narrow || came_to == PurgeScope::of_tenant("acme".into()));
    }
    assert!(widened && !story.live(&first) && !story.live(&bystander) && story.live(&abroad));

    let mut registry = story.registry.clone();
    let mut mark = |n: usize, at| {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&n.to_le_bytes());
        registry.apply(
            9_999,
            Command::Purge {
                scope: scope("_/_/_/_"),
                older_than: None,
                key: Some(Key(key)),
                at,
            },
        )
    };
    assert!((0..ENTRY_MARKS_MAX).all(|n| matches!(mark(n, NOW), Outcome::Purged { .. })));
    assert!(matches!(
        mark(ENTRY_MARKS_MAX, NOW),
        Outcome::Refused(Refusal::TooMany { .. })
    ));
    assert!(
        matches!(mark(0, NOW), Outcome::Purged { .. }),
        "one that is marked already"
    );
    assert!(matches!(
        mark(ENTRY_MARKS_MAX, Millis(NOW.0 + 24 * HOUR)),
        Outcome::Purged { .. }
    ));
}

#[test]
fn there_may_be_so_many_and_no_more() {
    let mut story = acme();
    for key in 0..KEYS_PER_TENANT_MAX {
        story.done(add("acme", key as u8, None));
    }
    let full = Refusal::TooMany {
        what: "keys of this tenant".into(),
        count_max: KEYS_PER_TENANT_MAX,
    };
    assert_eq!(story.refused(add("acme", 200, None)), full);
    story.done(add("globex", 200, None));
    story.done(Command::RevokeKey {
        tenant: "acme".into(),
        key: Digest::from([0; 32]).id(),
    });
    story.done(rotate("acme", 201, NOW));
    story.done(add("acme", 202, None));
    assert_eq!(
        story.registry.keys_of("acme").len(),
        2,
        "keys that have ended make room"
    );

    let policies: Vec<_> = (0..=POLICIES_MAX)
        .map(|n| named(&format!("p{n}")))
        .collect();
    let refusal = story.refused(Command::ApplyPolicies { policies });
    assert!(matches!(
        refusal,
        Refusal::TooMany { what, .. } if what == "policies"
    ));
}

#[test]
fn a_policy_is_replaced_where_it_stands() {
    let mut story = acme();
    let names = |story: &Story| -> Vec<String> {
        story
            .registry
            .policies()
            .iter()
            .map(|policy| policy.name.to_string())
            .collect()
    };
    story.done(Command::ApplyPolicies {
        policies: vec![named("a"), named("b")],
    });
    let changed = Policy {
        agents: vec!["x".into()],
        ..named("a")
    };
    story.done(Command::ApplyPolicies {
        policies: vec![named("c"), changed.clone()],
    });
    assert_eq!(names(&story), ["a", "b", "c"]);
    assert_eq!(*story.registry.policies()[0], changed);
    story.done(Command::RemovePolicy { name: "b".into() });
    assert_eq!(names(&story), ["a", "c"]);
}

/// One of everything that there was when snapshots began.
fn first_form() -> Story {
    let mut story = acme();
    story.done(add("acme", 1, Some("faq-bot")));
    story.done(rotate("acme", 2, Millis(NOW.0 + HOUR)));
    story.done(rotate("acme", 3, Millis(NOW.0 + HOUR)));
    let settings = TenantSettings {
        reach: Reach::Node,
        regions: vec!["fra".into()],
        stale_ok: true,
        requests_per_minute: Some(600),
        memory_bytes_max: Some(1 << 20),
        share_basis_points: 1_000,
    };
    story.done(Command::ChangeTenant {
        id: "acme".into(),
        settings,
    });
    let policies = crate::policy::parse(
        "policies: [{name: faq, type: semantic_cache, agents: [faq-bot], config: {ttl: 60}}]",
    );
    story.done(Command::ApplyPolicies {
        policies: policies.unwrap(),
    });
    story.tell(Command::ApplyPrices {
        table: json!({"gpt-4o": {"input": "2.5"}}),
    });
    story.purge(scope("acme/faq-bot/_/v3"));
    let age = Command::Purge {
        scope: scope("_/_/gpt/_"),
        older_than: Some(NOW),
        key: None,
        at: NOW,
    };
    story.tell(age);
    story.tell(Command::Purge {
        scope: scope("acme/_/_/_"),
        older_than: None,
        key: Some(Key([7; 32])),
        at: NOW,
    });
    story
}

/// One of everything.
fn full() -> Registry {
    let mut story = first_form();
    story.done(signed(
        Hand::Start,
        Command::ApplyProviders {
            providers: vec![provider("ollama")],
            first: true,
        },
    ));
    let once = Some([9; 32].into());
    let add = Command::AddKey {
        tenant: "globex".into(),
        digest: [4; 32].into(),
        agent: None,
        at: NOW,
        once,
    };
    story.done(signed(Hand::Admin, add));
    story.registry
}

fn signed(by: Hand, command: Command) -> Command {
    Command::Signed {
        by,
        node: "node-1".into(),
        at: NOW,
        command: Box::new(command),
    }
}

fn provider(name: &str) -> Provider {
    Provider {
        name: name.into(),
        kind: ProviderKind::OpenAi,
        base_url: "http://127.0.0.1:11434/v1".into(),
        models: vec!["llama3*".into()],
        auth: Auth::None,
        forward_headers: vec!["x-trace".into()],
    }
}

fn apply(providers: &[Provider], first: bool) -> Command {
    let providers = providers.to_vec();
    Command::ApplyProviders { providers, first }
}

#[test]
fn the_file_of_a_first_start_is_heard_once() {
    let mut story = Story::default();
    assert_eq!(story.registry.providers(), None);
    story.done(apply(&[provider("b"), provider("a")], true));
    let names = |story: &Story| -> Vec<Name> {
        let all = story.registry.providers().expect("somebody told");
        all.iter().map(|provider| provider.name.clone()).collect()
    };
    assert_eq!(names(&story), ["a", "b"], "in the order of their names");
    for name in ["a", "b"] {
        story.done(Command::RemoveProvider { name: name.into() });
    }
    assert_eq!(
        story.tell(apply(&[provider("a")], true)),
        Outcome::Unchanged
    );
    assert_eq!(
        names(&story),
        [""; 0],
        "what was removed does not come back"
    );
    story.done(apply(&[provider("a")], false));
    assert_eq!(
        story.tell(apply(&[provider("a")], false)),
        Outcome::Unchanged
    );

    let no_such = Command::RemoveProvider { name: "z".into() };
    assert_eq!(story.refused(no_such), Refusal::NoSuchProvider);
    let operator = Provider {
        auth: Auth::Operator,
        ..provider("c")
    };
    let refusal = story.refused(apply(&[provider("d"), operator], false));
    assert!(matches!(refusal, Refusal::Bad(why) if why.contains("operator")));
    let many: Vec<_> = (0..=PROVIDERS_MAX)
        .map(|n| provider(&format!("p{n}")))
        .collect();
    assert!(matches!(
        story.refused(apply(&many, false)),
        Refusal::TooMany { what, .. } if what == "providers"
    ));
}

#[test]
fn a_retry_under_one_word_makes_one_key() {
    let mut story = acme();
    let once = |digest: u8, word: u8| Command::AddKey {
        tenant: "acme".into(),
        digest: [digest; 32].into(),
        agent: None,
        at: NOW,
        once: Some([word; 32].into()),
    };
    story.done(once(1, 9));
    assert_eq!(story.tell(once(2, 9)), Outcome::Unchanged);
    assert_eq!(story.registry.keys_of("acme").len(), 1);
    story.done(once(2, 8));
    // What was made under the word is gone, so the word is free again.
    story.done(Command::RevokeKey {
        tenant: "acme".into(),
        key: Digest::from([1; 32]).id(),
    });
    story.done(once(3, 9));
    let rotated = |digest: u8| Command::RotateKey {
        tenant: "acme".into(),
        digest: [digest; 32].into(),
        agent: None,
        at: NOW,
        until: NOW,
        once: Some([7; 32].into()),
    };
    story.done(rotated(5));
    assert_eq!(story.tell(rotated(6)), Outcome::Unchanged);
    let good = story.registry.keys_of("acme");
    let good: Vec<_> = good.iter().filter(|(_, key)| key.holds(NOW)).collect();
    assert_eq!(good.len(), 1, "the retry ended nobody's key");
}

#[test]
fn every_change_is_written_down_and_nothing_else_is() {
    let mut story = Story::default();
    let admin = |command| signed(Hand::Admin, command);
    story.done(admin(create("acme")));
    assert_eq!(story.tell(admin(create("acme"))), Outcome::Unchanged);
    story.refused(admin(Command::DeleteTenant { id: "no".into() }));
    story.done(admin(add("acme", 1, Some("faq-bot"))));
    story.tell(admin(purge(scope("acme/_/gpt/_"))));
    story.done(admin(apply(&[provider("a"), provider("b")], false)));
    story.done(create("unsigned"));
    let told: Vec<String> = story
        .registry
        .audit()
        .entries()
        .map(|one| {
            let of: Vec<String> = one
                .of
                .iter()
                .map(|(kind, name)| format!("{kind} {name}"))
                .collect();
            format!("{} {}: {}", one.index, one.change, of.join("; "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "1 create-tenant: tenant acme",
            "4 add-key: agent faq-bot; key 0101010101010101; tenant acme",
            "5 purge: model gpt; tenant acme",
            "6 apply-providers: providers a, b",
        ]
    );
    let twice = admin(admin(create("other")));
    assert_eq!(
        story.refused(twice),
        Refusal::Bad("a command is signed once".into())
    );
}

#[test]
fn the_oldest_changes_make_room_and_are_counted() {
    let mut registry = Registry::default();
    for index in 0..AUDIT_ENTRIES_MAX as u64 + 10 {
        registry.apply(index, signed(Hand::Admin, purge(scope("_/_/_/_"))));
    }
    let audit = registry.audit();
    assert_eq!(audit.entries().count(), AUDIT_ENTRIES_MAX);
    assert_eq!(audit.dropped(), 10);
    assert_eq!(audit.entries().next().map(|oldest| oldest.index), Some(10));
}

/// A change that breaks this breaks every installation's upgrade: add a new file for a new form
/// and keep reading this one. `FORMAT` rises when an older program would misread the new one.
#[test]
fn every_snapshot_is_read_for_ever() {
    let first = include_str!("golden/snapshot-1.json");
    let read: Registry = serde_json::from_str(first).unwrap();
    assert_eq!(read, first_form().registry);

    let today = include_str!("golden/snapshot-2.json");
    let kept: serde_json::Value = serde_json::from_str(today).unwrap();
    let registry = full();
    let written = serde_json::to_string_pretty(&registry).unwrap();
    assert_eq!(
        serde_json::from_str::<serde_json::Value>(&written).unwrap(),
        kept,
        "{written}"
    );
    assert_eq!(serde_json::from_str::<Registry>(today).unwrap(), registry);
}

/// Logs outlive programs: no name, field or meaning of a released command ever changes.
#[test]
fn every_command_is_understood_for_ever() {
    let mut kinds = std::collections::BTreeSet::new();
    for golden in [
        include_str!("golden/commands-1.json"),
        include_str!("golden/commands-2.json"),
    ] {
        let kept: Vec<serde_json::Value> = serde_json::from_str(golden).unwrap();
        let commands: Vec<Command> = serde_json::from_str(golden).unwrap();
        let mut story = Story::default();
        for (command, kept) in commands.into_iter().zip(kept) {
            assert_eq!(serde_json::to_value(&command).unwrap(), kept);
            kinds.insert(kept["do"].to_string());
            let outcome = story.tell(command.clone());
            assert!(
                !matches!(outcome, Outcome::Refused(_) | Outcome::Unchanged),
                "{command:?}: {outcome:?}"
            );
        }
    }
    assert_eq!(kinds.len(), 13, "one of each kind");
}

#[test]
fn a_promoted_copy_falls_with_a_purge_of_either_key() {
    let mut story = acme();
    let promoted = story.stamp(fields("acme/faq/gpt/"));
    let (own, source) = (Key([5; 32]), promoted.source);
    let soon = Millis(NOW.0 + 10);
    assert!(story.registry.live_as(&own, &promoted, soon));
    for key in [own, source] {
        let mut story = Story {
            registry: story.registry.clone(),
            index: story.index,
        };
        let one = Command::Purge {
            scope: scope("_/_/_/_"),
            older_than: None,
            key: Some(key),
            at: NOW,
        };
        story.tell(one);
        assert!(!story.registry.live_as(&own, &promoted, soon));
        let epoch = story.registry.mark(&key).unwrap();
        assert!(story.registry.live_as(
            &own,
            &Stamp {
                epoch,
                ..promoted.clone()
            },
            soon
        ));
    }
    story.done(Command::DeleteTenant { id: "acme".into() });
    assert!(!story.registry.live_as(&own, &promoted, soon));
}

#[test]
fn one_state_has_one_spelling() {
    let spelling = || serde_json::to_string(&full()).unwrap();
    assert_eq!(spelling(), spelling());
    let read: Registry = serde_json::from_str(&spelling()).unwrap();
    assert_eq!(serde_json::to_string(&read).unwrap(), spelling());
}
