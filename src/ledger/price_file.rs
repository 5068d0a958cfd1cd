//! Price tables as a person writes them: TOML, dollars per million tokens. The built-in table and
//! an operator's own file have the same form. It reports every mistake at once, each with its
//! line, and keeps prices exact: a number is taken as the decimal that was typed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::LazyLock;

use serde::Deserialize;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::money::NanoUsd;
use super::price::{Price, PriceTable};

const BUILT_IN: &str = include_str!("prices.toml");
const MODELS_MAX: usize = 10_000;
const MODEL_BYTES_MAX: usize = 256;

/// One thing wrong with a price file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong and what to write instead.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.text)
    }
}

/// The list prices this version of fgy was built with.
pub fn built_in() -> &'static PriceTable {
    #[expect(
        clippy::expect_used,
        reason = "the file is part of the build and read by a test"
    )]
    static TABLE: LazyLock<PriceTable> =
        LazyLock::new(|| parse(BUILT_IN).expect("prices.toml is well formed"));
    &TABLE
}

/// Reads a price file: `version = N` (0 when left out: whoever lays an operator's table over the
/// built-in one numbers the edition) and `[models]`, each `NAME = { input, output }` with an
/// optional `cached_input`, else it costs as much as `input`.
pub fn parse(text: &str) -> Result<PriceTable, Vec<Mistake>> {
    let (root, broken) = DeTable::parse_recoverable(text);
    let mut reading = Reading {
        text,
        mistakes: Vec::new(),
    };
    for error in broken {
        reading.mistake(error.span().map_or(0, |span| span.start), error.message());
    }
    let table = reading.table(root.get_ref());
    reading.finish(table)
}

/// The models of a table as they are agreed on: whole nano-dollars per million tokens.
pub fn to_json(table: &PriceTable) -> serde_json::Value {
    // Names and whole numbers are always JSON.
    serde_json::to_value(&table.models).unwrap_or_default()
}

/// The same, back.
///
/// # Errors
/// What in it is no price.
pub fn from_json(models: &serde_json::Value) -> Result<BTreeMap<String, Price>, String> {
    BTreeMap::deserialize(models).map_err(|error| error.to_string())
}

struct Reading<'a> {
    text: &'a str,
    mistakes: Vec<Mistake>,
}

