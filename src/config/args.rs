//! The variables of `fgy up` and `fgy serve`, each once: its name in a file, in the environment
//! and as a flag are one name in three spellings, so they are generated from one table. Nothing
//! is understood here; texts are collected and judged together.

macro_rules! variables {
    ($($(#[doc = $doc:literal])+ $key:ident $env:literal $value:literal;)+) => {
        /// The flags of `fgy up` and `fgy serve`.
        // Written for `--help`, where an address is no link, a default in
        // brackets neither, and a placeholder no markup.
        #[allow(
            rustdoc::bare_urls,
            rustdoc::broken_intra_doc_links,
            rustdoc::invalid_html_tags
        )]
        #[derive(Clone, Default, clap::Args)]
        pub struct Args {
            $($(#[doc = $doc])+
            #[arg(long, value_name = $value)]
            pub $key: Option<String>,)+
        }

        impl Args {
            /// The flags that were given: key and text.
            pub(super) fn given(&self) -> impl Iterator<Item = (&'static str, &str)> {
                let all = [$((stringify!($key), self.$key.as_deref()),)+];
                all.into_iter().filter_map(|(key, text)| Some((key, text?)))
            }
        }

        /// Key and environment variable of each.
        pub(super) const VARIABLES: &[(&str, &str)] = &[$((stringify!($key), $env),)+];
    };
}

variables! {
    /// Public API [127.0.0.1:8080]
    listen "FGY_LISTEN" "ADDR";
    /// Admin API [127.0.0.1:8081]
    admin_listen "FGY_ADMIN_LISTEN" "ADDR";
    /// Node to node [127.0.0.1:8082]
    peer_listen "FGY_PEER_LISTEN" "ADDR";
    /// `off` for loopback only [on]
    peer_tls "FGY_PEER_TLS" "on|off";
    /// Gossip, UDP [127.0.0.1:8083]
    gossip_listen "FGY_GOSSIP_LISTEN" "ADDR";
    /// The host or IP other nodes dial
    advertise "FGY_ADVERTISE" "HOST";
    /// Certificate chain, PEM
    tls_cert "FGY_TLS_CERT" "FILE";
    /// Its private key, PEM
    tls_key "FGY_TLS_KEY" "FILE";
    /// Other nodes, host:port by commas
    seeds "FGY_SEEDS" "LIST";
    /// This node's name
    node_id "FGY_NODE_ID" "NAME";
    /// Its region
    region "FGY_REGION" "NAME";
    /// Its zone
    zone "FGY_ZONE" "NAME";
    /// The cluster's one secret
    cluster_secret "FGY_CLUSTER_SECRET" "SECRET";
    /// The secret before, while rotating
    cluster_secret_previous "FGY_CLUSTER_SECRET_PREVIOUS" "SECRET";
    /// Bearer token of the admin API
    admin_token "FGY_ADMIN_TOKEN" "SECRET";
    /// The same, for reading alone
    admin_read_token "FGY_ADMIN_READ_TOKEN" "SECRET";
    /// The node's folder [./fgy-data]
    data "FGY_DATA" "FOLDER";
    /// sqlite:PATH, postgres://...
    store "FGY_STORE" "URL";
    /// The default provider [OpenAI]
    upstream "FGY_UPSTREAM" "URL";
    /// First key of tenant `default`
    bootstrap_key "FGY_BOOTSTRAP_KEY" "KEY";
    /// The local embedding model
    model_dir "FGY_MODEL_DIR" "FOLDER";
    /// Prices of your own, TOML
    prices "FGY_PRICES" "FILE";
    /// What is logged [info]
    log "FGY_LOG" "FILTER";
    /// human or json [by terminal]
    log_format "FGY_LOG_FORMAT" "FORMAT";
    /// sampled or all [sampled]
    access_log "FGY_ACCESS_LOG" "WHAT";
}

/// Secrets stand in flags like everything else, and in no debug print.
impl std::fmt::Debug for Args {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set()
            .entries(self.given().map(|(key, _)| key))
            .finish()
    }
}
