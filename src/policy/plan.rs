//! What will be done with one request, decided once and carried along: nobody downstream asks
//! again what is allowed. Everything declined has a reason, one token, the same in the response
//! header, the metrics, `explain` and the ledger.

use std::fmt;

use fgy_cluster::Terms;

use super::OnAbandon;
use crate::names::Name;

/// The way of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// Straight to the provider and back: no look, no flight, nothing kept.
    Bypass(Reason),
    /// `only-if-cached` where no look is allowed: the answer is 504, without a call.
    Unanswerable(Reason),
    /// Through the cache.
    Cache(CachePlan),
}

/// What is allowed of a request on its way through the cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachePlan {
    /// Whether a kept answer will do at all.
    pub look: bool,
    /// Whether it may join a flight, or be joined.
    pub join: bool,
    /// A hit or 504: never a call.
    pub only_if_cached: bool,
    /// It was asked for anew (`no-cache`): the outcome is `refresh`.
    pub refresh: bool,
    /// What its own caller lets be kept; a follower may let more.
    pub keep: Option<Keep>,
    /// Which kept answers will do: how old they may be, and how near if they answer another
    /// question.
    pub terms: Terms,
    /// The partition, the policy's before the caller's (`v3/staging`); `""`: none.
    pub namespace: Name,
    /// The end user in the key, where answers are not shared among users.
    pub user: Option<Name>,
    /// What becomes of the call when everybody has gone.
    pub on_abandon: OnAbandon,
    /// What was asked for and not granted.
    pub declined: Vec<Reason>,
}

/// How an answer is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    /// For how long.
    pub ttl_millis: u64,
    /// How many of this policy and tenant.
    pub entries_max: Option<u64>,
}

macro_rules! reasons {
    ($($(#[doc = $doc:literal])+ $name:ident = $token:literal,)+) => {
        /// Why something was not done; what a caller reads in `X-Fgy-Cache-Reason`. (An embeddings
        /// batch answered in part says `partial-N-of-M`, which is made where it is counted.)
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $doc])+ $name,)+
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The token.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $token,)+
                }
            }
        }
    };
}

reasons! {
    /// The policy that governs the request is disabled.
    PolicyDisabled = "policy-disabled",
    /// The policy caches on request, and the request did not ask.
    PolicyOnRequest = "policy-on-request",
    /// The caller said `X-Fgy-Cache: off`.
    CacheOff = "cache-off",
    /// The caller said `no-cache`.
    NoCache = "no-cache",
    /// The caller said `no-store`.
    NoStore = "no-store",
    /// The caller said `only-if-cached`, and nothing suitable was kept.
    OnlyIfCached = "only-if-cached",
    /// The body has fields or numbers this node does not understand.
    NotUnderstood = "not-understood",
    /// The path will be cached one day.
    NotYet = "not-yet",
    /// The path is never cached.
    PassThrough = "pass-through",
    /// The body came with a `Content-Encoding`.
    Encoded = "encoded",
    /// Answers are kept for each end user, and the request names none.
    NoUser = "no-user",
    /// A personal prompt that names no end user: not matched by meaning.
    PersonalNoUser = "personal-no-user",
    /// A higher temperature is stated than the policy matches by meaning.
    Temperature = "temperature",
    /// The last message is not the user's: a tool's turn, or the model's own.
    NotUsersTurn = "not-users-turn",
    /// There are no words to compare.
    NoWords = "no-words",
    /// The words are of a script or language that the model does not cover.
    NotCovered = "language-not-covered",
    /// The last user message is longer than is matched by meaning.
    LongPrompt = "long-prompt",
    /// Near, but less so than the bar asks.
    BelowThreshold = "below-threshold",
    /// About what changes by the minute, and older than that.
    Volatile = "volatile",
    /// Whether long prompts mean the same would take a comparison of their differing sentences,
    /// which explaining does not pay for.
    Window = "window",
    /// The answer beside a near question is not there any more, or too old for the caller.
    Gone = "gone",
    /// A near answer would have been served, but a fresh one was wanted to compare it with.
    Sampled = "sampled",
    /// The policy allows exact answers alone, and near ones were asked for.
    LooserReach = "looser-reach",
    /// A lower similarity than the policy's was asked for.
    LooserThreshold = "looser-threshold",
    /// A longer life than the policy's was asked for.
    LooserTtl = "looser-ttl",
    /// An older answer than the policy keeps was declared acceptable.
    LooserAge = "looser-age",
    /// The answer was to live for no time at all.
    NoLife = "no-life",
    /// The batch asks for more items than are looked up one by one.
    TooManyItems = "too-many-items",
    /// There was no memory left to record the answer in.
    Memory = "memory",
    /// As many flights as may be are in the air.
    Flights = "flights",
    /// The node cannot prove that it knows the latest purge.
    NoLease = "no-lease",
    /// A purge came between the look and the answer.
    Purged = "purged",
    /// The store could not be asked.
    StoreUnavailable = "store-unavailable",
    /// The store had no room, or the writer was behind.
    StoreFull = "store-full",
    /// The answer is longer than a recording may be.
    TooLong = "too-long",
    /// The provider refused or failed.
    ProviderError = "provider-error",
    /// The answer broke off.
    Truncated = "truncated",
    /// The answer ended for a reason under which answers are not kept.
    Finish = "finish-reason",
    /// The model declined to answer.
    Refusal = "refusal",
    /// The answer calls a tool with arguments that do not parse.
    ToolArguments = "tool-arguments",
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_one_token_of_its_own() {
        let mut tokens: Vec<_> = Reason::ALL.iter().map(|reason| reason.as_str()).collect();
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        assert!(
            tokens
                .iter()
                .all(|token| !token.is_empty() && token.bytes().all(plain))
        );
        let count = tokens.len();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!((tokens.len(), count > 20), (count, true));
    }
}
