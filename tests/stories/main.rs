//! The stories, one binary, a module each.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where its ground is missing, and says which input it was at"
)]

mod admin;
mod billing;
mod coalesce;
mod control;
mod corpus;
mod embeddings;
mod exact;
mod failing;
mod feedback;
mod first_start;
mod headers;
mod nearness;
mod outage;
mod semantic;
mod streaming;
mod support;
mod tenancy;
mod verified;
mod wishes;
