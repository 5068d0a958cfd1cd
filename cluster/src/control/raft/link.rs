//! One replica's way to another: it writes asks, has them carried and reads the replies. It knows
//! nobody's address and decides nothing.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use openraft::AnyError;
use openraft::error::{Infallible, InstallSnapshotError, RPCError, RaftError, Unreachable};
use openraft::network::{Backoff, RPCOption, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::oneshot;

use super::payload::{Head, Kind, Refused, ask, replied};
use super::types::{LogId, Placed, Types, Vote};
use crate::control::carry::{Carry, Uncarried};
use crate::node::NodeId;
use crate::tasks::Tasks;

/// How long an append may be under way to a far learner. The library gives up after one heartbeat,
/// which is less than a round trip across an ocean; the reply is then taken by the next attempt.
const APPEND_PATIENCE: Duration = Duration::from_secs(1);
/// Between attempts to reach a node that is away.
const AWAY_PAUSE: Duration = Duration::from_millis(200);

/// What every way out of this replica shares.
#[derive(Clone)]
pub(super) struct Links {
    pub(super) me: u64,
    pub(super) cluster: Arc<AtomicU64>,
    pub(super) carry: Arc<dyn Carry>,
    pub(super) tasks: Tasks,
}

/// Why an ask has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unanswered {
    Uncarried(Uncarried),
    Refused(Refused),
}

impl std::fmt::Display for Unanswered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Unanswered::Uncarried(why) => why.fmt(f),
            Unanswered::Refused(why) => f.write_str(why.words()),
        }
    }
}

impl Links {
    /// Asks the replica `to`, known as `name`.
    pub(super) async fn ask<R: DeserializeOwned>(
        &self,
        (to, name): (u64, &NodeId),
        kind: Kind,
        body: &impl Serialize,
        raw: &[u8],
        patience: Duration,
    ) -> Result<R, Unanswered> {
        let head = Head {
            kind,
            cluster: self.cluster.load(Ordering::Relaxed),
            from: self.me,
            to,
        };
        let payload = ask(head, body, raw);
        let carried = self.carry.carry(name, payload, patience);
        // The carrier is trusted to keep the time, and not relied on for it.
        let reply = match tokio::time::timeout(patience, carried).await {
            Ok(reply) => reply.map_err(Unanswered::Uncarried)?,
            Err(_) => return Err(Unanswered::Uncarried(Uncarried::Lost)),
        };
        replied(&reply).map_err(Unanswered::Refused)
    }
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &Placed) -> Link {
        Link {
            links: self.clone(),
            to: target,
            name: node.id(),
            under_way: None,
        }
    }
}

/// What tells one append from another.
type Mark = (Vote, Option<LogId>, Option<LogId>, Option<LogId>);
type Appended = Result<AppendEntriesResponse<u64>, Unanswered>;

/// The way to one replica.
pub(super) struct Link {
    links: Links,
    to: u64,
    name: NodeId,
    under_way: Option<(Mark, oneshot::Receiver<Appended>)>,
}

type Failed<E = Infallible> = RPCError<u64, Placed, RaftError<u64, E>>;

fn away<E: std::error::Error>(why: impl std::fmt::Display) -> Failed<E> {
    RPCError::Unreachable(Unreachable::new(&AnyError::error(why)))
}

impl Link {
    async fn ask<R: DeserializeOwned, E: std::error::Error>(
        &self,
        kind: Kind,
        body: &impl Serialize,
        raw: &[u8],
        patience: Duration,
    ) -> Result<R, Failed<E>> {
        let asked = self
            .links
            .ask((self.to, &self.name), kind, body, raw, patience);
        asked.await.map_err(away)
    }
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        rpc: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failed> {
        let last = rpc.entries.last().map(|entry| entry.log_id);
        let mark = (rpc.vote, rpc.prev_log_id, last, rpc.leader_commit);
        if self
            .under_way
            .as_ref()
            .is_none_or(|(held, _)| *held != mark)
        {
            let (tell, told) = oneshot::channel();
            let (links, to, name) = (self.links.clone(), self.to, self.name.clone());
            let patience = option.hard_ttl().max(APPEND_PATIENCE);
            self.links.tasks.spawn("append to a replica", async move {
                let asked = links.ask((to, &name), Kind::Append, &rpc, &[], patience);
                let _ = tell.send(asked.await);
            });
            self.under_way = Some((mark, told));
        }
        let Some((_, told)) = &mut self.under_way else {
            return Err(away("nothing is under way"));
        };
        // Given up half way, it stays under way and the next attempt takes the reply.
        let told = told.await;
        self.under_way = None;
        match told {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(why)) => Err(away(why)),
            Err(_) => Err(away("the append ended without a word")),
        }
    }

    async fn install_snapshot(
        &mut self,
        mut rpc: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<InstallSnapshotError>> {
        let raw = std::mem::take(&mut rpc.data);
        self.ask(Kind::Snapshot, &rpc, &raw, option.hard_ttl())
            .await
    }

    async fn vote(
        &mut self,
        rpc: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed> {
        self.ask(Kind::Vote, &rpc, &[], option.hard_ttl()).await
    }

    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(AWAY_PAUSE))
    }
}
