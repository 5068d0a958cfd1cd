//! What was said of an answer that was served, or would have been: the material the bar of a
//! namespace is learned from. It never holds a word of a question or of an answer.

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::answer::stamp::Millis;
use crate::ledger::line::LineId;
use crate::names::{Name, TenantId};

/// One reply, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Label {
    /// The reply; there is one label of each.
    pub id: LineId,
    /// When it was judged.
    pub at: Millis,
    /// Whose.
    pub tenant: TenantId,
    /// In which partition; `""`: none.
    pub namespace: Name,
    /// Under which policy; `""`: the built-in one, or one that is not known any more.
    pub policy: Name,
    /// The entry whose answer it was, as a purge names it, where that is known.
    pub entry: Option<Key>,
    /// How near its question was, in basis points; none of an answer to the question itself.
    pub similarity_bp: Option<u16>,
    /// What was said.
    pub verdict: Verdict,
    /// Who said it.
    pub judge: Judge,
    /// For how many look-ups it stands: of those of which a share was judged, one over the share.
    pub weight: u16,
}

macro_rules! words {
    ($(#[doc = $about:literal])+ $kind:ident { $(#[doc = $doc:literal] $name:ident = $word:literal,)+ }) => {
        $(#[doc = $about])+
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $kind {
            $(#[doc = $doc] $name,)+
        }

        impl $kind {
            /// The word in requests and in stores.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)+
                }
            }

            /// What a word says.
            #[must_use]
            pub fn named(word: &str) -> Option<Self> {
                [$(Self::$name,)+].into_iter().find(|it| it.as_str() == word)
            }
        }
    };
}

words! {
    /// What is said of an answer.
    Verdict {
        /// It answers another question.
        Wrong = "wrong",
        /// It was right once.
        Stale = "stale",
        /// It is as good as a fresh one.
        Right = "right",
    }
}

words! {
    /// Who says it.
    Judge {
        /// Whoever asked.
        Caller = "caller",
        /// Whoever runs this.
        Operator = "operator",
        /// A node, by comparing with a fresh answer.
        Node = "node",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_the_same_in_requests_and_in_stores() {
        for verdict in [Verdict::Wrong, Verdict::Stale, Verdict::Right] {
            let json = serde_json::to_value(verdict).unwrap();
            assert_eq!(json, verdict.as_str());
            assert_eq!(Verdict::named(verdict.as_str()), Some(verdict));
        }
        for judge in [Judge::Caller, Judge::Operator, Judge::Node] {
            let json = serde_json::to_value(judge).unwrap();
            assert_eq!(json, judge.as_str());
            assert_eq!(Judge::named(judge.as_str()), Some(judge));
        }
        assert_eq!(Verdict::named("Wrong"), None);
    }
}
