//! The memory tier: finished answers by key, bounded in bytes, in two halves: what this node owns
//! and what it keeps for other owners. An entry lives until its stamp says so and no look makes
//! it live longer. It never waits, never reads a clock, and never judges whether an answer suits:
//! it hands over what it has.
//!
//! quick_cache and not moka, measured side by side (`cargo bench --bench memory`): moka sweeps on
//! the reader's thread, and its readers queue behind each other under load.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use std::collections::HashMap;

use fgy_cluster::{Key, Sealed};
use quick_cache::sync::Cache;
use quick_cache::{OptionsBuilder, Weighter};

use crate::answer::stamp::Stamp;
use crate::names::TenantId;

/// What an entry costs beside its bytes: the structures around it and the table's own share.
/// Counted by [`tests::an_entry_weighs_what_it_takes`].
const ENTRY_OVERHEAD_BYTES: u64 = 568;

/// What a typical entry weighs; only the table's first size depends on it.
const ENTRY_TYPICAL_BYTES: u64 = 2_048;

/// Which budget an entry is kept under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// This node owns the key.
    Owned,
    /// Another node does; this is a near copy.
    Guest,
}

/// Bounds of the memory tier.
#[derive(Debug, Clone, Copy)]
pub struct MemoryLimits {
    /// Bytes of entries whose keys this node owns.
    pub owned_bytes_max: u64,
    /// Bytes of near copies.
    pub guest_bytes_max: u64,
    /// How much of both one tenant may hold, in percent.
    pub tenant_percent_max: u8,
}

/// A kept answer.
// In this order: what every hit counts lies beside the count of holders, which every hit writes
// anyway.
#[repr(C)]
pub struct Kept {
    /// How often it was asked for, about: two at once may count as one.
    asked: AtomicU32,
    /// The recording.
    pub sealed: Arc<Sealed>,
    /// Whose it is and how long it lives.
    pub stamp: Arc<Stamp>,
    weight: u64,
    _charge: Charge,
}

/// Both halves.
pub struct Memory {
    owned: Table,
    guest: Table,
    limits: MemoryLimits,
    accounts: Mutex<HashMap<TenantId, Arc<AtomicU64>>>,
    refused: AtomicU64,
}

type Table = Cache<Key, Arc<Kept>, ByWeight, BuildHasherDefault<Prefix>>;

#[derive(Clone)]
struct ByWeight;

impl Weighter<Key, Arc<Kept>> for ByWeight {
    fn weight(&self, _: &Key, kept: &Arc<Kept>) -> u64 {
        kept.weight
    }
}

/// Keys are digests already: a stretch of one is a hash. Not the first bytes: those place the
/// key on the ring, so that on one node they are not uniform.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        if let Some(stretch) = bytes.get(8..16).and_then(|stretch| stretch.try_into().ok()) {
            self.0 = u64::from_le_bytes(stretch);
        }
    }

    fn write_usize(&mut self, _: usize) {
        // The length of the key, which every key shares.
    }
}

