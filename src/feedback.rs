//! What is said of replies: a wrong or a stale answer is evicted everywhere, and every word is kept
//! as a label. A reply is found by its id in the ledger; nobody hears of another tenant's. It keeps
//! no words of questions or answers.

use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::{Control, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::stamp::Millis;
use crate::label::{Judge, Label, Verdict};
use crate::ledger::line::{Line, LineId};
use crate::names::TenantId;
use crate::problem::Problem;
use crate::rate::Rates;
use crate::registry::{Command, Outcome, PurgeScope, Registry};
use crate::semantic::found::Looks;
use crate::settle::Recent;
use crate::store::{Scope, Stores};

/// Verdicts of one tenant; each may cost the installation an agreed command.
const PER_MINUTE_MAX: u32 = 60;

/// A reply is in the ledger a moment after it was heard: so often is it looked for, and with these
/// pauses.
const TRIES_MAX: usize = 30;
const TRY_EVERY: Duration = Duration::from_millis(100);

/// A reply older than this is in the ledger or nowhere.
const UNPOSTED_MILLIS_MAX: u64 = 60_000;

/// Rows removed at once behind an eviction: an entry and what was promoted from it.
const ROWS_MAX: u32 = 500;

/// A verdict as it is sent.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Feedback")]
pub struct Said {
    /// As the reply's `X-Request-Id` has it.
    pub request_id: String,
    /// What is said of its answer.
    pub verdict: Verdict,
}

/// Who says it.
#[derive(Clone, Copy, Debug)]
pub enum Speaker<'a> {
    /// A caller of this tenant, of its own replies.
    Caller(&'a TenantId),
    /// The operator, of anybody's.
    Operator,
}

/// What came of it.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "HeardFeedback")]
pub struct Heard {
    /// The reply's line.
    #[schemars(with = "String")]
    pub id: LineId,
    /// What was said.
    pub verdict: Verdict,
    /// Whether an entry is served no more.
    pub evicted: bool,
}

/// Hears verdicts.
pub struct Feedback {
    stores: Stores,
    control: Control<Registry>,
    looks: Arc<dyn Looks>,
    recent: Arc<Recent>,
    rates: Rates,
}

impl Feedback {
    /// Hears verdicts on what these keep.
    pub fn new(
        stores: Stores,
        control: Control<Registry>,
        looks: Arc<dyn Looks>,
        recent: Arc<Recent>,
    ) -> Feedback {
        Feedback {
            stores,
            control,
            looks,
            recent,
            rates: Rates::default(),
        }
    }

    /// Hears one.
    ///
    /// # Errors
    /// No such reply, too many verdicts, or the registry or the store is away; it may be said again.
    pub async fn hear(
        &self,
        said: &Said,
        speaker: Speaker<'_>,
        now: Millis,
    ) -> Result<Heard, Problem> {
        if let Speaker::Caller(tenant) = speaker {
            self.rates.admit(tenant, Some(PER_MINUTE_MAX), now)?;
        }
        let id = said.request_id.rsplit('.').next().unwrap_or_default();
        let id: LineId = id.parse().map_err(|()| {
            Problem::BadBody("request_id: the reply's X-Request-Id, as it was heard".into())
        })?;
        let line = self.line(id, now).await?;
        let line = line.filter(|line| match speaker {
            Speaker::Caller(tenant) => line.tenant == *tenant,
            Speaker::Operator => true,
        });
        let line = line.ok_or(Problem::NotFound("reply of this id"))?;
        let Some(key) = self.recent.of(id).or(line.key) else {
            // Nothing was looked up or kept for it.
            return Ok(heard(id, said.verdict, false));
        };
        let judge = match speaker {
            Speaker::Caller(_) => Judge::Caller,
            Speaker::Operator => Judge::Operator,
        };
        let evicted = self.judged(&line, key, (said.verdict, judge), now).await?;
        Ok(heard(id, said.verdict, evicted))
    }

    async fn judged(
        &self,
        line: &Line,
        key: Key,
        (verdict, judge): (Verdict, Judge),
        now: Millis,
    ) -> Result<bool, Problem> {
        let stamp = self.looks.stamp(&key).await;
        let stamp = stamp.filter(|stamp| stamp.tenant == line.tenant);
        let source = stamp.as_ref().map_or(key, |stamp| stamp.source);
        let evicts = verdict != Verdict::Right;
        if evicts {
            self.evict(&line.tenant, source, now).await?;
        }
        let label = Label {
            id: line.id,
            at: now,
            tenant: line.tenant.clone(),
            namespace: line.namespace.clone(),
            policy: stamp.map(|stamp| stamp.policy).unwrap_or_default(),
            entry: Some(source),
            similarity_bp: line.similarity_bp,
            verdict,
            judge,
            weight: 1,
        };
        self.looks.heard(&label);
        self.stores.labels.label(vec![label]).await?;
        Ok(evicts)
    }

    /// The line of a reply, waiting for it where it may be on its way.
    async fn line(&self, id: LineId, now: Millis) -> Result<Option<Line>, Problem> {
        // An id of version 7 begins with its time.
        let age = now.since(Millis((id.0 >> 80) as u64));
        let tries = if age > UNPOSTED_MILLIS_MAX {
            1
        } else {
            TRIES_MAX
        };
        for _ in 1..tries {
            if let Some(line) = self.stores.ledger.line(id).await? {
                return Ok(Some(line));
            }
            tokio::time::sleep(TRY_EVERY).await;
        }
        Ok(self.stores.ledger.line(id).await?)
    }

    /// One entry and what was promoted from it, everywhere and at once.
    async fn evict(&self, tenant: &TenantId, key: Key, at: Millis) -> Result<(), Problem> {
        let purge = Command::Purge {
            scope: PurgeScope::of_tenant(tenant.clone()),
            older_than: None,
            key: Some(key),
            at,
        };
        if let (_, Outcome::Refused(refusal)) = self.control.propose(purge).await? {
            return Err(refusal.into());
        }
        let scope = Scope {
            tenant: Some(tenant.clone()),
            began_before: Some(at),
            source: Some(key),
            ..Scope::default()
        };
        if let Err(error) = self.stores.entries.forget(scope, ROWS_MAX).await {
            // They are dead all the same and go when they expire.
            tracing::warn!(%error, "evicted rows could not be removed yet");
        }
        Ok(())
    }
}

fn heard(id: LineId, verdict: Verdict, evicted: bool) -> Heard {
    Heard {
        id,
        verdict,
        evicted,
    }
}
