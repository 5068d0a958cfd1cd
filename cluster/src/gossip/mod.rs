//! Who is here, by rumour: every node tells a few others every 200 ms what it heard, and a node
//! that is no longer heard of is gone from the view a second or so later. Every datagram is sealed
//! with a key of the cluster's secret. A rumour says nothing of who can be reached and decides
//! nothing: it finds nodes, and tells their phase and place. It never carries agreed state.

mod card;
mod outside;
mod relay;
mod seal;
mod seeds;
mod stats;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use chitchat::{
    ChitchatConfig, ChitchatHandle, ChitchatId, FailureDetectorConfig, ProtocolVersion,
    spawn_chitchat,
};
use tokio::net::UdpSocket;
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::node::{Incarnation, Member, Phase};
use crate::secret::ClusterSecrets;
use crate::tasks::Tasks;
use crate::view::{Seen, View};

use outside::Outside;
use seal::Seal;
pub use stats::GossipStats;

/// How often a node tells others.
const GOSSIP_INTERVAL: Duration = Duration::from_millis(200);

/// How often names of seeds are resolved while no other node is seen, and later.
const ALONE_RESOLVE_PAUSE: Duration = Duration::from_secs(2);
const RESOLVE_PAUSE: Duration = Duration::from_secs(30);

/// A node not heard of for this many usual pauses between two rumours of it is gone.
const SILENCE_PAUSES_MAX: f64 = 8.0;

/// Pauses remembered of a node.
const PAUSES_COUNT_MAX: usize = 1_000;

/// A longer pause says nothing of the usual one.
const PAUSE_MAX: Duration = Duration::from_secs(10);

/// How long the dead, and keys taken back, are remembered.
const DEAD_KEPT: Duration = Duration::from_secs(15 * 60);

/// How long a leaving node is seen as draining before it stops.
const LEAVE_PAUSE: Duration = GOSSIP_INTERVAL.saturating_mul(2);

/// How long the end of the gossip itself may take; then it is left to its drop.
const END_WAIT_MAX: Duration = Duration::from_secs(1);

/// What gossip is told at its start.
pub struct GossipSettings {
    /// This node's name and place.
    pub me: Member,
    /// This start of it: later than every one before (see `Incarnation::next`).
    pub incarnation: Incarnation,
    /// Its number among those who agree.
    pub replica: u64,
    /// The cluster's name: nodes of another do not hear this one.
    pub cluster: String,
    /// Where datagrams are awaited; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Where others send theirs; port 0 stands for the port really bound.
    pub advertise: SocketAddr,
    /// Where this node answers its peers; told to the others.
    pub peer_address: SocketAddr,
    /// `host:port` of nodes to ask first, resolved every 2 s while alone, else every 30 s. This
    /// node itself may be among them.
    pub seeds: Vec<String>,
    /// What datagrams are sealed with; none speaks plainly and is allowed on loopback only.
    pub secrets: Option<ClusterSecrets>,
}

/// How gossip came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// It was told to.
    Left,
    /// It broke, and nobody hears of this node any more: the process should end. The text is for
    /// people.
    Failed(String),
}

/// The gossip of one node; dropping it is like the node's death to the others.
pub struct Gossip {
    #[cfg(test)]
    handle: Arc<ChitchatHandle>,
    seal: Option<Arc<Seal>>,
    address: SocketAddr,
    bound: SocketAddr,
    phase: watch::Sender<Phase>,
    view: watch::Receiver<Arc<View>>,
    ended: watch::Receiver<Option<Ended>>,
    stats: Arc<GossipStats>,
    leave: CancellationToken,
    _left: DropGuard,
}

impl Gossip {
    /// Begins in phase joining. Fails where the socket cannot be had, or where plain speech would
    /// leave this machine.
    pub async fn start(settings: GossipSettings, tasks: &Tasks) -> io::Result<Gossip> {
        Gossip::start_in(Outside::real()?, settings, tasks).await
    }

