//! Goal: whatever is combined, a plan never allows more than the policy, and each wish of the
//! contract has exactly its effect. Method: named rows for the rules, then every combination of
//! wishes against the rules that hold for all of them.

use super::super::directives::ReachAsked::{self, Exact, Off, Semantic};
use super::super::plan::Reason as R;
use super::super::{Config, OnAbandon, Policy};
use super::*;

fn wish(change: impl FnOnce(&mut Directives)) -> Directives {
    let mut wishes = Directives::default();
    change(&mut wishes);
    wishes
}

fn policy(change: impl FnOnce(&mut Policy)) -> Policy {
    let mut policy = Policy::default();
    change(&mut policy);
    policy
}

/// What a request gets that wishes for nothing, under the built-in policy.
fn plain() -> CachePlan {
    CachePlan {
        look: true,
        join: true,
        only_if_cached: false,
        refresh: false,
        keep: Some(Keep {
            ttl_millis: 3_600_000,
            entries_max: None,
        }),
        terms: Terms {
            age_millis_max: Some(3_600_000),
            nearness_min: Some(9_200),
        },
        namespace: "".into(),
        user: None,
        on_abandon: OnAbandon::Finish,
        declined: vec![],
    }
}

/// The terms of [`plain`] with another bar.
fn near(nearness_min: Option<u16>) -> Terms {
    Terms {
        nearness_min,
        ..plain().terms
    }
}

fn kept(ttl_seconds: u64) -> Option<Keep> {
    Some(Keep {
        ttl_millis: ttl_seconds * 1_000,
        entries_max: None,
    })
}

#[test]
fn each_wish_has_its_effect() {
    let table: Vec<(&str, Directives, Plan)> = vec![
        ("nothing", wish(|_| {}), Plan::Cache(plain())),
        (
            "no-cache: a fresh answer, alone, kept to be found by meaning too",
            wish(|w| w.no_cache = true),
            Plan::Cache(CachePlan {
                look: false,
                join: false,
                refresh: true,
                ..plain()
            }),
        ),
        (
            "no-store: a hit may answer, a flight may be joined, nothing is kept",
            wish(|w| w.no_store = true),
            Plan::Cache(CachePlan {
                keep: None,
                declined: vec![R::NoStore],
                ..plain()
            }),
        ),
        (
            "only-if-cached: a look and no more",
            wish(|w| w.only_if_cached = true),
            Plan::Cache(CachePlan {
                only_if_cached: true,
                join: false,
                keep: None,
                ..plain()
            }),
        ),
        (
            "max-age: younger answers",
            wish(|w| w.max_age_seconds = Some(60)),
            Plan::Cache(CachePlan {
                terms: Terms {
                    age_millis_max: Some(60_000),
                    ..plain().terms
                },
                ..plain()
            }),
        ),
        (
            "max-age above the policy's",
            wish(|w| w.max_age_seconds = Some(3_601)),
            Plan::Cache(CachePlan {
                declined: vec![R::LooserAge],
                ..plain()
            }),
        ),
        (
            "a shorter life",
            wish(|w| w.ttl_seconds = Some(600)),
            Plan::Cache(CachePlan {
                keep: kept(600),
                ..plain()
            }),
        ),
        (
            "a longer life",
            wish(|w| w.ttl_seconds = Some(86_400)),
            Plan::Cache(CachePlan {
                declined: vec![R::LooserTtl],
                ..plain()
            }),
        ),
        (
            "no life",
            wish(|w| w.ttl_seconds = Some(0)),
            Plan::Cache(CachePlan {
                keep: None,
                declined: vec![R::NoLife],
                ..plain()
            }),
        ),
        (
            "a higher threshold",
            wish(|w| w.similarity_min = Some(9_700)),
            Plan::Cache(CachePlan {
                terms: near(Some(9_700)),
                ..plain()
            }),
        ),
        (
            "a lower threshold",
            wish(|w| w.similarity_min = Some(5_000)),
            Plan::Cache(CachePlan {
                declined: vec![R::LooserThreshold],
                ..plain()
            }),
        ),
        (
            "the highest threshold is exact",
            wish(|w| w.similarity_min = Some(10_000)),
            Plan::Cache(CachePlan {
                terms: near(None),
                ..plain()
            }),
        ),
        (
            "exact",
            wish(|w| w.reach = Some(Exact)),
            Plan::Cache(CachePlan {
                terms: near(None),
                ..plain()
            }),
        ),
        (
            "semantic",
            wish(|w| w.reach = Some(Semantic)),
            Plan::Cache(plain()),
        ),
        (
            "off",
            wish(|w| w.reach = Some(Off)),
            Plan::Bypass(R::CacheOff),
        ),
        (
            "a namespace",
            wish(|w| w.namespace = Some("staging".into())),
            Plan::Cache(CachePlan {
                namespace: "staging".into(),
                ..plain()
            }),
        ),
        (
            "an end user, where it does not matter",
            wish(|w| w.user = Some("u-1".into())),
            Plan::Cache(plain()),
        ),
        (
            "no-cache, no-store: past the cache",
            wish(|w| (w.no_cache, w.no_store) = (true, true)),
            Plan::Bypass(R::NoStore),
        ),
        (
            "only-if-cached, no-cache: impossible",
            wish(|w| (w.no_cache, w.only_if_cached) = (true, true)),
            Plan::Unanswerable(R::NoCache),
        ),
        (
            "only-if-cached, off: impossible",
            wish(|w| (w.reach, w.only_if_cached) = (Some(Off), true)),
            Plan::Unanswerable(R::CacheOff),
        ),
    ];
    for (what, wishes, expected) in table {
        assert_eq!(
            decide(&Policy::default(), &Facts::default(), &wishes),
            expected,
            "{what}"
        );
    }
}

