#![doc = include_str!("../README.md")]

mod budget;
mod cluster;
pub mod control;
mod fault;
mod fetch;
mod fill;
mod flight;
mod key;
mod node;
mod ring;
mod sealed;
mod stats;
mod sync;
mod tape;
mod tasks;

pub use budget::{Budget, Holding};
pub use cluster::Cluster;
pub use control::{Control, ControlError, State};
pub use fault::{Credential, Fault, HeardBy, Refusal};
pub use fetch::{Fetched, Join, Part, Want};
pub use fill::{BoxFuture, Fill, Filling, Secret, Terms};
pub use flight::{FlightLimits, Flights, Freshness, Landing, Seat};
pub use key::{Key, NotAKey};
pub use node::{Member, NodeId};
pub use ring::Ring;
pub use sealed::{Malformed, Sealed};
pub use stats::{Count, Stats};
pub use tape::{Frame, Player, Recorder, Tape};
pub use tasks::Tasks;
