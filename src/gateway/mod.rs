//! The walk of one request on the edge's side: what is planned, which key, is a copy here, else
//! who makes it. One function, read downward. It never chooses a status, never speaks HTTP and
//! never reads the secret of a caller who is answered from the cache.

mod ask;
mod batch;
mod explain;
mod near;

mod pass;
mod question;
mod readings;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use fgy_cluster::{Cluster, Control, Fault, Fetched, Join, Part, Player, Tape, Want};

pub use ask::{Ask, Reply};
pub use explain::{Explanation, KeptAnswer};

pub use pass::{PassAsk, Passed};
pub use readings::{Found, Readings, WorkedOut};

use crate::answer::aside::Aside;
use crate::answer::head::{Head, Origin};
use crate::gateway::question::Question;
use crate::job::{Job, Near};
use crate::key::InstallationKey;
use crate::ledger::line::Outcome;
use crate::policy::{CachePlan, Plan, Reason, decide};
use crate::problem::Problem;
use crate::provider::{Auth, Book, Provider, Providers};
use crate::registry::Registry;
use crate::semantic::found::Looks;
use crate::settle::Settlement;

/// An answer, or what came back from passing the request through.
pub enum Answer {
    /// From the cache, a flight, or a call recorded for it.
    Reply(Reply),
    /// Straight from the provider, unrecorded.
    Passed(Passed),
}

/// The edge's side of the corridor.
pub struct Gateway {
    /// Who owns and makes answers.
    pub cluster: Arc<Cluster>,
    /// The way upstream for what is passed through.
    pub providers: Providers,
    /// Tenants, policies, purges.
    pub control: Control<Registry>,
    /// Under which keys are made.
    pub installation: Arc<InstallationKey>,
    /// Where near answers are looked for without a flight.
    pub looks: Arc<dyn Looks>,
    /// What was read lately.
    pub readings: Readings,
    /// How long a caller waits for the first byte of an answer.
    pub patience: Duration,
    /// What of a request's items one batch may ask for.
    pub items_max: usize,
}

impl Gateway {
    /// Answers one request on a cached path.
    ///
    /// What a hit never waits for is boxed: the future of a hit is made for every request, and is
    /// small.
    pub async fn answer(&self, ask: Ask<'_>, bill: &mut Settlement) -> Result<Answer, Problem> {
        // Looked into and let go before anything is waited for: a hit counts no holder of it.
        let book = self.providers.book();
        let provider = chosen(&book, &ask)?;
        let (plan, question) = self.control.look(|registry| {
            let whose = bill.opening();
            let policy = ask.policy(registry, &whose.tenant, &whose.agent);
            let plan = decide(policy, &ask.facts(), ask.directives);
            let question = match &plan {
                Plan::Cache(plan) => {
                    Some(self.question(registry, &ask, plan, policy, whose, provider))
                }
                Plan::Bypass(_) | Plan::Unanswerable(_) => None,
            };
            (plan, question)
        });
        let (plan, question) = match (plan, question) {
            // Looked at after the epoch was: whoever holds it now knew every purge then.
            (Plan::Cache(plan), Some(question)) if self.may_serve(bill) => (plan, question),
            (Plan::Cache(plan), _) if !plan.only_if_cached => {
                let provider = provider.clone();
                drop(book);
                return Box::pin(self.pass_body(ask, &provider, Reason::NoLease, bill)).await;
            }
            (Plan::Bypass(reason), _) => {
                let provider = provider.clone();
                drop(book);
                return Box::pin(self.pass_body(ask, &provider, reason, bill)).await;
            }
            _ => return Err(Problem::NotKept),
        };
        let is_batch = ask.request.input.count() > 0;
        if !is_batch
            && plan.look
            && let Some(fetched) = self.cluster.peek(&question.key(), &plan.terms)
        {
            return reply(&ask, &plan, &question, fetched, bill);
        }
        let provider = provider.clone();
        drop(book);
        if is_batch {
            return Box::pin(self.answer_batch(ask, plan, question, &provider, bill)).await;
        }
        Box::pin(self.answer_unkept(ask, plan, question, &provider, bill)).await
    }

    /// Whether this node can prove that it knows the latest purge, or the tenant would rather have
    /// an answer that was purged than none.
    fn may_serve(&self, bill: &Settlement) -> bool {
        self.control.lease().holds() || bill.opening().tenant.settings.stale_ok
    }

    /// Not in this node's memory: in another's or in the store, in the air, or to be made.
    async fn answer_unkept(
        &self,
        ask: Ask<'_>,
        mut plan: CachePlan,
        question: Question,
        provider: &Arc<Provider>,
        bill: &mut Settlement,
    ) -> Result<Answer, Problem> {
        if plan.only_if_cached || self.cannot_pay(&ask, provider) {
            let exact = self.look(&question, &plan).await;
            let found = match exact {
                Some(fetched) => Some(fetched),
                None if !plan.look => None,
                None => {
                    let near = self.nearness(&ask, &mut plan, &question, bill.opening(), provider);
                    self.look_nearby(near, &question, &plan, bill).await
                }
            };
            return match found {
                Some(fetched) => reply(&ask, &plan, &question, fetched, bill),
                None if plan.only_if_cached => Err(Problem::NotKept),
                None => Err(Problem::NoProviderKey),
            };
        }
        let near = self.nearness(&ask, &mut plan, &question, bill.opening(), provider);
        let want = self.want(&ask, &plan, &question, near, provider);
        match self.fetched(&want, ask.request.stream).await {
            Ok(fetched) => reply(&ask, &plan, &question, fetched, bill),
            Err(Fault::NoRoom) => self.pass_body(ask, provider, Reason::Memory, bill).await,
            Err(fault) => Err(fault.into()),
        }
    }

