//! A database of one test's own, on the server that `deploy/test` started.

use sqlx::postgres::PgConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection};

use crate::random;

/// Where the server is; without it the tests that need one are passed over, and say so.
const VARIABLE: &str = "FGY_TEST_POSTGRES_URL";

/// An empty database, there until [`Scratch::end`], or until its server is thrown away.
pub(in crate::store) struct Scratch {
    server: PgConnectOptions,
    name: String,
    url: String,
}

impl Scratch {
    /// `None` where there is no server to test on.
    pub(in crate::store) async fn new() -> Option<Scratch> {
        let Some(server) = server() else {
            eprintln!("passed over: {VARIABLE} names no server; deploy/test starts one");
            return None;
        };
        let bytes = random::bytes().unwrap();
        let name = format!(
            "fgy_test_{:016x}",
            u64::from_le_bytes(bytes[..8].try_into().unwrap())
        );
        let server: PgConnectOptions = server.parse().unwrap();
        let mut url = server.clone().database(&name).to_url_lossy();
        url.set_query(None);
        let scratch = Scratch {
            url: url.to_string(),
            server,
            name,
        };
        scratch.tell("CREATE DATABASE").await;
        Some(scratch)
    }

    /// As `store::open` takes it.
    pub(in crate::store) fn url(&self) -> &str {
        &self.url
    }

    /// Throws it away, whoever is connected to it.
    pub(in crate::store) async fn end(self) {
        self.tell("DROP DATABASE").await;
    }

    async fn tell(&self, what: &str) {
        let force = if what.starts_with("DROP") {
            "WITH (FORCE)"
        } else {
            ""
        };
        let tell = AssertSqlSafe(format!("{what} {} {force}", self.name));
        let mut connection = self.server.connect().await.unwrap();
        sqlx::raw_sql(tell).execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "which server to test on is the test command's to say"
)]
fn server() -> Option<String> {
    std::env::var(VARIABLE).ok()
}
