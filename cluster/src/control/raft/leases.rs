//! The serving lease at work: asking every voter again and again, granting as a voter, and waiting
//! until an index is settled. What may be granted and when a lease holds is decided in `lease.rs`;
//! nothing here is.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::Instant;

use super::electorate::Electorate;
use super::payload::{Heard, Kind, Refused};
use super::replica::Replica;
use crate::control::{ControlError, State};
use crate::lease::{Granted, Holding, Lease, Owing, RENEWAL, STALL, Stand, VotersMark};
use crate::tasks::Tasks;

/// How often the node looks whether it was stalled.
const TICK: Duration = Duration::from_millis(100);
/// The least between two rounds of asking: many commands in a row are told of together.
const ROUND_PAUSE: Duration = Duration::from_millis(20);
/// How long a voter's grant is waited for.
const GRANT_PATIENCE: Duration = Duration::from_secs(1);
/// How long a voter keeps an answer back until it can say settled.
const SETTLE_WAIT: Duration = Duration::from_millis(500);
/// How long it may take to come back, besides.
const SETTLE_PATIENCE: Duration = Duration::from_secs(1);
/// Before a voter that did not answer is asked again.
const SETTLE_PAUSE: Duration = Duration::from_millis(100);
/// After a panic in the asking.
const PANIC_PAUSE: Duration = Duration::from_millis(100);

/// Both sides of the lease on one node.
pub(super) struct Leases {
    pub(super) lease: Arc<Lease>,
    holding: Mutex<Holding>,
    granted: Mutex<Granted>,
    /// Moves when somebody has told of what it applied.
    told: watch::Sender<u64>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Leases {
    pub(super) fn new(now: Instant) -> Leases {
        Leases {
            lease: Arc::new(Lease::none(now)),
            holding: Mutex::default(),
            granted: Mutex::default(),
            told: watch::Sender::new(0),
        }
    }

    /// After the node stood still: what it held it holds no longer.
    fn give_up(&self) {
        let mut holding = lock(&self.holding);
        holding.forget();
        self.lease.give_up();
    }
}

#[derive(Serialize, Deserialize)]
struct LeaseAsk {
    applied: u64,
    voters: VotersMark,
}

#[derive(Serialize, Deserialize)]
struct SettleAsk {
    index: u64,
    voters: VotersMark,
}

/// When the asker was last asking, and what it then knew.
struct Beat {
    tick: Instant,
    asked: Instant,
    is_due: bool,
}

impl<S: State> Replica<S> {
    pub(super) fn start_leases(self: &Arc<Self>, tasks: &Tasks) {
        let (replica, stopping) = (Arc::downgrade(self), tasks.stopping());
        tasks.keep_running("serving lease", PANIC_PAUSE, move || {
            let (replica, stopping) = (Weak::clone(&replica), stopping.clone());
            async move {
                let _ = stopping.run_until_cancelled(renew(replica)).await;
            }
        });
    }

    fn applied(&self) -> u64 {
        *self.shown.applied().borrow()
    }

    /// How this voter stands now, if it is one. What it has applied is read first: so an index
    /// found applied under some voters was agreed before the entry that replaced them.
    fn stand(&self) -> Option<Stand> {
        let applied = self.applied();
        let electorate = self.electorate();
        electorate.voters().contains(&self.number).then(|| Stand {
            applied,
            mark: electorate.mark(),
            since: electorate.since,
        })
    }

    /// Takes what was granted so far into force.
    fn hold(&self) {
        // What is applied is shown before it is counted, so whoever sees the lease sees the state.
        let holding = lock(&self.leases.holding);
        if let Some(until) = holding.until(self.applied()) {
            self.leases.lease.extend(until);
        }
    }

    /// Asks every voter at once.
    fn ask_for_lease(self: &Arc<Self>) {
        let electorate = self.electorate();
        let voters = electorate.voters();
        if voters.is_empty() {
            return;
        }
        let ask = LeaseAsk {
            applied: self.applied(),
            voters: electorate.mark(),
        };
        let round = lock(&self.leases.holding).ask(Instant::now(), electorate.sets.clone());
        if voters.contains(&self.number) {
            if let Some(index) = self.grant(self.number, &ask) {
                lock(&self.leases.holding).granted(round, self.number, index);
            }
            self.hold();
        }
        let replica = Arc::clone(self);
        self.links
            .tasks
            .spawn("ask for the serving lease", async move {
                let asks = voters.iter().filter(|voter| **voter != replica.number);
                let (links, ask, electorate) = (&replica.links, &ask, &electorate);
                let mut asks: FuturesUnordered<_> = asks
                    .filter_map(|voter| Some((*voter, electorate.nodes.get(voter)?.id())))
                    .map(|(voter, name)| async move {
                        let to = (voter, &name);
                        let said = links.ask(to, Kind::Lease, ask, &[], GRANT_PATIENCE).await;
                        (voter, said)
                    })
                    .collect();
                while let Some((voter, said)) = asks.next().await {
                    if let Ok(Some(index)) = said {
                        lock(&replica.leases.holding).granted(round, voter, index);
                        replica.hold();
                    }
                }
            });
    }

