//! Bad days, one binary, a module each: the real program in child processes on the loopback, killed
//! in mid-load, lied to, flooded, starved and made to panic. What it owes is judged from outside:
//! what clients heard, what the simulated provider was asked, what lies on the disk, what the
//! metrics say.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test ends where its ground is missing, and says which input it was at"
)]

mod bad_input;
mod bad_provider;
mod canaries;
mod cli;
mod cli_node;
mod company;
mod heard;
mod home;
mod kill;
mod leaving;
mod node;
#[cfg(feature = "faults")]
mod panics;
mod raw;
mod slow;
mod wire;
