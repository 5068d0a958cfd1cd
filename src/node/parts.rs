//! The parts of a node, built from what it was told, each handed what it needs and nothing else.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use fgy_cluster::{Budget, Cluster, Control, FlightLimits, NodeId, Secret, Tasks};
use http::{HeaderName, HeaderValue};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::around::Surroundings;
use super::folder::Folder;
use super::gauges::NodeGauges;
use super::quiet::Quiet;
use crate::clock::Clock;
use crate::config::{AccessLog, Auth, Limits, ProviderKind, Settings};
use crate::filler::keep::{self, Keep};
use crate::filler::memory::{Memory, MemoryLimits};
use crate::filler::{Filler, FillerLimits};
use crate::gateway::{Gateway, Readings};
use crate::http::{AdminTokens, Edge, Health, ListenerLimits, Places, RequestLimits};
use crate::key::InstallationKey;
use crate::ledger::journal::{self, Journal};
use crate::ledger::post::{self, Post};
use crate::ledger::price::PriceTable;
use crate::ledger::price_file;
use crate::metrics::Metrics;
use crate::policy::Glob;
use crate::provider::{self, Patience, Provider, Providers, Wire};
use crate::random::{self, Ids};
use crate::rate::Rates;
use crate::registry::{Command, Outcome, Registry, TenantSettings};
use crate::semantic::embed::{Embedder, Http, HttpSettings, Local, LocalSettings};
use crate::semantic::matcher::Matcher;
use crate::settle::{self, Settler};
use crate::store::{self, Stores, Vectors};

/// The name of the tenant that is there from the first start.
const FIRST_TENANT: &str = "default";

/// How long a miss may wait for the store before it goes on without.
const STORE_PATIENCE: Duration = Duration::from_millis(150);

/// How long a provider's embedding may take before the miss goes on without.
const EMBEDDING_PATIENCE: Duration = Duration::from_millis(1_500);

/// Embeddings asked of a provider at once.
const EMBEDDING_CALLS_MAX: usize = 64;

/// Everything a node is made of.
pub(super) struct Parts {
    pub(super) edge: Arc<Edge>,
    pub(super) control: Control<Registry>,
    pub(super) stores: Stores,
    pub(super) tokens: AdminTokens,
    pub(super) post: Arc<Post>,
    pub(super) tasks: Tasks,
    pub(super) first_key: Option<String>,
    filler: Arc<Filler>,
    keep: Arc<Keep>,
    journal: Arc<Journal>,
}