    async fn start_in(
        outside: Outside,
        settings: GossipSettings,
        tasks: &Tasks,
    ) -> io::Result<Gossip> {
        allowed(&settings)?;
        let stats = Arc::new(GossipStats::default());
        let (socket, bound, seal);
        match &settings.secrets {
            Some(secrets) => {
                let outer = UdpSocket::bind(settings.listen).await?;
                bound = outer.local_addr()?;
                let advertise = with_port_of(settings.advertise, bound);
                let made = Seal::new(secrets, &settings.cluster, outside.life, advertise);
                let made = Arc::new(made);
                let relay = relay::Relay::open(outer, made.clone(), outside.clone(), stats.clone());
                socket = Box::new(relay.await?) as Box<_>;
                seal = Some(made);
            }
            None => {
                (socket, bound) = relay::plain(settings.listen).await?;
                seal = None;
            }
        }
        let advertise = with_port_of(settings.advertise, bound);
        let me = Seen {
            member: settings.me,
            incarnation: settings.incarnation,
            phase: Phase::Joining,
            address: settings.peer_address,
            replica: settings.replica,
        };
        let config = config(&me, settings.cluster, advertise);
        let opened = relay::Opened::new(socket);
        let handle = spawn_chitchat(config, card::written(&me), &opened).await;
        let handle = Arc::new(handle.map_err(io::Error::other)?);

        let leave = tasks.stopping().child_token();
        let stop = leave.child_token();
        let (phase, phases) = watch::channel(me.phase);
        let (view, views) = watch::channel(Arc::new(View::of([me.clone()])));
        let (alone, alones) = watch::channel(true);
        let (found, addresses) = watch::channel(BTreeSet::new());
        let (end, ended) = watch::channel(None);
        until(&stop, tasks, "gossip view", {
            let (handle, stats) = (handle.clone(), stats.clone());
            look(handle, me, phases, view, alone, stats)
        });
        until(&stop, tasks, "gossip names", {
            let stats = stats.clone();
            seeds::resolve(settings.seeds, outside, stats, alones, found)
        });
        let asking = seeds::ask(handle.clone(), advertise, addresses);
        until(&stop, tasks, "gossip seeds", asking);
        let ending = tell_end(handle.clone(), leave.clone(), stop, end);
        tasks.spawn("gossip end", ending);
        Ok(Gossip {
            #[cfg(test)]
            handle,
            seal,
            address: advertise,
            bound,
            phase,
            view: views,
            ended,
            stats,
            leave: leave.clone(),
            _left: leave.drop_guard(),
        })
    }

    /// Where others send their datagrams to this node.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where its datagrams are awaited.
    pub fn bound(&self) -> SocketAddr {
        self.bound
    }

    /// The nodes thought alive, this one among them; a new one only where something in it is new.
    pub fn view(&self) -> watch::Receiver<Arc<View>> {
        self.view.clone()
    }

    /// Tells the others how far this node is; its own view shows it at once.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// From now on these secrets: the current one seals, both open. A running cluster changes its
    /// secret in three steps, each on every node before the next: current old and previous new,
    /// then current new and previous old, then the new one alone. Does nothing where gossip speaks
    /// plainly.
    pub fn rotate(&self, secrets: &ClusterSecrets) {
        if let Some(seal) = &self.seal {
            seal.rotate(secrets);
        }
    }

    /// What happened to its datagrams; nothing is counted of plain speech.
    pub fn stats(&self) -> &Arc<GossipStats> {
        &self.stats
    }

    /// Waits until gossip has come to its end, in whatever way.
    pub async fn ended(&self) -> Ended {
        let mut ended = self.ended.clone();
        let told = ended.wait_for(Option::is_some).await;
        let told = told.ok().and_then(|told| told.clone());
        told.unwrap_or_else(|| Ended::Failed("the task that watches gossip is gone".into()))
    }

    /// Is seen as draining, and after two intervals stops, which to the others is silence.
    pub async fn leave(&self) {
        self.set_phase(Phase::Draining);
        tokio::time::sleep(LEAVE_PAUSE).await;
        self.leave.cancel();
        let _ = tokio::time::timeout(END_WAIT_MAX, self.ended()).await;
    }
}

fn allowed(settings: &GossipSettings) -> io::Result<()> {
    let refuse = |why| Err(io::Error::new(io::ErrorKind::InvalidInput, why));
    let (listen, advertise) = (settings.listen.ip(), settings.advertise.ip());
    if advertise.is_unspecified() {
        return refuse("the gossip address told to others must be one they can reach");
    }
    if settings.secrets.is_none() && !(listen.is_loopback() && advertise.is_loopback()) {
        return refuse("gossip without a cluster secret is for loopback only");
    }
    Ok(())
}

