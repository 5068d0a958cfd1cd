//! One line of the ledger: what one reply was, what its tokens cost at list price, what the cache
//! saved and what our share of that is. Written once, never changed. Plain data: the id, the time
//! and the prices come from outside.

use std::fmt;
use std::str::FromStr;

use fgy_cluster::Key;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

use super::money::{BasisPoints, NanoUsd};
use super::price::PriceTable;
use crate::answer::stamp::Millis;
use crate::answer::usage::Usage;
use crate::names::{Name, TenantId};

/// Names a reply and its line: a UUID of version 7, made once where the request came in. Internal
/// retries keep it, so that posting a line again changes nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LineId(pub u128);

impl LineId {
    /// The id as UUIDs are written: eight, four, four, four and twelve hex digits. It stands in
    /// every answer's headers, so it is written without the machinery of formatting.
    pub fn text(self) -> [u8; 36] {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let mut text = [b'-'; 36];
        let mut at = 0;
        for (place, byte) in self.0.to_be_bytes().into_iter().enumerate() {
            at += usize::from(matches!(place, 4 | 6 | 8 | 10));
            text[at] = DIGITS[usize::from(byte >> 4)];
            text[at + 1] = DIGITS[usize::from(byte & 0xf)];
            at += 2;
        }
        text
    }
}

impl fmt::Display for LineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Digits and dashes are text.
        f.write_str(std::str::from_utf8(&self.text()).unwrap_or_default())
    }
}

/// As it is written, and nothing else.
impl FromStr for LineId {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let digits = text.replace('-', "");
        let id = LineId(u128::from_str_radix(&digits, 16).map_err(|_| ())?);
        if id.to_string() == text {
            Ok(id)
        } else {
            Err(())
        }
    }
}

impl Serialize for LineId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What became of a request, as the response header says it.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// Answered from the cache, the very same request.
    Hit,
    /// Answered from the cache, a request of the same meaning.
    SemanticHit,
    /// Answered by a call another caller had begun.
    Coalesced,
    /// Answered by the provider.
    Miss,
    /// Not looked up and not stored.
    Bypass,
    /// Asked for afresh, by the caller's wish.
    Refresh,
    /// Not answered.
    Refused,
}

impl Outcome {
    /// Every outcome, in the order in which statements show them.
    pub const ALL: [Self; 7] = [
        Self::Hit,
        Self::SemanticHit,
        Self::Coalesced,
        Self::Miss,
        Self::Refresh,
        Self::Bypass,
        Self::Refused,
    ];

    /// Whether a call to the provider was saved. The first caller of a flight is a miss.
    pub fn saves(self) -> bool {
        match self {
            Self::Hit | Self::SemanticHit | Self::Coalesced => true,
            Self::Miss | Self::Bypass | Self::Refresh | Self::Refused => false,
        }
    }

