//! How many requests a tenant may make in a minute. The arithmetic of a leaky bucket kept as one
//! number per tenant: the moment at which it will have been paid for. Time is an argument; a
//! tenant without a limit costs nothing, not even a look.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Mutex, PoisonError, RwLock};

use crate::answer::stamp::Millis;
use crate::names::TenantId;

/// Locks to share the tenants among, so that two busy tenants rarely wait for one another.
const SHARDS: usize = 16;
/// Tenants remembered by one lock before those with nothing owing are forgotten.
const TENANTS_PER_SHARD_MAX: usize = 1_024;
/// A minute in the unit of the arithmetic, microseconds.
const MINUTE: u64 = 60_000_000;
/// What may come at once where the limit is higher; a lower limit may be used up at once.
const BURST: u32 = 60;
/// One part in so many of a limit is split evenly over the nodes, whoever was asked.
const EVEN_PART: u32 = 10;
/// Of a high limit, this many seconds' worth may come at once.
const BURST_SECONDS: u32 = 2;

/// The tenants' accounts.
#[derive(Debug)]
pub struct Rates {
    /// When, in microseconds, everything a tenant has sent so far would have been sent at its
    /// allowed pace.
    shards: [Mutex<HashMap<TenantId, Account>>; SHARDS],
    hashes: RandomState,
    split: RwLock<Split>,
}

/// What one tenant has made of its limit at this node.
#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// See [`Rates::shards`].
    paid: u64,
    /// Requests since somebody last looked, refused ones too.
    asked: u32,
}

/// How limits are split over the nodes.
#[derive(Debug)]
struct Split {
    /// Among how many.
    nodes: u32,
    /// This node's part of the limits that were asked for lately, a minute.
    parts: HashMap<TenantId, u32>,
}

impl Split {
    /// This node's part of a limit.
    fn part(&self, tenant: &TenantId, limit: u32) -> u32 {
        match self.parts.get(tenant) {
            Some(part) => (*part).min(limit),
            None => limit.div_ceil(self.nodes.max(1)),
        }
    }
}

impl Default for Rates {
    fn default() -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hashes: RandomState::new(),
            split: RwLock::new(Split {
                nodes: 1,
                parts: HashMap::new(),
            }),
        }
    }
}

/// Too many requests; the next is welcome after this many seconds (at least 1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TooMany {
    /// For `Retry-After`.
    pub retry_after_seconds: u64,
}

impl Rates {
    /// Counts one request of `tenant`, which may make `per_minute`.
    ///
    /// # Errors
    /// [`TooMany`] if it has to wait; a refused request is not counted.
    pub fn admit(
        &self,
        tenant: &TenantId,
        per_minute: Option<u32>,
        now: Millis,
    ) -> Result<(), TooMany> {
        let Some(per_minute) = per_minute else {
            return Ok(());
        };
        let now = now.0.saturating_mul(1_000);
        let split = self.split.read().unwrap_or_else(PoisonError::into_inner);
        let per_minute = split.part(tenant, per_minute);
        drop(split);
        let shard = &self.shards[self.hashes.hash_one(tenant) as usize % SHARDS];
        // A panic in these few lines of arithmetic leaves nothing half done.
        let mut accounts = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if accounts.len() >= TENANTS_PER_SHARD_MAX && !accounts.contains_key(tenant) {
            accounts.retain(|_, account| account.paid > now);
        }
        let account = accounts.entry(tenant.clone()).or_default();
        account.asked = account.asked.saturating_add(1);
        account.paid = step(account.paid, per_minute, now)?;
        Ok(())
    }

    /// How often each tenant with a limit asked since the last look.
    pub fn asked(&self) -> Vec<(TenantId, u32)> {
        let mut asked = Vec::new();
        for shard in &self.shards {
            let mut accounts = shard.lock().unwrap_or_else(PoisonError::into_inner);
            for (tenant, account) in accounts.iter_mut().filter(|(_, account)| account.asked > 0) {
                asked.push((tenant.clone(), std::mem::take(&mut account.asked)));
            }
        }
        asked
    }

    /// From now on limits are split over so many nodes: evenly, but for those named, of which this
    /// node has so much.
    pub fn split(&self, nodes: u32, parts: HashMap<TenantId, u32>) {
        let mut split = self.split.write().unwrap_or_else(PoisonError::into_inner);
        *split = Split { nodes, parts };
    }
}

