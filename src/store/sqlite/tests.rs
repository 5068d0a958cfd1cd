//! What only SQLite can be asked: its plans, its settings, and a file from the future.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use tempfile::TempDir;

use std::sync::Arc;

use bytes::Bytes;

use super::*;
use crate::store::contract::vectors::{model, point};
use crate::store::{Entries, Put, Scope, Vectors};

/// Marks a database as one that a later version has migrated.
pub(in crate::store) async fn pretend_a_newer_migration(path: &Path) {
    let settings = Settings::default();
    let store = pool(&settings, 1)
        .connect_with(options(path, &settings))
        .await
        .unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, \
                 execution_time) VALUES (9999, 'later', TRUE, x'00', 0)";
    sqlx::query(later).execute(&store).await.unwrap();
    store.close().await;
}

async fn opened(folder: &TempDir) -> Sqlite {
    Sqlite::open(&folder.path().join("fgy.db"), &Settings::default())
        .await
        .unwrap()
}

#[tokio::test]
async fn the_connections_are_set_as_they_should_be() {
    let folder = TempDir::new().unwrap();
    let store = opened(&folder).await;
    for (pool, pragma, expected) in [
        (&store.writer, "PRAGMA journal_mode", "wal"),
        (&store.writer, "PRAGMA synchronous", "1"),
        (&store.writer, "PRAGMA busy_timeout", "2000"),
        (&store.readers, "PRAGMA query_only", "1"),
    ] {
        let row = sqlx::query(pragma).fetch_one(pool).await.unwrap();
        let value = row.try_get::<String, _>(0);
        let value = value.unwrap_or_else(|_| row.get::<i64, _>(0).to_string());
        assert_eq!(value, expected, "{pragma}");
    }
}

#[tokio::test]
async fn no_routine_question_reads_a_whole_table() {
    let folder = TempDir::new().unwrap();
    let store = opened(&folder).await;
    for (query, index) in [
        (
            "SELECT bytes FROM entries WHERE key = x'00' AND until > 5",
            "sqlite_autoindex_entries_1",
        ),
        (
            "SELECT rowid FROM entries WHERE until <= 5 ORDER BY until LIMIT 9",
            "entries_until",
        ),
        (
            "SELECT rowid FROM entries WHERE policy = 'p' AND tenant = 't' ORDER BY last_used LIMIT 9",
            "entries_last_used",
        ),
        (
            "SELECT count(*) FROM entries WHERE TRUE AND tenant = 't'",
            "entries_scope",
        ),
        (
            "SELECT count(*) FROM entries WHERE TRUE AND (key = x'00' OR (source <> key AND source = x'00'))",
            "entries_source",
        ),
        (
            "DELETE FROM points WHERE key = x'00'",
            "sqlite_autoindex_points_1",
        ),
        (
            super::vectors::PAGE,
            "SEARCH points USING INTEGER PRIMARY KEY (rowid<?); SEARCH entries USING INDEX \
             sqlite_autoindex_entries_1",
        ),
        (
            "SELECT id FROM lines WHERE tenant = 't' AND at < 9 AND (at, id) > (1, x'00') ORDER BY at, id LIMIT 5",
            "lines_place",
        ),
        (
            "SELECT sum(fee) FROM lines WHERE tenant = 't' AND at >= 1 AND at < 9",
            "lines_place",
        ),
        ("SELECT at FROM lines WHERE id = x'00'", "PRIMARY KEY"),
        (
            "SELECT id FROM labels WHERE tenant = 't' ORDER BY at DESC, id DESC LIMIT 5",
            "labels_place",
        ),
        (
            "DELETE FROM labels WHERE tenant = 't' AND (at, id) <= (SELECT at, id FROM labels \
             WHERE tenant = 't' ORDER BY at DESC, id DESC LIMIT 1 OFFSET 9)",
            "labels_place",
        ),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {query}"));
        let rows = sqlx::query(explain)
            .fetch_all(&store.readers)
            .await
            .unwrap();
        let plan: Vec<String> = rows.iter().map(|row| row.get("detail")).collect();
        let plan = plan.join("; ");
        assert!(
            plan.contains(index) && !plan.contains("TEMP B-TREE"),
            "{query}\n{plan}"
        );
        assert!(
            ["entries", "labels", "lines", "points"]
                .iter()
                .all(|table| !plan.contains(&format!("SCAN {table}"))),
            "{query}\n{plan}"
        );
    }
}

