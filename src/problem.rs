//! What can go wrong with a request, named where it happens. The status and the words a caller
//! hears are chosen in one place, `http::error`; nothing here holds a secret, a prompt or a body
//! other than the provider's own refusal.

use std::sync::Arc;

use fgy_cluster::{Fault, Refusal};

use crate::names::Name;
use crate::policy::Unreadable;
use crate::rate::TooMany;

/// Why a request got no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Problem {
    /// No tenant key, an unknown one, or one that was revoked.
    UnknownKey,
    /// The call would go upstream and nothing was given to pay for it.
    NoProviderKey,
    /// The body is not what the API takes; where and why, in words that do not quote it.
    BadBody(String),
    /// A query string is not what the path takes; why.
    BadQuery(String),
    /// A header cannot be read.
    BadHeader {
        /// Which.
        name: &'static str,
        /// What it should look like.
        expected: &'static str,
    },
    /// The body is longer than allowed.
    TooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// The body stopped arriving.
    SlowBody,
    /// The body broke off.
    BrokenBody,
    /// A provider that nobody configured.
    NoSuchProvider,
    /// `only-if-cached`, and nothing suitable is kept.
    NotKept,
    /// The tenant is pinned to regions, and this node is in none of them.
    OutsideRegions {
        /// Where this node is; empty: nowhere in particular.
        here: String,
        /// Where it would be served.
        regions: Vec<Name>,
    },
    /// More requests than the tenant may make.
    RateLimited {
        /// When to come back.
        retry_after_seconds: u64,
    },
    /// More than this node may hold at once.
    Overloaded,
    /// This node is leaving.
    Draining,
    /// The provider refused, in its own words.
    Refused(Arc<Refusal>),
    /// The provider could not be reached or broke off.
    Unreachable,
    /// The provider was silent for too long.
    TooSlow,
    /// The answer is longer than a recording may be.
    TooLong,
    /// `Upgrade`: realtime connections do not pass.
    Upgrade {
        /// Where they can go instead.
        provider: String,
    },
    /// Something broke here.
    Internal,
    /// An admin request without a token that is good for it.
    BadToken,
    /// An admin request that changes something, with a token that may only read.
    ReadOnly,
    /// The registry could not be changed; why.
    ControlAway(String),
    /// The store could not be asked; why.
    StoreAway(String),
    /// An admin request for what does not exist.
    NotFound(&'static str),
    /// An admin request that contradicts what is.
    Conflict(String),
}

impl Problem {
    /// A short name, the same in the ledger, the metrics and `code` of the error body.
    pub fn token(&self) -> &'static str {
        match self {
            Problem::UnknownKey => "unknown-key",
            Problem::NoProviderKey => "no-provider-key",
            Problem::BadBody(_) => "bad-body",
            Problem::BadQuery(_) => "bad-query",
            Problem::BadHeader { .. } => "bad-header",
            Problem::TooLarge { .. } => "too-large",
            Problem::SlowBody => "slow-body",
            Problem::BrokenBody => "broken-body",
            Problem::NoSuchProvider => "no-such-provider",
            Problem::NotKept => "only-if-cached",
            Problem::OutsideRegions { .. } => "outside-regions",
            Problem::RateLimited { .. } => "rate-limited",
            Problem::Overloaded => "overloaded",
            Problem::Draining => "draining",
            Problem::Refused(_) => "provider-error",
            Problem::Unreachable => "provider-unreachable",
            Problem::TooSlow => "provider-too-slow",
            Problem::TooLong => "too-long",
            Problem::Upgrade { .. } => "upgrade",
            Problem::Internal => "internal",
            Problem::BadToken => "bad-token",
            Problem::ReadOnly => "read-only",
            Problem::ControlAway(_) => "control-unavailable",
            Problem::StoreAway(_) => "store-unavailable",
            Problem::NotFound(_) => "not-found",
            Problem::Conflict(_) => "conflict",
        }
    }
}

impl From<Unreadable> for Problem {
    fn from(unreadable: Unreadable) -> Problem {
        Problem::BadHeader {
            name: unreadable.header,
            expected: unreadable.expected,
        }
    }
}

impl From<TooMany> for Problem {
    fn from(
        TooMany {
            retry_after_seconds,
        }: TooMany,
    ) -> Problem {
        Problem::RateLimited {
            retry_after_seconds,
        }
    }
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Problem {
        match fault {
            Fault::Refused(refusal) => Problem::Refused(refusal),
            Fault::Lost | Fault::OwnerLost => Problem::Unreachable,
            Fault::TooSlow => Problem::TooSlow,
            Fault::TooLong => Problem::TooLong,
            Fault::NoRoom => Problem::Overloaded,
            Fault::Abandoned => Problem::Internal,
        }
    }
}
