//! The other nodes: spoken to over authenticated connections, agreed with on tenants, policies,
//! purges and the ring, found by gossip. Built in the order in which each needs the other; what a
//! part does is written in the part. A lone node has none of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use fgy_cluster::{
    Budget, Cluster, ClusterSecret, ClusterSecrets, Company, Control, Desks, Ended, FlightLimits,
    GivingLimits, Gossip, GossipSettings, GossipStats, Identity, Incarnation, Member, NodeId,
    PeerLimits, Peers, Phase, Plain, ReplicaSettings, Tasks, Timers, Tls, TlsSettings, Transport,
    View,
};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::folder::Folder;
use super::quotas::{QuotaDesk, Quotas};
use crate::clock::Clock;
use crate::config::Settings;
use crate::filler::Filler;
use crate::key::InstallationKey;
use crate::random;
use crate::rate::Rates;
use crate::registry::Registry;
use crate::store::{Fact, Stores};

/// What gossip goes by: datagrams of another name are dropped before anything else. Clusters are
/// kept apart by their secrets, not by this.
const GOSSIP_NAME: &str = "fgy";

/// What is agreed lies here.
const CONTROL_FILE: &str = "control.redb";

/// Between two tries at something that others must answer for.
pub(super) const TRY_AGAIN: Duration = Duration::from_millis(200);

/// How long one try may take.
const TRY_PATIENCE: Duration = Duration::from_secs(5);

/// How long a leaving node waits to be out of the ring; then it goes all the same.
const OUT_OF_RING_PATIENCE: Duration = Duration::from_secs(10);

/// How long it then waits until what it kept is with the others, the most asked for first.
const HANDOFF_PATIENCE: Duration = Duration::from_secs(20);

/// A node's ties to others.
pub(super) struct Others {
    pub(super) control: Control<Registry>,
    peers: Arc<Peers>,
    me: Member,
    replica: u64,
    seen: watch::Sender<Arc<View>>,
    /// What gossip counts, once there is gossip.
    pub(super) counts: Arc<OnceLock<Arc<GossipStats>>>,
    /// Whether each node has a store of its own, so that none can say who begins.
    apart: bool,
}

/// The same once the node is out among them.
pub(super) struct Out {
    gossip: Arc<Gossip>,
    cluster: Arc<Cluster>,
}

impl Others {
    /// Opens what this node remembers of what was agreed, and the ways to the others. Nobody hears
    /// of it yet.
    pub(super) async fn meet(
        settings: &Settings,
        folder: &Folder,
        me: &NodeId,
        installation: &InstallationKey,
        tasks: &Tasks,
    ) -> Result<Option<Others>> {
        let Some(secrets) = secrets(settings) else {
            return Ok(None);
        };
        let name = |name: &Option<crate::names::Name>| name.as_deref().unwrap_or_default().into();
        let me = Member {
            id: me.clone(),
            region: name(&settings.region),
            zone: name(&settings.zone),
            weight: Member::WEIGHT,
        };
        let (seen, view) = watch::channel(Arc::default());
        let peers = Peers::new(
            me.id.clone(),
            transport(settings, &me.id, secrets)?,
            Identity {
                installation: installation.identity(),
            },
            view.clone(),
            tasks.clone(),
            PeerLimits::USUAL,
        );
        let path = folder.join(CONTROL_FILE);
        let replica = match Control::<Registry>::replica_at(&path).await? {
            Some(replica) => replica,
            None => random::number()?,
        };
        let replica_settings = ReplicaSettings {
            me: me.clone(),
            replica,
            path,
            view,
            voter_region: None,
            timers: Timers::default(),
        };
        let control = Control::replicated(replica_settings, peers.clone(), tasks).await?;
        Ok(Some(Others {
            control,
            peers,
            me,
            replica,
            seen,
            counts: Arc::default(),
            apart: settings.store_shared == Some(false),
        }))
    }

