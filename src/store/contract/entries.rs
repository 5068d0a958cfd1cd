//! The clauses of [`Entries`].

use bytes::Bytes;
use fgy_cluster::Key;

use crate::answer::stamp::{Millis, Stamp};
use crate::store::{Entries, KEYS_MAX, Put, Scope, Stored};

const NOW: Millis = Millis(1_000_000);

/// Every clause, on an empty store; it is empty again afterwards.
pub async fn all(entries: &dyn Entries) {
    what_is_put_comes_back(entries).await;
    nothing_expired_comes_back(entries).await;
    several_come_back_in_order(entries).await;
    the_later_fill_stays(entries).await;
    scopes_count_and_forget_what_they_cover(entries).await;
    forgetting_goes_in_bounded_steps(entries).await;
    expired_ones_are_forgotten_in_steps(entries).await;
    the_least_recently_used_are_trimmed(entries).await;
    many_at_once_do_not_lose_each_other(entries).await;
}

fn key(number: u64) -> Key {
    let mut bytes = [0xa5; 32];
    bytes[..8].copy_from_slice(&number.to_be_bytes());
    Key(bytes)
}

/// An entry of its own key whose fill began `number` milliseconds after [`NOW`].
fn put(number: u64) -> Put {
    let stamp = Stamp {
        tenant: "acme".into(),
        agent: "faq-bot".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: "faq-cache".into(),
        source: key(number),
        epoch: 3,
        began: Millis(NOW.0 + number),
        until: Millis(NOW.0 + 1_000_000),
    };
    Put {
        key: key(number),
        stamp,
        bytes: Bytes::from(format!("\u{1}\0answer {number}")),
        point: None,
    }
}

fn stored(put: Put) -> Option<Stored> {
    Some(Stored {
        stamp: put.stamp,
        bytes: put.bytes,
    })
}

async fn empty(entries: &dyn Entries) {
    while entries
        .forget(Scope::default(), 1_000)
        .await
        .expect("forget")
        == 1_000
    {}
    assert_eq!(entries.count(Scope::default()).await, Ok(0));
}

async fn what_is_put_comes_back(entries: &dyn Entries) {
    let mut odd = put(1);
    odd.stamp.namespace = "it's \"ünïcode\" \u{1F980} -- %_".into();
    odd.stamp.tenant = "Acme".into();
    odd.stamp.source = key(99);
    odd.bytes = Bytes::from((0..=255).cycle().take(300_000).collect::<Vec<u8>>());
    let mut bare = put(2);
    (bare.stamp.agent, bare.stamp.policy, bare.bytes) = ("".into(), "".into(), Bytes::new());
    assert_eq!(
        entries.get(key(1), NOW).await,
        Ok(None),
        "nothing before it is put"
    );
    entries
        .put(vec![odd.clone(), bare.clone()])
        .await
        .expect("put");
    assert_eq!(
        entries.get(key(1), NOW).await,
        Ok(stored(odd)),
        "every byte and field"
    );
    assert_eq!(entries.get(key(2), NOW).await, Ok(stored(bare)));
    assert_eq!(
        entries.get(key(99), NOW).await,
        Ok(None),
        "a source is no key"
    );
    assert_eq!(entries.put(Vec::new()).await, Ok(()));
    empty(entries).await;
}

async fn nothing_expired_comes_back(entries: &dyn Entries) {
    let it = put(1);
    let until = it.stamp.until;
    entries.put(vec![it.clone()]).await.expect("put");
    let before = Millis(until.0 - 1);
    assert_eq!(entries.get(key(1), before).await, Ok(stored(it.clone())));
    for late in [until, until.plus(1)] {
        assert_eq!(entries.get(key(1), late).await, Ok(None));
        assert_eq!(entries.get_many(&[key(1)], late).await, Ok(vec![None]));
    }
    assert_eq!(
        entries.count(Scope::default()).await,
        Ok(1),
        "expired is not yet forgotten"
    );
    empty(entries).await;
}