impl Parts {
    pub(super) async fn build(
        settings: &Settings,
        folder: &Folder,
        quiet: &Quiet,
    ) -> Result<Parts> {
        let (clock, tasks, limits) = (Clock, Tasks::new(), &settings.limits);
        let store = settings.store.clone();
        let store_settings = store::Settings {
            connections_max: limits.store_connections_max as u32,
            jitter_seed: jitter_seed()?,
            points_bytes_max: limits.points_bytes_max,
            ..store::Settings::default()
        };
        // Opened there, since whoever opens it makes the writer's thread.
        let opened = async move { store::open(&store, &store_settings).await };
        let stores = quiet.handle().spawn(opened).await??;
        let installation = Arc::new(installation_key(folder, &stores).await?);
        let control = Control::<Registry>::solo(folder.join("registry.json")).await?;
        let first_key = first_tenant(&control, &installation, settings, clock).await?;
        let journal_settings = journal::Settings {
            journal_bytes_max: limits.journal_bytes_max,
            ..journal::Settings::default()
        };
        let journal = Arc::new(Journal::open(&folder.join("journal"), journal_settings)?);
        let post = Post::new(
            journal.clone(),
            stores.ledger.clone(),
            post::Settings {
                hurry_bytes: limits.journal_bytes_max / 2,
                ..post::Settings::default()
            },
        );
        let keep = Arc::new(Keep::new(
            (stores.entries.clone(), stores.vectors.clone()),
            Arc::new(Surroundings {
                clock,
                control: control.clone(),
            }),
            keep::Settings {
                queue_bytes_max: limits.keep_queue_bytes_max as usize,
                ..keep::Settings::default()
            },
        ));
        let providers = providers(settings)?;
        let prices = prices(settings)?;
        let embedder = embedder(settings, &prices)?;
        let filler = Arc::new(Filler::new(
            Memory::new(memory_limits(limits)),
            (stores.entries.clone(), keep.clone()),
            providers.clone(),
            control.clone(),
            clock,
            filler_limits(limits),
            Matcher::new(embedder.clone(), stores.vectors.clone(), STORE_PATIENCE),
        ));
        let me = node_id(settings, folder)?;
        let cluster = Arc::new(Cluster::solo(
            me.clone(),
            filler.clone(),
            flight_limits(limits),
            Budget::new(limits.inflight_bytes_max),
            tasks.clone(),
        ));
        let settler = Arc::new(Settler {
            node: me.clone(),
            journal: journal.clone(),
            prices: arc_swap::ArcSwap::from_pointee(prices),
            metrics: Arc::new(Metrics::default()),
            access_log: match settings.access_log {
                AccessLog::Sampled => settle::AccessLog::Sampled,
                AccessLog::All => settle::AccessLog::All,
            },
        });
        let edge = Arc::new(Edge {
            gateway: Gateway {
                cluster,
                providers,
                control: control.clone(),
                installation,
                readings: Readings::default(),
                // A moment more than the call itself may take: the flight ends first, and whoever asks
                // again after hearing so begins a new one.
                patience: Duration::from_secs(limits.provider_first_byte_seconds_max + 1),
                items_max: limits.embedding_items_max as usize,
            },
            settler,
            ids: Ids::draw()?,
            rates: Rates::default(),
            clock,
            limits: RequestLimits {
                body_bytes_max: limits.body_bytes_max as usize,
                body_patience: Duration::from_secs(limits.body_chunk_seconds_max),
            },
            health: Health::new(filler.store_away(), stores.away.clone(), move || {
                embedder.state().as_str()
            }),
            closing: CancellationToken::new(),
            node: header_of(&me)?,
            places: Places::new(limits.requests_inflight_max as usize),
        });
        let tokens = tokens(settings, folder)?;
        let post = Arc::new(post);
        Ok(Parts {
            edge,
            control,
            stores,
            tokens,
            post,
            tasks,
            first_key,
            filler,
            keep,
            journal,
        })
    }

    pub(super) fn gauges(&self) -> NodeGauges {
        NodeGauges {
            edge: self.edge.clone(),
            filler: self.filler.clone(),
            keep: self.keep.clone(),
            vectors: self.stores.vectors.clone(),
            journal: self.journal.clone(),
            post: self.post.clone(),
            tasks: self.tasks.clone(),
        }
    }

    /// Starts what goes on beside the requests. A part that panics is started again.
    pub(super) fn run_in_background(&self, tasks: &Tasks, sweep_every: Duration, pause: Duration) {
        let stop = tasks.stopping();
        let (keep, ending) = (self.keep.clone(), stop.clone());
        tasks.keep_running("keep", pause, move || keep.clone().run(ending.clone()));
        let (vectors, ending) = (self.stores.vectors.clone(), stop.clone());
        tasks.keep_running("points", pause, move || {
            load(vectors.clone(), ending.clone(), pause)
        });
        let (journal, ending) = (self.journal.clone(), stop.clone());
        tasks.keep_running("journal", pause, move || {
            journal.clone().run(ending.clone())
        });
        let (post, ending) = (self.post.clone(), stop.clone());
        tasks.keep_running("post", pause, move || post.clone().run(ending.clone()));
        let filler = self.filler.clone();
        tasks.keep_running("sweep", pause, move || {
            sweep(filler.clone(), stop.clone(), sweep_every)
        });
    }
}

/// Until it is done, a look for a meaning may miss what an earlier process kept.
async fn load(vectors: Arc<dyn Vectors>, stop: CancellationToken, pause: Duration) {
    while let Some(Err(error)) = stop.run_until_cancelled(vectors.load()).await {
        tracing::warn!(%error, "what earlier questions meant could not be read yet");
        let waited = stop.run_until_cancelled(tokio::time::sleep(pause)).await;
        if waited.is_none() {
            return;
        }
    }
}

async fn sweep(filler: Arc<Filler>, stop: CancellationToken, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        crate::faults::hit("sweep", b"");
        filler.sweep();
    }
}

/// What this node's pauses differ by from its neighbours'.
fn jitter_seed() -> Result<u64> {
    let mut seed = [0; 8];
    seed.copy_from_slice(&random::bytes()?[..8]);
    Ok(u64::from_le_bytes(seed))
}

