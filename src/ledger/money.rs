//! Money in integers: nano-dollars and basis points. No float ever holds an amount.
//!
//! Rounding happens in exactly two places, both here or in [`super::price`], and always down: a
//! cost is rounded down when tokens meet a price, our share when a saving meets basis points.
//! Down is the customer's favour, because a lower list price is a lower saving and a lower fee.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, AddAssign};
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

const NANOS_PER_DOLLAR: u64 = 1_000_000_000;

/// A billionth of a US dollar, never negative. `u64` holds eighteen billion dollars; sums stop at
/// [`NanoUsd::MAX`], the largest amount both databases can hold, instead of wrapping.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    JsonSchema,
)]
#[serde(transparent)]
pub struct NanoUsd(pub u64);

impl NanoUsd {
    /// Nothing.
    pub const ZERO: Self = Self(0);
    /// The most a database column holds: `i64::MAX`.
    pub const MAX: Self = Self(i64::MAX as u64);

    /// An amount computed wide, cut to [`NanoUsd::MAX`].
    pub fn from_wide(nanos: u128) -> Self {
        u64::try_from(nanos).map_or(Self::MAX, |nanos| Self(nanos).min(Self::MAX))
    }

    /// What is left after taking `other` off; never below zero.
    pub fn less(self, other: Self) -> Self {
        Self(self.0.saturating_sub(other.0))
    }

    /// `self × part ÷ whole`, rounded down; zero when `whole` is zero.
    pub fn portion(self, part: Self, whole: Self) -> Self {
        if whole == Self::ZERO {
            return Self::ZERO;
        }
        Self::from_wide(u128::from(self.0) * u128::from(part.0) / u128::from(whole.0))
    }
}

impl Add for NanoUsd {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0)).min(Self::MAX)
    }
}

impl AddAssign for NanoUsd {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

/// Exact dollars with at least two decimals: `0.00`, `2.50`, `0.000000001`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::with_capacity(24);
        // Writing to a string cannot fail.
        let _infallible = self.write(&mut text);
        f.pad(&text)
    }
}

impl NanoUsd {
    /// Writes exact dollars, at least two decimals and no zero beyond them. It stands in every
    /// hit's headers, so it is written without the machinery of formatting.
    pub fn write(self, text: &mut impl fmt::Write) -> fmt::Result {
        let (dollars, decimals) = (self.0 / NANOS_PER_DOLLAR, self.0 % NANOS_PER_DOLLAR);
        text.write_str(itoa::Buffer::new().format(dollars))?;
        text.write_char('.')?;
        // A one in front keeps the zeros at the start; it is not written.
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(NANOS_PER_DOLLAR + decimals);
        let kept = digits.trim_end_matches('0').len().max(3);
        text.write_str(&digits[1..kept])
    }
}

/// A text that is not an exact amount of nano-dollars.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotMoney;

impl fmt::Display for NotMoney {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("not an amount: write dollars with up to nine decimals, such as 2.50")
    }
}

impl std::error::Error for NotMoney {}

/// Reads plain decimal dollars exactly; a tenth decimal is refused, not rounded.
impl FromStr for NanoUsd {
    type Err = NotMoney;

    fn from_str(text: &str) -> Result<Self, NotMoney> {
        let (dollars, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(dollars) || !digits(decimals) || decimals.len() > 9 {
            return Err(NotMoney);
        }
        let dollars: u64 = dollars.parse().map_err(|_| NotMoney)?;
        let nanos: u64 = format!("{decimals:0<9}").parse().map_err(|_| NotMoney)?;
        let whole = dollars.checked_mul(NANOS_PER_DOLLAR).ok_or(NotMoney)?;
        let amount = Self(whole.checked_add(nanos).ok_or(NotMoney)?);
        if amount > Self::MAX {
            Err(NotMoney)
        } else {
            Ok(amount)
        }
    }
}

/// Hundredths of a percent: 1500 is 15 %.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct BasisPoints(pub u16);

impl BasisPoints {
    /// This share of an amount, rounded down.
    pub fn of(self, amount: NanoUsd) -> NanoUsd {
        NanoUsd::from_wide(u128::from(amount.0) * u128::from(self.0) / 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_exactly_and_read_back() {
        for (nanos, text) in [
            (0, "0.00"),
            (1, "0.000000001"),
            (2_500_000_000, "2.50"),
            (1_350_000, "0.00135"),
            (NanoUsd::MAX.0, "9223372036.854775807"),
        ] {
            assert_eq!(NanoUsd(nanos).to_string(), text);
            assert_eq!(text.parse(), Ok(NanoUsd(nanos)), "{text}");
        }
        assert_eq!("3".parse(), Ok(NanoUsd(3_000_000_000)));
    }

    #[test]
    fn what_is_no_amount_is_refused() {
        for text in [
            "",
            ".",
            "1.",
            ".5",
            "-1",
            "+1",
            "1e3",
            "1,5",
            "0.0000000001",
            " 1",
            "9999999999999",
        ] {
            assert_eq!(text.parse::<NanoUsd>(), Err(NotMoney), "{text:?}");
        }
    }

    #[test]
    fn a_share_is_rounded_down_and_never_more_than_the_whole() {
        for (amount, share, expected) in [
            (0, 1500, 0),
            (6, 1500, 0),
            (7, 1500, 1),
            (10_000, 1500, 1500),
            (10_001, 1500, 1500),
            (NanoUsd::MAX.0, 10_000, NanoUsd::MAX.0),
        ] {
            assert_eq!(BasisPoints(share).of(NanoUsd(amount)), NanoUsd(expected));
        }
    }

    #[test]
    fn sums_stop_at_what_a_database_holds() {
        assert_eq!(NanoUsd::MAX + NanoUsd(1), NanoUsd::MAX);
        assert_eq!(
            [NanoUsd(1), NanoUsd(2)].into_iter().sum::<NanoUsd>(),
            NanoUsd(3)
        );
        assert_eq!(NanoUsd(1).less(NanoUsd(2)), NanoUsd::ZERO);
        assert_eq!(NanoUsd(10).portion(NanoUsd(1), NanoUsd(3)), NanoUsd(3));
        assert_eq!(
            NanoUsd(10).portion(NanoUsd(1), NanoUsd::ZERO),
            NanoUsd::ZERO
        );
    }
}
