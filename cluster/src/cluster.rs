//! The handle to the cluster: a node alone is a ring of one and runs the same code. It holds the
//! parts together; what they do is written in them.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use arc_swap::ArcSwap;
use bytes::Bytes;
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::budget::Budget;
use crate::control::{Control, State};
use crate::fetch::{Coalesce, Join, Want};
use crate::fill::{BoxFuture, Fill};
use crate::flight::{FlightLimits, Flights, Freshness};
use crate::giving::{Giving, GivingLimits};
use crate::health::{Health, HealthStats};
use crate::key::Key;
use crate::mask::{Event, Mask, Reason};
use crate::node::{Member, NodeId, Phase};
use crate::peer::{Hearing, PeerError, PeerStats, Peers, Room};
use crate::placement::{Place, Placement, Step};
use crate::rates::Rates;
use crate::rings::{RingConfig, Rings};
use crate::stats::Stats;
use crate::sync::Arc;
use crate::tasks::Tasks;
use crate::view::View;
use crate::wire::{FetchAsk, Frame, Mode, Rank, RingStamp};

/// How long after a change of the ring the owner before is still asked for what it kept.
const WARM_WINDOW: Duration = Duration::from_secs(600);

/// Who hears what this crate only carries: one payload in, one out; `None` where there is nothing
/// to say.
pub trait Desk: Send + Sync + 'static {
    /// Answers a peer.
    fn hear<'a>(&'a self, from: NodeId, payload: Bytes) -> BoxFuture<'a, Option<Bytes>>;
}

impl<S: State> Desk for Control<S> {
    fn hear<'a>(&'a self, from: NodeId, payload: Bytes) -> BoxFuture<'a, Option<Bytes>> {
        Box::pin(async move { Some(Control::hear(self, from, payload).await) })
    }
}

/// The desks of this node.
#[derive(Default)]
pub struct Desks {
    /// What is agreed on.
    pub control: Option<Box<dyn Desk>>,
    /// What the application asks of itself on other nodes.
    pub application: Option<Box<dyn Desk>>,
}

/// What a node with peers is made of besides what a lone one is.
pub struct Company {
    /// This node's region, as in its [`Member`].
    pub region: SmolStr,
    /// The way to the others.
    pub peers: Arc<Peers>,
    /// Who is seen.
    pub view: watch::Receiver<std::sync::Arc<View>>,
    /// The agreed ring.
    pub rings: watch::Receiver<std::sync::Arc<Rings>>,
    /// Who hears what is only carried.
    pub desks: Desks,
    /// Whether this node may serve what is kept: one that may not is no owner for others either.
    pub may_serve: Box<dyn Fn() -> bool + Send + Sync>,
    /// How fast what moves to others is given to them.
    pub giving: GivingLimits,
}

/// This node's end of the cluster.
pub struct Cluster {
    me: NodeId,
    region: SmolStr,
    pub(crate) placement: ArcSwap<Placement>,
    peers: Option<Arc<Peers>>,
    view: Option<watch::Receiver<std::sync::Arc<View>>>,
    rings: Option<watch::Receiver<std::sync::Arc<Rings>>>,
    mask: Arc<Mask>,
    health: Option<Health>,
    pub(crate) desks: Desks,
    may_serve: Box<dyn Fn() -> bool + Send + Sync>,
    phase: watch::Sender<Phase>,
    budget: Budget,
    pub(crate) fill: std::sync::Arc<dyn Fill>,
    /// Flights of answers that this node makes itself; joined at every rank.
    pub(crate) owned: Arc<Flights>,
    /// Flights that this node, the owner in its region, leads towards a key's home in another;
    /// joined by its own callers and by asks of rank region.
    pub(crate) relayed: Arc<Flights>,
    /// Flights that this node leads for its own callers, towards an owner in its region. A table for
    /// each rank, because an ask of a peer may only ever wait on a lower one: so no two nodes wait
    /// on each other.
    pub(crate) asked: Arc<Flights>,
    pub(crate) rates: Rates,
    /// What is to be given to others.
    pub(crate) giving: Giving,
    pub(crate) tasks: Tasks,
    pub(crate) stats: Stats,
}

impl Cluster {
    /// A node without peers.
    pub fn solo(
        me: NodeId,
        fill: std::sync::Arc<dyn Fill>,
        limits: FlightLimits,
        budget: Budget,
        tasks: Tasks,
    ) -> Cluster {
        let alone = Rings {
            current: RingConfig {
                epoch: 0,
                members: vec![Member {
                    id: me.clone(),
                    region: "".into(),
                    zone: "".into(),
                    weight: Member::WEIGHT,
                }],
            },
            previous: None,
        };
        Cluster {
            me,
            region: SmolStr::default(),
            placement: ArcSwap::from_pointee(Placement::of(&alone)),
            peers: None,
            view: None,
            rings: None,
            mask: Arc::new(Mask::of(&View::default(), Instant::now())),
            health: None,
            desks: Desks::default(),
            may_serve: Box::new(|| true),
            phase: watch::Sender::new(Phase::Ready),
            fill,
            owned: Arc::new(Flights::new(limits, budget.clone())),
            relayed: Arc::new(Flights::new(limits, budget.clone())),
            asked: Arc::new(Flights::new(limits, budget.clone())),
            rates: Rates::default(),
            giving: Giving::new(GivingLimits::USUAL),
            budget,
            tasks,
            stats: Stats::default(),
        }
    }

