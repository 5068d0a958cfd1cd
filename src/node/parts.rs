//! The parts of a node, built from what it was told, each handed what it needs and nothing else.

use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result};
use fgy_cluster::{Budget, Cluster, Control, FlightLimits, GossipStats, NodeId, Secret, Tasks};
use http::HeaderValue;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use super::around::Surroundings;
use super::company::{self, Others, Out};
use super::first::Start;
use super::folder::Folder;
use super::gauges::NodeGauges;
use super::quiet::Quiet;
use crate::clock::Clock;
use crate::config::{AccessLog, Limits, Settings};
use crate::feedback::Feedback;
use crate::filler::keep::{self, Keep};
use crate::filler::memory::{Memory, MemoryLimits};
use crate::filler::verify::Verify;
use crate::filler::{Filler, FillerLimits};
use crate::gateway::{Gateway, Readings};
use crate::http::{AdminTokens, Edge, Health, ListenerLimits, Places, RequestLimits};
use crate::key::{self, InstallationKey};
use crate::ledger::journal::{self, Journal};
use crate::ledger::post::{self, Post};
use crate::ledger::price::PriceTable;
use crate::ledger::price_file;
use crate::metrics::Metrics;
use crate::provider::{self, Patience, Provider, Providers};
use crate::random::{self, Ids};
use crate::rate::Rates;
use crate::registry::{DEFAULT_PROVIDER, Registry};
use crate::semantic::embed::{Embedder, Http, HttpSettings, Local, LocalSettings};
use crate::semantic::matcher::Matcher;
use crate::settle::{self, Recent, Settler};
use crate::store::{self, Fact, Stores, Vectors};

/// How long a miss may wait for the store before it goes on without.
const STORE_PATIENCE: Duration = Duration::from_millis(150);

/// How long a provider's embedding may take before the miss goes on without.
const EMBEDDING_PATIENCE: Duration = Duration::from_millis(1_500);

/// How often the registry is looked at for other providers and prices; a command heard by this
/// node does not wait for it.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

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
    pub(super) others: Option<Others>,
    gossip: Arc<OnceLock<Arc<GossipStats>>>,
    pub(super) start: Start,
    pub(super) installation: Arc<InstallationKey>,
    pub(super) verify: Arc<Verify>,
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
        let installation = Arc::new(installation_key(settings, folder, &stores).await?);
        let me = node_id(settings, folder)?;
        let others = Others::meet(settings, folder, &me, &installation, &tasks).await?;
        let control = match &others {
            Some(others) => others.control.clone(),
            None => Control::<Registry>::solo(folder.join("registry.json")).await?,
        };
        let start = Start {
            control: control.clone(),
            me: me.clone(),
            clock,
        };
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
        let embedder = embedder(settings, &control.state(), &prices)?;
        let verify = Arc::new(Verify::new(stores.labels.clone(), embedder.clone()));
        let filler = Arc::new(Filler::new(
            Memory::new(memory_limits(limits)),
            (stores.entries.clone(), keep.clone()),
            providers.clone(),
            control.clone(),
            clock,
            filler_limits(limits),
            (
                Matcher::new(embedder.clone(), stores.vectors.clone(), STORE_PATIENCE),
                verify.clone(),
            ),
        ));
        let (flights, budget) = (
            flight_limits(limits),
            Budget::new(limits.inflight_bytes_max),
        );
        let rates = Arc::new(Rates::default());
        let cluster = match &others {
            Some(others) => others.cluster(filler.clone(), flights, budget, &tasks, &rates),
            None => Arc::new(Cluster::solo(
                me.clone(),
                filler.clone(),
                flights,
                budget,
                tasks.clone(),
            )),
        };
        let recent = Arc::new(Recent::default());
        let settler = Arc::new(Settler {
            node: me.clone(),
            journal: journal.clone(),
            prices: settle::Prices::new(prices),
            metrics: Arc::new(Metrics::default()),
            recent: recent.clone(),
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
                installation: installation.clone(),
                looks: filler.clone(),
                readings: Readings::default(),
                // A moment more than the call itself may take: the flight ends first, and whoever asks
                // again after hearing so begins a new one.
                patience: Duration::from_secs(limits.provider_first_byte_seconds_max + 1),
                items_max: limits.embedding_items_max as usize,
            },
            settler,
            feedback: Arc::new(Feedback::new(
                stores.clone(),
                control.clone(),
                filler.clone(),
                recent,
            )),
            ids: Ids::draw()?,
            rates,
            clock,
            limits: RequestLimits {
                body_bytes_max: limits.body_bytes_max as usize,
                body_patience: Duration::from_secs(limits.body_chunk_seconds_max),
            },
            health: Health::new(
                filler.store_away(),
                stores.away.clone(),
                move || embedder.state().as_str(),
                besides(&control, settings),
            ),
            closing: CancellationToken::new(),
            node: header_of(&me)?,
            places: Places::new(limits.requests_inflight_max as usize),
            following: Mutex::default(),
        });
        edge.follow();
        let tokens = tokens(settings, folder)?;
        let post = Arc::new(post);
        Ok(Parts {
            edge,
            control,
            stores,
            tokens,
            post,
            tasks,
            gossip: others
                .as_ref()
                .map(|others| others.counts.clone())
                .unwrap_or_default(),
            others,
            start,
            installation,
            verify,
            filler,
            keep,
            journal,
        })
    }

    /// The first start of a lone node: what it tells the registry, and then it serves.
    pub(super) async fn settle_alone(&self, settings: &Settings) -> Result<Option<String>> {
        let key = self
            .start
            .tenant(&self.installation, settings, true)
            .await?;
        self.start.providers(settings).await?;
        self.edge.follow();
        self.edge.health.ready(true);
        Ok(key)
    }

    /// The same among others: once it is let in, and its keys are its own.
    pub(super) fn settle_among(
        &self,
        others: Others,
        out: Arc<Out>,
        settings: Settings,
    ) -> impl Future<Output = Option<String>> + Send + use<> {
        let (start, installation) = (self.start.clone(), self.installation.clone());
        let (edge, stores) = (self.edge.clone(), self.stores.clone());
        async move {
            let begins = others.be_let_in(&stores, settings.seeds.is_empty()).await;
            let key = loop {
                let told = start.tenant(&installation, &settings, begins).await;
                match (told, start.providers(&settings).await) {
                    (Ok(key), Ok(())) => break key,
                    (Err(error), _) | (_, Err(error)) => {
                        tracing::warn!(%error, "the registry could not be told of the first start yet");
                        tokio::time::sleep(company::TRY_AGAIN).await;
                    }
                }
            };
            edge.follow();
            out.be_ready(others.control.rings()).await;
            edge.health.ready(true);
            tracing::info!("in the ring: ready");
            key
        }
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
            gossip: self.gossip.clone(),
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
        let (verify, ending) = (self.verify.clone(), stop.clone());
        let (control, clock) = (self.control.clone(), self.edge.clock);
        tasks.keep_running("verify", pause, move || {
            let tenants = control
                .state()
                .tenants()
                .iter()
                .map(|it| it.id.clone())
                .collect();
            verify
                .clone()
                .run(tenants, move || clock.now(), ending.clone())
        });
        let (journal, ending) = (self.journal.clone(), stop.clone());
        tasks.keep_running("journal", pause, move || {
            journal.clone().run(ending.clone())
        });
        let (post, ending) = (self.post.clone(), stop.clone());
        tasks.keep_running("post", pause, move || post.clone().run(ending.clone()));
        let (edge, ending) = (self.edge.clone(), stop.clone());
        tasks.keep_running("follow", pause, move || {
            follow(edge.clone(), ending.clone())
        });
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

/// What was changed on another node is in force here a moment after it is known here.
async fn follow(edge: Arc<Edge>, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(FOLLOW_EVERY);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        edge.follow();
    }
}

