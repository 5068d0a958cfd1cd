//! Several replicas in one process: what they say is carried in memory, late or never as the test
//! wishes, and time is the paused clock's.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::{Folder, Tally};
use crate::control::{Carry, Control, ControlError, ReplicaSettings, Timers, Uncarried};
use crate::fill::BoxFuture;
use crate::node::{Incarnation, Member, NodeId, Phase};
use crate::tasks::Tasks;
use crate::view::{Seen, View};

/// What lies between the nodes.
#[derive(Default)]
pub(super) struct Net {
    nodes: Mutex<HashMap<NodeId, Control<Tally>>>,
    cuts: Mutex<HashSet<(NodeId, NodeId)>>,
    delay: Mutex<Duration>,
    /// Payloads given to somebody.
    pub(super) carried: Mutex<u64>,
}

impl Net {
    pub(super) fn delay(&self, delay: Duration) {
        *self.delay.lock().unwrap() = delay;
    }

    /// What `from` says does not arrive at `to`.
    pub(super) fn cut_one_way(&self, from: &str, to: &str) {
        self.cuts.lock().unwrap().insert((from.into(), to.into()));
    }

    pub(super) fn heal(&self) {
        self.cuts.lock().unwrap().clear();
    }

    async fn pass(&self, from: &NodeId, to: &NodeId) {
        let delay = *self.delay.lock().unwrap();
        tokio::time::sleep(delay).await;
        let is_cut = self
            .cuts
            .lock()
            .unwrap()
            .contains(&(from.clone(), to.clone()));
        if is_cut {
            std::future::pending::<()>().await;
        }
    }
}

struct Way {
    me: NodeId,
    net: Arc<Net>,
}

impl Carry for Way {
    fn carry<'a>(
        &'a self,
        to: &'a NodeId,
        payload: Bytes,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Bytes, Uncarried>> {
        let way = async move {
            let target = self.net.nodes.lock().unwrap().get(to).cloned();
            let target = target.ok_or(Uncarried::Unreachable)?;
            self.net.pass(&self.me, to).await;
            *self.net.carried.lock().unwrap() += 1;
            let reply = target.hear(self.me.clone(), payload).await;
            self.net.pass(to, &self.me).await;
            Ok(reply)
        };
        Box::pin(async move {
            let carried = tokio::time::timeout(patience, way).await;
            carried.unwrap_or(Err(Uncarried::Lost))
        })
    }
}

pub(super) fn member(name: &str) -> Member {
    Member {
        id: name.into(),
        region: "home".into(),
        zone: "".into(),
        weight: Member::WEIGHT,
    }
}

/// One node that runs.
pub(super) struct House {
    pub(super) control: Control<Tally>,
    tasks: Tasks,
    seen: Seen,
}

impl Drop for House {
    /// What is left of one test must not run beside the next story of the same test.
    fn drop(&mut self) {
        self.tasks.stopping().cancel();
    }
}

/// All of them.
pub(super) struct Town {
    pub(super) net: Arc<Net>,
    pub(super) houses: BTreeMap<String, House>,
    view: watch::Sender<Arc<View>>,
    folder: Folder,
    timers: Timers,
}

impl Town {
    pub(super) fn new(timers: Timers) -> Town {
        let net = Arc::new(Net::default());
        net.delay(Duration::from_millis(1));
        Town {
            net,
            houses: BTreeMap::new(),
            view: watch::Sender::new(Arc::default()),
            folder: Folder::new(),
            timers,
        }
    }

    pub(super) fn path(&self, name: &str) -> std::path::PathBuf {
        self.folder.file(name)
    }

    /// `n1` founds the cluster, the others are let in, and three of them vote.
    pub(super) async fn of(count: u64, timers: Timers) -> Town {
        let mut town = Town::new(timers);
        for n in 1..=count {
            town.open(&format!("n{n}"), n).await;
        }
        town.at("n1").initialise().await.unwrap();
        let voters = if count < 3 { 1 } else { 3 };
        town.until("everybody is in", || {
            town.houses.values().all(|house| {
                let standing = house.control.standing();
                standing.voters.len() == voters
                    && standing.voters.len() + standing.learners.len() == town.houses.len()
                    && !standing.changing
                    && house.control.rings().borrow().current.members.len() == town.houses.len()
            })
        })
        .await;
        town
    }

