//! A store that forgets everything when the process ends: for tests, demos, and as the plainest
//! reading of the contract. It writes no file, and when its bounds are reached it says so instead of
//! dropping anything.

mod labels;
mod vectors;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Bound::{Excluded, Included};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fgy_cluster::Key;

use super::{
    Entries, Error, Fact, Installation, KEYS_MAX, Ledger, PAGE_LINES_MAX, Point, Put, Reply, Scope,
    Settings, Stored,
};
use crate::answer::stamp::Millis;
use crate::label::Label;
use crate::ledger::line::{Line, LineId};
use crate::ledger::totals::{Period, Place, Sum, Totals};
use crate::names::{Name, TenantId};

pub(super) struct Volatile {
    entries_max: usize,
    lines_max: usize,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    entries: HashMap<Key, Entry>,
    /// What the questions of some entries mean.
    points: HashMap<Key, Arc<Point>>,
    ids: HashSet<LineId>,
    lines: BTreeMap<(TenantId, Place), Line>,
    settled: HashMap<&'static str, [u8; 32]>,
    /// The latest first.
    labels: HashMap<TenantId, Vec<Label>>,
}

struct Entry {
    stored: Stored,
    used: Millis,
}

impl Held {
    fn get(&self, key: Key, now: Millis) -> Option<Stored> {
        self.entries
            .get(&key)
            .map(|entry| &entry.stored)
            .filter(|it| it.stamp.until > now)
            .cloned()
    }

    fn put(&mut self, put: Put) {
        let Put {
            key,
            stamp,
            bytes,
            point,
        } = put;
        let known = self.entries.get(&key);
        if known.is_some_and(|known| known.stored.stamp.began > stamp.began) {
            return;
        }
        self.place(key, &stamp, point);
        let known = self.entries.get(&key);
        let used = known.map_or(stamp.began, |known| known.used.max(stamp.began));
        self.entries.insert(
            key,
            Entry {
                stored: Stored { stamp, bytes },
                used,
            },
        );
    }

    fn remove(&mut self, limit: u32, which: impl Fn(&Key, &Entry) -> bool) -> u64 {
        let chosen = self.entries.iter().filter(|(key, entry)| which(key, entry));
        let keys: Vec<Key> = chosen.map(|(key, _)| *key).take(limit as usize).collect();
        keys.iter().filter(|key| self.drop_one(key)).count() as u64
    }

    fn trim(&mut self, policy: &Name, tenant: &TenantId, keep_max: u64, limit: u32) -> u64 {
        let mine = self.entries.iter().filter(|(_, entry)| {
            entry.stored.stamp.policy == *policy && entry.stored.stamp.tenant == *tenant
        });
        let mut by_use: Vec<(Millis, Key)> = mine.map(|(key, entry)| (entry.used, *key)).collect();
        by_use.sort_unstable();
        let beyond = by_use
            .len()
            .saturating_sub(usize::try_from(keep_max).unwrap_or(usize::MAX));
        let chosen = by_use.iter().take(beyond.min(limit as usize));
        chosen.filter(|(_, key)| self.drop_one(key)).count() as u64
    }

    /// An entry and its point; tells whether it was there.
    fn drop_one(&mut self, key: &Key) -> bool {
        self.points.remove(key);
        self.entries.remove(key).is_some()
    }

    /// Lines of a period in the order of their places, from behind `after` on.
    fn of_period(
        &self,
        tenant: &TenantId,
        period: Period,
        after: Option<Place>,
    ) -> impl Iterator<Item = &Line> {
        let place = |at| Place { at, id: LineId(0) };
        let first = match after.filter(|after| after.at >= period.from) {
            Some(after) => Excluded((tenant.clone(), after.min(place(period.to)))),
            None => Included((tenant.clone(), place(period.from))),
        };
        let behind = (tenant.clone(), place(period.to.max(period.from)));
        self.lines
            .range((first, Included(behind)))
            .map(|(_, line)| line)
            .filter(move |line| {
                // The range ends with the first moment after the period, so that it is never empty
                // the wrong way round.
                period.contains(line.at)
            })
    }
}

impl Volatile {
    pub(super) fn new(settings: &Settings) -> Self {
        let Settings {
            volatile_entries_max,
            volatile_lines_max,
            ..
        } = *settings;
        let held = Mutex::default();
        Self {
            entries_max: volatile_entries_max,
            lines_max: volatile_lines_max,
            held,
        }
    }

    /// Every change below is whole before the lock is let go, so a panic elsewhere spoils nothing.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn now<'a, T: Send + 'a>(result: Result<T, Error>) -> Reply<'a, T> {
    Box::pin(std::future::ready(result))
}