    /// A node among others. It answers its peers once it [listens](Cluster::listen).
    pub fn join(
        me: NodeId,
        fill: std::sync::Arc<dyn Fill>,
        limits: FlightLimits,
        budget: Budget,
        tasks: Tasks,
        company: Company,
    ) -> Arc<Cluster> {
        let placement = Placement::of(&company.rings.borrow());
        let mask = Arc::new(Mask::of(&company.view.borrow(), Instant::now()));
        let health = Health::start(
            me.clone(),
            company.view.clone(),
            company.peers.clone(),
            mask.clone(),
            // The lease looks at the clock itself.
            |_| {},
            &tasks,
        );
        let cluster = Arc::new(Cluster {
            region: company.region,
            placement: ArcSwap::from_pointee(placement),
            peers: Some(company.peers),
            view: Some(company.view),
            rings: Some(company.rings),
            mask,
            health: Some(health),
            desks: company.desks,
            may_serve: company.may_serve,
            phase: watch::Sender::new(Phase::Joining),
            giving: Giving::new(company.giving),
            ..Cluster::solo(me, fill, limits, budget, tasks)
        });
        cluster.start_giving();
        let following = cluster.clone();
        let stop = cluster.tasks.stopping();
        cluster.tasks.spawn("placement", async move {
            stop.run_until_cancelled(following.follow_rings()).await;
        });
        cluster
    }

