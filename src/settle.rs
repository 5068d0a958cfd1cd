//! One bill and one count for every reply, whatever becomes of it: a settlement is opened with the
//! request and told what it hears; when it is closed or dropped it writes one line to the journal
//! before the caller has the last byte. It never waits, and a line that finds no room is counted
//! and never billed.

mod prices;
mod recent;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::{Key, NodeId};
use tokio::time::Instant;

pub use self::prices::{Prices, Unread};
pub use self::recent::Recent;
use crate::answer::event::Tally;
use crate::answer::stamp::Millis;
use crate::answer::usage::Usage;
use crate::ledger::journal::Journal;
use crate::ledger::line::{Amounts, Line, LineId, Outcome};
use crate::ledger::money::{BasisPoints, NanoUsd};
use crate::metrics::Metrics;
use crate::names::Name;
use crate::problem::Problem;
use crate::registry::Tenant;

/// What every settlement needs.
pub struct Settler {
    /// This node.
    pub node: NodeId,
    /// Where lines go.
    pub journal: Arc<Journal>,
    /// What tokens cost.
    pub prices: Prices,
    /// What is counted.
    pub metrics: Arc<Metrics>,
    /// Whose answers were heard lately by meaning.
    pub recent: Arc<Recent>,
    /// Which requests leave a line in the log.
    pub access_log: AccessLog,
}

/// Which requests leave a line in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AccessLog {
    /// Misses and errors, and one hit in a thousand.
    Sampled,
    /// Every one.
    All,
}

/// What is known of a request from the start.
#[derive(Clone)]
pub struct Opening {
    /// Names the reply.
    pub id: LineId,
    /// When the request came in.
    pub began: Instant,
    /// The same in Unix time.
    pub at: Millis,
    /// Who pays.
    pub tenant: Arc<Tenant>,
    /// The agent; `""`: none.
    pub agent: Name,
    /// Where it was sent: one of ours, or `other`.
    pub path: &'static str,
    /// Digest of the caller's `Idempotency-Key`.
    pub idempotency: Option<[u8; 32]>,
}

/// The open bill of one reply.
pub struct Settlement {
    settler: Arc<Settler>,
    opening: Opening,
    namespace: Name,
    model: Name,
    outcome: Outcome,
    reason: Cow<'static, str>,
    key: Option<Key>,
    status: u16,
    similarity_bp: Option<u16>,
    /// Where the answer lay, where it was another question's.
    matched: Option<Key>,
    /// Paid to a provider for vectors.
    embedding: NanoUsd,
    usage: Usage,
    /// What was not paid for of an answer that was paid for in part.
    saved_part: Option<Usage>,
    /// What it comes to if the whole of it is delivered: priced once.
    whole: Amounts,
    complete: bool,
    delivered: bool,
}

impl Settler {
    /// Opens the bill of a reply. Until it is told otherwise the request was refused. Boxed, since it
    /// is handed from room to room.
    pub fn open(self: &Arc<Settler>, opening: Opening) -> Box<Settlement> {
        Box::new(Settlement {
            settler: self.clone(),
            opening,
            namespace: Name::default(),
            model: Name::default(),
            outcome: Outcome::Refused,
            reason: Cow::Borrowed(""),
            key: None,
            status: 0,
            similarity_bp: None,
            matched: None,
            embedding: NanoUsd::ZERO,
            usage: Usage::default(),
            saved_part: None,
            whole: Amounts::default(),
            complete: false,
            delivered: false,
        })
    }
}

impl Settlement {
    /// Names the reply.
    pub fn id(&self) -> LineId {
        self.opening.id
    }

    /// What was known from the start.
    pub fn opening(&self) -> &Opening {
        &self.opening
    }

    /// What was asked for, and under which key.
    pub fn asked(&mut self, model: Name, namespace: Name, key: Option<Key>) {
        self.model = model;
        self.namespace = namespace;
        self.key = key;
    }

    /// What became of it.
    pub fn became(
        &mut self,
        outcome: Outcome,
        reason: Cow<'static, str>,
        similarity_bp: Option<u16>,
    ) {
        self.outcome = outcome;
        self.reason = reason;
        self.similarity_bp = similarity_bp;
    }

    /// The request got no answer, and the caller is told so with this status.
    pub fn refused(mut self: Box<Self>, problem: &Problem, status: u16) {
        self.became(Outcome::Refused, problem.token().into(), None);
        self.status = status;
    }