    /// The word used in headers, metrics and the database.
    pub fn token(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::SemanticHit => "semantic-hit",
            Self::Coalesced => "coalesced",
            Self::Miss => "miss",
            Self::Bypass => "bypass",
            Self::Refresh => "refresh",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

impl FromStr for Outcome {
    type Err = ();

    fn from_str(token: &str) -> Result<Self, ()> {
        Self::ALL
            .into_iter()
            .find(|outcome| outcome.token() == token)
            .ok_or(())
    }
}

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Line {
    /// Counts once, however often it is posted.
    #[schemars(with = "String")]
    pub id: LineId,
    /// When the reply ended.
    pub at: Millis,
    /// Who pays.
    pub tenant: TenantId,
    /// `""` = none.
    pub agent: Name,
    /// `""` = none.
    pub namespace: Name,
    /// The model asked for.
    pub model: Name,
    /// The path asked, such as `/v1/chat/completions`.
    pub path: Name,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, in one token; `""` = nothing to say.
    pub reason: Name,
    /// The key of the request; none where none was made.
    #[schemars(with = "Option<String>")]
    pub key: Option<Key>,
    /// The HTTP status the caller got.
    pub status: u16,
    /// The caller took the last frame of a complete answer.
    pub delivered: bool,
    /// The tokens of the answer, as recorded.
    pub usage: Usage,
    /// The price table they were priced by.
    pub price_version: u32,
    /// Whether the model had a price in it.
    pub priced: bool,
    /// List price of the tokens; 0 when unknown.
    pub cost: NanoUsd,
    /// The part of `cost` the caller did not pay the provider.
    pub saved: NanoUsd,
    /// Our share of `saved`, rounded down.
    pub fee: NanoUsd,
    /// Paid to a provider for embedding this request; 0 with the local model.
    pub embedding: NanoUsd,
    /// Digest of the caller's `Idempotency-Key`.
    pub idempotency: Option<[u8; 32]>,
    /// How near a semantic hit was, in basis points.
    pub similarity_bp: Option<u16>,
}

/// What the prices say about one reply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Whether the model has a price.
    pub priced: bool,
    /// List price of the tokens.
    pub cost: NanoUsd,
    /// What was saved: all of it, or nothing.
    pub saved: NanoUsd,
    /// Our share of it.
    pub fee: NanoUsd,
}

impl Amounts {
    /// Prices one reply. Something is saved only when no call was made for it, the caller got the
    /// whole answer, the model has a price, and the provider itself counted the tokens.
    pub fn of(
        outcome: Outcome,
        delivered: bool,
        model: &str,
        usage: &Usage,
        prices: &PriceTable,
        share: BasisPoints,
    ) -> Self {
        let Some(cost) = prices.cost(model, usage) else {
            return Self::default();
        };
        let billed = outcome.saves() && delivered && !usage.estimated;
        let saved = if billed { cost } else { NanoUsd::ZERO };
        Self {
            priced: true,
            cost,
            saved,
            fee: share.of(saved),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::price_file::built_in;

    #[test]
    fn a_token_names_its_outcome() {
        for outcome in Outcome::ALL {
            assert_eq!(outcome.token().parse(), Ok(outcome));
            assert_eq!(serde_json::to_value(outcome).unwrap(), outcome.token());
        }
        assert!("HIT".parse::<Outcome>().is_err());
    }

    #[test]
    fn an_id_is_written_as_a_uuid() {
        let id = LineId(0x0190_1234_5678_7abc_8def_0123_4567_89ab);
        assert_eq!(id.to_string(), "01901234-5678-7abc-8def-0123456789ab");
        assert_eq!(id.to_string().parse(), Ok(id));
        for text in ["", "1", "0190123456787abc8def0123456789ab", "x"] {
            assert!(text.parse::<LineId>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_delivered_priced_counted_saving_is_billed() {
        let counted = Usage {
            input: 1000,
            cached_input: 0,
            output: 100,
            estimated: false,
        };
        let estimated = Usage {
            estimated: true,
            ..counted
        };
        let cost = 3_500_000;
        for (outcome, delivered, model, usage, expected) in [
            (
                Outcome::Hit,
                true,
                "gpt-4o",
                counted,
                (true, cost, cost, 525_000),
            ),
            (
                Outcome::SemanticHit,
                true,
                "gpt-4o",
                counted,
                (true, cost, cost, 525_000),
            ),
            (
                Outcome::Coalesced,
                true,
                "gpt-4o",
                counted,
                (true, cost, cost, 525_000),
            ),
            (Outcome::Miss, true, "gpt-4o", counted, (true, cost, 0, 0)),
            (
                Outcome::Refresh,
                true,
                "gpt-4o",
                counted,
                (true, cost, 0, 0),
            ),
            (Outcome::Bypass, true, "gpt-4o", counted, (true, cost, 0, 0)),
            (
                Outcome::Refused,
                true,
                "gpt-4o",
                counted,
                (true, cost, 0, 0),
            ),
            (Outcome::Hit, false, "gpt-4o", counted, (true, cost, 0, 0)),
            (Outcome::Hit, true, "gpt-4o", estimated, (true, cost, 0, 0)),
            (Outcome::Hit, true, "unheard-of", counted, (false, 0, 0, 0)),
        ] {
            let share = BasisPoints(1500);
            let got = Amounts::of(outcome, delivered, model, &usage, built_in(), share);
            let (priced, cost, saved, fee) = expected;
            let (cost, saved, fee) = (NanoUsd(cost), NanoUsd(saved), NanoUsd(fee));
            let wanted = Amounts {
                priced,
                cost,
                saved,
                fee,
            };
            assert_eq!(got, wanted, "{outcome} {delivered} {model} {usage:?}");
        }
    }
}
