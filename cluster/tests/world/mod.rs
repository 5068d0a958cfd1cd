//! A cluster in one process: nodes on a network of memory whose links can be cut, an application
//! that counts the calls it makes, and a clock that is paused. A story is a list of steps; when one
//! fails, the steps so far are what is printed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::{
    BoxFuture, Budget, Cluster, Coalesce, Company, Copied, Credential, Desks, Fault, Faults, Fill,
    Filling, FlightLimits, Frame, Freshness, GivingLimits, Identity, Incarnation, Join, Key,
    Member, MemoryNet, NodeId, Part, PeerLimits, Peers, Phase, Recorder, Ring, RingConfig, Rings,
    Sealed, Seen, Tape, Tasks, Terms, View, Want,
};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// How long the provider takes to its first chunk, and from chunk to chunk.
pub(crate) const CHUNK_EVERY: Duration = Duration::from_millis(200);

/// Chunks of an answer.
pub(crate) const CHUNKS: usize = 10;

/// A provider that all nodes call: numbers its calls, and every chunk says which call it is of.
#[derive(Default)]
pub(crate) struct Provider {
    calls: AtomicUsize,
    /// Every call: by which node, for which key.
    log: Mutex<Vec<(NodeId, Key)>>,
}

/// One node's application.
struct Kitchen {
    node: NodeId,
    provider: Arc<Provider>,
    kept: Mutex<HashMap<Key, Arc<Sealed>>>,
    /// How often each was looked at.
    asked: Mutex<HashMap<Key, usize>>,
    /// What others gave, in the order in which it came, and when.
    given: Mutex<Vec<(Key, Instant)>>,
    /// What was purged here: no copy of it is taken in.
    purged: Mutex<HashSet<Key>>,
    near: Mutex<HashMap<Key, Arc<Sealed>>>,
}

impl Fill for Kitchen {
    fn peek(&self, key: &Key, _: &Terms) -> Option<Tape> {
        *self.asked.lock().unwrap().entry(*key).or_default() += 1;
        let kept = self.kept.lock().unwrap().get(key).cloned();
        let sealed = kept.or_else(|| self.near.lock().unwrap().get(key).cloned());
        sealed.map(Tape::from)
    }

    fn look<'a>(&'a self, keys: &'a [Key], terms: &'a Terms) -> BoxFuture<'a, Vec<Option<Tape>>> {
        Box::pin(async move { keys.iter().map(|key| self.peek(key, terms)).collect() })
    }

    fn fill(&self, filling: Filling, recorder: Recorder) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if filling.freshness == Freshness::Any
                && let Some(sealed) = self.kept.lock().unwrap().get(&filling.key).cloned()
            {
                if recorder.copy(sealed.frame(0), &sealed).is_ok() {
                    recorder.finish(sealed);
                }
                return;
            }
            let call = self.provider.calls.fetch_add(1, Ordering::SeqCst) + 1;
            let called = (self.node.clone(), filling.key);
            self.provider.log.lock().unwrap().push(called);
            for chunk in 0..CHUNKS {
                tokio::time::sleep(CHUNK_EVERY).await;
                let text = format!("{call}/{chunk}");
                if recorder.push(Bytes::from(text)).is_err() {
                    return;
                }
            }
            let sealed = recorder.seal();
            let mut kept = self.kept.lock().unwrap();
            kept.insert(filling.key, sealed.clone());
            drop(kept);
            recorder.finish(sealed);
        })
    }

    fn stamp(&self, key: &Key) -> Option<Bytes> {
        let kept = self.kept.lock().unwrap();
        kept.contains_key(key).then(|| Bytes::from_static(b"stamp"))
    }

    fn keep(&self, key: &Key, stamp: &[u8], sealed: Arc<Sealed>, copy: Copied) -> bool {
        assert_eq!(stamp, b"stamp");
        if self.purged.lock().unwrap().contains(key) {
            return false;
        }
        if copy == Copied::Moved {
            let came = (*key, Instant::now());
            self.given.lock().unwrap().push(came);
        }
        let half = match copy {
            Copied::Moved => &self.kept,
            Copied::Near => &self.near,
        };
        half.lock().unwrap().insert(*key, sealed);
        true
    }

    fn moved(&self, mine: &dyn Fn(&Key) -> bool, limit: usize) -> Vec<Key> {
        let kept = self.kept.lock().unwrap();
        let mut moved: Vec<Key> = kept.keys().copied().filter(|key| !mine(key)).collect();
        let asked = self.asked.lock().unwrap();
        moved.sort_by_key(|key| std::cmp::Reverse(asked.get(key).copied()));
        moved.truncate(limit);
        moved
    }

    fn suits(&self, _: &Frame, _: &Terms) -> bool {
        true
    }
}

