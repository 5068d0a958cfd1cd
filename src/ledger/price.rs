//! List prices, and what an answer's tokens cost at them. A model that is not in the table has no
//! price: its tokens are counted, its cost is unknown and nothing is billed. Never a guess.
//!
//! Prices are whole nano-dollars per million tokens, so every published price is exact. A cost is
//! computed wide and rounded down once, for the answer as a whole.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::money::NanoUsd;
use crate::answer::usage::Usage;

const TOKENS_PER_PRICE: u128 = 1_000_000;

/// What a model's provider asks, each in nano-dollars per million tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Price {
    /// Tokens read.
    pub input: NanoUsd,
    /// Tokens read from the provider's prompt cache.
    pub cached_input: NanoUsd,
    /// Tokens written.
    pub output: NanoUsd,
}

impl Price {
    /// The list price of so many tokens, rounded down.
    pub fn cost(&self, usage: &Usage) -> NanoUsd {
        // A provider that reports more cached tokens than tokens is not believed beyond `input`.
        let cached = usage.cached_input.min(usage.input);
        let parts = [
            (usage.input - cached, self.input),
            (cached, self.cached_input),
            (usage.output, self.output),
        ];
        let wide: u128 = parts
            .iter()
            .map(|(n, rate)| u128::from(*n) * u128::from(rate.0))
            .sum();
        NanoUsd::from_wide(wide / TOKENS_PER_PRICE)
    }
}

/// Prices by model name, under a number that goes onto every ledger line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PriceTable {
    /// Raised whenever a price changes.
    pub version: u32,
    /// The models that have a price.
    pub models: BTreeMap<String, Price>,
}

impl PriceTable {
    /// This table with an operator's own prices laid over it, under the number of that edition.
    pub fn overlaid(&self, version: u32, own: &BTreeMap<String, Price>) -> Self {
        let mut models = self.models.clone();
        models.extend(own.iter().map(|(model, price)| (model.clone(), *price)));
        Self { version, models }
    }

    /// The price of a model: the name as it is, else the name without its date (`-2024-08-06`,
    /// `-20250929`). Nothing else is taken off: `gpt-4o-audio-preview` is not `gpt-4o`.
    pub fn price(&self, model: &str) -> Option<&Price> {
        self.models
            .get(model)
            .or_else(|| self.models.get(undated(model)?))
    }

    /// What the tokens cost at list price; `None` for a model without one.
    pub fn cost(&self, model: &str, usage: &Usage) -> Option<NanoUsd> {
        self.price(model).map(|price| price.cost(usage))
    }
}

/// The name before a trailing date, if there is one.
fn undated(model: &str) -> Option<&str> {
    ["-dddd-dd-dd", "-dddddddd"].iter().find_map(|shape| {
        let cut = model.len().checked_sub(shape.len())?;
        let (name, date) = (model.get(..cut)?, model.get(cut..)?);
        let matches = shape
            .bytes()
            .zip(date.bytes())
            .all(|(want, got)| match want {
                b'd' => got.is_ascii_digit(),
                literal => got == literal,
            });
        (matches && !name.is_empty()).then_some(name)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> PriceTable {
        let price = |input, cached_input, output| Price {
            input: NanoUsd(input),
            cached_input: NanoUsd(cached_input),
            output: NanoUsd(output),
        };
        let models = [
            (
                "gpt-4o",
                price(2_500_000_000, 1_250_000_000, 10_000_000_000),
            ),
            (
                "gpt-4o-2024-05-13",
                price(5_000_000_000, 5_000_000_000, 15_000_000_000),
            ),
            (
                "claude-sonnet-4",
                price(3_000_000_000, 300_000_000, 15_000_000_000),
            ),
            ("cheap", price(1, 1, 1)),
        ];
        PriceTable {
            version: 7,
            models: models.map(|(name, p)| (name.to_owned(), p)).into(),
        }
    }

    fn usage(input: u32, cached_input: u32, output: u32) -> Usage {
        Usage {
            input,
            cached_input,
            output,
            estimated: false,
        }
    }

    #[test]
    fn a_date_is_taken_off_and_nothing_else() {
        let table = table();
        for (model, known_as) in [
            ("gpt-4o", Some("gpt-4o")),
            ("gpt-4o-2024-08-06", Some("gpt-4o")),
            ("gpt-4o-2024-05-13", Some("gpt-4o-2024-05-13")),
            ("claude-sonnet-4-20250514", Some("claude-sonnet-4")),
            ("gpt-4o-audio-preview", None),
            ("gpt-4o-mini", None),
            ("gpt-4o-2024-08", None),
            ("gpt-4o-2024-08-06-x", None),
            ("gpt-4o-2024x08-06", None),
            ("GPT-4o", None),
            ("openai/gpt-4o", None),
            ("-2024-08-06", None),
            ("", None),
            ("gpt-4o-２０２４-08-06", None),
        ] {
            assert_eq!(
                table.price(model),
                known_as.map(|name| &table.models[name]),
                "{model}"
            );
        }
    }

    #[test]
    fn costs_are_exact_and_rounded_down_once() {
        let table = table();
        for (model, tokens, nanos) in [
            ("gpt-4o", usage(1000, 0, 0), 2_500_000),
            (
                "gpt-4o",
                usage(1000, 400, 100),
                600 * 2500 + 400 * 1250 + 100 * 10_000,
            ),
            ("gpt-4o", usage(100, 500, 0), 100 * 1250),
            // Three parts below a nano-dollar each are one together, not three times nothing.
            ("cheap", usage(600_000, 200_000, 400_000), 1),
            ("cheap", usage(999_999, 0, 0), 0),
            ("gpt-4o", usage(0, 0, 0), 0),
            (
                "gpt-4o",
                usage(u32::MAX, 0, u32::MAX),
                12_500 * u64::from(u32::MAX),
            ),
        ] {
            assert_eq!(
                table.cost(model, &tokens),
                Some(NanoUsd(nanos)),
                "{model} {tokens:?}"
            );
        }
        assert_eq!(table.cost("unheard-of", &usage(1, 0, 1)), None);
    }

    #[test]
    fn an_overlay_adds_and_replaces_under_its_own_number() {
        let own = Price {
            input: NanoUsd(1),
            cached_input: NanoUsd(1),
            output: NanoUsd(1),
        };
        let overlay = BTreeMap::from([("gpt-4o".to_owned(), own), ("fgy-demo".to_owned(), own)]);
        let table = table().overlaid(8, &overlay);
        assert_eq!(table.version, 8);
        assert_eq!(table.price("gpt-4o-2024-08-06"), Some(&own));
        assert_eq!(table.price("fgy-demo"), Some(&own));
        assert!(table.price("claude-sonnet-4").is_some());
    }
}