    /// This node's end of the cluster.
    pub(super) fn cluster(
        &self,
        filler: Arc<Filler>,
        limits: FlightLimits,
        budget: Budget,
        tasks: &Tasks,
        rates: &Arc<Rates>,
    ) -> Arc<Cluster> {
        let quotas = Quotas::new(rates.clone(), self.control.clone());
        let company = Company {
            region: self.me.region.clone(),
            peers: self.peers.clone(),
            view: self.seen.subscribe(),
            rings: self.control.rings(),
            desks: Desks {
                control: Some(Box::new(self.control.clone())),
                application: Some(Box::new(QuotaDesk(quotas.clone()))),
            },
            may_serve: {
                let control = self.control.clone();
                Box::new(move || control.lease().holds())
            },
            giving: GivingLimits::USUAL,
        };
        let me = self.me.id.clone();
        let cluster = Cluster::join(me, filler.clone(), limits, budget, tasks.clone(), company);
        // Each holds the other otherwise.
        let owners = Arc::downgrade(&cluster);
        filler.tell(Box::new(move |keys| {
            if let Some(cluster) = owners.upgrade() {
                cluster.give(keys);
            }
        }));
        let (among, stop) = (cluster.clone(), tasks.stopping());
        tasks.keep_running("quotas", TRY_AGAIN, move || {
            quotas.clone().run(among.clone(), stop.clone())
        });
        cluster
    }

    /// Answers peers, and lets itself be found.
    pub(super) async fn go_out(
        &self,
        settings: &Settings,
        folder: &Folder,
        cluster: &Arc<Cluster>,
        tasks: &Tasks,
    ) -> Result<Out> {
        let bound = cluster.listen().await.with_context(|| {
            format!(
                "cannot listen on {}: is another program there? set FGY_PEER_LISTEN to a free one",
                settings.peer_listen
            )
        })?;
        let now = Clock.now().0.saturating_mul(1_000_000);
        let gossip = Gossip::start(
            GossipSettings {
                me: self.me.clone(),
                incarnation: Incarnation(folder.life(now)?),
                replica: self.replica,
                cluster: GOSSIP_NAME.to_owned(),
                listen: settings.gossip_listen,
                advertise: advertised(settings, settings.gossip_listen).await?,
                peer_address: advertised(settings, bound).await?,
                seeds: settings.seeds.clone(),
                secrets: secrets(settings),
            },
            tasks,
        );
        let gossip = gossip.await.with_context(|| {
            format!(
                "cannot gossip on {}: is another program there? set FGY_GOSSIP_LISTEN to a free one",
                settings.gossip_listen
            )
        })?;
        // Only once: a node goes out once.
        let _set = self.counts.set(gossip.stats().clone());
        let (mut views, seen) = (gossip.view(), self.seen.clone());
        let stop = tasks.stopping();
        tasks.spawn("view", async move {
            let following = async {
                loop {
                    seen.send_replace(views.borrow_and_update().clone());
                    if views.changed().await.is_err() {
                        return;
                    }
                }
            };
            stop.run_until_cancelled(following).await;
        });
        Ok(Out {
            gossip: Arc::new(gossip),
            cluster: cluster.clone(),
        })
    }