/// How many points are on disk.
async fn rows(store: &Sqlite) -> i64 {
    let count = sqlx::query_scalar("SELECT count(*) FROM points");
    count.fetch_one(&store.readers).await.unwrap()
}

/// On disk as in memory: no point outlives its answer, and a damaged one harms no other.
#[tokio::test]
async fn the_rows_of_points_go_with_their_answers() {
    let folder = TempDir::new().unwrap();
    let store = opened(&folder).await;
    let put = |number: u64| {
        let point = point(number, 0.0);
        Put {
            key: point.key,
            stamp: point.stamp.clone(),
            bytes: Bytes::new(),
            point: Some(Arc::new(point)),
        }
    };
    store.put((0..10).map(put).collect()).await.unwrap();
    // Offered and written again, it is there once; a last use changes nothing.
    store.put(vec![put(3)]).await.unwrap();
    store
        .touch(vec![(put(3).key, Millis(u64::MAX))])
        .await
        .unwrap();
    assert_eq!(rows(&store).await, 10);
    let pointless = Put {
        point: None,
        ..put(0)
    };
    store.put(vec![pointless]).await.unwrap();
    assert_eq!(rows(&store).await, 9, "replaced by an answer without one");
    assert_eq!(store.forget(Scope::default(), 2).await, Ok(2));
    let forgotten = store.forget_expired(Millis(u64::MAX >> 1), 3).await;
    assert_eq!(forgotten, Ok(3));
    let left = store.count(Scope::default()).await.unwrap();
    assert_eq!((left, rows(&store).await as u64), (5, store.held().points));
    assert!(store.held().points >= 4);
    drop(store);
    let store = opened(&folder).await;
    let damage = "UPDATE points SET vector = x'00' WHERE id = (SELECT max(id) FROM points)";
    let mut writer = store.writer().await.unwrap();
    sqlx::query(damage).execute(&mut *writer).await.unwrap();
    drop(writer);
    store.load().await.unwrap();
    let held = store.held();
    assert!(
        held.ready && held.points + 1 == rows(&store).await as u64,
        "{held:?}"
    );
}

#[tokio::test]
async fn there_is_no_room_for_more_than_the_bound() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("fgy.db");
    let settings = Settings {
        points_bytes_max: 20_000,
        ..Settings::default()
    };
    let store = Sqlite::open(&path, &settings).await.unwrap();
    let put = |number: u64| {
        let point = point(number, 0.0);
        Put {
            key: point.key,
            stamp: point.stamp.clone(),
            bytes: Bytes::new(),
            point: Some(Arc::new(point)),
        }
    };
    for batch in 0..10 {
        store
            .put((0..10).map(|number| put(batch * 10 + number)).collect())
            .await
            .unwrap();
        assert!(store.held().bytes <= 20_000);
    }
    let held = store.held();
    assert!(
        held.points >= 15 && held.evicted == 100 - held.points,
        "{held:?}"
    );
    drop(store);
    let store = Sqlite::open(&path, &settings).await.unwrap();
    store.load().await.unwrap();
    let again = store.held();
    assert_eq!(
        (again.points, again.bytes),
        (held.points, held.bytes),
        "the latest"
    );
    let model = model();
    let found = store.nearest(
        point(0, 0.0).space,
        &model,
        point(0, 0.0).vector,
        0.9,
        64,
        Millis(0),
    );
    let found = found.await.unwrap();
    let first = 100 - held.points;
    assert!(
        found.iter().all(|it| it.key >= put(first).key),
        "the latest"
    );
}
