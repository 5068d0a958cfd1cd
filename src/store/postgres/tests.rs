//! What only PostgreSQL can be asked. The server comes from outside, started by `deploy/test`; each
//! test has a database of its own on it, and throws it away.

mod bad_days;
mod crowd;
mod relay;
mod scratch;

use std::sync::atomic::Ordering;

use sqlx::Row;

pub(in crate::store) use self::scratch::Scratch;
use super::*;

#[tokio::test]
async fn the_connections_are_set_as_they_should_be() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let store = Postgres::open(scratch.url(), &Settings::default())
        .await
        .unwrap();
    for (gate, setting, expected) in [
        (&store.looks, "statement_timeout", "240ms"),
        (&store.looks, "enable_seqscan", "off"),
        (&store.looks, "hnsw.iterative_scan", "strict_order"),
        (&store.looks, "application_name", "fgy"),
        (&store.chores, "statement_timeout", "20s"),
        (&store.chores, "jit", "off"),
        (&store.chores, "application_name", "fgy"),
    ] {
        let ask = AssertSqlSafe(format!("SELECT current_setting('{setting}')"));
        let value: String = gate
            .call(move |it| Box::pin(async move { sqlx::query_scalar(ask).fetch_one(it).await }))
            .await
            .unwrap();
        assert_eq!(value, expected, "{setting}");
    }
    scratch.end().await;
}

#[tokio::test]
async fn no_routine_question_reads_a_whole_table() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let store = Postgres::open(scratch.url(), &Settings::default())
        .await
        .unwrap();
    for (query, index) in [
        (
            "SELECT bytes FROM entries WHERE key = ANY(ARRAY['\\x00'::bytea]) AND until > 5",
            "entries_pkey",
        ),
        (
            "SELECT key FROM entries WHERE until <= 5 ORDER BY until LIMIT 9",
            "entries_until",
        ),
        (
            "SELECT key FROM entries WHERE policy = 'p' AND tenant = 't' ORDER BY last_used LIMIT 9",
            "entries_last_used",
        ),
        (
            "SELECT count(*) FROM entries WHERE tenant = 't' AND agent = 'a'",
            "entries_scope",
        ),
        (
            "SELECT count(*) FROM entries WHERE source <> key AND source = '\\x00'",
            "entries_source",
        ),
        (
            "SELECT id FROM lines WHERE tenant = 't' AND at < 9 AND (at, id) > (1, '') \
             ORDER BY at, id LIMIT 5",
            "lines_place",
        ),
        ("SELECT at FROM lines WHERE id = '\\x00'", "lines_pkey"),
        (
            "SELECT id FROM labels WHERE tenant = 't' ORDER BY at DESC, id DESC LIMIT 5",
            "labels_place",
        ),
    ] {
        let plan = plan(&store.looks, query).await;
        assert!(plan.contains(index), "{query}\n{plan}");
        assert!(!plan.contains("Seq Scan"), "{query}\n{plan}");
    }
    scratch.end().await;
}

async fn plan(gate: &Arc<Gate>, query: &str) -> String {
    let explain = AssertSqlSafe(format!("EXPLAIN {query}"));
    let rows = gate
        .call(move |it| Box::pin(async move { sqlx::query(explain).fetch_all(it).await }))
        .await
        .unwrap();
    let lines: Vec<String> = rows.iter().map(|row| row.get(0)).collect();
    lines.join("\n")
}

#[tokio::test]
async fn two_nodes_that_open_one_database_at_once_both_can() {
    let Some(scratch) = Scratch::new().await else {
        return;
    };
    let settings = Settings::default();
    let both = (0..4).map(|_| Postgres::open(scratch.url(), &settings));
    let opened = futures_util::future::join_all(both).await;
    for store in opened {
        let store = store.unwrap();
        assert!(store.schema.ready());
        assert!(!store.away().load(Ordering::Relaxed));
    }
    scratch.end().await;
}