impl Reading<'_> {
    fn table(&mut self, root: &DeTable<'_>) -> PriceTable {
        let mut table = PriceTable::default();
        for (key, value) in root {
            match (key.get_ref().as_ref(), value.get_ref()) {
                ("version", DeValue::Integer(number)) => match number.as_str().parse() {
                    Ok(version) => table.version = version,
                    Err(_) => self.mistake(value.span().start, "`version` is a small number"),
                },
                ("version", _) => self.mistake(value.span().start, "`version` is a number"),
                ("models", DeValue::Table(models)) => table.models = self.models(models),
                ("models", _) => self.mistake(value.span().start, "`models` is a table"),
                (other, _) => self.unknown(key.span().start, other, "`version` and `[models]`"),
            }
        }
        table
    }

    fn models(&mut self, models: &DeTable<'_>) -> BTreeMap<String, Price> {
        let mut prices = BTreeMap::new();
        for (name, value) in models {
            let (at, model) = (name.span().start, name.get_ref().as_ref());
            if model.is_empty() || model.len() > MODEL_BYTES_MAX {
                self.mistake(at, "a model's name has 1 to 256 bytes");
            } else if prices.len() == MODELS_MAX {
                self.mistake(
                    at,
                    "more than 10000 models: leave out those nobody asks for",
                );
                break;
            } else if let DeValue::Table(fields) = value.get_ref() {
                let price = self.price(at, model, fields);
                prices.extend(price.map(|price| (model.to_owned(), price)));
            } else {
                self.mistake(
                    at,
                    &format!("write `{model:?} = {{ input = 2.50, output = 10 }}`"),
                );
            }
        }
        prices
    }

    fn price(&mut self, at: usize, model: &str, fields: &DeTable<'_>) -> Option<Price> {
        let (mut input, mut cached_input, mut output) = (None, None, None);
        for (key, value) in fields {
            match key.get_ref().as_ref() {
                "input" => input = Some(self.amount(value)),
                "cached_input" => cached_input = Some(self.amount(value)),
                "output" => output = Some(self.amount(value)),
                other => {
                    self.unknown(
                        key.span().start,
                        other,
                        "`input`, `cached_input` and `output`",
                    );
                }
            }
        }
        for (name, field) in [("input", input), ("output", output)] {
            if field.is_none() {
                self.mistake(
                    at,
                    &format!("`{model}` lacks `{name}`, in dollars per million tokens"),
                );
            }
        }
        let input = input??;
        Some(Price {
            input,
            cached_input: cached_input.unwrap_or(Some(input))?,
            output: output??,
        })
    }

    /// The decimal that was typed, never the float nearest to it.
    fn amount(&mut self, value: &Spanned<DeValue<'_>>) -> Option<NanoUsd> {
        let typed = match value.get_ref() {
            DeValue::Integer(number) if number.radix() == 10 => number.as_str(),
            DeValue::Float(number) => number.as_str(),
            DeValue::String(text) => text,
            _ => "",
        };
        let amount = typed.parse().ok();
        if amount.is_none() {
            let text = "a price is dollars per million tokens with up to nine decimals: 2.50";
            self.mistake(value.span().start, text);
        }
        amount
    }

    fn unknown(&mut self, at: usize, key: &str, known: &str) {
        self.mistake(at, &format!("unknown key `{key}`: there are {known}"));
    }

    fn mistake(&mut self, at: usize, text: &str) {
        let before = self.text.as_bytes().get(..at).unwrap_or_default();
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        self.mistakes.push(Mistake {
            line,
            text: text.to_owned(),
        });
    }

    fn finish(mut self, table: PriceTable) -> Result<PriceTable, Vec<Mistake>> {
        self.mistakes.sort();
        if self.mistakes.is_empty() {
            Ok(table)
        } else {
            Err(self.mistakes)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_prices_are_the_published_decimals() {
        let table = built_in();
        assert!(table.version >= 1);
        for (model, input, cached_input, output) in [
            ("gpt-4o-2024-08-06", "2.5", "1.25", "10"),
            ("gpt-4o-2024-05-13", "5", "5", "15"),
            ("gpt-4o-mini", "0.15", "0.075", "0.6"),
            ("text-embedding-3-small", "0.02", "0.02", "0"),
            ("claude-sonnet-4-20250514", "3", "0.3", "15"),
            ("gpt-5-nano", "0.05", "0.005", "0.4"),
        ] {
            let price = table.price(model).copied();
            let money = |text: &str| text.parse().unwrap();
            let (input, cached_input, output) = (money(input), money(cached_input), money(output));
            assert_eq!(
                price,
                Some(Price {
                    input,
                    cached_input,
                    output
                }),
                "{model}"
            );
        }
    }

    #[test]
    fn no_built_in_price_is_out_of_proportion() {
        for (model, price) in &built_in().models {
            assert!(price.cached_input <= price.input, "{model}");
            let embeds = model.starts_with("text-embedding");
            assert!(embeds == (price.output == NanoUsd::ZERO), "{model}");
            assert!(
                price.input.0 >= 20_000_000 && price.output.0 <= 600_000_000_000,
                "{model}"
            );
        }
    }

    #[test]
    fn a_decimal_is_taken_as_typed() {
        // 0.000000007 and 1.1 are no binary floats; both are exact here.
        let text = "[models]\n\"fgy-demo\" = { input = 0.000000007, output = \"1.1\" }\n\
                    m = { input = 1_0, cached_input = 1_0.5, output = 3 }";
        let table = parse(text).unwrap();
        assert_eq!(table.version, 0);
        let demo = table.models["fgy-demo"];
        assert_eq!((demo.input, demo.cached_input), (NanoUsd(7), NanoUsd(7)));
        assert_eq!(demo.output, NanoUsd(1_100_000_000));
        assert_eq!(table.models["m"].cached_input, NanoUsd(10_500_000_000));
    }

    #[test]
    fn every_mistake_is_told_with_its_line() {
        let text = "version = -1\nprices = 3\n[models]\na = 5\n\
                    b = { input = 1.0, outptu = 2.0 }\nc = { input = -1.0, output = nan }\n\
                    \"\" = { input = 1, output = 1 }\nd = { input = 0xff, output = 1e3 }";
        let mistakes = parse(text).unwrap_err();
        let lines: Vec<usize> = mistakes.iter().map(|mistake| mistake.line).collect();
        assert_eq!(lines, [1, 2, 4, 5, 5, 6, 6, 7, 8, 8], "{mistakes:#?}");
        assert!(mistakes[4].text.contains("outptu"), "{mistakes:#?}");
    }

    #[test]
    fn what_is_no_toml_is_a_mistake_too() {
        let mistakes = parse("version = 1\n[models\n").unwrap_err();
        assert_eq!(
            mistakes.first().map(|mistake| mistake.line),
            Some(2),
            "{mistakes:#?}"
        );
    }
}