    /// Begins the cluster, if the shared store says that this is the node that does; else waits
    /// until it is let in. Ends when what was agreed is here; true where this node began.
    pub(super) async fn be_let_in(&self, stores: &Stores, alone: bool) -> bool {
        loop {
            let begins = self.begins(stores, alone).await;
            if begins && let Err(error) = self.control.initialise().await {
                tracing::warn!(%error, "the cluster could not be begun yet");
            }
            match self.control.catch_up(TRY_PATIENCE).await {
                Ok(_) => return begins,
                Err(error) => tracing::debug!(%error, "not let in yet"),
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Whether this node's volume is the one that begins. A node that lost its volume is another
    /// replica, and begins nothing.
    async fn begins(&self, stores: &Stores, alone: bool) -> bool {
        if self.apart {
            return alone;
        }
        let mut candidate = [0; 32];
        candidate[..8].copy_from_slice(&self.replica.to_le_bytes());
        match stores.installation.settled(Fact::Founder, candidate).await {
            Ok(founder) => founder == candidate,
            Err(error) => {
                tracing::warn!(%error, "the store cannot say who begins");
                false
            }
        }
    }
}

impl Out {
    /// Says that this node may own keys, and waits until it does.
    pub(super) async fn be_ready(&self, mut rings: watch::Receiver<Arc<fgy_cluster::Rings>>) {
        self.gossip.set_phase(Phase::Ready);
        self.cluster.set_phase(Phase::Ready);
        let me = self.cluster.me().clone();
        let mine = move |rings: &Arc<fgy_cluster::Rings>| {
            rings.current.members.iter().any(|member| member.id == me)
        };
        // The end of the node, which has no use for an answer.
        let _in_it = rings.wait_for(mine).await;
    }

    /// Says that this node leaves, and waits a bounded time until its keys are others', and then
    /// until others have what it keeps of them.
    pub(super) async fn leave_the_ring(&self, mut rings: watch::Receiver<Arc<fgy_cluster::Rings>>) {
        self.gossip.set_phase(Phase::Draining);
        self.cluster.set_phase(Phase::Draining);
        let me = self.cluster.me().clone();
        let gone = rings.wait_for(move |rings| {
            let members = &rings.current.members;
            members.iter().all(|member| member.id != me) || members.len() == 1
        });
        let epoch = match tokio::time::timeout(OUT_OF_RING_PATIENCE, gone).await {
            Ok(Ok(rings)) => rings.current.epoch,
            // The end of what is agreed on, which nobody outlives.
            Ok(Err(_)) => return,
            Err(_) => {
                tracing::warn!("still in the ring: others will notice that this node is gone");
                return;
            }
        };
        let handed_off = self.cluster.handed_off(epoch);
        if tokio::time::timeout(HANDOFF_PATIENCE, handed_off)
            .await
            .is_err()
        {
            let pending = self.cluster.handoff().pending;
            tracing::warn!(
                pending,
                "not all that is kept here is with others: they may ask the store"
            );
        }
    }

    /// Waits until nothing is in the air any more: callers of other nodes listen to what this one
    /// owned.
    pub(super) async fn land(&self, deadline: Instant) {
        while self.cluster.flights() > 0 {
            if Instant::now() >= deadline {
                tracing::warn!("some flights were not over when the time to drain was");
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Gossip's last word.
    pub(super) async fn leave(&self) {
        self.gossip.leave().await;
    }

    /// Fires `ended` where gossip breaks: a node that nobody hears of must not go on.
    pub(super) fn watch(&self, tasks: &Tasks, ended: CancellationToken) {
        let gossip = self.gossip.clone();
        let stop = tasks.stopping();
        tasks.spawn("gossip watch", async move {
            if let Some(Ended::Failed(why)) = stop.run_until_cancelled(gossip.ended()).await {
                tracing::error!(why, "gossip has broken: this node ends");
                ended.cancel();
            }
        });
    }
}

fn transport(
    settings: &Settings,
    me: &NodeId,
    secrets: ClusterSecrets,
) -> Result<Arc<dyn Transport>> {
    let listen = settings.peer_listen;
    if !settings.peer_tls {
        tracing::warn!("peers speak without TLS, as FGY_PEER_TLS=off says: for loopback only");
        return Ok(Arc::new(Plain::new(listen)?));
    }
    let tls = Tls::new(TlsSettings {
        me: me.clone(),
        listen,
        secrets,
        life: TlsSettings::LIFE,
        clock: Arc::new(|| Duration::from_millis(Clock.now().0)),
    });
    Ok(Arc::new(tls.context("no certificates could be made")?))
}

fn secrets(settings: &Settings) -> Option<ClusterSecrets> {
    let secret = |secret: &fgy_cluster::Secret| ClusterSecret::new(secret.reveal());
    Some(ClusterSecrets {
        current: settings.cluster_secret.as_ref().map(secret)?,
        previous: settings.cluster_secret_previous.as_ref().map(secret),
    })
}

/// The address others use: the advertised host with the port that is listened on.
async fn advertised(settings: &Settings, listen: SocketAddr) -> Result<SocketAddr> {
    let Some(host) = &settings.advertise else {
        return Ok(listen);
    };
    if let Ok(ip) = host.trim_matches(['[', ']']).parse::<IpAddr>() {
        return Ok(SocketAddr::new(ip, listen.port()));
    }
    let mut found = tokio::net::lookup_host((host.as_str(), listen.port()))
        .await
        .with_context(|| format!("FGY_ADVERTISE names {host}, which cannot be resolved"))?;
    match found.next() {
        Some(address) => Ok(address),
        None => bail!("FGY_ADVERTISE names {host}, which has no address"),
    }
}
