//! One replica at work: the library's node, the file below it and the ways to the others, held
//! together. It hears what peers say and refuses what was not meant for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use openraft::Raft;
use openraft::error::{InitializeError, RaftError};
use openraft::raft::{AppendEntriesRequest, InstallSnapshotRequest, VoteRequest};
use tokio::time::Instant;

use super::core::{Core, open_core};
use super::electorate::Electorate;
use super::file::{Identity, put};
use super::leases::Leases;
use super::link::Links;
use super::log::{Voting, run};
use super::payload::{Heard, Kind, Refused, reply};
use super::pilot::Pilot;
use super::proposals::Proposals;
use super::settings::{ReplicaSettings, Timers};
use super::standing::Standing;
use super::types::{Placed, Types};
use crate::control::carry::Carry;
use crate::control::shown::Shown;
use crate::control::{ControlError, State};
use crate::lease::Lease;
use crate::node::{Member, NodeId};
use crate::tasks::Tasks;

/// How long a leader may take to confirm that it leads.
const CONFIRM_PATIENCE: Duration = Duration::from_secs(1);
/// Between two looks for a leader.
const LEADER_PAUSE: Duration = Duration::from_millis(50);

/// One replica of the agreed state.
pub(crate) struct Replica<S: State> {
    pub(super) me: Member,
    pub(super) number: u64,
    pub(super) path: PathBuf,
    /// What does the agreeing, or why nothing does.
    core: Mutex<Result<Core, String>>,
    pub(super) electorate: Arc<Voting>,
    pub(super) links: Links,
    pub(super) shown: Arc<Shown<S>>,
    pub(super) timers: Timers,
    pub(super) proposals: Proposals,
    pub(super) leases: Leases,
}

impl<S: State> Replica<S> {
    /// Opens the file and takes up work.
    pub(in crate::control) async fn open(
        settings: ReplicaSettings,
        carry: Arc<dyn Carry>,
        tasks: &Tasks,
    ) -> Result<Arc<Self>, ControlError> {
        let electorate = Electorate::new(Instant::now());
        let electorate = Arc::new(Voting::new(Arc::new(electorate)));
        let links = Links {
            me: settings.replica,
            cluster: Arc::default(),
            carry,
            tasks: tasks.clone(),
        };
        let (path, timers) = (&settings.path, &settings.timers);
        let opened = open_core(path, &links, timers, &electorate, None);
        let (core, shown, identity) = opened.await?;
        let replica = Arc::new(Replica {
            me: settings.me,
            number: settings.replica,
            path: settings.path,
            core: Mutex::new(Ok(core)),
            electorate,
            links,
            shown,
            timers: settings.timers,
            proposals: Proposals::new(identity.lives),
            leases: Leases::new(Instant::now()),
        });
        replica.keep_agreeing(tasks);
        let pilot = Pilot::new(settings.view, settings.voter_region);
        pilot.start(&replica, tasks);
        replica.start_leases(tasks);
        Ok(replica)
    }

    pub(in crate::control) fn shown(&self) -> &Arc<Shown<S>> {
        &self.shown
    }

    pub(in crate::control) fn lease(&self) -> &Arc<Lease> {
        &self.leases.lease
    }

    pub(super) fn seat(&self) -> MutexGuard<'_, Result<Core, String>> {
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What does the agreeing, or why nothing does.
    pub(super) fn core(&self) -> Result<Core, String> {
        self.seat().clone()
    }

    /// Makes a cluster of this one replica, unless it belongs to one.
    pub(in crate::control) async fn initialise(&self) -> Result<(), ControlError> {
        let cluster = self.links.cluster.load(Ordering::Relaxed);
        if cluster != 0 && cluster != self.number {
            return Ok(());
        }
        // Its own number was drawn at random, so it serves as the cluster's.
        self.join(self.number)
            .await
            .map_err(|why| self.refused(why))?;
        let members = BTreeMap::from([(self.number, Placed::of(&self.me))]);
        let core = self.core().map_err(|why| self.refused(why))?;
        match core.raft.initialize(members).await {
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => {}
            Err(error) => return Err(self.refused(error)),
        }
        if self.shown.rings().borrow().current.members.is_empty() {
            self.set_ring(vec![self.me.clone()]).await?;
        }
        Ok(())
    }

    pub(super) fn refused(&self, why: impl ToString) -> ControlError {
        ControlError::Refused(self.path.clone(), std::io::Error::other(why.to_string()))
    }

