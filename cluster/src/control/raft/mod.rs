//! The agreed state of a node with peers: raft over one file. Nothing of the library that does the
//! agreeing is to be seen outside of this folder, and nothing here is decided from who believes to
//! lead alone: a leader that was cut off goes on believing it.

mod agreed;
mod autopilot;
mod core;
mod electorate;
mod file;
mod found;
mod leases;
mod link;
mod log;
mod machine;
mod payload;
mod pilot;
mod proposals;
mod replica;
mod settings;
mod standing;
#[cfg(test)]
mod tests;
mod types;

pub(super) use self::found::found;
pub(super) use self::replica::Replica;
pub use self::settings::{ReplicaSettings, Timers};
pub use self::standing::Standing;

/// The number in the file of a replica, if there is a file. It blocks.
pub(super) fn number_at(path: &std::path::Path) -> Result<Option<u64>, super::ControlError> {
    file::File::replica(path)
}
