//! Limits of tenants split over the nodes: once a second each node tells the others how often each
//! tenant with a limit asked it, and works out its part of every limit from what they tell. A node
//! that does not answer is taken to have been asked nothing and keeps its even part. It admits
//! nothing itself and never waits for anybody on a request's behalf.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::{BoxFuture, Cluster, Control, Desk, NodeId, Phase};
use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;

use crate::names::TenantId;
use crate::rate::{self, Rates};
use crate::registry::Registry;

/// How often limits are split anew.
const SPLIT_EVERY: Duration = Duration::from_secs(1);

/// How long another node may take to tell.
const TOLD_WITHIN: Duration = Duration::from_millis(300);

/// Tenants that one node tells of; those asked for most.
const TENANTS_TOLD_MAX: usize = 1_000;

/// How often tenants asked this node in the last second, as it is told to others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Demands {
    asked: BTreeMap<TenantId, u32>,
}

/// One node's side of the splitting.
pub(super) struct Quotas {
    pub(super) rates: Arc<Rates>,
    pub(super) control: Control<Registry>,
    latest: Mutex<Demands>,
}

/// What others ask of it.
pub(super) struct QuotaDesk(pub(super) Arc<Quotas>);

impl Desk for QuotaDesk {
    fn hear<'a>(&'a self, _: NodeId, _: Bytes) -> BoxFuture<'a, Option<Bytes>> {
        let latest = self.0.latest().clone();
        Box::pin(async move { serde_json::to_vec(&latest).ok().map(Bytes::from) })
    }
}

impl Quotas {
    pub(super) fn new(rates: Arc<Rates>, control: Control<Registry>) -> Arc<Quotas> {
        Arc::new(Quotas {
            rates,
            control,
            latest: Mutex::default(),
        })
    }

    fn latest(&self) -> std::sync::MutexGuard<'_, Demands> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Splits again and again until told to stop.
    pub(super) async fn run(self: Arc<Self>, cluster: Arc<Cluster>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(SPLIT_EVERY);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            stop.run_until_cancelled(self.split(&cluster)).await;
        }
    }

    async fn split(&self, cluster: &Cluster) {
        let mine = most_asked(self.rates.asked());
        *self.latest() = mine.clone();
        let view = cluster.view();
        let nodes: Vec<NodeId> = view
            .iter()
            .filter(|seen| seen.phase == Phase::Ready || seen.member.id == *cluster.me())
            .map(|seen| seen.member.id.clone())
            .collect();
        let mine = &mine;
        let told = nodes.iter().map(|node| async move {
            if node == cluster.me() {
                return mine.clone();
            }
            let told = cluster.ask(node, Bytes::new(), TOLD_WITHIN).await;
            let told = told
                .ok()
                .and_then(|told| serde_json::from_slice(&told).ok());
            told.unwrap_or_default()
        });
        let told: Vec<Demands> = futures_util::future::join_all(told).await;
        let Some(me) = nodes.iter().position(|node| node == cluster.me()) else {
            return;
        };
        let registry = self.control.state();
        let limit = |tenant: &TenantId| {
            let tenant = registry.tenant(tenant.as_str())?;
            tenant.settings.requests_per_minute
        };
        self.rates
            .split(nodes.len() as u32, parts(&told, me, limit));
    }
}

/// This node's part of every limit that somebody was asked under.
fn parts(
    told: &[Demands],
    me: usize,
    limit: impl Fn(&TenantId) -> Option<u32>,
) -> HashMap<TenantId, u32> {
    let asked = told.iter().flat_map(|demands| demands.asked.keys());
    let limited = asked.filter_map(|tenant| Some((tenant, limit(tenant)?)));
    limited
        .map(|(tenant, limit)| {
            // A second's worth, as a minute's: what limits are told in.
            let of = |demands: &Demands| demands.asked.get(tenant).copied().unwrap_or(0);
            let demands: Vec<u32> = told
                .iter()
                .map(|told| of(told).saturating_mul(60))
                .collect();
            (tenant.clone(), rate::share(limit, &demands, me))
        })
        .collect()
}

fn most_asked(mut asked: Vec<(TenantId, u32)>) -> Demands {
    asked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    asked.truncate(TENANTS_TOLD_MAX);
    Demands {
        asked: asked.into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn demands(asked: &[(&str, u32)]) -> Demands {
        let asked = asked
            .iter()
            .map(|(tenant, count)| ((*tenant).into(), *count));
        Demands {
            asked: asked.collect(),
        }
    }

    #[test]
    fn the_parts_of_all_nodes_are_the_limit_and_follow_the_demand() {
        let told = [
            demands(&[("acme", 9), ("free", 5)]),
            demands(&[("acme", 1)]),
            demands(&[]),
        ];
        let limit = |tenant: &TenantId| (tenant.as_str() == "acme").then_some(60);
        let of = |me| parts(&told, me, limit);
        let parts: Vec<u32> = (0..3).map(|me| of(me)[&TenantId::from("acme")]).collect();
        assert_eq!(parts.iter().sum::<u32>(), 60);
        assert!(parts[0] > 5 * parts[1] && parts[2] > 0, "{parts:?}");
        assert!(
            !of(0).contains_key(&TenantId::from("free")),
            "it has no limit"
        );
    }

    #[test]
    fn those_asked_for_most_are_told_of() {
        let many =
            (0..TENANTS_TOLD_MAX as u32 + 10).map(|n| (format!("t{n}").as_str().into(), n + 1));
        let told = most_asked(many.collect());
        assert_eq!(told.asked.len(), TENANTS_TOLD_MAX);
        assert!(told.asked.values().all(|count| *count > 10));
    }
}
