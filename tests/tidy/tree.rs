//! What may stand in the tree, and the exceptions with their reasons: top level, hosts, waits in
//! tests, tests that are passed over, paths on a disk.

/// What the design card asks for and has landed: direct dependencies of one of the two crates.
pub(crate) const CARD: &[&str] = &[
    "axum", "bincode", "chitchat", "dashmap", "hashring", "openraft", "pgvector", "reqwest",
    "serde", "sqlx", "tokio", "tracing",
];

/// What one sees at the top, and nothing else; not all of it is there yet.
pub(crate) const TOP: &[&str] = &[
    "CHANGELOG.md",
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE",
    "README.md",
    "cluster",
    "deploy",
    "fly.toml",
    "jepsen-lite",
    "migrations",
    "src",
    "tests",
];

/// Hosts that may be named: the loopback, placeholders, and what the product is about. A package
/// mirror or a machine of someone's is not among them.
pub(crate) const HOSTS: &[&str] = &[
    "127.0.0.1",
    "localhost",
    "HOST",
    "api.openai.com",
    "deb.debian.org",
    "github.com",
    "mock",
    "rustup.rs",
    "user",
    "www.apache.org",
    "www.postgresql.org",
    "www.sqlite.org",
    "x",
];

/// (file, reason): waits for the clock in a test, each with what makes it no guess.
pub(crate) const SLEEPS: &[(&str, &str)] = &[
    (
        "cluster/src/control/raft/tests/purges.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "cluster/src/control/raft/tests/three.rs",
        "the clock is paused, or the look between two tries of a bounded poll",
    ),
    (
        "cluster/src/control/raft/tests/town.rs",
        "the clock is paused, or the look between two tries of a bounded poll",
    ),
    (
        "cluster/tests/company.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "cluster/tests/world/mod.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "tests/baddays/company.rs",
        "how far the stream has come before the kill is what the story is about; and a bounded poll",
    ),
    (
        "cluster/src/peer/tests/calls.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "cluster/src/peer/tests/denials.rs",
        "the look between two tries of a bounded wait for a count",
    ),
    (
        "cluster/src/peer/tests/mod.rs",
        "the clock is paused, or a chunk each millisecond is what is asked for",
    ),
    (
        "cluster/src/peer/tests/streams.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "cluster/src/peer/tests/troubles.rs",
        "the clock is paused; over TLS, the look between two tries of a bounded wait",
    ),
    (
        "src/filler/keep/tests.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "src/http/alarm.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "src/http/patient.rs",
        "the clock is paused: it moves when all have waited",
    ),
    (
        "src/store/postgres/tests/bad_days.rs",
        "the look between two tries of a bounded poll of another process",
    ),
    (
        "src/store/postgres/tests/relay.rs",
        "the delay is what a slow server is made of; nobody waits for it to pass",
    ),
    (
        "tests/baddays/canaries.rs",
        "the look between two tries of a bounded poll of another process",
    ),
    (
        "tests/baddays/home.rs",
        "the look between two tries of a bounded poll of another process",
    ),
    (
        "tests/baddays/kill.rs",
        "how long the load runs before the kill is what the seed decides; and a bounded poll",
    ),
    (
        "tests/baddays/leaving.rs",
        "the look between two tries of a bounded poll of another process",
    ),
    (
        "tests/baddays/node.rs",
        "the look between two tries of a bounded poll of another process",
    ),
    (
        "tests/stories/support/mod.rs",
        "the one poll of all stories, with its bound",
    ),
];

/// (file, reason): tests that `cargo test` passes over.
pub(crate) const IGNORED: &[(&str, &str)] = &[(
    "src/ledger/journal/tests.rs",
    "the child that its parent test starts by name and kills",
)];

/// (file, reason): homes on a disk that are not somebody's.
pub(crate) const PATHS: &[(&str, &str)] = &[
    ("deploy/bare-root", "the home inside the root that it makes"),
    ("tests/tidy.rs", "the rule itself"),
];
