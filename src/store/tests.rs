//! The contract, on both stores; and what opening says when it cannot.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::contract::vectors::{Draw, model, point};
use super::*;
use crate::ledger::samples::line;

fn url(path: &Path) -> String {
    format!("sqlite:{}", path.display())
}

async fn open_at(path: &Path) -> Result<Stores, Error> {
    open(&url(path), &Settings::default()).await
}

/// Why opening failed; `Stores` cannot be printed.
async fn refusal(url: &str) -> Error {
    open(url, &Settings::default())
        .await
        .err()
        .expect("opening should have failed")
}

#[tokio::test]
async fn a_volatile_store_keeps_the_contract() {
    contract::all(&open("volatile:", &Settings::default()).await.unwrap()).await;
}

#[tokio::test]
async fn a_sqlite_store_keeps_the_contract() {
    let folder = TempDir::new().unwrap();
    contract::all(&open_at(&folder.path().join("fgy.db")).await.unwrap()).await;
}

#[tokio::test]
async fn a_sqlite_store_keeps_the_contract_shared_by_two() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    let (one, other) = (open_at(&path).await.unwrap(), open_at(&path).await.unwrap());
    let key = one.installation.settled(Fact::Key, [1; 32]).await.unwrap();
    assert_eq!(
        other.installation.settled(Fact::Key, [2; 32]).await,
        Ok(key)
    );
    one.ledger.post(vec![line(1)]).await.unwrap();
    other.ledger.post(vec![line(1), line(2)]).await.unwrap();
    let period = Period {
        from: Millis(0),
        to: Millis(u64::MAX),
    };
    assert_eq!(
        one.ledger
            .totals("acme".into(), period)
            .await
            .unwrap()
            .whole()
            .replies,
        2
    );
}

#[tokio::test]
async fn a_postgres_store_keeps_the_contract() {
    let Some(scratch) = postgres::tests::Scratch::new().await else {
        return;
    };
    contract::all(&open(scratch.url(), &Settings::default()).await.unwrap()).await;
    scratch.end().await;
}

#[tokio::test]
async fn an_embedded_store_holds_all_its_points() {
    let folder = TempDir::new().unwrap();
    let stores = open_at(&folder.path().join("fgy.db")).await.unwrap();
    for held in 1..=3_u8 {
        let key = Key([held; 32]);
        let stamp = Stamp {
            tenant: "acme".into(),
            agent: "".into(),
            model: "gpt-4o".into(),
            namespace: "".into(),
            policy: "".into(),
            source: key,
            epoch: 1,
            began: Millis(1),
            until: Millis(9),
        };
        let point = Point {
            space: Space([1; 32]),
            key,
            model: ModelKey {
                name: "mini".into(),
                revision: "".into(),
                dimensions: 2,
            },
            vector: vec![1.0, 0.0],
            stamp: stamp.clone(),
            fingerprint: Vec::new(),
            message: String::new(),
        };
        let put = Put {
            key,
            stamp,
            bytes: Bytes::from_static(b"\x01\0answer"),
            point: Some(Arc::new(point)),
        };
        stores.entries.put(vec![put]).await.unwrap();
        let now = stores.vectors.held();
        assert_eq!(now.points, u64::from(held));
        assert!(now.bytes > 0);
    }
}

#[tokio::test]
async fn what_was_kept_is_there_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    let stamp = Stamp {
        tenant: "acme".into(),
        agent: "".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: "".into(),
        source: Key([1; 32]),
        epoch: u64::MAX,
        began: Millis(1),
        until: Millis(u64::MAX),
    };
    let put = Put {
        key: Key([1; 32]),
        stamp,
        bytes: Bytes::from_static(b"\x01\0answer"),
        point: None,
    };
    let before = open_at(&path).await.unwrap();
    before.entries.put(vec![put]).await.unwrap();
    before.ledger.post(vec![line(1)]).await.unwrap();
    let key = before
        .installation
        .settled(Fact::Key, [7; 32])
        .await
        .unwrap();
    drop(before);
    let after = open_at(&path).await.unwrap();
    let stored = after
        .entries
        .get(Key([1; 32]), Millis(2))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(stored.bytes, &b"\x01\0answer"[..]);
    assert_eq!(
        stored.stamp.until,
        Millis(i64::MAX as u64),
        "the end of time, as a column holds it"
    );
    let period = Period {
        from: Millis(0),
        to: Millis(u64::MAX),
    };
    assert_eq!(
        after.ledger.page("acme".into(), period, None, 9).await,
        Ok(vec![line(1)])
    );
    assert_eq!(
        after.installation.settled(Fact::Key, [8; 32]).await,
        Ok(key)
    );
}

