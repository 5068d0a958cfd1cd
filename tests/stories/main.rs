//! The stories, one binary, a module each.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where its ground is missing, and says which input it was at"
)]

mod billing;
mod coalesce;
mod corpus;
mod embeddings;
mod exact;
mod failing;
mod headers;
mod semantic;
mod streaming;
mod support;
mod tenancy;
mod wishes;
