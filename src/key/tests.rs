//! Goal: every part of a question moves its key, and no two different lists of parts share bytes.
//! Method: change one part at a time and compare; one key is pinned, so that a change of the schema
//! is noticed.

use std::collections::HashSet;

use super::*;
use crate::json::{Canonical, parse};

fn text(json: &str) -> Canonical {
    let tree = parse(json.as_bytes())
        .expect("json")
        .understood()
        .expect("exact");
    Canonical::of(&tree)
}

const VERSIONS: &[KeyHeader<'static>] = &[("openai-beta", b"v2")];
const FORWARDED: &[KeyHeader<'static>] = &[("x-region", b"eu")];

fn parts(canonical: &Canonical) -> KeyParts<'_> {
    KeyParts {
        tenant: "acme",
        agent: Some("faq"),
        provider: Some("openai"),
        base_url: Some("https://api.openai.com/v1"),
        endpoint: "/v1/chat/completions",
        query: Some("a=b"),
        version_headers: VERSIONS,
        forwarded_headers: FORWARDED,
        policy_namespace: Some("v3"),
        namespace: Some("staging"),
        user: Some("u-1"),
        epoch: 7,
        canonical: CanonicalDigest::of(canonical),
    }
}

#[test]
fn every_part_moves_the_key() {
    let (asked, other) = (text(r#"{"model":"m"}"#), text(r#"{"model":"n"}"#));
    let base = parts(&asked);
    let variants = [
        ("nothing", base),
        (
            "tenant",
            KeyParts {
                tenant: "acm",
                ..base
            },
        ),
        (
            "agent",
            KeyParts {
                agent: Some("faq2"),
                ..base
            },
        ),
        (
            "agent empty",
            KeyParts {
                agent: Some(""),
                ..base
            },
        ),
        (
            "agent absent",
            KeyParts {
                agent: None,
                ..base
            },
        ),
        (
            "provider",
            KeyParts {
                provider: Some("azure"),
                ..base
            },
        ),
        (
            "provider absent",
            KeyParts {
                provider: None,
                ..base
            },
        ),
        (
            "base url",
            KeyParts {
                base_url: Some("http://x"),
                ..base
            },
        ),
        (
            "base url absent",
            KeyParts {
                base_url: None,
                ..base
            },
        ),
        (
            "endpoint",
            KeyParts {
                endpoint: "/v1/completions",
                ..base
            },
        ),
        (
            "query",
            KeyParts {
                query: Some("a=c"),
                ..base
            },
        ),
        (
            "query empty",
            KeyParts {
                query: Some(""),
                ..base
            },
        ),
        (
            "query absent",
            KeyParts {
                query: None,
                ..base
            },
        ),
        (
            "version value",
            KeyParts {
                version_headers: &[("openai-beta", b"v3")],
                ..base
            },
        ),
        (
            "version name",
            KeyParts {
                version_headers: &[("openai-bet", b"av2")],
                ..base
            },
        ),
        (
            "version absent",
            KeyParts {
                version_headers: &[],
                ..base
            },
        ),
        (
            "forwarded value",
            KeyParts {
                forwarded_headers: &[("x-region", b"us")],
                ..base
            },
        ),
        (
            "forwarded absent",
            KeyParts {
                forwarded_headers: &[],
                ..base
            },
        ),
        (
            "headers swapped",
            KeyParts {
                version_headers: FORWARDED,
                forwarded_headers: VERSIONS,
                ..base
            },
        ),
        (
            "policy namespace",
            KeyParts {
                policy_namespace: Some("v4"),
                ..base
            },
        ),
        (
            "policy namespace absent",
            KeyParts {
                policy_namespace: None,
                ..base
            },
        ),
        (
            "namespace",
            KeyParts {
                namespace: Some("live"),
                ..base
            },
        ),
        (
            "namespace absent",
            KeyParts {
                namespace: None,
                ..base
            },
        ),
        (
            "namespaces swapped",
            KeyParts {
                policy_namespace: Some("staging"),
                namespace: Some("v3"),
                ..base
            },
        ),
        (
            "namespaces shifted",
            KeyParts {
                policy_namespace: Some("v3s"),
                namespace: Some("taging"),
                ..base
            },
        ),
        (
            "user",
            KeyParts {
                user: Some("u-2"),
                ..base
            },
        ),
        ("user absent", KeyParts { user: None, ..base }),
        ("epoch", KeyParts { epoch: 8, ..base }),
        (
            "canonical",
            KeyParts {
                canonical: CanonicalDigest::of(&other),
                ..base
            },
        ),
    ];
    let secret = InstallationKey::new([9; 32]);
    let mut seen = HashSet::new();
    for (name, parts) in &variants {
        assert!(
            seen.insert(derive(&secret, parts)),
            "{name} has the key of another"
        );
    }
    assert_eq!(
        derive(&secret, &base),
        derive(&secret, &parts(&asked)),
        "one question, one key"
    );
    let foreign = InstallationKey::new([8; 32]);
    assert!(
        seen.insert(derive(&foreign, &base)),
        "another installation has the same key"
    );
}

#[test]
fn a_long_field_counts_as_much_as_a_short_one() {
    let asked = text(r#"{"model":"m"}"#);
    let secret = InstallationKey::new([9; 32]);
    let mut seen = HashSet::new();
    for length in [
        0,
        1,
        GATHERED_BYTES - 1,
        GATHERED_BYTES,
        GATHERED_BYTES + 1,
        100_000,
    ] {
        let tenant = "t".repeat(length);
        let long = KeyParts {
            tenant: &tenant,
            ..parts(&asked)
        };
        assert!(seen.insert(derive(&secret, &long)), "length {length}");
    }
}

#[test]
fn a_marked_key_is_a_new_one_each_time() {
    let asked = text(r#"{"model":"m"}"#);
    let secret = InstallationKey::new([9; 32]);
    let key = derive(&secret, &parts(&asked));
    let once = marked(&key, 1);
    let all = HashSet::from([key, once, marked(&key, 2), marked(&once, 1)]);
    assert_eq!(all.len(), 4);
    assert_eq!(once, marked(&key, 1));
}

#[test]
fn the_schema_has_not_moved_unnoticed() {
    let asked = text(r#"{"model":"m","temperature":0.5}"#);
    let key = derive(&InstallationKey::new([9; 32]), &parts(&asked));
    // A change here makes all that is stored miss: raise KEY_SCHEMA_VERSION with it.
    assert_eq!(
        (KEY_SCHEMA_VERSION, key.to_string().as_str()),
        (
            2,
            "4dc0c2d4199a4065e4fc19c13ab486463951c749ede41e7bb071abf4e48682c5"
        )
    );
}