    /// The answer is that of another question, which lies there.
    pub fn matched(&mut self, key: Key) {
        self.matched = Some(key);
    }

    /// Vectors were paid for, whatever becomes of the request.
    pub fn embedded(&mut self, price: NanoUsd) {
        self.embedding += price;
    }

    /// A part of the answer was kept: what its tokens would have cost is saved.
    pub fn saved_part(&mut self, usage: Usage) {
        self.saved_part = Some(usage);
    }

    /// This node.
    pub fn node(&self) -> NodeId {
        self.settler.node.clone()
    }

    /// The status the caller is told.
    pub fn status(&mut self, status: u16) {
        self.status = status;
    }

    /// What the answer took, and whether it came to its own end: priced here, when everything
    /// else about it has been told.
    pub fn tallied(&mut self, tally: &Tally) {
        self.usage = tally.usage.unwrap_or(Usage {
            estimated: true,
            ..Usage::default()
        });
        self.complete = tally.complete;
        self.whole = self.priced();
    }

    /// What this reply saves if it is delivered: known once it is tallied.
    pub fn saving(&self) -> Amounts {
        self.whole
    }

    fn priced(&self) -> Amounts {
        let prices = self.settler.prices.load();
        let share = BasisPoints(self.opening.tenant.settings.share_basis_points);
        let priced = |outcome, usage| {
            Amounts::of(outcome, self.complete, &self.model, usage, &prices, share)
        };
        let whole = priced(self.outcome, &self.usage);
        match &self.saved_part {
            None => whole,
            Some(part) => Amounts {
                cost: whole.cost,
                ..priced(Outcome::Hit, part)
            },
        }
    }

    /// What it came to in the end: nothing is saved for a caller who did not get it.
    fn amounts(&self) -> Amounts {
        if self.delivered {
            return self.whole;
        }
        Amounts {
            saved: NanoUsd::ZERO,
            fee: NanoUsd::ZERO,
            ..self.whole
        }
    }

    /// The caller's connection has asked for the last frame: it is settled before it is sent.
    pub fn deliver(mut self: Box<Self>) {
        self.delivered = true;
    }

    fn line(&self, amounts: &Amounts, took: Duration) -> Line {
        Line {
            id: self.opening.id,
            at: self.opening.at.plus_millis(took.as_millis() as u64),
            tenant: self.opening.tenant.id.clone(),
            agent: self.opening.agent.clone(),
            namespace: self.namespace.clone(),
            model: self.model.clone(),
            path: Name::new_static(self.opening.path),
            outcome: self.outcome,
            reason: match &self.reason {
                Cow::Borrowed(token) => Name::new_static(token),
                Cow::Owned(token) => token.into(),
            },
            key: self.key,
            status: self.status,
            delivered: self.delivered && self.complete,
            usage: self.usage,
            price_version: self.settler.prices.load().version,
            priced: amounts.priced,
            cost: amounts.cost,
            saved: amounts.saved,
            fee: amounts.fee,
            embedding: self.embedding,
            idempotency: self.opening.idempotency,
            similarity_bp: self.similarity_bp,
        }
    }
}

impl Drop for Settlement {
    fn drop(&mut self) {
        let (amounts, took) = (self.amounts(), self.opening.began.elapsed());
        let line = self.line(&amounts, took);
        if self.settler.journal.append(&line).is_err() {
            self.settler.metrics.unbilled();
        }
        let path = self.opening.path;
        self.settler
            .metrics
            .ended(self.outcome, &self.reason, path, took, amounts.saved.0);
        if let Some(matched) = self.matched {
            self.settler.recent.note(self.opening.id, matched);
        }
        if let Some(similarity_bp) = self.similarity_bp {
            self.settler.metrics.near(similarity_bp);
        }
        if self.is_logged() {
            self.log(took);
        }
    }
}

impl Settlement {
    fn is_logged(&self) -> bool {
        // The ids count up: one in a thousand of them is one hit in a thousand.
        let sampled = (self.opening.id.0 >> 32).is_multiple_of(1_000);
        self.settler.access_log == AccessLog::All || self.outcome != Outcome::Hit || sampled
    }

    fn log(&self, took: Duration) {
        tracing::info!(
            target: "fgy::access",
            id = %self.opening.id,
            tenant = %self.opening.tenant.id,
            agent = %self.opening.agent,
            path = self.opening.path,
            outcome = self.outcome.token(),
            reason = %self.reason,
            status = self.status,
            delivered = self.delivered,
            micros = took.as_micros() as u64,
        );
    }
}