#[test]
fn each_policy_has_its_effect() {
    use super::super::{Enabled, Kind, Scope};
    let nothing = || wish(|_| {});
    let named = || wish(|w| w.user = Some("u-1".into()));
    let with = |change: fn(&mut Config)| policy(|p| change(&mut p.config));
    let on_request = || policy(|p| p.enabled = Enabled::OnRequest);
    let exact = || policy(|p| p.kind = Kind::ExactCache);
    let impersonal = Facts::default();
    let personal = Facts {
        personal: true,
        ..impersonal
    };
    let u1 = |plan: CachePlan| {
        Plan::Cache(CachePlan {
            user: Some("u-1".into()),
            ..plan
        })
    };
    let table: Vec<(&str, Policy, Facts<'_>, Directives, Plan)> = vec![
        (
            "disabled",
            policy(|p| p.enabled = Enabled::No),
            impersonal,
            wish(|w| w.reach = Some(Semantic)),
            Plan::Bypass(R::PolicyDisabled),
        ),
        (
            "on request, not asked",
            on_request(),
            impersonal,
            nothing(),
            Plan::Bypass(R::PolicyOnRequest),
        ),
        (
            "on request, asked",
            on_request(),
            impersonal,
            wish(|w| w.reach = Some(Exact)),
            Plan::Cache(CachePlan {
                terms: near(None),
                ..plain()
            }),
        ),
        (
            "on request, off",
            on_request(),
            impersonal,
            wish(|w| w.reach = Some(Off)),
            Plan::Bypass(R::CacheOff),
        ),
        (
            "exact, asked for more",
            exact(),
            impersonal,
            wish(|w| w.reach = Some(Semantic)),
            Plan::Cache(CachePlan {
                terms: near(None),
                declined: vec![R::LooserReach],
                ..plain()
            }),
        ),
        (
            "a threshold instead of the profile's",
            with(|c| c.similarity_basis_points = Some(9_900)),
            impersonal,
            nothing(),
            Plan::Cache(CachePlan {
                terms: near(Some(9_900)),
                ..plain()
            }),
        ),
        (
            "a partition in a partition",
            with(|c| c.namespace = "v3".into()),
            impersonal,
            wish(|w| w.namespace = Some("staging".into())),
            Plan::Cache(CachePlan {
                namespace: "v3/staging".into(),
                ..plain()
            }),
        ),
        (
            "by user, none named",
            with(|c| c.scope = Scope::User),
            impersonal,
            nothing(),
            Plan::Bypass(R::NoUser),
        ),
        (
            "by user",
            with(|c| c.scope = Scope::User),
            impersonal,
            named(),
            u1(plain()),
        ),
        (
            "by user, named in the body",
            with(|c| c.scope = Scope::User),
            Facts {
                user: Some("u-1"),
                ..impersonal
            },
            nothing(),
            u1(plain()),
        ),
        (
            "by user, the header before the body",
            with(|c| c.scope = Scope::User),
            Facts {
                user: Some("u-2"),
                ..impersonal
            },
            named(),
            u1(plain()),
        ),
        (
            "auto, personal, named",
            Policy::default(),
            personal,
            named(),
            u1(plain()),
        ),
        (
            "auto, personal, none named: exact only",
            Policy::default(),
            personal,
            nothing(),
            Plan::Cache(CachePlan {
                terms: near(None),
                declined: vec![R::PersonalNoUser],
                ..plain()
            }),
        ),
        (
            "by tenant: nothing is personal",
            with(|c| c.scope = Scope::Tenant),
            personal,
            named(),
            Plan::Cache(plain()),
        ),
        (
            "barred, whatever is wished",
            Policy::default(),
            Facts {
                barred: Some(R::Encoded),
                ..impersonal
            },
            wish(|w| w.no_cache = true),
            Plan::Bypass(R::Encoded),
        ),
        (
            "barred and only-if-cached",
            Policy::default(),
            Facts {
                barred: Some(R::NotUnderstood),
                ..impersonal
            },
            wish(|w| w.only_if_cached = true),
            Plan::Unanswerable(R::NotUnderstood),
        ),
    ];
    for (what, policy, facts, wishes, expected) in table {
        assert_eq!(decide(&policy, &facts, &wishes), expected, "{what}");
    }
}