    pub(super) async fn open(&mut self, name: &str, number: u64) {
        self.open_as(name, number, Phase::Ready).await;
    }

    pub(super) async fn open_as(&mut self, name: &str, number: u64, phase: Phase) {
        let me = member(name);
        let tasks = Tasks::new();
        let carry = Arc::new(Way {
            me: me.id.clone(),
            net: Arc::clone(&self.net),
        });
        let deadline = Instant::now() + Duration::from_secs(5);
        let control = loop {
            let settings = ReplicaSettings {
                me: me.clone(),
                replica: number,
                path: self.folder.file(&format!("{name}-{number}")),
                view: self.view.subscribe(),
                voter_region: None,
                timers: self.timers,
            };
            let carry = Arc::clone(&carry) as Arc<dyn Carry>;
            match Control::replicated(settings, carry, &tasks).await {
                // What ran here before lets go of its file a little later.
                Err(ControlError::InUse(_)) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                opened => break opened.unwrap(),
            }
        };
        let seen = Seen {
            member: me.clone(),
            incarnation: Incarnation(number),
            phase,
            address: ([127, 0, 0, 1], 1).into(),
            replica: number,
        };
        self.net
            .nodes
            .lock()
            .unwrap()
            .insert(me.id, control.clone());
        let house = House {
            control,
            tasks,
            seen,
        };
        self.houses.insert(name.to_owned(), house);
        self.look();
    }

    fn look(&self) {
        let seen = self.houses.values().map(|house| house.seen.clone());
        self.view.send_replace(Arc::new(View::of(seen)));
    }

    pub(super) fn phase(&mut self, name: &str, phase: Phase) {
        self.houses.get_mut(name).unwrap().seen.phase = phase;
        self.look();
    }

    /// From one moment to the next it is gone; its number, to open it again.
    pub(super) async fn kill(&mut self, name: &str) -> u64 {
        self.net.nodes.lock().unwrap().remove(&NodeId::from(name));
        let house = self.houses.remove(name).unwrap();
        house.tasks.end(Duration::from_secs(5)).await;
        self.look();
        house.seen.replica
    }

    /// The disk below `name` is full, or has room again.
    pub(super) fn fill(&self, name: &str, is_full: bool) {
        let number = self.houses[name].seen.replica;
        let path = self.folder.file(&format!("{name}-{number}"));
        let mut full = super::super::file::full::FULL.lock().unwrap();
        let full = full.get_or_insert_default();
        if is_full {
            full.insert(path);
        } else {
            full.remove(&path);
        }
    }

    /// Nothing passes between `name` and anybody.
    pub(super) fn cut_off(&self, name: &str) {
        for other in self.houses.keys().filter(|other| *other != name) {
            self.net.cut_one_way(name, other);
            self.net.cut_one_way(other, name);
        }
    }

    pub(super) fn at(&self, name: &str) -> Control<Tally> {
        self.houses[name].control.clone()
    }

    /// Who leads in the eyes of everybody, itself included.
    pub(super) fn leader(&self) -> Option<String> {
        let leaders: HashSet<Option<NodeId>> = self
            .houses
            .values()
            .map(|house| house.control.standing().leader)
            .collect();
        let [Some(leader)] = &*leaders.into_iter().collect::<Vec<_>>() else {
            return None;
        };
        Some(leader.to_string())
    }

    pub(super) async fn until(&self, what: &str, holds: impl Fn() -> bool) {
        let deadline = Instant::now() + Duration::from_secs(120);
        while !holds() {
            if Instant::now() >= deadline {
                let standings: Vec<_> = self
                    .houses
                    .iter()
                    .map(|(name, house)| (name, house.control.standing()))
                    .collect();
                panic!("not in time: {what}: {standings:#?}");
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