/// The store's key, copied into the folder; the copy where the store is away.
async fn installation_key(folder: &Folder, stores: &Stores) -> Result<InstallationKey> {
    let copy = folder.installation_key()?;
    let candidate = match copy {
        Some(copy) => copy,
        None => random::bytes()?,
    };
    let key = match (stores.installation.installation_key(candidate).await, copy) {
        (Ok(key), _) => key,
        (Err(error), Some(copy)) => {
            tracing::warn!(%error, "the store is away: starting with the copy of its key");
            copy
        }
        (Err(error), None) => return Err(error).context("the first start needs the store"),
    };
    if copy != Some(key) {
        folder.keep_installation_key(&key)?;
    }
    Ok(InstallationKey::new(key))
}

/// The tenant that is there from the first start, and the key it was given, if it was made here.
async fn first_tenant(
    control: &Control<Registry>,
    installation: &InstallationKey,
    settings: &Settings,
    clock: Clock,
) -> Result<Option<String>> {
    let at = clock.now();
    let given = settings.bootstrap_key.as_ref().map(Secret::reveal);
    let given = given.map(|key| String::from_utf8_lossy(key).into_owned());
    let is_new = control.state().tenants().is_empty();
    if is_new {
        let id = FIRST_TENANT.into();
        let settings = TenantSettings::default();
        let name = FIRST_TENANT.into();
        propose(
            control,
            Command::CreateTenant {
                id,
                name,
                settings,
                at,
            },
        )
        .await?;
    }
    let (key, made) = match (given, is_new) {
        (Some(key), _) => (key, false),
        (None, true) => (random::tenant_key()?, true),
        (None, false) => return Ok(None),
    };
    if control.state().tenant(FIRST_TENANT).is_some() {
        let (tenant, digest) = (FIRST_TENANT.into(), installation.key_digest(&key).into());
        propose(
            control,
            Command::AddKey {
                tenant,
                digest,
                agent: None,
                at,
            },
        )
        .await?;
    }
    Ok(made.then_some(key))
}

async fn propose(control: &Control<Registry>, command: Command) -> Result<()> {
    match control.propose(command).await? {
        (_, Outcome::Refused(refusal)) => anyhow::bail!("{refusal}"),
        _ => Ok(()),
    }
}

/// The node's name as a header. Leaked, once for each node of a process: what lives for ever needs
/// no count, and every reply on every core would change this one.
fn header_of(me: &NodeId) -> Result<HeaderValue> {
    let name: &'static str = Box::leak(me.as_str().into());
    HeaderValue::from_str(name).context("the node's name must be plain text")?;
    Ok(HeaderValue::from_static(name))
}

fn node_id(settings: &Settings, folder: &Folder) -> Result<NodeId> {
    if let Some(name) = &settings.node_id {
        return Ok(NodeId::from(&**name));
    }
    let made = folder.node_id(|| Ok(format!("node-{}", &random::token()?[..8])))?;
    Ok(NodeId::from(made.as_str()))
}

fn tokens(settings: &Settings, folder: &Folder) -> Result<AdminTokens> {
    let admin = match &settings.admin_token {
        Some(token) => token.clone(),
        None => Secret::new(folder.admin_token(|| Ok(random::token()?))?.as_bytes()),
    };
    Ok(AdminTokens {
        admin,
        read: settings.admin_read_token.clone(),
    })
}

fn providers(settings: &Settings) -> Result<Providers> {
    let limits = &settings.limits;
    let patience = Patience {
        connect: Duration::from_secs(limits.provider_connect_seconds_max),
        first_byte: Duration::from_secs(limits.provider_first_byte_seconds_max),
        chunk: Duration::from_secs(limits.provider_chunk_seconds_max),
        idle_connections_max: limits.provider_idle_connections_max as usize,
    };
    let default = Provider::new("default", &settings.upstream, provider::Auth::Caller)?;
    let others = settings.providers.iter().map(|(name, told)| {
        let auth = match told.auth {
            Auth::None => provider::Auth::None,
            Auth::Caller => provider::Auth::Caller,
            Auth::Operator => anyhow::bail!(
                "providers.{name}: auth = \"operator\" is not there yet: use \"caller\", or \
                 \"none\" for a server without keys"
            ),
        };
        Ok(Provider {
            wire: match told.kind {
                ProviderKind::OpenAi => Wire::OpenAi,
                ProviderKind::Anthropic => Wire::Anthropic,
            },
            models: told
                .models
                .iter()
                .map(|models| Glob::from(&**models))
                .collect(),
            forward_headers: told
                .forward_headers
                .iter()
                .map(|header| HeaderName::try_from(&**header))
                .collect::<Result<_, _>>()
                .with_context(|| format!("providers.{name}: forward_headers are header names"))?,
            ..Provider::new(name, &told.base_url, auth)?
        })
    });
    let others = others.collect::<Result<Vec<_>>>()?;
    // Told once in the process; a second node in it finds it told.
    let _told = rustls::crypto::ring::default_provider().install_default();
    Ok(Providers::new(default, others, patience)?)
}

