//! What the gateway is asked and what it gives back: plain data, borrowed from the request on the
//! way in. It never decides anything.

use std::borrow::Cow;

use bytes::Bytes;
use fgy_cluster::{NodeId, Player, Secret};
use http::{HeaderMap, HeaderValue};

use super::readings::WorkedOut;
use crate::answer::aside::Aside;
use crate::answer::head::Shape;
use crate::answer::stamp::Millis;
use crate::key::CanonicalDigest;
use crate::ledger::line::Outcome;
use crate::openai::normal::{canonical, canonical_across_models};
use crate::openai::request::Request;
use crate::policy::{Asked, Directives, Facts, Policy, select};
use crate::registry::{Registry, Tenant};

/// One request on a cached path.
#[derive(Clone, Copy)]
pub struct Ask<'a> {
    /// The request, understood.
    pub request: &'a Request<'a>,
    /// What was worked out from it; nothing for one that is asked item by item.
    pub worked_out: Option<WorkedOut>,
    /// Its bytes.
    pub raw: &'a Bytes,
    /// The query string, without the question mark.
    pub query: Option<&'a str>,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// What the headers ask of the cache.
    pub directives: &'a Directives,
    /// `X-Provider-Auth`, unread.
    pub provider_auth: Option<&'a HeaderValue>,
}

impl Ask<'_> {
    /// The policy that governs the request.
    pub(super) fn policy<'r>(
        &self,
        registry: &'r Registry,
        tenant: &Tenant,
        agent: &str,
    ) -> &'r Policy {
        let policies = registry.policies();
        let prompt = (!policies.is_empty())
            .then(|| self.request.last_user_text())
            .flatten();
        let asked = Asked {
            tenant: tenant.id.as_str(),
            agent,
            model: &self.request.model,
            path: self.request.endpoint.path(),
            prompt: prompt.as_deref(),
        };
        select(policies, &asked)
    }

    /// What is asked, with or without the model in it.
    pub(super) fn canonical(&self, across_models: bool) -> CanonicalDigest {
        match self.worked_out {
            _ if across_models => CanonicalDigest::of(&canonical_across_models(self.request)),
            Some(known) => known.canonical,
            None => CanonicalDigest::of(&canonical(self.request)),
        }
    }

    /// What the decision needs to know of the request.
    pub(super) fn facts(&self) -> Facts<'_> {
        Facts {
            barred: None,
            personal: self.worked_out.is_some_and(|known| known.personal),
            user: self.request.user.as_deref(),
        }
    }

    /// The secret that pays for a call: read here, on the way upstream, and nowhere else.
    pub(super) fn secret(&self) -> Option<Secret> {
        self.provider_auth
            .map(|value| Secret::new(value.as_bytes()))
    }
}

/// An answer and everything that is told with it; its bill stays open until it is delivered.
pub struct Reply {
    /// What became of the request.
    pub outcome: Outcome,
    /// Why, in one token; `""`: nothing to say.
    pub reason: Cow<'static, str>,
    /// How near a semantic hit was, in basis points.
    pub similarity_bp: Option<u16>,
    /// The provider's status.
    pub status: u16,
    /// How the answer was recorded.
    pub shape: Shape,
    /// When it was made.
    pub filled: Millis,
    /// How long it is kept, if it is.
    pub kept_until: Option<Millis>,
    /// The provider's own headers, for the one whose request went upstream.
    pub aside: Aside,
    /// The node that owns the key.
    pub owner: NodeId,
    /// The answer, after its head.
    pub player: Player,
    /// Whether the caller wants it streamed.
    pub stream: bool,
    /// Whether a streamed answer shall say its usage.
    pub include_usage: bool,
}
