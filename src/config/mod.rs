//! What a node is told before it starts: flags over environment over file over defaults, checked
//! as a whole, so that one look shows every mistake. What can change while a node runs (tenants,
//! policies, prices) is not here but in the registry.

mod args;
mod check;
mod env;
mod file;
mod limits;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use fgy_cluster::Secret;

pub use self::args::Args;
pub use self::check::{providers, settings};
pub use self::env::Environment;
pub use self::limits::Limits;
pub use self::value::weak;
pub use crate::mistake::Mistake;
use crate::names::Name;
pub use crate::registry::{Auth, Provider, ProviderKind};

/// Which command asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// `fgy up`: a lone node that makes its own secrets.
    Up,
    /// `fgy serve`: a node of a cluster that is given them.
    Serve,
}

/// Everything a node is told.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The public API.
    pub listen: SocketAddr,
    /// The admin API, metrics and dashboard.
    pub admin_listen: SocketAddr,
    /// Node to node.
    pub peer_listen: SocketAddr,
    /// Whether peers speak TLS; never off beyond loopback.
    pub peer_tls: bool,
    /// Gossip.
    pub gossip_listen: SocketAddr,
    /// The host or IP other nodes dial; `None`: the address listened on.
    pub advertise: Option<String>,
    /// TLS for the public API.
    pub tls: Option<Tls>,
    /// Other nodes, `host:port`.
    pub seeds: Vec<String>,
    /// This node's name; `None`: the one in its folder.
    pub node_id: Option<Name>,
    /// Its region.
    pub region: Option<Name>,
    /// Its zone.
    pub zone: Option<Name>,
    /// The cluster's one secret.
    pub cluster_secret: Option<Secret>,
    /// The one before, while it is rotated.
    pub cluster_secret_previous: Option<Secret>,
    /// Bearer of the admin API; `None`: the one in the node's folder.
    pub admin_token: Option<Secret>,
    /// Bearer that may only read.
    pub admin_read_token: Option<Secret>,
    /// The node's own folder.
    pub data: PathBuf,
    /// Where answers and lines are kept.
    pub store: String,
    /// `false`: the operator knows that each node has a store of its own.
    pub store_shared: Option<bool>,
    /// The default provider's base URL, without a slash at its end.
    pub upstream: String,
    /// The first key of tenant `default`; `None`: made at first start.
    pub bootstrap_key: Option<Secret>,
    /// Where the local model lies; `None`: the user's cache folder.
    pub model_dir: Option<PathBuf>,
    /// The operator's own prices.
    pub prices: Option<PathBuf>,
    /// What is logged, as a filter.
    pub log: String,
    /// How it is written; `None`: for people on a terminal, else JSON.
    pub log_format: Option<LogFormat>,
    /// Which requests get a line.
    pub access_log: AccessLog,
    /// Providers by name.
    pub providers: BTreeMap<Name, Provider>,
    /// How texts become vectors.
    pub embedding: Embedding,
    /// The operator's key for that, from the variable that `embedding.key_env` names.
    pub embedding_key: Option<Secret>,
    /// What the node takes on before it says no.
    pub limits: Limits,
}

/// Certificate and key of the public API.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The chain, PEM.
    pub cert: PathBuf,
    /// The private key, PEM.
    pub key: PathBuf,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Human,
    /// One object a line.
    Json,
}

/// Which requests get a log line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AccessLog {
    /// Errors, misses, and one hit in a thousand.
    #[default]
    Sampled,
    /// All.
    All,
}

/// How texts become vectors. Checked here, used where meanings are matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedding {
    /// `local`, or a provider of the file.
    pub provider: Name,
    /// The model.
    pub embedding_model: Name,
    /// Numbers in a vector.
    pub vector_dimensions: u32,
    /// The environment variable with the operator's key.
    pub key_env: Option<Name>,
}

impl Default for Embedding {
    fn default() -> Self {
        Self {
            provider: "local".into(),
            embedding_model: "all-MiniLM-L6-v2".into(),
            vector_dimensions: 384,
            key_env: None,
        }
    }
}