struct Node {
    cluster: Arc<Cluster>,
    kitchen: Arc<Kitchen>,
    rings: watch::Sender<Arc<Rings>>,
    view: watch::Sender<Arc<View>>,
    tasks: Tasks,
    alive: bool,
}

/// How an ask ended.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) result: Result<Answer, Fault>,
    /// From the ask to the first frame, or to the fault.
    pub(crate) first: Duration,
}

/// An answer heard to its end.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) part: Part,
    pub(crate) chunks: Vec<String>,
    /// How it broke, if it did.
    pub(crate) broke: Option<Fault>,
}

impl Answer {
    /// The calls whose chunks are in it: more than one is a mixture.
    pub(crate) fn calls(&self) -> Vec<usize> {
        let mut calls: Vec<usize> = self
            .chunks
            .iter()
            .map(|chunk| chunk.split('/').next().unwrap().parse().unwrap())
            .collect();
        calls.dedup();
        calls
    }

    /// Chunk after chunk from the first on, none left out.
    pub(crate) fn in_order(&self) -> bool {
        let numbers = self
            .chunks
            .iter()
            .map(|chunk| chunk.split('/').nth(1).unwrap());
        let counted = (0..self.chunks.len()).map(|chunk| chunk.to_string());
        numbers.eq(counted)
    }

    /// Every chunk once, in order, to the end.
    pub(crate) fn whole(&self) -> bool {
        let complete = self.broke.is_none() && self.chunks.len() == CHUNKS;
        complete && self.calls().len() == 1 && self.in_order()
    }
}

/// The cluster.
pub(crate) struct World {
    net: MemoryNet,
    pub(crate) faults: Faults,
    pub(crate) provider: Arc<Provider>,
    nodes: BTreeMap<&'static str, Node>,
    rings: Arc<Rings>,
    giving: GivingLimits,
    /// Which node is where; one that is not named here is nowhere in particular.
    regions: BTreeMap<&'static str, &'static str>,
    told: Vec<String>,
}

