//! Money: what every reply cost, saved, and earned.
//!
//! The core is pure arithmetic ([`money`], [`price`], [`mod@line`], [`statement`]). Around it,
//! [`journal`] keeps a line on this machine before the last byte of its reply leaves, and
//! [`post`] carries the lines to the store. A line is never changed and never deleted here.

pub mod journal;
pub mod line;
pub mod money;
pub mod pages;
pub mod post;
pub mod price;
pub mod price_file;
#[cfg(any(test, feature = "contract"))]
pub mod samples;
pub mod statement;
pub mod totals;