    /// Belongs to `cluster` for good: on disk before it acts for it.
    async fn join(&self, cluster: u64) -> Result<(), openraft::AnyError> {
        if self.links.cluster.load(Ordering::Relaxed) == cluster {
            return Ok(());
        }
        let core = self.core().map_err(openraft::AnyError::error)?;
        run(&core.kept, move |kept| {
            let identity: Option<Identity> = kept.file.row("identity")?;
            let Some(identity) = identity else {
                return Ok(());
            };
            let identity = Identity {
                cluster,
                ..identity
            };
            kept.file.write(|rows| put(rows, "identity", &identity))
        })
        .await?;
        self.links.cluster.store(cluster, Ordering::Relaxed);
        Ok(())
    }

    /// What this replica says to a peer's payload.
    pub(in crate::control) async fn hear(self: Arc<Self>, from: NodeId, payload: Bytes) -> Bytes {
        let heard = match Heard::parse(payload).and_then(|heard| self.meant(&from, heard)) {
            Ok(heard) => heard,
            Err(refused) => return reply::<()>(Err(refused)),
        };
        if self.links.cluster.load(Ordering::Relaxed) == 0
            && self.join(heard.head.cluster).await.is_err()
        {
            return reply::<()>(Err(Refused::Stopped));
        }
        match heard.head.kind {
            Kind::Append => reply(self.append(&heard).await),
            Kind::Vote => reply(self.vote(&heard).await),
            Kind::Snapshot => reply(self.snapshot(&heard).await),
            Kind::Propose => reply(self.serve_proposal(&heard).await),
            Kind::ReadIndex => reply(Ok(self.confirm().await)),
            Kind::Lease => reply(self.serve_lease(&heard)),
            Kind::Settle => reply(self.serve_settle(&heard).await),
        }
    }

    /// Whether a payload is for this replica, of this cluster, and from whom it says.
    fn meant(&self, from: &NodeId, heard: Heard) -> Result<Heard, Refused> {
        let head = heard.head;
        if head.to != self.number {
            return Err(Refused::Target);
        }
        let cluster = self.links.cluster.load(Ordering::Relaxed);
        let stranger = cluster == 0 && head.kind.adopts() && head.cluster != 0;
        if head.cluster != cluster && !stranger {
            return Err(Refused::Cluster);
        }
        match self.electorate().nodes.get(&head.from) {
            Some(placed) if placed.name != from.as_str() => Err(Refused::Sender),
            _ => Ok(heard),
        }
    }

    pub(super) fn raft(&self) -> Result<Raft<Types>, Refused> {
        self.core()
            .map(|core| core.raft)
            .map_err(|_| Refused::Stopped)
    }

    async fn append(
        &self,
        heard: &Heard,
    ) -> Result<openraft::raft::AppendEntriesResponse<u64>, Refused> {
        let rpc: AppendEntriesRequest<Types> = heard.body()?;
        let done = self.raft()?.append_entries(rpc).await;
        done.map_err(|_| Refused::Stopped)
    }

    async fn vote(&self, heard: &Heard) -> Result<openraft::raft::VoteResponse<u64>, Refused> {
        let rpc: VoteRequest<u64> = heard.body()?;
        self.raft()?.vote(rpc).await.map_err(|_| Refused::Stopped)
    }

    async fn snapshot(
        &self,
        heard: &Heard,
    ) -> Result<openraft::raft::InstallSnapshotResponse<u64>, Refused> {
        let mut rpc: InstallSnapshotRequest<Types> = heard.body()?;
        rpc.data = heard.raw.to_vec();
        let done = self.raft()?.install_snapshot(rpc).await;
        done.map_err(|_| Refused::Stopped)
    }

    /// The index up to which everything agreed so far stands, if this replica leads now: asked of
    /// a majority, not believed.
    async fn confirm(&self) -> Option<u64> {
        let raft = self.raft().ok()?;
        let confirmed = tokio::time::timeout(CONFIRM_PATIENCE, raft.get_read_log_id()).await;
        let (read, _) = confirmed.ok()?.ok()?;
        Some(read.map_or(0, |id| id.index))
    }

