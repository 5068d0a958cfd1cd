//! Sums over ledger lines, by outcome and model. Every other figure is added up from the same
//! rows, so the parts shown always sum to the whole. It keeps no lines.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::line::{Line, LineId, Outcome};
use super::money::NanoUsd;
use crate::answer::stamp::Millis;
use crate::names::Name;

/// Different models shown one by one; callers name models, so the rest goes together.
pub const TOTALS_MODELS_MAX: usize = 1_000;
/// The name under which the models beyond [`TOTALS_MODELS_MAX`] are summed.
pub const OTHER_MODELS: &str = "(others)";

const DAY_MILLIS: i64 = 86_400_000;

/// From one moment up to, and without, another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Period {
    /// The first moment inside.
    pub from: Millis,
    /// The first moment after it.
    pub to: Millis,
}

impl Period {
    /// A calendar month in UTC, written `2026-11`, from 1970 on.
    pub fn month(text: &str) -> Option<Self> {
        let (year, month) = text.split_once('-')?;
        let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if year.len() != 4 || month.len() != 2 || !digits(year) || !digits(month) {
            return None;
        }
        let (year, month): (i64, i64) = (year.parse().ok()?, month.parse().ok()?);
        if year < 1970 || !(1..=12).contains(&month) {
            return None;
        }
        let (next_year, next_month) = if month == 12 {
            (year + 1, 1)
        } else {
            (year, month + 1)
        };
        let moment = |year, month| u64::try_from(first_day(year, month) * DAY_MILLIS).ok();
        Some(Self {
            from: Millis(moment(year, month)?),
            to: Millis(moment(next_year, next_month)?),
        })
    }

    /// Whether a moment lies inside.
    pub fn contains(&self, at: Millis) -> bool {
        self.from <= at && at < self.to
    }
}

/// Days from 1970-01-01 to the first of a month (the year begins in March, so that the leap day
/// comes last).
fn first_day(year: i64, month: i64) -> i64 {
    let (year, month) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 - 719_468
}

/// A line's place in the order in which lines are paged: by time, then by id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// When its reply ended.
    pub at: Millis,
    /// Its id.
    pub id: LineId,
}

impl Place {
    /// Where a line stands.
    pub fn of(line: &Line) -> Self {
        Self {
            at: line.at,
            id: line.id,
        }
    }
}

/// What some lines add up to. Amounts stop at their maximum instead of wrapping.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Sum {
    /// Replies.
    pub replies: u64,
    /// Tokens read, cached ones included.
    pub input: u64,
    /// The part of `input` a provider had cached.
    pub cached_input: u64,
    /// Tokens written.
    pub output: u64,
    /// Replies whose model has no price: their tokens are counted, their cost is unknown.
    pub unpriced: u64,
    /// List price of all tokens.
    pub cost: NanoUsd,
    /// What was saved.
    pub saved: NanoUsd,
    /// Our share.
    pub fee: NanoUsd,
    /// Paid to providers for embeddings.
    pub embedding: NanoUsd,
}

impl Sum {
    /// One line, as a sum.
    pub fn of(line: &Line) -> Self {
        Self {
            replies: 1,
            input: u64::from(line.usage.input),
            cached_input: u64::from(line.usage.cached_input),
            output: u64::from(line.usage.output),
            unpriced: u64::from(!line.priced),
            cost: line.cost,
            saved: line.saved,
            fee: line.fee,
            embedding: line.embedding,
        }
    }

    /// Adds another.
    pub fn add(&mut self, other: &Self) {
        let Self {
            replies,
            input,
            cached_input,
            output,
            unpriced,
            cost,
            saved,
            fee,
            embedding,
        } = *other;
        self.replies = self.replies.saturating_add(replies);
        self.input = self.input.saturating_add(input);
        self.cached_input = self.cached_input.saturating_add(cached_input);
        self.output = self.output.saturating_add(output);
        self.unpriced = self.unpriced.saturating_add(unpriced);
        self.cost += cost;
        self.saved += saved;
        self.fee += fee;
        self.embedding += embedding;
    }
}