fn with_port_of(advertise: SocketAddr, bound: SocketAddr) -> SocketAddr {
    match advertise.port() {
        0 => SocketAddr::new(advertise.ip(), bound.port()),
        _ => advertise,
    }
}

fn config(me: &Seen, cluster: String, advertise: SocketAddr) -> ChitchatConfig {
    ChitchatConfig {
        chitchat_id: ChitchatId::new(me.member.id.as_str(), me.incarnation.0, advertise),
        cluster_id: cluster,
        gossip_interval: GOSSIP_INTERVAL,
        listen_addr: advertise,
        // The library resolves once a minute, which is too late for a start: see `seeds`.
        seed_nodes: Vec::new(),
        failure_detector_config: FailureDetectorConfig::new(
            SILENCE_PAUSES_MAX,
            PAUSES_COUNT_MAX,
            PAUSE_MAX,
            GOSSIP_INTERVAL,
            DEAD_KEPT,
        ),
        marked_for_deletion_grace_period: DEAD_KEPT,
        catchup_callback: None,
        extra_liveness_predicate: None,
        protocol_version: ProtocolVersion::V1,
    }
}

/// Runs a part until gossip stops; if the part ends before, gossip ends too and says so, for a view
/// that is no longer looked after must not be believed.
fn until(
    stop: &CancellationToken,
    tasks: &Tasks,
    name: &'static str,
    part: impl Future<Output = ()> + Send + 'static,
) {
    let stop = stop.clone();
    tasks.spawn(name, async move {
        let _guard = stop.clone().drop_guard();
        stop.run_until_cancelled(part).await;
    });
}

/// Publishes the view, and tells the others of a new phase.
async fn look(
    handle: Arc<ChitchatHandle>,
    mut me: Seen,
    mut phases: watch::Receiver<Phase>,
    view: watch::Sender<Arc<View>>,
    alone: watch::Sender<bool>,
    stats: Arc<GossipStats>,
) {
    let chitchat = handle.chitchat();
    let mut live = chitchat.lock().await.live_nodes_watcher();
    loop {
        let mut twins = false;
        let mut seen = vec![me.clone()];
        for (id, state) in live.borrow_and_update().iter() {
            match &*id.node_id == me.member.id.as_str() {
                // Of this node, this node knows best; a later life of its name is another process.
                true => twins |= id.generation_id > me.incarnation.0,
                false => seen.extend(card::read(id, state)),
            }
        }
        if twins {
            stats.twins.add();
            tracing::error!("another live node has this node's name and started later");
        }
        let now = View::of(seen);
        alone.send_if_modified(|held| {
            let changed = *held != (now.count() == 1);
            *held = now.count() == 1;
            changed
        });
        view.send_if_modified(|held| {
            let changed = **held != now;
            if changed {
                *held = Arc::new(now);
            }
            changed
        });
        tokio::select! {
            changed = live.changed() => if changed.is_err() { return },
            changed = phases.changed() => {
                if changed.is_err() {
                    return;
                }
                me.phase = *phases.borrow_and_update();
                let mut chitchat = chitchat.lock().await;
                chitchat.self_node_state().set(card::PHASE, me.phase.name());
            }
        }
    }
}

/// Waits for the end of the library's own task, ends it when gossip should stop, and tells.
async fn tell_end(
    handle: Arc<ChitchatHandle>,
    leave: CancellationToken,
    stop: CancellationToken,
    end: watch::Sender<Option<Ended>>,
) {
    let ending = handle.termination_watcher();
    tokio::pin!(ending);
    let result = tokio::select! {
        result = &mut ending => result,
        () = stop.cancelled() => {
            // Fails where it has ended already.
            let _ = handle.initiate_shutdown();
            ending.await
        }
    };
    let ended = match result {
        Ok(()) if leave.is_cancelled() => Ended::Left,
        Ok(()) => Ended::Failed("a part of gossip has ended".into()),
        Err(failure) => Ended::Failed(format!("{failure:#}")),
    };
    if let Ended::Failed(why) = &ended {
        tracing::error!(why, "gossip has ended: nobody hears of this node any more");
    }
    end.send_replace(Some(ended));
    stop.cancel();
}