#[tokio::test]
async fn what_questions_meant_is_found_again_after_a_restart() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    let before = open_at(&path).await.unwrap();
    let centre = Draw(9).vector();
    // More than are read in one go, all near one direction.
    let put = |number: u64| {
        let mut point = point(number, 0.0);
        point.vector = Draw(number + 1).near(&centre, 0.5);
        point.stamp.tenant = ["even", "odd"][number as usize % 2].into();
        Put {
            key: point.key,
            stamp: point.stamp.clone(),
            bytes: Bytes::from_static(b"\x01\0answer"),
            point: Some(Arc::new(point)),
        }
    };
    let puts: Vec<Put> = (0..1_500).map(put).collect();
    before.entries.put(puts.clone()).await.unwrap();
    let odd = Scope {
        tenant: Some("odd".into()),
        ..Scope::default()
    };
    before.entries.forget(odd.clone(), 500).await.unwrap();
    let now = Millis(1_000_000);
    let looked = |stores: &Stores| {
        let (vectors, model, space) = (stores.vectors.clone(), model(), point(0, 0.0).space);
        let centre = centre.clone();
        async move {
            let found = vectors.nearest(space, &model, centre, 0.5, 64, now);
            found.await.unwrap()
        }
    };
    assert_eq!(looked(&before).await.len(), 64);
    drop(before);
    let after = open_at(&path).await.unwrap();
    assert_eq!(after.vectors.held(), Held::default(), "nothing yet");
    assert_eq!(looked(&after).await, [], "it may miss");
    // While it is read, answers go and come.
    let load = async {
        after.vectors.load().await.unwrap();
        after.vectors.load().await.unwrap();
    };
    let change = async {
        after.entries.forget(odd, 500).await.unwrap();
        after.entries.put(puts[..10].to_vec()).await.unwrap();
        after.entries.put(vec![put(2_000)]).await.unwrap();
    };
    tokio::join!(load, change);
    let held = after.vectors.held();
    assert!(held.ready);
    let everything = Scope::default();
    let left = after.entries.count(everything.clone()).await.unwrap();
    assert_eq!(held.points, left, "a point for each answer that is there");
    let again = looked(&after).await;
    assert_eq!(again.len(), 64);
    for it in again {
        let answer = after.entries.get(it.key, now).await.unwrap();
        assert_eq!(answer.map(|it| it.stamp), Some(it.stamp), "as it is stored");
    }
    while after.entries.forget(everything.clone(), 500).await == Ok(500) {}
    assert_eq!(after.vectors.held().points, 0);
}

#[tokio::test]
async fn the_files_are_for_their_owner_only() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o644)).unwrap();
    let stores = open_at(&path).await.unwrap();
    stores.ledger.post(vec![line(1)]).await.unwrap();
    let mut files = 0;
    for file in fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        let mode = file.metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o077, 0, "{:?} {mode:o}", file.file_name());
        files += 1;
    }
    assert_eq!(files, 3, "the database, its log and its index");
}

#[tokio::test]
async fn what_cannot_be_opened_says_why_and_what_to_do() {
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    fs::write(
        at("text"),
        "a letter to a friend, long enough to be mistaken for a file\n".repeat(99),
    )
    .unwrap();
    fs::create_dir(at("folder")).unwrap();
    for (url, says) in [
        (
            url(&at("text")),
            "is not an SQLite database: name another file",
        ),
        (url(&at("folder")), "name a file in it"),
        (url(&at("nowhere/fgy.db")), "make its folder first"),
        ("sqlite:".to_owned(), "needs the path of a file"),
        ("sqlite::memory:".to_owned(), "`volatile:` keeps nothing"),
        (
            "postgres://me:secret@db:port/fgy".to_owned(),
            "write postgres://USER:PASSWORD@HOST:PORT/DATABASE",
        ),
        (
            "mysql://me:secret@db/fgy".to_owned(),
            "no store of kind `mysql`",
        ),
        ("fgy.db".to_owned(), "give sqlite:PATH, postgres://"),
        ("volatile:x".to_owned(), "no store of kind `volatile`"),
    ] {
        let text = refusal(&url).await.to_string();
        assert!(text.contains(says), "{url}: {text}");
        assert!(!text.contains("secret"), "{text}");
    }
}

#[tokio::test]
async fn a_database_of_a_newer_fgy_is_left_alone() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    drop(open_at(&path).await.unwrap());
    sqlite::tests::pretend_a_newer_migration(&path).await;
    let error = refusal(&url(&path)).await;
    assert!(
        matches!(&error, Error::Corrupt(text) if text.contains("newer fgy")),
        "{error}"
    );
}

#[tokio::test]
async fn a_full_volatile_store_says_so_and_keeps_what_it_has() {
    let settings = Settings {
        volatile_lines_max: 2,
        ..Settings::default()
    };
    let stores = open("volatile:", &settings).await.unwrap();
    stores.ledger.post(vec![line(1), line(2)]).await.unwrap();
    assert!(matches!(
        stores.ledger.post(vec![line(3)]).await,
        Err(Error::Full(_))
    ));
    assert_eq!(
        stores.ledger.post(vec![line(1)]).await,
        Ok(()),
        "known lines need no room"
    );
}