/// A step of a story.
#[derive(Debug, Clone)]
#[allow(dead_code, reason = "no file of stories takes every step")]
pub(crate) enum Step {
    /// Nodes come and join the ring.
    Add(&'static [&'static str]),
    /// The ring is agreed anew with these members, known to all but the last list.
    Ring(&'static [&'static str], &'static [&'static str]),
    /// The node's process ends at once: its connections are reset.
    Kill(&'static str),
    /// The node says that it leaves; the ring does not know it yet.
    Drain(&'static str),
    /// Nothing passes between the two, and nobody says so.
    Cut(&'static str, &'static str),
    /// Nothing passes from the first to the second.
    CutOneWay(&'static str, &'static str),
    /// Nothing passes between the node and anyone: as if its process were stopped.
    Freeze(&'static str),
    /// Nothing passes between the region and any other.
    CutOff(&'static str),
    /// All links of the node are good again.
    Heal(&'static str),
    /// Time passes.
    Wait(u64),
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

pub(crate) fn key(number: u64) -> Key {
    let mut bytes = [7; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Key(bytes)
}

#[allow(dead_code, reason = "no file of stories asks for everything")]
impl World {
    pub(crate) async fn with(names: &'static [&'static str]) -> World {
        World::over(&[("", names)]).await
    }

    pub(crate) async fn giving(names: &'static [&'static str], giving: GivingLimits) -> World {
        World::made(&[("", names)], giving).await
    }

    /// Nodes in regions.
    pub(crate) async fn over(regions: &[(&'static str, &'static [&'static str])]) -> World {
        World::made(regions, GivingLimits::USUAL).await
    }

    async fn made(
        regions: &[(&'static str, &'static [&'static str])],
        giving: GivingLimits,
    ) -> World {
        let places = regions
            .iter()
            .flat_map(|(region, names)| names.iter().map(|name| (*name, *region)));
        let mut world = World {
            net: MemoryNet::new(),
            faults: Faults::new(),
            provider: Arc::default(),
            nodes: BTreeMap::new(),
            rings: Arc::default(),
            giving,
            regions: places.collect(),
            told: Vec::new(),
        };
        // All at once: there was no ring before.
        for (_, names) in regions {
            world.told.push(Step::Add(names).to_string());
            for name in *names {
                world.add(name).await;
            }
        }
        world.meet().await;
        world
    }

    /// What passes between the two regions takes so long there and back.
    pub(crate) fn far(&self, a: &str, b: &str, millis: u64) {
        let each_way = Duration::from_millis(millis / 2);
        for (one, _) in self.regions.iter().filter(|(_, region)| **region == a) {
            for (other, _) in self.regions.iter().filter(|(_, region)| **region == b) {
                self.faults
                    .delay(&(*one).into(), &(*other).into(), each_way);
            }
        }
    }

    fn region(&self, name: &str) -> &'static str {
        self.regions.get(name).copied().unwrap_or_default()
    }

    fn member(&self, name: &str) -> Member {
        Member {
            id: name.into(),
            region: self.region(name).into(),
            zone: "".into(),
            weight: Member::WEIGHT,
        }
    }

    fn ring(&self) -> Ring {
        Ring::of(self.nodes.keys().map(|name| self.member(name)))
    }

    /// Takes a step.
    pub(crate) async fn take(&mut self, step: Step) {
        self.told.push(step.to_string());
        match step {
            Step::Add(names) => {
                for name in names {
                    self.add(name).await;
                }
                self.meet().await;
            }
            Step::Ring(members, deaf) => self.agree(members, deaf),
            Step::Kill(name) => self.kill(name).await,
            Step::Drain(name) => {
                self.nodes[name].cluster.set_phase(Phase::Draining);
                self.look_around();
            }
            Step::Cut(a, b) => self.faults.cut(&a.into(), &b.into()),
            Step::CutOneWay(a, b) => self.faults.cut_one_way(&a.into(), &b.into()),
            Step::CutOff(region) => {
                for name in self.names() {
                    for other in self.names() {
                        if self.region(name) == region && self.region(other) != region {
                            self.faults.cut(&name.into(), &other.into());
                        }
                    }
                }
            }
            Step::Freeze(name) => self.others(name, |faults, a, b| faults.cut(a, b)),
            Step::Heal(name) => self.others(name, |faults, a, b| faults.heal(a, b)),
            Step::Wait(millis) => tokio::time::sleep(Duration::from_millis(millis)).await,
        }
        // What was told is heard before the next step.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    /// Everybody who was added sees everybody and is on the ring.
    async fn meet(&mut self) {
        self.look_around();
        self.agree(&self.names(), &[]);
        tokio::time::sleep(Duration::from_millis(1)).await;
    }

    async fn add(&mut self, name: &'static str) {
        let (id, address) = (NodeId::from(name), self.address(self.nodes.len()));
        let tasks = Tasks::new();
        let memory = Arc::new(self.net.node(id.clone(), address));
        let transport = Arc::new(self.faults.around(id.clone(), memory, tasks.clone()));
        let (view, seen) = watch::channel(Arc::default());
        let (rings, agreed) = watch::channel(Arc::default());
        let identity = Identity {
            installation: [1; 16],
        };
        let limits = PeerLimits::USUAL;
        let peers = Peers::new(
            id.clone(),
            transport,
            identity,
            seen.clone(),
            tasks.clone(),
            limits,
        );
        let kitchen = Arc::new(Kitchen {
            node: id.clone(),
            provider: self.provider.clone(),
            kept: Mutex::default(),
            asked: Mutex::default(),
            given: Mutex::default(),
            purged: Mutex::default(),
            near: Mutex::default(),
        });
        let company = Company {
            region: self.region(name).into(),
            peers,
            view: seen,
            rings: agreed,
            desks: Desks::default(),
            may_serve: Box::new(|| true),
            giving: self.giving,
        };
        let limits = FlightLimits {
            flights_max: 10_000,
            listeners_per_flight_max: 10_000,
            tape_bytes_max: 1 << 20,
        };
        let cluster = Cluster::join(
            id,
            kitchen.clone(),
            limits,
            Budget::new(1 << 30),
            tasks.clone(),
            company,
        );
        cluster.listen().await.unwrap();
        cluster.set_phase(Phase::Ready);
        let node = Node {
            cluster,
            kitchen,
            rings,
            view,
            tasks,
            alive: true,
        };
        self.nodes.insert(name, node);
    }

    fn address(&self, number: usize) -> SocketAddr {
        SocketAddr::from(([10, 0, 0, number as u8 + 1], 8082))
    }

    /// Everyone sees everyone; the dead are seen for as long as nobody says otherwise.
    fn look_around(&self) {
        let seen = self
            .nodes
            .iter()
            .enumerate()
            .map(|(number, (name, node))| Seen {
                member: self.member(name),
                incarnation: Incarnation(1),
                phase: node.cluster.phase(),
                address: self.address(number),
                replica: number as u64,
            });
        let view = Arc::new(View::of(seen));
        for node in self.nodes.values() {
            node.view.send_replace(view.clone());
        }
    }

    fn agree(&mut self, members: &[&'static str], deaf: &[&str]) {
        let current = RingConfig {
            epoch: self.rings.current.epoch + 1,
            members: members.iter().map(|name| self.member(name)).collect(),
        };
        self.rings = Arc::new(Rings {
            previous: Some(self.rings.current.clone()),
            current,
        });
        for (_, node) in self.nodes.iter().filter(|(name, _)| !deaf.contains(name)) {
            node.rings.send_replace(self.rings.clone());
        }
    }

    async fn kill(&mut self, name: &'static str) {
        self.others(name, |faults, a, b| faults.refuse(a, b));
        let node = self.nodes.get_mut(name).unwrap();
        node.alive = false;
        // Its tasks are not waited for: a killed process says nothing more.
        node.tasks.stopping().cancel();
    }

    fn others(&self, name: &str, change: impl Fn(&Faults, &NodeId, &NodeId)) {
        let me = NodeId::from(name);
        for other in self.nodes.keys().filter(|other| **other != name) {
            change(&self.faults, &me, &NodeId::from(*other));
        }
    }

    /// A key that this node owns by the ring of those that are there.
    pub(crate) fn key_of(&self, owner: &str) -> Key {
        let ring = self.ring();
        (0..)
            .map(key)
            .find(|key| ring.owner(key, |_| true).unwrap().as_str() == owner)
            .unwrap()
    }

    /// Who comes after the owner.
    pub(crate) fn successor_of(&self, key: &Key) -> NodeId {
        self.ring().successors(key)[1].id.clone()
    }

    /// Who owns the key in this region.
    pub(crate) fn owner_in(&self, region: &str, key: &Key) -> &'static str {
        let ring = self.ring();
        let owner = ring.owner_in(region, key, |_| true).unwrap();
        let names = self.names();
        names
            .into_iter()
            .find(|name| *name == owner.as_str())
            .unwrap()
    }

    /// Asks at a node and listens to the end, beside everything else.
    pub(crate) fn ask(&self, at: &str, key: Key) -> JoinHandle<Heard> {
        self.ask_as(at, key, Join::Owned)
    }

    pub(crate) fn ask_as(&self, at: &str, key: Key, join: Join) -> JoinHandle<Heard> {
        self.ask_within(at, key, join, Coalesce::World)
    }

    pub(crate) fn ask_within(
        &self,
        at: &str,
        key: Key,
        join: Join,
        coalesce: Coalesce,
    ) -> JoinHandle<Heard> {
        let cluster = self.nodes[at].cluster.clone();
        let want = Want {
            key,
            since: 0,
            terms: Terms::default(),
            join,
            coalesce,
            job: Bytes::from_static(b"job"),
            secret: None,
            credential: Credential([0; 16]),
            wish: 1,
            patience: Duration::from_secs(60),
        };
        tokio::spawn(async move {
            let began = Instant::now();
            let kept = (join == Join::Owned).then(|| cluster.peek(&want.key, &want.terms));
            let fetched = match kept.flatten() {
                Some(fetched) => Ok(fetched),
                None => cluster.fetch(&want).await,
            };
            let first = began.elapsed();
            let result = match fetched {
                Err(fault) => Err(fault),
                Ok(mut fetched) => {
                    let mut chunks = vec![text(&fetched.head)];
                    let broke = loop {
                        match fetched.player.next().await {
                            Ok(Some(frame)) => chunks.push(text(&frame)),
                            Ok(None) => break None,
                            Err(fault) => break Some(fault),
                        }
                    };
                    Ok(Answer {
                        part: fetched.part,
                        chunks,
                        broke,
                    })
                }
            };
            Heard { result, first }
        })
    }

    /// Asks and waits for the whole of it, which there must be.
    pub(crate) async fn whole(&self, at: &str, key: Key) -> Answer {
        let heard = self.ask(at, key).await.unwrap();
        let answer = heard
            .result
            .unwrap_or_else(|fault| panic!("{fault} after {:#?}", self.told));
        assert!(answer.whole(), "{answer:?} after {:#?}", self.told);
        answer
    }

    /// What was done so far.
    pub(crate) fn steps(&self) -> &[String] {
        &self.told
    }

    pub(crate) fn calls(&self) -> usize {
        self.provider.calls.load(Ordering::SeqCst)
    }

    /// Who called for this key.
    pub(crate) fn callers(&self, key: &Key) -> Vec<NodeId> {
        let log = self.provider.log.lock().unwrap();
        log.iter()
            .filter(|(_, asked)| asked == key)
            .map(|(node, _)| node.clone())
            .collect()
    }

    pub(crate) fn keeps(&self, node: &str, key: &Key) -> bool {
        self.nodes[node]
            .kitchen
            .kept
            .lock()
            .unwrap()
            .contains_key(key)
    }

    pub(crate) fn keeps_near(&self, node: &str, key: &Key) -> bool {
        self.nodes[node]
            .kitchen
            .near
            .lock()
            .unwrap()
            .contains_key(key)
    }

    /// What others gave to this node, in the order in which it came, and when.
    pub(crate) fn given(&self, node: &str) -> Vec<(Key, Instant)> {
        self.nodes[node].kitchen.given.lock().unwrap().clone()
    }

    /// How often a node looked for a key.
    pub(crate) fn asked(&self, node: &str, key: &Key) -> usize {
        let asked = self.nodes[node].kitchen.asked.lock().unwrap();
        asked.get(key).copied().unwrap_or_default()
    }

    /// Voids what a node may take in of a key, and nothing anywhere else.
    pub(crate) fn purge(&self, node: &str, key: &Key) {
        let kitchen = &self.nodes[node].kitchen;
        kitchen.purged.lock().unwrap().insert(*key);
    }

    /// An answer that was made at this node though it is another's, as the items of a batch are.
    pub(crate) fn put(&self, node: &str, key: Key) {
        let sealed = Tape::finished((0..CHUNKS).map(|chunk| Bytes::from(format!("0/{chunk}"))));
        let sealed = sealed.sealed().unwrap();
        let kitchen = &self.nodes[node].kitchen;
        kitchen.kept.lock().unwrap().insert(key, sealed);
    }

    /// Waits until a node has given away what the last change of the ring moved.
    pub(crate) async fn handed_off(&self, node: &str) {
        let epoch = self.rings.current.epoch;
        let done = self.nodes[node].cluster.handed_off(epoch);
        let in_time = tokio::time::timeout(Duration::from_secs(60), done).await;
        assert!(in_time.is_ok(), "{node} hangs after {:#?}", self.told);
    }

    pub(crate) fn names(&self) -> Vec<&'static str> {
        self.nodes.keys().copied().collect()
    }

    pub(crate) fn cluster(&self, name: &str) -> &Cluster {
        &self.nodes[name].cluster
    }

    /// Once everyone has gone, nobody who lives holds a flight: nothing waits for anything.
    pub(crate) async fn comes_to_rest(&self) {
        tokio::time::sleep(Duration::from_secs(15)).await;
        for (name, node) in self.nodes.iter().filter(|(_, node)| node.alive) {
            assert_eq!(node.cluster.flights(), 0, "{name} after {:#?}", self.told);
        }
    }
}

fn text(frame: &Frame) -> String {
    String::from_utf8(frame.to_vec()).unwrap()
}