/// Every combination of the wishes of the contract, one value looser and one tighter than the
/// policy's wherever there is a value.
fn all_wishes() -> Vec<Directives> {
    let mut all = Vec::new();
    let reaches = [None, Some(Off), Some(Exact), Some(Semantic)];
    for flags in 0..8_u8 {
        for reach in reaches {
            for max_age_seconds in [None, Some(0), Some(60), Some(99_999)] {
                for ttl_seconds in [None, Some(0), Some(60), Some(99_999)] {
                    for similarity_min in [None, Some(0), Some(9_700), Some(10_000)] {
                        for user in [None, Some(Name::from("u-1"))] {
                            all.push(Directives {
                                no_cache: flags & 1 > 0,
                                no_store: flags & 2 > 0,
                                only_if_cached: flags & 4 > 0,
                                max_age_seconds,
                                reach,
                                similarity_min,
                                ttl_seconds,
                                user,
                                ..Directives::default()
                            });
                        }
                    }
                }
            }
        }
    }
    all
}

#[test]
fn no_combination_of_wishes_gets_more_than_the_policy_allows() {
    use super::super::{Enabled, Kind, Scope};
    let wishes = all_wishes();
    assert_eq!(wishes.len(), 8 * 4 * 4 * 4 * 4 * 2);
    let mut cached = 0;
    for enabled in [Enabled::Yes, Enabled::No, Enabled::OnRequest] {
        for kind in [Kind::SemanticCache, Kind::ExactCache] {
            for scope in [Scope::Auto, Scope::User, Scope::Tenant] {
                for personal in [false, true] {
                    let policy =
                        policy(|p| (p.enabled, p.kind, p.config.scope) = (enabled, kind, scope));
                    let facts = Facts {
                        personal,
                        ..Facts::default()
                    };
                    for wishes in &wishes {
                        let plan = decide(&policy, &facts, wishes);
                        cached += usize::from(matches!(plan, Plan::Cache(_)));
                        check(&policy, &facts, wishes, &plan);
                    }
                }
            }
        }
    }
    assert!(
        cached > 10_000,
        "most combinations are cached, or nothing was tested: {cached}"
    );
}

fn check(policy: &Policy, facts: &Facts<'_>, wishes: &Directives, plan: &Plan) {
    use super::super::{Enabled, Kind, Scope};
    let what = || format!("{policy:?} {facts:?} {wishes:?} {plan:?}");
    let CachePlan {
        look,
        join,
        keep,
        terms,
        user,
        refresh,
        ..
    } = match plan {
        Plan::Bypass(_) => return assert!(!wishes.only_if_cached, "{}", what()),
        Plan::Unanswerable(_) => return assert!(wishes.only_if_cached, "{}", what()),
        Plan::Cache(plan) => plan,
    };
    let ttl = u64::from(policy.config.ttl_seconds) * 1_000;
    let least = |asked: Option<u64>| asked.map_or(ttl, |asked| ttl.min(asked * 1_000));
    assert!(
        policy.enabled != Enabled::No && wishes.reach != Some(ReachAsked::Off),
        "{}",
        what()
    );
    assert!(
        policy.enabled == Enabled::Yes || wishes.reach.is_some(),
        "{}",
        what()
    );
    assert_eq!(*look, !wishes.no_cache, "{}", what());
    assert!(!join || look & !wishes.only_if_cached, "{}", what());
    assert_eq!(*refresh, wishes.no_cache, "{}", what());
    assert_eq!(
        terms.age_millis_max,
        Some(least(wishes.max_age_seconds)),
        "{}",
        what()
    );
    assert!(
        keep.is_none_or(|keep| !wishes.no_store && keep.ttl_millis > 0),
        "{}",
        what()
    );
    assert!(
        keep.is_none_or(|keep| keep.ttl_millis == least(wishes.ttl_seconds)),
        "{}",
        what()
    );
    if let Some(bar) = &terms.nearness_min {
        assert!((9_200..10_000).contains(bar), "{}", what());
        assert!(
            wishes.similarity_min.is_none_or(|asked| *bar >= asked),
            "{}",
            what()
        );
        assert!(
            policy.kind == Kind::SemanticCache && wishes.reach != Some(Exact),
            "{}",
            what()
        );
        let nameless = policy.config.scope == Scope::Auto && facts.personal && user.is_none();
        assert!(!nameless, "{}", what());
    }
    if policy.config.scope == Scope::User {
        assert!(user.is_some(), "{}", what());
    }
}
