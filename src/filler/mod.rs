//! The owner's side of a flight.

pub mod keep;