async fn several_come_back_in_order(entries: &dyn Entries) {
    entries.put((0..20).map(put).collect()).await.expect("put");
    let asked = [key(7), key(500), key(3), key(7)];
    let expected = vec![stored(put(7)), None, stored(put(3)), stored(put(7))];
    assert_eq!(entries.get_many(&asked, NOW).await, Ok(expected));
    assert_eq!(entries.get_many(&[], NOW).await, Ok(Vec::new()));
    let most: Vec<Key> = (0..KEYS_MAX as u64).map(key).collect();
    let found = entries
        .get_many(&most, NOW)
        .await
        .expect("as many as allowed");
    assert_eq!(
        (found.len(), found.iter().flatten().count()),
        (KEYS_MAX, 20)
    );
    assert!(
        entries
            .get_many(&vec![key(0); KEYS_MAX + 1], NOW)
            .await
            .is_err()
    );
    empty(entries).await;
}

async fn the_later_fill_stays(entries: &dyn Entries) {
    let at = |began, text: &'static str| {
        let mut put = put(1);
        (put.stamp.began, put.bytes) = (Millis(began), Bytes::from_static(text.as_bytes()));
        put
    };
    for (story, puts, stays) in [
        (
            "a later fill replaces",
            vec![at(10, "old"), at(11, "new")],
            "new",
        ),
        (
            "an earlier one does not",
            vec![at(11, "new"), at(10, "old")],
            "new",
        ),
        (
            "of equals the later put",
            vec![at(10, "first"), at(10, "second")],
            "second",
        ),
    ] {
        entries.put(puts).await.expect("put");
        let got = entries.get(key(1), NOW).await.expect("get").expect("there");
        assert_eq!(got.bytes, stays, "{story}");
        empty(entries).await;
    }
}

async fn scopes_count_and_forget_what_they_cover(entries: &dyn Entries) {
    let all: Vec<Put> = (0..6)
        .map(|number| {
            let mut put = put(number);
            let (tenant, agent) =
                [("acme", "a"), ("acme", ""), ("other", "a")][number as usize % 3];
            (put.stamp.tenant, put.stamp.agent) = (tenant.into(), agent.into());
            put.stamp.model = ["gpt-4o", "GPT-4o"][number as usize / 3].into();
            put.stamp.namespace = ["", "v1", "v2", "", "v1", "v2"][number as usize].into();
            put
        })
        .map(|mut put| {
            // The last was promoted from the first.
            put.stamp.source = if put.key == key(5) { key(0) } else { put.key };
            put
        })
        .collect();
    let of = Scope::default;
    for scope in [
        of(),
        Scope {
            tenant: Some("acme".into()),
            ..of()
        },
        Scope {
            tenant: Some("ACME".into()),
            ..of()
        },
        Scope {
            agent: Some("a".into()),
            ..of()
        },
        Scope {
            agent: Some("".into()),
            ..of()
        },
        Scope {
            model: Some("gpt-4o".into()),
            ..of()
        },
        Scope {
            namespace: Some("".into()),
            ..of()
        },
        Scope {
            namespace: Some("v1".into()),
            tenant: Some("acme".into()),
            ..of()
        },
        Scope {
            began_before: Some(Millis(NOW.0 + 2)),
            ..of()
        },
        Scope {
            source: Some(key(0)),
            ..of()
        },
        Scope {
            source: Some(key(0)),
            tenant: Some("other".into()),
            ..of()
        },
        Scope {
            source: Some(key(77)),
            ..of()
        },
        Scope {
            tenant: Some("acme".into()),
            model: Some("GPT-4o".into()),
            ..of()
        },
    ] {
        entries.put(all.clone()).await.expect("put");
        let covered = |put: &&Put| scope.covers(put.key, &put.stamp);
        let expected = all.iter().filter(covered).count() as u64;
        assert_eq!(
            entries.count(scope.clone()).await,
            Ok(expected),
            "{scope:?}"
        );
        assert_eq!(
            entries.forget(scope.clone(), 100).await,
            Ok(expected),
            "{scope:?}"
        );
        for put in &all {
            let left = entries.get(put.key, NOW).await.expect("get").is_some();
            assert_eq!(left, !covered(&put), "{scope:?} {}", put.key);
        }
        empty(entries).await;
    }
}