/// Who makes vectors.
fn embedder(settings: &Settings, prices: &PriceTable) -> Result<Arc<dyn Embedder>> {
    let told = &settings.embedding;
    let Some(provider) = settings.providers.get(&told.provider) else {
        let beside = || settings.data.join("model");
        let folder = settings.model_dir.clone().unwrap_or_else(beside);
        let local = Local::start(LocalSettings::new(folder));
        return Ok(Arc::new(local.context("no thread for the model")?));
    };
    let http = Http::new(HttpSettings {
        base_url: provider.base_url.clone(),
        embedding_model: told.embedding_model.clone(),
        vector_dimensions: told.vector_dimensions,
        key: settings.embedding_key.clone(),
        price: prices.price(&told.embedding_model).copied(),
        patience: EMBEDDING_PATIENCE,
        calls_max: EMBEDDING_CALLS_MAX,
    });
    Ok(Arc::new(
        http.map_err(|wrong| anyhow::anyhow!("embedding: {wrong}"))?,
    ))
}

fn prices(settings: &Settings) -> Result<PriceTable> {
    let built_in = price_file::built_in();
    let Some(path) = &settings.prices else {
        return Ok(built_in.clone());
    };
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read the prices in {}", path.display()))?;
    let own = price_file::parse(&text).map_err(|mistakes| {
        let mistakes: Vec<String> = mistakes.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("{}:\n{}", path.display(), mistakes.join("\n"))
    })?;
    Ok(built_in.overlaid(own.version, &own.models))
}

/// What the public listener speaks.
pub(super) fn tls(settings: &Settings) -> Result<Option<TlsAcceptor>> {
    let Some(files) = &settings.tls else {
        return Ok(None);
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(&files.cert)
        .and_then(Iterator::collect)
        .with_context(|| format!("no certificates in {} (FGY_TLS_CERT)", files.cert.display()))?;
    let key = PrivateKeyDer::from_pem_file(&files.key)
        .with_context(|| format!("no private key in {} (FGY_TLS_KEY)", files.key.display()))?;
    let mut config = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .context("FGY_TLS_CERT and FGY_TLS_KEY do not belong together")?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Some(TlsAcceptor::from(Arc::new(config))))
}

pub(super) fn listener_limits(limits: &Limits) -> ListenerLimits {
    ListenerLimits {
        connections_max: limits.connections_max as usize,
        header_bytes_max: limits.header_bytes_max as usize,
        header_seconds_max: limits.header_seconds_max,
        idle_seconds_max: limits.idle_seconds_max,
        drain_seconds: limits.drain_seconds,
    }
}

fn memory_limits(limits: &Limits) -> MemoryLimits {
    MemoryLimits {
        owned_bytes_max: limits.memory_bytes_max,
        guest_bytes_max: limits.memory_guest_bytes_max,
        tenant_percent_max: limits.tenant_memory_percent_max as u8,
    }
}

fn flight_limits(limits: &Limits) -> FlightLimits {
    FlightLimits {
        flights_max: limits.flights_max as usize,
        listeners_per_flight_max: limits.listeners_per_flight_max as usize,
        tape_bytes_max: limits.tape_bytes_max as usize,
    }
}

fn filler_limits(limits: &Limits) -> FillerLimits {
    FillerLimits {
        store_patience: STORE_PATIENCE,
        orphan_patience: Duration::from_secs(30),
        answer_bytes_max: limits.tape_bytes_max as usize,
        refusal_bytes_max: 64 * 1024,
        event_bytes_max: 1024 * 1024,
    }
}