    /// An answer: its beginning for a caller who streams, the whole of it for one who does not. The
    /// latter was sent nothing yet, so that an answer which breaks off because its owner went away
    /// is asked for once more, of whoever owns the key by then.
    async fn fetched(&self, want: &Want, stream: bool) -> Result<Fetched, Fault> {
        let mut fetched = self.cluster.fetch(want).await?;
        if !stream && let Err(Fault::OwnerLost) = to_the_end(&mut fetched.player).await {
            fetched = self.cluster.fetch(want).await?;
        }
        Ok(fetched)
    }

    /// Whether a call could not be paid for: then only what is kept can answer.
    fn cannot_pay(&self, ask: &Ask<'_>, provider: &Provider) -> bool {
        provider.auth == Auth::Caller && ask.provider_auth.is_none()
    }

    /// A kept answer from anywhere, without a flight.
    async fn look(&self, question: &Question, plan: &CachePlan) -> Option<Fetched> {
        let key = question.key();
        let tape = self
            .cluster
            .look(&[key], &plan.terms, question.sought)
            .await
            .into_iter()
            .next()??;
        self.play(&tape, question)
    }

    /// Another question's answer, for whom no call may be made.
    async fn look_nearby(
        &self,
        near: Option<Near>,
        question: &Question,
        plan: &CachePlan,
        bill: &mut Settlement,
    ) -> Option<Fetched> {
        let policy = question.policy();
        let nearby = self.looks.nearby(&near?, policy, &plan.terms).await;
        bill.embedded(nearby.paid);
        self.play(&Tape::from(nearby.answer?), question)
    }

    fn play(&self, tape: &Tape, question: &Question) -> Option<Fetched> {
        let mut player = tape.play();
        let head = player.ready()?;
        Some(Fetched {
            head,
            player,
            part: Part::Kept,
            owner: self.cluster.owner(&question.key()),
        })
    }

    fn want(
        &self,
        ask: &Ask<'_>,
        plan: &CachePlan,
        question: &Question,
        near: Option<Near>,
        provider: &Provider,
    ) -> Want {
        let secret = ask.secret();
        Want {
            key: question.key(),
            since: question.since,
            terms: plan.terms,
            join: if plan.join { Join::Owned } else { Join::Alone },
            coalesce: question.coalesce,
            job: Job {
                near,
                ..question.job(ask, plan, provider)
            }
            .encode(),
            credential: self.installation.credential(secret.as_ref()),
            secret,
            wish: plan.keep.map_or(0, |keep| keep.ttl_millis),
            patience: self.patience,
        }
    }
}

/// Waits until a recording has ended; how it ended can be heard from the player again.
async fn to_the_end(player: &mut Player) -> Result<(), Fault> {
    while player.next().await?.is_some() {}
    Ok(())
}

/// The provider that a request would go to.
fn chosen<'b>(book: &'b Book, ask: &Ask<'_>) -> Result<&'b Arc<Provider>, Problem> {
    let (name, model) = (ask.directives.provider.as_deref(), &ask.request.model);
    book.choose(name, model).ok_or(Problem::NoSuchProvider)
}

/// What the caller is told of the answer it got: the head says where it came from, the part how
/// the caller came by it.
fn reply(
    ask: &Ask<'_>,
    plan: &CachePlan,
    question: &Question,
    fetched: Fetched,
    bill: &mut Settlement,
) -> Result<Answer, Problem> {
    let head = Head::decode(&fetched.head).map_err(|_| Problem::Internal)?;
    let (outcome, similarity_bp) = outcome(&head, fetched.part, plan);
    let reason = reason(plan, outcome, &head);
    bill.asked(
        question.asked_model.clone(),
        plan.namespace.clone(),
        Some(question.key()),
    );
    bill.became(outcome, reason.clone(), similarity_bp);
    if let Origin::Near { source, .. } = head.origin {
        bill.matched(source);
    }
    if fetched.part == Part::Led {
        bill.embedded(head.paid);
    }
    let aside = if fetched.part == Part::Led {
        head.aside
    } else {
        Aside::default()
    };
    Ok(Answer::Reply(Reply {
        outcome,
        reason,
        similarity_bp,
        status: head.status,
        shape: head.shape,
        filled: head.filled,
        kept_until: head.kept_until,
        aside,
        owner: fetched.owner,
        player: fetched.player,
        stream: ask.request.stream,
        include_usage: ask.request.include_usage,
    }))
}

fn outcome(head: &Head, part: Part, plan: &CachePlan) -> (Outcome, Option<u16>) {
    match (head.origin, head.kept_until, part) {
        (Origin::Near { similarity_bp, .. }, _, _) => (Outcome::SemanticHit, Some(similarity_bp)),
        (Origin::Fresh, Some(_), _) => (Outcome::Hit, None),
        (Origin::Fresh, None, Part::Followed) => (Outcome::Coalesced, None),
        (Origin::Fresh, None, _) if plan.refresh => (Outcome::Refresh, None),
        (Origin::Fresh, None, _) => (Outcome::Miss, None),
    }
}

/// The first thing that was declined, where the caller would otherwise have had more: by the plan,
/// or by the owner on its way to the answer.
fn reason(plan: &CachePlan, outcome: Outcome, head: &Head) -> Cow<'static, str> {
    if outcome == Outcome::Refresh {
        return Reason::NoCache.as_str().into();
    }
    if let Some(reason) = plan.declined.first() {
        return reason.as_str().into();
    }
    let fresh = matches!(outcome, Outcome::Miss | Outcome::Coalesced);
    let told = head.declined.first().filter(|_| fresh);
    told.map_or(Cow::Borrowed(""), |reason| reason.clone().into())
}
