//! One home per outside crate, so that any of them can be replaced in a day: a crate that is not in
//! the table, or is named outside its home, fails `tidy.rs`. The reasons stand in `Cargo.toml`.

/// An outside crate and the only places that name it. A test may name what its subject may.
pub(crate) type Home = (&'static str, &'static [&'static str]);

/// Read with the reasons in `Cargo.toml`. `""` is everywhere.
pub(crate) const HOMES: &[Home] = &[
    // the vocabulary of the whole tree
    ("fgy-cluster", &["src/", "cluster/tests/", "tests/"]),
    ("fgy-minilm", &["src/semantic/embed/"]),
    ("bytes", &["src/", "cluster/", "tests/"]),
    ("serde", &["src/", "cluster/"]),
    (
        "serde_json",
        &["src/", "cluster/src/control/", "jepsen-lite/", "tests/"],
    ),
    // the runtime: every room of the shell, and no core
    (
        "tokio",
        &[
            "cluster/",
            "jepsen-lite/",
            "src/cli/",
            "src/feedback.rs",
            "src/filler/",
            "src/http/",
            "src/ledger/journal/",
            "src/ledger/post",
            "src/mock/",
            "src/node/",
            "src/provider/",
            "src/semantic/",
            "src/settle.rs",
            "src/store/",
            "tests/",
        ],
    ),
    (
        "tokio-util",
        &[
            "cluster/src/gossip/",
            "cluster/src/health.rs",
            "cluster/src/tasks.rs",
            "src/filler/keep",
            "src/filler/verify.rs",
            "src/http/",
            "src/ledger/journal/",
            "src/ledger/post",
            "src/node/",
        ],
    ),
    (
        "futures-util",
        &[
            "cluster/src/look.rs",
            "cluster/src/control/raft/",
            "cluster/src/gossip/",
            "cluster/src/peer/",
            "cluster/src/tasks.rs",
            "src/gateway/pass.rs",
            "src/http/",
            "src/mock/",
            "src/node/quotas.rs",
            "src/provider/",
            "src/store/",
            "tests/",
        ],
    ),
    // a type describes itself as it writes itself; what is made of it is made in http/admin
    (
        "schemars",
        &[
            "src/answer/",
            "src/feedback.rs",
            "src/gateway/explain.rs",
            "src/http/admin/",
            "src/label.rs",
            "src/ledger/",
            "src/names.rs",
            "src/policy/",
            "src/registry/",
            "src/semantic/found.rs",
            "src/semantic/verified/mod.rs",
        ],
    ),
    (
        "tracing",
        &[
            "cluster/src/",
            "src/cli/",
            "src/feedback.rs",
            "src/filler/",
            "src/http/",
            "src/ledger/journal/",
            "src/ledger/post.rs",
            "src/node/",
            "src/semantic/",
            "src/settle.rs",
            "src/store/postgres/",
            "src/store/sqlite/",
            "src/telemetry.rs",
        ],
    ),
    ("anyhow", &["cluster/src/gossip/", "src/cli/", "src/node/"]),
    (
        "arc-swap",
        &[
            "cluster/src/control/",
            "cluster/src/gossip/",
            "cluster/src/cluster.rs",
            "cluster/src/mask.rs",
            "src/provider/mod.rs",
            "src/settle/prices.rs",
        ],
    ),
    // in and out
    ("axum", &["src/http/", "src/mock/", "tests/"]),
    (
        "http",
        &[
            "cluster/src/peer/",
            "src/filler/record.rs",
            "src/gateway/",
            "src/http/",
            "src/node/",
            "src/provider/",
            "tests/baddays/heard.rs",
        ],
    ),
    ("http-body", &["src/http/"]),
    ("http-body-util", &["src/http/", "tests/"]),
    (
        "hyper",
        &[
            "src/http/front.rs",
            "src/http/cached.rs",
            "src/http/alarm.rs",
        ],
    ),
    ("hyper-util", &["src/http/server.rs", "src/http/front.rs"]),
    ("itoa", &["src/http/reply.rs", "src/ledger/money.rs"]),
    (
        "rustls",
        &[
            "cluster/src/transport/tls/",
            "src/cli/mod.rs",
            "src/node/parts.rs",
            "src/provider/tests.rs",
            "src/semantic/model/tests.rs",
            "tests/baddays/node.rs",
            "tests/stories/first_start.rs",
        ],
    ),
    (
        "tokio-rustls",
        &[
            "cluster/src/transport/tls/",
            "src/http/server.rs",
            "src/node/parts.rs",
        ],
    ),
    // node to node
    ("h2", &["cluster/src/peer/"]),
    ("rcgen", &["cluster/src/transport/tls/"]),
    ("webpki", &["cluster/src/transport/tls/"]),
    ("bincode", &["cluster/src/wire/"]),
    (
        "reqwest",
        &[
            "src/provider/",
            "src/cli/admin_client.rs",
            "src/semantic/embed/http.rs",
            "src/semantic/model/",
            "tests/",
        ],
    ),
    // places of one library each
    ("sqlx", &["src/store/sqlite/", "src/store/postgres/"]),
    ("pgvector", &["src/store/postgres/vectors.rs"]),
    (
        "quick_cache",
        &["src/filler/memory.rs", "src/gateway/readings.rs"],
    ),
    ("memmap2", &["src/ledger/journal/segment.rs"]),
    (
        "rustix",
        &[
            "jepsen-lite/src/nodes.rs",
            "src/main.rs",
            "src/node/quiet.rs",
            "src/priority.rs",
        ],
    ),
    ("crc32fast", &["src/ledger/journal/segment.rs"]),
    (
        "smol_str",
        &[
            "cluster/src/cluster.rs",
            "cluster/src/control/raft/",
            "cluster/src/node.rs",
            "src/names.rs",
        ],
    ),
    // what is agreed, and the file it lies in
    ("openraft", &["cluster/src/control/raft/"]),
    ("redb", &["cluster/src/control/raft/"]),
    ("postcard", &["src/ledger/journal/record.rs"]),
    ("getrandom", &["cluster/src/gossip/", "src/random.rs"]),
    ("tracing-subscriber", &["src/telemetry.rs"]),
    ("prometheus-client", &["src/metrics.rs"]),
    ("saphyr-parser", &["src/policy/yaml.rs"]),
    ("jiff", &["src/cli/purge.rs", "tests/baddays/"]),
    (
        "toml",
        &[
            "src/config/file.rs",
            "src/ledger/price_file.rs",
            "tests/tidy",
        ],
    ),
    (
        "clap",
        &["jepsen-lite/src/", "src/cli/", "src/config/", "src/mock/"],
    ),
    ("mimalloc", &["src/main.rs", "tests/bench/"]),
    ("hashring", &["cluster/src/ring.rs"]),
    ("siphasher", &["cluster/src/ring.rs"]),
    ("dashmap", &["cluster/src/flight.rs"]),
    ("chitchat", &["cluster/src/gossip/"]),
    ("chacha20poly1305", &["cluster/src/gossip/"]),
    (
        "shuttle",
        &["cluster/src/sync.rs", "cluster/tests/schedules.rs"],
    ),
    (
        "unicode-normalization",
        &[
            "src/semantic/guard/fold.rs",
            "src/semantic/minilm/wordpiece.rs",
        ],
    ),
    ("unicode-properties", &["src/semantic/minilm/wordpiece.rs"]),
    // the cluster has a module of that name
    (
        "ring",
        &[
            "src/semantic/model/",
            "cluster/src/lib.rs",
            "cluster/src/secret.rs",
        ],
    ),
    ("zip", &["src/semantic/model/"]),
    // digests and secrets
    (
        "blake3",
        &[
            "src/key.rs",
            "src/ledger/journal/record.rs",
            "src/ledger/statement/tests.rs",
            "src/mock/calls.rs",
            "src/registry/digest.rs",
            "src/store/contract/",
            "tests/",
        ],
    ),
    (
        "subtle",
        &["src/http/admin/mod.rs", "src/registry/digest.rs"],
    ),
    (
        "zeroize",
        &[
            "cluster/src/fill.rs",
            "cluster/src/gossip/",
            "cluster/src/secret.rs",
            "cluster/src/transport/tls/",
            "src/key.rs",
        ],
    ),
    // tests and benchmarks
    ("criterion", &["tests/bench/"]),
    ("moka", &["tests/bench/memory.rs"]),
    (
        "tempfile",
        &[
            "jepsen-lite/src/nodes.rs",
            "src/ledger/",
            "src/node/folder.rs",
            "src/semantic/",
            "src/store/",
            "tests/",
        ],
    ),
];