    /// Begins to answer peers; the address really bound.
    ///
    /// # Errors
    /// The address cannot be listened on, or this node was made without peers.
    pub async fn listen(self: &Arc<Self>) -> io::Result<SocketAddr> {
        match &self.peers {
            Some(peers) => peers.listen(self.clone()).await,
            None => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// This node.
    pub fn me(&self) -> &NodeId {
        &self.me
    }

    /// How far this node says it is. One that may not serve owns nothing for now.
    pub fn phase(&self) -> Phase {
        match *self.phase.borrow() {
            Phase::Ready if !(self.may_serve)() => Phase::Joining,
            phase => phase,
        }
    }

    pub(crate) fn may_serve(&self) -> bool {
        (self.may_serve)()
    }

    /// Says how far this node is.
    pub fn set_phase(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// This node's region; empty where none is named.
    pub fn region(&self) -> &str {
        &self.region
    }

    /// The node that owns a key in this region: the one that answers for it here.
    pub fn owner(&self, key: &Key) -> NodeId {
        let placement = self.placement.load();
        let owner = placement.owner(key, &self.region);
        owner.unwrap_or(&self.me).clone()
    }

    /// The agreed ring's number and digest.
    pub fn ring(&self) -> (u64, [u8; 16]) {
        let stamp = self.ring_stamp();
        (stamp.epoch, stamp.digest)
    }

    /// Asks a desk of the application on another node.
    ///
    /// # Errors
    /// The peer could not be asked, or had nothing to say ([`PeerError::Protocol`]).
    pub async fn ask(
        &self,
        to: &NodeId,
        payload: Bytes,
        patience: Duration,
    ) -> Result<Bytes, PeerError> {
        let mut hearing = self
            .call(to, Room::Ask, vec![Frame::Payload(payload)], patience)
            .await?;
        match hearing.next(patience).await? {
            Some(Frame::Payload(payload)) => Ok(payload),
            _ => Err(PeerError::Protocol),
        }
    }

    /// What happened between this node and its peers; none on a lone node.
    pub fn peers(&self) -> Option<&PeerStats> {
        self.peers.as_ref().map(|peers| peers.stats())
    }

    /// Flights in the air.
    pub fn flights(&self) -> usize {
        self.owned.count() + self.relayed.count() + self.asked.count()
    }

    /// Bytes of recordings in the air.
    pub fn bytes_in_flight(&self) -> u64 {
        self.budget.used()
    }

    /// What has happened so far.
    pub fn stats(&self) -> &Stats {
        &self.stats
    }

    /// Who is seen now; on a lone node nobody.
    pub fn view(&self) -> std::sync::Arc<View> {
        let view = self.view.as_ref();
        view.map(|view| view.borrow().clone()).unwrap_or_default()
    }

    /// What becomes of an ask for a key that this node answers at a rank.
    pub(crate) fn step_at(&self, at: Rank, key: &Key, scope: Coalesce) -> Step {
        let placement = self.placement.load();
        placement.step(key, self.place(at), scope, |id| self.mask.usable(id))
    }

    /// Whom this node takes a key over from, if it can be asked: who owns it and is leaving, or who
    /// would have made the answer before. One that leaves is asked for nothing else, and for this
    /// until it is gone.
    pub(crate) fn owner_before(&self, key: &Key, scope: Coalesce) -> Option<NodeId> {
        // Who leaves takes nothing over: so no two nodes wait for each other.
        if self.phase() == Phase::Draining {
            return None;
        }
        let placement = self.placement.load();
        let leaves = |id: &NodeId| self.why_masked(id) == Some(Reason::Draining);
        let owner = placement.owner(key, &self.region);
        let before = match owner.filter(|owner| *owner != &self.me) {
            Some(owner) if leaves(owner) => owner,
            _ => placement.owner_before(key, self.place(Rank::Home), scope)?,
        };
        (self.mask.usable(before) || leaves(before)).then(|| before.clone())
    }

    fn place(&self, at: Rank) -> Place<'_> {
        Place {
            me: &self.me,
            region: &self.region,
            at,
        }
    }

    /// Whether a node is in another region than this one, as far as is known here.
    pub(crate) fn is_far(&self, id: &NodeId) -> bool {
        let placement = self.placement.load();
        if let Some(member) = placement.ring.member(id) {
            return member.region != self.region;
        }
        let view = self.view.as_ref();
        view.is_some_and(|view| {
            let view = view.borrow();
            view.get(id)
                .is_some_and(|seen| seen.member.region != self.region)
        })
    }

    /// An ask as its owner hears it. The secret goes beside it.
    pub(crate) fn fetch_frame(
        &self,
        want: &Want,
        freshness: Freshness,
        (rank, mode): (Rank, Mode),
    ) -> Frame {
        Frame::Fetch(FetchAsk {
            key: want.key,
            terms: want.terms,
            freshness,
            // What is peeked at may be shared, whatever it is for.
            alone: want.join == Join::Alone && mode != Mode::Peek,
            credential: want.credential,
            wish: want.wish,
            patience_millis: want.patience.as_millis() as u64,
            rank,
            mode,
            ring: self.ring_stamp(),
            since: want.since,
            // Who is only peeked at makes nothing and needs to know nothing.
            job: match mode {
                Mode::Peek => Bytes::new(),
                Mode::Owner | Mode::Force => want.job.clone(),
            },
        })
    }

    pub(crate) fn ring_stamp(&self) -> RingStamp {
        self.placement.load().stamp
    }

    pub(crate) async fn call(
        &self,
        to: &NodeId,
        room: Room,
        ask: Vec<Frame>,
        patience: Duration,
    ) -> Result<Hearing, PeerError> {
        let peers = self.peers.as_ref().ok_or(PeerError::Unknown)?;
        peers.call(to, room, ask, patience).await
    }

    /// Something was found out about a peer.
    pub(crate) fn found_out(&self, peer: &NodeId, event: Event) {
        self.mask.hear(peer, event, Instant::now());
    }

    /// Why a peer is not asked now.
    pub(crate) fn why_masked(&self, peer: &NodeId) -> Option<Reason> {
        self.mask.why(peer)
    }

    /// What pinging the others came to; none on a lone node.
    pub fn health(&self) -> Option<&HealthStats> {
        self.health.as_ref().map(Health::stats)
    }

    /// Waits until the ring has come this far, a bounded time.
    pub(crate) async fn await_ring(&self, epoch: u64, patience: Duration) {
        let Some(mut rings) = self.rings.clone() else {
            return;
        };
        let come = rings.wait_for(|rings| rings.current.epoch >= epoch);
        // Too late, or the end of the node: the ask is served as told.
        let _come = tokio::time::timeout(patience, come).await;
    }

    async fn follow_rings(&self) {
        let Some(mut rings) = self.rings.clone() else {
            return;
        };
        let mut warm_until: Option<Instant> = None;
        loop {
            let placement = Placement::of(&rings.borrow_and_update());
            if placement.stamp != self.ring_stamp() {
                tracing::info!(epoch = placement.stamp.epoch, "the ring has changed");
                warm_until = Some(Instant::now() + WARM_WINDOW);
                let epoch = placement.stamp.epoch;
                let before = self.placement.swap(std::sync::Arc::new(placement));
                self.moved_from(before, epoch);
            }
            let cooled = async {
                match warm_until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = rings.changed() => if changed.is_err() { return },
                () = cooled => {
                    warm_until = None;
                    let cold = Placement { before: None, ..Placement::clone(&self.placement.load()) };
                    self.placement.store(std::sync::Arc::new(cold));
                }
            }
        }
    }
}