/// The account after one request more.
fn step(paid: u64, per_minute: u32, now: u64) -> Result<u64, TooMany> {
    let per_minute = per_minute.max(1);
    let interval = MINUTE / u64::from(per_minute);
    let burst = per_minute.min(BURST).max(per_minute / 60 * BURST_SECONDS);
    let after = paid.max(now).saturating_add(interval);
    let ahead = interval.saturating_mul(u64::from(burst));
    let wait = after.saturating_sub(now.saturating_add(ahead));
    if wait == 0 {
        return Ok(after);
    }
    Err(TooMany {
        retry_after_seconds: wait.div_ceil(1_000_000),
    })
}

/// What one node may admit of a tenant's limit, given what each node of the cluster was asked
/// for in the last while: the parts of all nodes are the limit exactly, whoever works them out.
///
/// Below the limit each has its demand, and what is left over is split evenly, so that a node
/// that nobody asked may be asked. Above it a tenth is split evenly and the rest by demand.
/// A node that is not among `demands` may admit nothing.
#[must_use]
pub fn share(limit: u32, demands: &[u32], me: usize) -> u32 {
    let Some(&mine) = demands.get(me) else {
        return 0;
    };
    let total: u64 = demands.iter().map(|demand| u64::from(*demand)).sum();
    let even = |amount: u32| {
        let (count, at) = (demands.len() as u32, me as u32);
        amount / count + u32::from(at < amount % count)
    };
    // In the first case the total is within the limit, so it fits.
    if total <= u64::from(limit) {
        return mine + even(limit - total as u32);
    }
    let floor = limit / EVEN_PART;
    even(floor) + part(limit - floor, demands, me, total)
}