    /// Waits until everything agreed before the call is in this node's state; its index.
    pub(in crate::control) async fn catch_up(
        &self,
        patience: Duration,
    ) -> Result<u64, ControlError> {
        let deadline = Instant::now() + patience;
        let caught = tokio::time::timeout_at(deadline, async {
            loop {
                match self.leader() {
                    Some((leader, _)) if leader == self.number => {
                        if let Some(index) = self.confirm().await {
                            return index;
                        }
                    }
                    Some((leader, name)) => {
                        let asked: Result<Option<u64>, _> = self
                            .links
                            .ask((leader, &name), Kind::ReadIndex, &(), &[], CONFIRM_PATIENCE)
                            .await;
                        if let Ok(Some(index)) = asked {
                            return index;
                        }
                    }
                    None => {}
                }
                tokio::time::sleep(LEADER_PAUSE).await;
            }
        });
        let index = caught.await.map_err(|_| ControlError::Away)?;
        match self.wait_applied(index, deadline).await {
            true => Ok(index),
            false => Err(ControlError::Away),
        }
    }

    /// Whether the state reached `index` by `deadline`.
    pub(super) async fn wait_applied(&self, index: u64, deadline: Instant) -> bool {
        let mut applied = self.shown.applied();
        let reached = applied.wait_for(|applied| *applied >= index);
        matches!(tokio::time::timeout_at(deadline, reached).await, Ok(Ok(_)))
    }

    /// Who leads, as far as this node has heard. Only ever a hint of whom to ask.
    pub(super) fn leader(&self) -> Option<(u64, NodeId)> {
        let metrics = self.raft().ok()?.metrics();
        let metrics = metrics.borrow();
        let leader = metrics.current_leader?;
        let placed = metrics.membership_config.membership().get_node(&leader)?;
        Some((leader, placed.id()))
    }

    /// How long ago a majority last answered this leader; none where it does not lead.
    pub(super) fn quorum_contact(&self) -> Option<Duration> {
        let metrics = self.raft().ok()?.metrics();
        let metrics = metrics.borrow();
        if metrics.state != openraft::ServerState::Leader {
            return None;
        }
        let electorate = self.electorate();
        // Whoever votes alone is its own majority.
        if electorate.sets.len() == 1 && electorate.voters().len() == 1 {
            return Some(Duration::ZERO);
        }
        let millis = metrics.millis_since_quorum_ack;
        Some(millis.map_or(Duration::MAX, Duration::from_millis))
    }

    /// A leader that hears nobody stops speaking, so that those who hear it choose another: the
    /// library's would keep them waiting for ever.
    pub(super) fn be_silent_if_unheard(&self) {
        let contact = self.quorum_contact();
        let unheard =
            contact.is_some_and(|ago| ago != Duration::MAX && ago > self.timers.election.1 * 2);
        if let Ok(raft) = self.raft() {
            raft.runtime_config().heartbeat(!unheard);
        }
    }

    pub(super) fn electorate(&self) -> Arc<Electorate> {
        Arc::clone(&self.electorate.borrow())
    }

    /// What has gone wrong for good.
    pub(super) fn trouble(&self) -> Option<String> {
        match self.core() {
            Err(why) => Some(why),
            Ok(core) => {
                let running = core.raft.metrics().borrow().running_state.clone();
                running.err().map(|error| error.to_string())
            }
        }
    }

    pub(in crate::control) fn standing(&self) -> Standing {
        let core = match self.core() {
            Ok(core) => core,
            Err(why) => {
                return Standing {
                    role: "stopped",
                    holds_lease: self.leases.lease.holds(),
                    trouble: Some(why),
                    ..Standing::alone(*self.shown.applied().borrow())
                };
            }
        };
        let metrics = core.raft.metrics().borrow().clone();
        let membership = metrics.membership_config.membership();
        let names = |some: Vec<u64>| {
            let mut names: Vec<NodeId> = some
                .iter()
                .filter_map(|replica| membership.get_node(replica))
                .map(Placed::id)
                .collect();
            names.sort();
            names.dedup();
            names
        };
        Standing {
            role: match metrics.state {
                openraft::ServerState::Leader => "leader",
                openraft::ServerState::Follower => "follower",
                openraft::ServerState::Candidate => "candidate",
                openraft::ServerState::Learner => "learner",
                openraft::ServerState::Shutdown => "stopped",
            },
            leader: self.leader().map(|(_, name)| name),
            term: metrics.current_term,
            voters: names(membership.voter_ids().collect()),
            learners: names(membership.learner_ids().collect()),
            changing: membership.get_joint_config().len() > 1,
            applied: *self.shown.applied().borrow(),
            written: metrics.last_log_index.unwrap_or(0),
            quorum_contact: self.quorum_contact().filter(|ago| *ago != Duration::MAX),
            holds_lease: self.leases.lease.holds(),
            trouble: metrics.running_state.err().map(|error| error.to_string()),
        }
    }
}
