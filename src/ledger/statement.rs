//! A tenant's statement for a period, folded from its lines.
//!
//! What is billed: every line carries our share of its own saving, rounded down; the statement
//! adds these up. (A sum of rounded-down shares is never more than the share of the sum, so this
//! is the customer's favour, holds when the share changes within a month, and can be checked line
//! by line.) Three things are taken off:
//!
//! - Retries. Billable replies with one `Idempotency-Key` and one request key within ten minutes
//!   of the first of them, five at most, are billed as one: the first. The sixth, or one that
//!   comes later, begins anew: a key that never changes is no free pass.
//! - What was paid for embeddings, on hits and misses alike, comes off the saving; the fee shrinks
//!   in proportion, rounded down, and never falls below zero.
//! - Nothing else. No line is ever changed.
//!
//! The fold reads lines in order of time and remembers only the retries of the last ten minutes.

use std::collections::{BTreeMap, VecDeque};

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use super::line::Line;
use super::money::NanoUsd;
use super::totals::{Part, Period, Sum, Totals};
use crate::answer::stamp::Millis;
use crate::names::TenantId;

/// How long after the first a reply still counts as its retry.
pub const RETRY_MILLIS_MAX: u64 = 600_000;
/// How many replies are billed as one.
pub const RETRIES_MAX: u8 = 5;
/// How far before its period a statement begins to read, so that a reply just after midnight is
/// seen as the retry it is, while the month before bills it.
pub const LOOKBACK_MILLIS: u64 = 3_600_000;
/// Retry groups remembered at once, about 100 bytes each: more than 1,600 new ones a second for
/// ten minutes. Beyond it the oldest are closed early.
const GROUPS_MAX: usize = 1_000_000;

/// What a tenant is billed, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Statement {
    /// Whose.
    pub tenant: TenantId,
    /// For when.
    pub period: Period,
    /// By outcome and model, after folding; each part's fee after the embeddings are taken off.
    #[serde(rename = "parts", serialize_with = "parts")]
    #[schemars(with = "Vec<Part>")]
    pub totals: Totals,
    /// Replies that were billed as part of another.
    pub folded: u64,
    /// The savings, added up.
    pub saved: NanoUsd,
    /// What embeddings cost, added up.
    pub embedding: NanoUsd,
    /// What is billed: exactly the sum of the parts' fees.
    pub fee: NanoUsd,
}

fn parts<S: Serializer>(totals: &Totals, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(totals.parts().collect::<Vec<Part>>())
}

type Retried = ([u8; 32], Key);

#[derive(Debug)]
struct Group {
    first: Millis,
    replies: u8,
}

/// A statement in the making. Lines must come in the order of their places.
#[derive(Debug)]
pub struct Fold {
    tenant: TenantId,
    period: Period,
    totals: Totals,
    folded: u64,
    groups: BTreeMap<Retried, Group>,
    opened: VecDeque<(Millis, Retried)>,
}

impl Fold {
    /// Nothing yet.
    pub fn new(tenant: TenantId, period: Period) -> Self {
        let (groups, opened) = (BTreeMap::new(), VecDeque::new());
        Self {
            tenant,
            period,
            totals: Totals::default(),
            folded: 0,
            groups,
            opened,
        }
    }

    /// Where reading has to begin.
    pub fn reads(&self) -> Period {
        Period {
            from: self.period.from.minus_millis(LOOKBACK_MILLIS),
            to: self.period.to,
        }
    }

    /// Takes in the next line. Lines of others and of other times add nothing.
    pub fn add(&mut self, line: &Line) {
        if line.tenant != self.tenant {
            return;
        }
        let retry = self.is_retry(line);
        if !self.period.contains(line.at) {
            return;
        }
        let mut sum = Sum::of(line);
        if retry {
            (sum.saved, sum.fee) = (NanoUsd::ZERO, NanoUsd::ZERO);
            self.folded += 1;
        }
        self.totals.add(line.outcome, &line.model, &sum);
    }

    /// The statement.
    pub fn finish(mut self) -> Statement {
        let Sum {
            saved,
            fee: gross,
            embedding,
            ..
        } = self.totals.whole();
        let fee = gross.portion(saved.less(embedding), saved);
        apportion(&mut self.totals, gross, fee);
        let Self {
            tenant,
            period,
            totals,
            folded,
            ..
        } = self;
        Statement {
            tenant,
            period,
            totals,
            folded,
            saved,
            embedding,
            fee,
        }
    }

    fn is_retry(&mut self, line: &Line) -> bool {
        let (Some(idempotency), Some(key)) = (line.idempotency, line.key) else {
            return false;
        };
        if line.saved == NanoUsd::ZERO {
            return false;
        }
        self.close_before(line.at);
        let retried = (idempotency, key);
        if let Some(group) = self.groups.get_mut(&retried)
            && group.replies < RETRIES_MAX
        {
            group.replies += 1;
            return true;
        }
        self.groups.insert(
            retried,
            Group {
                first: line.at,
                replies: 1,
            },
        );
        self.opened.push_back((line.at, retried));
        false
    }

    fn close_before(&mut self, now: Millis) {
        while let Some((opened, retried)) = self.opened.front() {
            if now.since(*opened) <= RETRY_MILLIS_MAX && self.opened.len() < GROUPS_MAX {
                return;
            }
            // Opened anew since: the later entry of the queue will close it.
            if self
                .groups
                .get(retried)
                .is_some_and(|group| group.first == *opened)
            {
                self.groups.remove(retried);
            }
            self.opened.pop_front();
        }
    }
}

/// Spreads `fee` over the parts as `gross` was, so that they sum to it exactly: each part gets
/// what the parts up to it deserve together, less what those before it got.
fn apportion(totals: &mut Totals, gross: NanoUsd, fee: NanoUsd) {
    let (mut deserved, mut given) = (NanoUsd::ZERO, NanoUsd::ZERO);
    for sum in totals.sums_mut() {
        deserved += sum.fee;
        let upto = fee.portion(deserved, gross);
        sum.fee = upto.less(given);
        given = upto;
    }
}

#[cfg(test)]
mod tests;
