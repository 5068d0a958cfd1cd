//! Draws the picture that `autopilot.rs` decides on, and makes the change. It watches on every
//! node, so that a new leader knows who has been here how long, and acts on none but the leader.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::ChangeMembers;
use smol_str::SmolStr;
use tokio::sync::watch;
use tokio::time::Instant;

use super::autopilot::{Change, Here, Picture, decide};
use super::replica::Replica;
use super::types::LogId;
use crate::control::State;
use crate::node::{NodeId, Phase};
use crate::tasks::Tasks;
use crate::view::View;

/// How long one change may take before the picture is drawn again.
const CHANGE_PATIENCE: Duration = Duration::from_secs(10);
/// After a panic in the pilot.
const PANIC_PAUSE: Duration = Duration::from_secs(1);

/// What this node remembers of who was here.
pub(super) struct Pilot {
    view: watch::Receiver<Arc<View>>,
    voter_region: Option<SmolStr>,
    steady: BTreeMap<NodeId, (u64, Phase, Instant)>,
    missed: BTreeMap<NodeId, Instant>,
    /// The newest membership, and since when it is.
    change: (Option<LogId>, Instant),
}

impl Pilot {
    pub(super) fn new(view: watch::Receiver<Arc<View>>, voter_region: Option<SmolStr>) -> Pilot {
        Pilot {
            view,
            voter_region,
            steady: BTreeMap::new(),
            missed: BTreeMap::new(),
            change: (None, Instant::now()),
        }
    }

    pub(super) fn start<S: State>(self, replica: &Arc<Replica<S>>, tasks: &Tasks) {
        let replica = Arc::downgrade(replica);
        let (pilot, stopping) = (Arc::new(tokio::sync::Mutex::new(self)), tasks.stopping());
        tasks.keep_running("ring and voters", PANIC_PAUSE, move || {
            let (pilot, replica) = (Arc::clone(&pilot), Weak::clone(&replica));
            let stopping = stopping.clone();
            async move {
                let steering = async { pilot.lock().await.steer(&replica).await };
                let _ = stopping.run_until_cancelled(steering).await;
            }
        });
    }

    async fn steer<S: State>(&mut self, replica: &Weak<Replica<S>>) {
        while let Some(replica) = replica.upgrade() {
            let every = replica.timers.pilot_every;
            self.watch(&replica, Instant::now());
            if let Some(change) = self.picture(&replica).as_ref().and_then(decide) {
                tracing::info!(change = %Words(&change), "the agreement is changed");
                let made = tokio::time::timeout(CHANGE_PATIENCE, make(&replica, change)).await;
                if !matches!(made, Ok(true)) {
                    tracing::warn!("the change was not made; it is looked at again");
                }
            }
            drop(replica);
            // A change in who is here is looked at soon, but not for every rumour.
            tokio::time::sleep(every).await;
        }
    }

    fn watch<S: State>(&mut self, replica: &Replica<S>, now: Instant) {
        let view = Arc::clone(&self.view.borrow_and_update());
        let rings = replica.shown.rings();
        let rings = Arc::clone(&rings.borrow());
        let electorate = replica.electorate();
        self.steady.retain(|name, _| view.get(name).is_some());
        for seen in view.iter() {
            let is = (seen.replica, seen.phase);
            let held = self.steady.get(&seen.member.id);
            if held.is_none_or(|(replica, phase, _)| (*replica, *phase) != is) {
                self.steady
                    .insert(seen.member.id.clone(), (seen.replica, seen.phase, now));
            }
        }
        let on_ring = rings.current.members.iter().map(|member| member.id.clone());
        let known: BTreeSet<NodeId> = electorate
            .nodes
            .values()
            .map(super::types::Placed::id)
            .chain(on_ring)
            .collect();
        self.missed
            .retain(|name, _| known.contains(name) && view.get(name).is_none());
        for name in known {
            if view.get(&name).is_none() {
                self.missed.entry(name).or_insert(now);
            }
        }
        if self.change.0 != electorate.id {
            self.change = (electorate.id, now);
        }
    }

    /// Nothing where this node does not lead.
    fn picture<S: State>(&self, replica: &Replica<S>) -> Option<Picture> {
        let metrics = replica.raft().ok()?.metrics().borrow().clone();
        let progress = metrics.replication.as_ref()?;
        let quorum_contact = replica.quorum_contact()?;
        let (now, view) = (Instant::now(), Arc::clone(&self.view.borrow()));
        let electorate = replica.electorate();
        let last = metrics.last_log_index.unwrap_or(0);
        let applied = metrics.last_applied.map(|id| id.index);
        let rings = Arc::clone(&replica.shown.rings().borrow());
        let here = view.iter().map(|seen| {
            let since = self.steady.get(&seen.member.id).map_or(now, |held| held.2);
            let here = Here {
                member: seen.member.clone(),
                replica: seen.replica,
                phase: seen.phase,
                steady: now.saturating_duration_since(since),
            };
            (seen.member.id.clone(), here)
        });
        let gone = self
            .missed
            .iter()
            .map(|(name, since)| (name.clone(), now.saturating_duration_since(*since)));
        let behind = progress.iter().filter_map(|(replica, matched)| {
            let matched = matched.as_ref()?;
            Some((*replica, last.saturating_sub(matched.index)))
        });
        Some(Picture {
            me: replica.number,
            sets: electorate.sets.clone(),
            is_settled: electorate.id.map(|id| id.index) <= applied,
            nodes: electorate.nodes.clone(),
            here: here.collect(),
            gone: gone.collect(),
            behind: behind.collect(),
            ring: rings.current.members.clone(),
            since_change: now.saturating_duration_since(self.change.1),
            quorum_contact,
            voter_region: self.voter_region.clone(),
            timers: replica.timers,
        })
    }
}

/// Whether the change was made.
async fn make<S: State>(replica: &Replica<S>, change: Change) -> bool {
    let members = match change {
        Change::Ring(members) => return replica.set_ring(members).await.is_ok(),
        Change::Learners(nodes) => ChangeMembers::AddNodes(nodes),
        Change::Forget(replicas) => ChangeMembers::RemoveNodes(replicas),
        Change::Voters(voters) => ChangeMembers::ReplaceAllVoters(voters),
    };
    match replica.raft() {
        Ok(raft) => raft.change_membership(members, true).await.is_ok(),
        Err(_) => false,
    }
}

/// A change in words for the log.
struct Words<'a>(&'a Change);

impl std::fmt::Display for Words<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let list = |names: Vec<String>| names.join(", ");
        match self.0 {
            Change::Ring(members) => {
                let names = members.iter().map(|member| member.id.to_string());
                write!(f, "on the ring are {}", list(names.collect()))
            }
            Change::Learners(nodes) => {
                let names = nodes.values().map(|placed| placed.name.to_string());
                write!(f, "listening begin {}", list(names.collect()))
            }
            Change::Forget(replicas) => {
                let numbers = replicas.iter().map(|number| format!("{number:016x}"));
                write!(f, "forgotten are replicas {}", list(numbers.collect()))
            }
            Change::Voters(replicas) => {
                let numbers = replicas.iter().map(|number| format!("{number:016x}"));
                write!(f, "voting are replicas {}", list(numbers.collect()))
            }
        }
    }
}