async fn sweep(filler: Arc<Filler>, stop: CancellationToken, every: Duration) {
    let mut ticks = tokio::time::interval(every);
    while stop.run_until_cancelled(ticks.tick()).await.is_some() {
        crate::faults::hit("sweep", b"");
        filler.sweep();
    }
}

/// What the probes are told besides: a node among others that may not serve what is kept, or whose
/// store is its own.
fn besides(
    control: &Control<Registry>,
    settings: &Settings,
) -> impl Fn() -> Vec<&'static str> + Send + Sync + use<> {
    let (control, apart) = (control.clone(), settings.store_shared == Some(false));
    move || {
        let told = [
            (!control.lease().holds(), "lease"),
            (apart, "store-not-shared"),
        ];
        let told = told.into_iter().filter(|(is, _)| *is);
        told.map(|(_, what)| what).collect()
    }
}

/// What this node's pauses differ by from its neighbours'.
fn jitter_seed() -> Result<u64> {
    let mut seed = [0; 8];
    seed.copy_from_slice(&random::bytes()?[..8]);
    Ok(u64::from_le_bytes(seed))
}

/// The store's key, copied into the folder; the copy where the store is away. Nodes whose stores are
/// their own have nowhere to agree on one: theirs is made of the secret they share.
async fn installation_key(
    settings: &Settings,
    folder: &Folder,
    stores: &Stores,
) -> Result<InstallationKey> {
    let copy = folder.installation_key()?;
    let shared = settings.store_shared != Some(false);
    let candidate = match (copy, &settings.cluster_secret) {
        (Some(copy), _) => copy,
        (None, Some(secret)) if !shared => key::of_cluster(secret),
        (None, _) => random::bytes()?,
    };
    let key = match (
        stores.installation.settled(Fact::Key, candidate).await,
        copy,
    ) {
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
    let default = Provider::new(DEFAULT_PROVIDER, &settings.upstream, provider::Auth::Caller)?;
    // Told once in the process; a second node in it finds it told.
    let _told = rustls::crypto::ring::default_provider().install_default();
    Ok(Providers::new(default, patience)?)
}

/// Who makes vectors.
fn embedder(
    settings: &Settings,
    registry: &Registry,
    prices: &PriceTable,
) -> Result<Arc<dyn Embedder>> {
    let told = &settings.embedding;
    let ruling = registry.provider(&told.provider);
    let named = settings.providers.get(&told.provider);
    let Some(provider) = named.map(|file| ruling.unwrap_or(file)) else {
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