    fn grant(&self, holder: u64, ask: &LeaseAsk) -> Option<u64> {
        // The clock is read after the ask has come, and the stand while nothing can be settled.
        let mut granted = lock(&self.leases.granted);
        let stand = self.stand()?;
        let asker = (holder, ask.applied);
        let index = granted.ask(Instant::now(), asker, ask.voters, &stand);
        drop(granted);
        self.leases
            .told
            .send_modify(|told| *told = told.wrapping_add(1));
        index
    }

    /// As a voter: the index a grant carries, or none.
    pub(super) fn serve_lease(&self, heard: &Heard) -> Result<Option<u64>, Refused> {
        Ok(self.grant(heard.head.from, &heard.body()?))
    }

    /// As a voter: whether nobody it granted to can be without the index. It waits a while for
    /// that to become so.
    pub(super) async fn serve_settle(&self, heard: &Heard) -> Result<bool, Refused> {
        Ok(self.is_settled_here(&heard.body()?).await)
    }

    async fn is_settled_here(&self, ask: &SettleAsk) -> bool {
        let deadline = Instant::now() + SETTLE_WAIT;
        let mut told = self.leases.told.subscribe();
        let mut applied = self.shown.applied();
        let mut electorate = self.electorate.subscribe();
        loop {
            told.mark_unchanged();
            applied.mark_unchanged();
            electorate.mark_unchanged();
            let owing = {
                let mut granted = lock(&self.leases.granted);
                self.stand().map_or(Owing::Unsaid, |stand| {
                    granted.owing(Instant::now(), ask.index, ask.voters, &stand)
                })
            };
            let until = match owing {
                Owing::Nobody => return true,
                Owing::Until(until) => until.min(deadline),
                Owing::Unsaid => deadline,
            };
            if Instant::now() >= deadline {
                return false;
            }
            tokio::select! {
                _ = told.changed() => {}
                _ = applied.changed() => {}
                _ = electorate.changed() => {}
                () = tokio::time::sleep_until(until) => {}
            }
        }
    }

    /// Waits until nobody can serve without `index`, which must be agreed.
    pub(in crate::control) async fn settle(
        &self,
        index: u64,
        patience: Duration,
    ) -> Result<(), ControlError> {
        let mut voters = self.electorate.subscribe();
        let settled = tokio::time::timeout(patience, async {
            loop {
                let electorate = Arc::clone(&voters.borrow_and_update());
                tokio::select! {
                    () = self.settle_among(index, &electorate) => return,
                    // Other voters are asked anew: what was said counts among the same ones only.
                    _ = voters.wait_for(|now| now.mark() != electorate.mark()) => {}
                }
            }
        });
        settled.await.map_err(|_| ControlError::Unsettled)
    }

    async fn settle_among(&self, index: u64, electorate: &Electorate) {
        let ask = &SettleAsk {
            index,
            voters: electorate.mark(),
        };
        let voters = electorate.voters();
        let mut asks: FuturesUnordered<_> = voters
            .iter()
            .map(|voter| async move {
                while !self.ask_to_settle(*voter, ask, electorate).await {}
                *voter
            })
            .collect();
        let mut said = BTreeSet::new();
        while let Some(voter) = asks.next().await {
            said.insert(voter);
            if electorate.is_majority(&said) {
                return;
            }
        }
        // Of nobody there is no majority, and others will be asked.
        std::future::pending().await
    }

    async fn ask_to_settle(&self, voter: u64, ask: &SettleAsk, electorate: &Electorate) -> bool {
        if voter == self.number {
            return self.is_settled_here(ask).await;
        }
        let said = match electorate.nodes.get(&voter) {
            None => None,
            Some(placed) => {
                let patience = SETTLE_WAIT + SETTLE_PATIENCE;
                let to = (voter, &placed.id());
                let said = self.links.ask(to, Kind::Settle, ask, &[], patience);
                said.await.ok()
            }
        };
        if said.is_none() {
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        said.unwrap_or(false)
    }
}

/// Asks for as long as the replica lives: twice a second, and at once when it has applied
/// something or counts other voters.
async fn renew<S: State>(replica: Weak<Replica<S>>) {
    let Some(first) = replica.upgrade() else {
        return;
    };
    let mut applied = first.shown.applied();
    let mut electorate = first.electorate.subscribe();
    drop(first);
    let now = Instant::now();
    let mut beat = Beat {
        tick: now,
        asked: now,
        is_due: true,
    };
    while let Some(replica) = replica.upgrade() {
        let now = Instant::now();
        let stood_still = now.saturating_duration_since(beat.tick);
        if stood_still > TICK + STALL {
            replica.leases.give_up();
            beat.is_due = true;
            tracing::warn!(
                ?stood_still,
                "this node stood still; its serving lease is asked for anew"
            );
        }
        beat.tick = now;
        replica.be_silent_if_unheard();
        // What was granted may have waited for what is applied now.
        replica.hold();
        let pause = if beat.is_due { ROUND_PAUSE } else { RENEWAL };
        if now >= beat.asked + pause {
            replica.ask_for_lease();
            (beat.asked, beat.is_due) = (now, false);
        }
        drop(replica);
        let pause = if beat.is_due { ROUND_PAUSE } else { RENEWAL };
        let wake = (beat.asked + pause).min(now + TICK);
        tokio::select! {
            _ = applied.changed() => beat.is_due = true,
            _ = electorate.changed() => beat.is_due = true,
            () = tokio::time::sleep_until(wake) => {}
        }
    }
}