/// What an entry holds of its tenant's share, given back when the entry is gone.
struct Charge {
    account: Arc<AtomicU64>,
    bytes: u64,
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.account.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

impl Memory {
    /// An empty memory.
    pub fn new(limits: MemoryLimits) -> Memory {
        Memory {
            owned: table(limits.owned_bytes_max),
            guest: table(limits.guest_bytes_max),
            limits,
            accounts: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// What is kept under a key, in either half.
    pub fn get(&self, key: &Key) -> Option<Arc<Kept>> {
        let kept = self.owned.get(key).or_else(|| self.guest.get(key))?;
        // No exchange: the most asked for would pay for being counted exactly.
        let asked = kept.asked.load(Ordering::Relaxed).saturating_add(1);
        kept.asked.store(asked, Ordering::Relaxed);
        Some(kept)
    }

    /// What this node owns of a key. It does not count as asked for.
    pub fn owned(&self, key: &Key) -> Option<Arc<Kept>> {
        self.owned.peek(key)
    }

    /// The keys in the owned half that are not `mine`, the most asked for first, `limit` at most.
    /// Walks through all of it, entry by entry, and holds nobody up.
    pub fn moved(&self, mine: impl Fn(&Key) -> bool, limit: usize) -> Vec<Key> {
        let others = self.owned.iter().filter(|(key, _)| !mine(key));
        let mut moved: Vec<(u32, Key)> = others
            .map(|(key, kept)| (kept.asked.load(Ordering::Relaxed), key))
            .collect();
        moved.sort_unstable_by_key(|(asked, _)| std::cmp::Reverse(*asked));
        moved.truncate(limit);
        moved.into_iter().map(|(_, key)| key).collect()
    }

    /// Keeps an answer; false where the tenant already holds its share. `tenant_bytes_max` is
    /// the tenant's own bound, where it has one.
    pub fn keep(
        &self,
        half: Half,
        key: Key,
        sealed: Arc<Sealed>,
        stamp: Arc<Stamp>,
        tenant_bytes_max: Option<u64>,
    ) -> bool {
        let weight = weigh(&sealed, &stamp);
        let Some(charge) = self.charge(&stamp.tenant, weight, tenant_bytes_max) else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return false;
        };
        let kept = Arc::new(Kept {
            asked: AtomicU32::new(0),
            sealed,
            stamp,
            weight,
            _charge: charge,
        });
        self.half(half).insert(key, kept);
        true
    }

    /// Drops what is kept under a key if it is still this entry: one that died is not worth its
    /// bytes, and the one that may have replaced it is.
    pub fn forget(&self, key: &Key, dead: &Arc<Kept>) {
        for half in [&self.owned, &self.guest] {
            half.remove_if(key, |kept| Arc::ptr_eq(kept, dead));
        }
    }

    /// Drops every entry that `live` does not vouch for.
    pub fn sweep(&self, live: impl Fn(&Stamp) -> bool) {
        for half in [&self.owned, &self.guest] {
            half.retain(|_, kept| live(&kept.stamp));
        }
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.retain(|_, account| account.load(Ordering::Relaxed) > 0);
    }

    /// How many entries, and how many bytes they weigh.
    pub fn size(&self, half: Half) -> (usize, u64) {
        let table = self.half(half);
        (table.len(), table.weight())
    }

    /// Entries that were not kept because their tenant held its share.
    pub fn refused(&self) -> u64 {
        self.refused.load(Ordering::Relaxed)
    }

    fn half(&self, half: Half) -> &Table {
        match half {
            Half::Owned => &self.owned,
            Half::Guest => &self.guest,
        }
    }

    fn charge(&self, tenant: &TenantId, bytes: u64, tenant_max: Option<u64>) -> Option<Charge> {
        let all = self.limits.owned_bytes_max + self.limits.guest_bytes_max;
        let share = all / 100 * u64::from(self.limits.tenant_percent_max);
        let bytes_max = tenant_max.map_or(share, |max| max.min(share));
        let account = self.account(tenant);
        let before = account.fetch_add(bytes, Ordering::Relaxed);
        let charge = Charge { account, bytes };
        // Dropping the charge on refusal takes it off the account again.
        (before + bytes <= bytes_max).then_some(charge)
    }

    fn account(&self, tenant: &TenantId) -> Arc<AtomicU64> {
        let mut accounts = self.accounts.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.entry(tenant.clone()).or_default().clone()
    }
}

fn table(bytes_max: u64) -> Table {
    let items = (bytes_max / ENTRY_TYPICAL_BYTES).max(16) as usize;
    let options = OptionsBuilder::new()
        .estimated_items_capacity(items)
        .weight_capacity(bytes_max)
        .build()
        .unwrap_or_else(|_| unreachable!("both capacities are given"));
    Cache::with_options(
        options,
        ByWeight,
        BuildHasherDefault::default(),
        Default::default(),
    )
}

/// Everything an entry takes. A recorded stream may later gain its plain rendering, which is at
/// most about as long as the recording: its room is counted from the start, since an entry's
/// weight may not change while it is kept.
fn weigh(sealed: &Sealed, stamp: &Stamp) -> u64 {
    let bytes = sealed.bytes().len() as u64;
    let streamed = sealed.len() > 3;
    let rendering = if streamed { bytes + 256 } else { 0 };
    let ends = 4 * sealed.len() as u64;
    let names = [
        &*stamp.tenant.0,
        &*stamp.agent,
        &*stamp.model,
        &*stamp.namespace,
        &*stamp.policy,
    ];
    // Short names lie in the stamp, long ones beside it: an adversary's would be long.
    let names: u64 = names.iter().map(|name| name.len() as u64).sum();
    bytes + rendering + ends + names + ENTRY_OVERHEAD_BYTES
}

#[cfg(test)]
mod tests;