/// A part by demand, rounded so that the parts are the amount: what rounding down leaves goes, one
/// each, to those who lost most by it, the earlier of equals first.
fn part(amount: u32, demands: &[u32], me: usize, total: u64) -> u32 {
    let wide = |demand: u32| u64::from(amount) * u64::from(demand);
    let lost = |at: usize| (wide(demands[at]) % total, std::cmp::Reverse(at));
    let given: u64 = demands.iter().map(|demand| wide(*demand) / total).sum();
    let before = (0..demands.len()).filter(|at| lost(*at) > lost(me)).count() as u64;
    let one_more = u64::from(before < u64::from(amount) - given);
    // No part is more than the whole.
    (wide(demands[me]) / total + one_more) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_all_nodes_are_the_limit() {
        for (limit, demands, parts) in [
            (60, &[0_u32][..], &[60_u32][..]),
            (60, &[500], &[60]),
            (60, &[0, 0, 0], &[20, 20, 20]),
            (61, &[0, 0, 0], &[21, 20, 20]),
            (60, &[30, 0, 0], &[40, 10, 10]),
            (60, &[20, 20, 20], &[20, 20, 20]),
            // A tenth evenly, the rest by demand.
            (60, &[100, 100, 100], &[20, 20, 20]),
            (60, &[600, 0, 0], &[56, 2, 2]),
            (60, &[90, 30, 0], &[43, 15, 2]),
            (1, &[5, 9, 9], &[0, 1, 0]),
            (2, &[1, 1, 1], &[1, 1, 0]),
            (0, &[3, 0], &[0, 0]),
            (u32::MAX, &[u32::MAX, u32::MAX], &[1 << 31, (1 << 31) - 1]),
        ] {
            let told: Vec<u32> = (0..demands.len())
                .map(|me| share(limit, demands, me))
                .collect();
            assert_eq!(told, parts, "{limit} {demands:?}");
        }
        assert_eq!(share(60, &[1, 2], 2), 0, "not of the cluster");
        assert_eq!(share(60, &[], 0), 0);
    }

    #[test]
    fn nobody_is_given_what_another_has() {
        let mut draw = 0x5eed_u64;
        let mut below = |limit: u64| {
            draw = draw
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (draw >> 33) % limit
        };
        for _ in 0..2_000 {
            let demands: Vec<u32> = (0..=below(8)).map(|_| below(1_000) as u32).collect();
            let limit = below(3_000) as u32;
            let parts: Vec<u32> = (0..demands.len())
                .map(|me| share(limit, &demands, me))
                .collect();
            let sum: u64 = parts.iter().map(|part| u64::from(*part)).sum();
            assert_eq!(sum, u64::from(limit), "{limit} {demands:?}: {parts:?}");
        }
    }

    const START: u64 = 1_700_000_000_000;

    fn admitted(rates: &Rates, per_minute: u32, millis: impl Iterator<Item = u64>) -> usize {
        let tenant = TenantId::from("acme");
        let ask = |at| rates.admit(&tenant, Some(per_minute), Millis(START + at));
        millis.filter(|at| ask(*at).is_ok()).count()
    }

    #[test]
    fn a_low_limit_may_be_used_up_at_once_and_comes_back_evenly() {
        let rates = Rates::default();
        assert_eq!(admitted(&rates, 6, std::iter::repeat_n(0, 50)), 6);
        let refused = rates.admit(&"acme".into(), Some(6), Millis(START));
        assert_eq!(
            refused,
            Err(TooMany {
                retry_after_seconds: 10
            })
        );
        assert_eq!(admitted(&rates, 6, std::iter::repeat_n(9_999, 50)), 0);
        assert_eq!(admitted(&rates, 6, std::iter::repeat_n(10_000, 50)), 1);
        assert_eq!(admitted(&rates, 6, std::iter::repeat_n(120_000, 50)), 6);
    }

    #[test]
    fn in_the_long_run_a_tenant_gets_its_rate() {
        for per_minute in [1, 7, 60, 600, 12_000] {
            // Ten minutes of a request every two milliseconds.
            let count = admitted(&Rates::default(), per_minute, (0..600_000).step_by(2));
            let due = per_minute as usize * 10;
            let burst = per_minute.min(BURST).max(per_minute / 30) as usize;
            assert!(
                (due..=due + burst + 1).contains(&count),
                "{per_minute}: {count}"
            );
        }
    }

    #[test]
    fn whoever_waits_as_told_is_let_in() {
        let rates = Rates::default();
        let tenant = TenantId::from("acme");
        for per_minute in [1, 7, 61, 7_777] {
            let mut now = START;
            loop {
                match rates.admit(&tenant, Some(per_minute), Millis(now)) {
                    Ok(()) => now += 1,
                    Err(TooMany {
                        retry_after_seconds,
                    }) => {
                        assert!(retry_after_seconds >= 1);
                        now += retry_after_seconds * 1_000;
                        break;
                    }
                }
            }
            assert_eq!(rates.admit(&tenant, Some(per_minute), Millis(now)), Ok(()));
        }
    }

    #[test]
    fn one_tenant_does_not_pay_for_another_and_none_without_a_limit() {
        let rates = Rates::default();
        for _ in 0..1_000 {
            assert_eq!(rates.admit(&"free".into(), None, Millis(START)), Ok(()));
        }
        assert_eq!(admitted(&rates, 1, [0, 0].into_iter()), 1);
        assert_eq!(rates.admit(&"other".into(), Some(1), Millis(START)), Ok(()));
        assert!(
            rates
                .shards
                .iter()
                .all(|shard| !shard.lock().unwrap().contains_key("free"))
        );
    }

    #[test]
    fn a_node_among_others_admits_its_part() {
        let rates = Rates::default();
        rates.split(3, HashMap::from([("known".into(), 40)]));
        let admitted = |tenant: &str| {
            let ask = |_: &u32| rates.admit(&tenant.into(), Some(60), Millis(START)).is_ok();
            (0..100).filter(ask).count()
        };
        // 40 of 60; of what nobody has told of yet, a third.
        assert_eq!((admitted("known"), admitted("new")), (40, 20));
        let mut asked = rates.asked();
        asked.sort();
        assert_eq!(asked, [("known".into(), 100), ("new".into(), 100)]);
        assert_eq!(rates.asked(), [], "each request is told of once");
        rates.split(1, HashMap::new());
        assert_eq!(admitted("later"), 60);
    }

    #[test]
    fn accounts_with_nothing_owing_are_forgotten() {
        let rates = Rates::default();
        for n in 0..SHARDS * TENANTS_PER_SHARD_MAX * 3 {
            let tenant = TenantId(format!("t{n}").into());
            // A minute apart: every account before is settled.
            assert!(
                rates
                    .admit(&tenant, Some(1), Millis(START + n as u64 * 60_001))
                    .is_ok()
            );
        }
        let held: usize = rates
            .shards
            .iter()
            .map(|shard| shard.lock().unwrap().len())
            .sum();
        assert!(held <= SHARDS * TENANTS_PER_SHARD_MAX, "{held}");
    }
}