/// One outcome of one model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Part {
    /// What became of the requests.
    pub outcome: Outcome,
    /// The model they asked for.
    pub model: Name,
    /// What they add up to.
    pub sum: Sum,
}

/// Sums by outcome and model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    parts: BTreeMap<Name, BTreeMap<Outcome, Sum>>,
}

impl Totals {
    /// Adds to one outcome of one model. Whoever adds the largest first keeps them apart longest.
    pub fn add(&mut self, outcome: Outcome, model: &Name, sum: &Sum) {
        let known = self.parts.contains_key(model) || self.parts.len() < TOTALS_MODELS_MAX;
        let model = if known {
            model.clone()
        } else {
            Name::from(OTHER_MODELS)
        };
        self.parts
            .entry(model)
            .or_default()
            .entry(outcome)
            .or_default()
            .add(sum);
    }

    /// Every part, by model and outcome.
    pub fn parts(&self) -> impl Iterator<Item = Part> + '_ {
        self.parts.iter().flat_map(|(model, outcomes)| {
            outcomes.iter().map(|(outcome, sum)| Part {
                outcome: *outcome,
                model: model.clone(),
                sum: *sum,
            })
        })
    }

    /// The parts, to be changed in place and in the same order.
    pub(super) fn sums_mut(&mut self) -> impl Iterator<Item = &mut Sum> {
        self.parts.values_mut().flat_map(BTreeMap::values_mut)
    }

    /// Everything together.
    pub fn whole(&self) -> Sum {
        self.parts().fold(Sum::default(), |mut whole, part| {
            whole.add(&part.sum);
            whole
        })
    }

    /// By outcome; absent where nothing happened.
    pub fn by_outcome(&self) -> BTreeMap<Outcome, Sum> {
        self.parts().fold(BTreeMap::new(), |mut sums, part| {
            sums.entry(part.outcome)
                .or_insert_with(Sum::default)
                .add(&part.sum);
            sums
        })
    }

    /// By model.
    pub fn by_model(&self) -> BTreeMap<Name, Sum> {
        self.parts().fold(BTreeMap::new(), |mut sums, part| {
            sums.entry(part.model)
                .or_insert_with(Sum::default)
                .add(&part.sum);
            sums
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn months_are_those_of_the_calendar() {
        for (text, from, to) in [
            ("1970-01", 0, 2_678_400_000),
            ("2024-02", 1_706_745_600_000, 1_709_251_200_000),
            ("2026-11", 1_793_491_200_000, 1_796_083_200_000),
            ("2026-12", 1_796_083_200_000, 1_798_761_600_000),
        ] {
            let month = Period {
                from: Millis(from),
                to: Millis(to),
            };
            assert_eq!(Period::month(text), Some(month), "{text}");
        }
        for text in [
            "", "2026", "2026-1", "2026-13", "2026-00", "1969-12", "26-11", "+026-11",
        ] {
            assert_eq!(Period::month(text), None, "{text}");
        }
    }

    #[test]
    fn models_beyond_the_limit_are_summed_and_nothing_is_lost() {
        let mut totals = Totals::default();
        let one = Sum {
            replies: 1,
            saved: NanoUsd(3),
            ..Sum::default()
        };
        for number in 0..TOTALS_MODELS_MAX + 50 {
            totals.add(Outcome::Hit, &Name::from(format!("model-{number}")), &one);
        }
        let by_model = totals.by_model();
        assert_eq!(by_model.len(), TOTALS_MODELS_MAX + 1);
        assert_eq!(by_model[OTHER_MODELS].replies, 50);
        assert_eq!(totals.whole().replies, TOTALS_MODELS_MAX as u64 + 50);
        assert_eq!(totals.by_outcome()[&Outcome::Hit], totals.whole());
    }
}