impl Entries for Volatile {
    fn get(&self, key: Key, at: Millis) -> Reply<'_, Option<Stored>> {
        now(Ok(self.held().get(key, at)))
    }

    fn get_many<'a>(&'a self, keys: &'a [Key], at: Millis) -> Reply<'a, Vec<Option<Stored>>> {
        if keys.len() > KEYS_MAX {
            return now(Err(Error::too_many_keys(keys.len())));
        }
        let held = self.held();
        now(Ok(keys.iter().map(|key| held.get(*key, at)).collect()))
    }

    fn put(&self, puts: Vec<Put>) -> Reply<'_, ()> {
        let unfit = puts
            .iter()
            .filter_map(|put| put.point.as_ref()?.fits().err());
        if let Some(error) = unfit.last() {
            return now(Err(error));
        }
        let mut held = self.held();
        let fresh: HashSet<Key> = puts.iter().map(|put| put.key).collect();
        let added = fresh
            .iter()
            .filter(|key| !held.entries.contains_key(key))
            .count();
        if held.entries.len() + added > self.entries_max {
            let text = format!("it holds {} entries; use sqlite:PATH", held.entries.len());
            return now(Err(Error::Full(text)));
        }
        puts.into_iter().for_each(|put| held.put(put));
        now(Ok(()))
    }

    fn touch(&self, uses: Vec<(Key, Millis)>) -> Reply<'_, ()> {
        let mut held = self.held();
        for (key, used) in uses {
            if let Some(entry) = held.entries.get_mut(&key) {
                entry.used = entry.used.max(used);
            }
        }
        now(Ok(()))
    }

    fn count(&self, scope: Scope) -> Reply<'_, u64> {
        let held = self.held();
        let covered = |(key, entry): &(&Key, &Entry)| scope.covers(**key, &entry.stored.stamp);
        now(Ok(held.entries.iter().filter(covered).count() as u64))
    }

    fn forget(&self, scope: Scope, limit: u32) -> Reply<'_, u64> {
        let covered = |key: &Key, entry: &Entry| scope.covers(*key, &entry.stored.stamp);
        now(Ok(self.held().remove(limit, covered)))
    }

    fn forget_expired(&self, at: Millis, limit: u32) -> Reply<'_, u64> {
        now(Ok(self
            .held()
            .remove(limit, |_, entry| entry.stored.stamp.until <= at)))
    }

    fn trim(&self, policy: Name, tenant: TenantId, keep_max: u64, limit: u32) -> Reply<'_, u64> {
        now(Ok(self.held().trim(&policy, &tenant, keep_max, limit)))
    }
}

impl Ledger for Volatile {
    fn post(&self, lines: Vec<Line>) -> Reply<'_, ()> {
        let mut held = self.held();
        let fresh: HashSet<LineId> = lines.iter().map(|line| line.id).collect();
        let added = fresh.iter().filter(|id| !held.ids.contains(id)).count();
        if held.ids.len() + added > self.lines_max {
            let text = format!("it holds {} ledger lines; use sqlite:PATH", held.ids.len());
            return now(Err(Error::Full(text)));
        }
        for line in lines {
            if held.ids.insert(line.id) {
                held.lines
                    .insert((line.tenant.clone(), Place::of(&line)), line);
            }
        }
        now(Ok(()))
    }

    fn line(&self, id: LineId) -> Reply<'_, Option<Line>> {
        let held = self.held();
        let known = held.ids.contains(&id);
        let line = known.then(|| held.lines.values().find(|line| line.id == id).cloned());
        now(Ok(line.flatten()))
    }

    fn totals(&self, tenant: TenantId, period: Period) -> Reply<'_, Totals> {
        let mut totals = Totals::default();
        for line in self.held().of_period(&tenant, period, None) {
            totals.add(line.outcome, &line.model, &Sum::of(line));
        }
        now(Ok(totals))
    }

    fn page(
        &self,
        tenant: TenantId,
        period: Period,
        after: Option<Place>,
        limit: u32,
    ) -> Reply<'_, Vec<Line>> {
        let held = self.held();
        let limit = limit.min(PAGE_LINES_MAX) as usize;
        now(Ok(held
            .of_period(&tenant, period, after)
            .take(limit)
            .cloned()
            .collect()))
    }
}

impl Installation for Volatile {
    fn settled(&self, fact: Fact, candidate: [u8; 32]) -> Reply<'_, [u8; 32]> {
        let mut held = self.held();
        now(Ok(*held.settled.entry(fact.name()).or_insert(candidate)))
    }
}
