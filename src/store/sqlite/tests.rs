//! What only SQLite can be asked: its plans, its settings, and a file from the future.

use std::path::Path;

use sqlx::AssertSqlSafe;
use sqlx::Row;
use tempfile::TempDir;

use super::*;

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
            "SELECT id FROM lines WHERE tenant = 't' AND at < 9 AND (at, id) > (1, x'00') ORDER BY at, id LIMIT 5",
            "lines_place",
        ),
        (
            "SELECT sum(fee) FROM lines WHERE tenant = 't' AND at >= 1 AND at < 9",
            "lines_place",
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
            !plan.contains("SCAN entries") && !plan.contains("SCAN lines"),
            "{query}\n{plan}"
        );
    }
}