async fn forgetting_goes_in_bounded_steps(entries: &dyn Entries) {
    entries.put((0..25).map(put).collect()).await.expect("put");
    let mut steps = Vec::new();
    while steps.last().is_none_or(|last| *last == 10) {
        steps.push(entries.forget(Scope::default(), 10).await.expect("forget"));
    }
    assert_eq!(steps, [10, 10, 5]);
    assert_eq!(entries.forget(Scope::default(), 10).await, Ok(0));
}

async fn expired_ones_are_forgotten_in_steps(entries: &dyn Entries) {
    let ending = |number: u64| {
        let mut put = put(number);
        put.stamp.until = Millis(NOW.0 + number);
        put
    };
    entries
        .put((0..10).map(ending).collect())
        .await
        .expect("put");
    let sixth = Millis(NOW.0 + 6);
    assert_eq!(entries.forget_expired(sixth, 5).await, Ok(5));
    assert_eq!(entries.forget_expired(sixth, 5).await, Ok(2));
    assert_eq!(entries.forget_expired(sixth, 5).await, Ok(0));
    let left = entries
        .get_many(&[key(6), key(7), key(9)], NOW)
        .await
        .expect("get");
    assert_eq!(
        left.iter().map(Option::is_some).collect::<Vec<_>>(),
        [false, true, true]
    );
    empty(entries).await;
}

async fn the_least_recently_used_are_trimmed(entries: &dyn Entries) {
    let mut other = put(100);
    other.stamp.tenant = "other".into();
    let mut elsewhere = put(101);
    elsewhere.stamp.policy = "".into();
    entries
        .put((0..10).map(put).chain([other, elsewhere]).collect())
        .await
        .expect("put");
    // The first two are used again; an old note and a note of an unknown key change nothing.
    let (late, early) = (Millis(NOW.0 + 500), Millis(1));
    entries
        .touch(vec![(key(0), late), (key(1), late), (key(9), early)])
        .await
        .expect("touch");
    entries
        .touch(vec![(key(0), early), (key(777), late)])
        .await
        .expect("touch");
    // Putting it again is no earlier use.
    entries.put(vec![put(0)]).await.expect("put");
    let trim = |keep_max, limit| entries.trim("faq-cache".into(), "acme".into(), keep_max, limit);
    assert_eq!(trim(10, 100).await, Ok(0));
    assert_eq!(trim(4, 5).await, Ok(5));
    assert_eq!(trim(4, 5).await, Ok(1));
    assert_eq!(trim(4, 5).await, Ok(0));
    let numbers = [0, 1, 8, 9, 100, 101];
    let left = entries.get_many(&numbers.map(key), NOW).await.expect("get");
    assert!(
        left.iter().all(Option::is_some),
        "the four last used, and those of others"
    );
    assert_eq!(entries.count(Scope::default()).await, Ok(6));
    assert_eq!(trim(0, 100).await, Ok(4));
    empty(entries).await;
}

async fn many_at_once_do_not_lose_each_other(entries: &dyn Entries) {
    let writes = (0..16).map(|some| entries.put((some * 10..some * 10 + 10).map(put).collect()));
    let reads = (0..16).map(|number| entries.get(key(number), NOW));
    let (written, read) = futures_util::future::join(
        futures_util::future::join_all(writes),
        futures_util::future::join_all(reads),
    )
    .await;
    assert!(written.iter().all(Result::is_ok), "{written:?}");
    assert!(read.iter().all(Result::is_ok));
    assert_eq!(entries.count(Scope::default()).await, Ok(160));
    empty(entries).await;
}
