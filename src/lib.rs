//! x

pub mod answer;
pub mod fuzz;
pub mod json;
pub mod key;
pub mod names;
pub mod openai;
pub mod filler;
pub mod ledger;
pub mod names;
pub mod store;
pub mod mock;
