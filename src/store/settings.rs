//! What a store is told when it is opened. It reads no environment and has no other knobs.

use std::time::Duration;

/// Limits of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long a call waits for a free connection before it is unavailable.
    pub acquire_wait_max: Duration,
    /// How long a statement waits for another process's lock.
    pub lock_wait_max: Duration,
    /// Connections that only read.
    pub readers_max: u32,
    /// Page cache of each connection.
    pub cache_kib_max: u32,
    /// Connections of a node to a shared store, all together.
    pub connections_max: u32,
    /// How long what a caller waits for may take in a shared store, connection and all.
    pub look_wait_max: Duration,
    /// How long what nobody waits for may take in a shared store.
    pub chore_wait_max: Duration,
    /// How long making a connection to a shared store may take; no caller waits for it so long.
    pub connect_wait_max: Duration,
    /// A space of so many points is read whole in a shared store; a larger one is walked.
    pub scan_points_max: u32,
    /// By what this node's pauses differ from another's, when both lost the shared store together.
    pub jitter_seed: u64,
    /// Bytes of points in memory; beyond it the oldest make room.
    pub points_bytes_max: u64,
    /// Entries a volatile store holds before it is full.
    pub volatile_entries_max: usize,
    /// Ledger lines a volatile store holds before it is full.
    pub volatile_lines_max: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            acquire_wait_max: Duration::from_millis(500),
            lock_wait_max: Duration::from_secs(2),
            readers_max: 3,
            cache_kib_max: 4 * 1024,
            connections_max: 10,
            look_wait_max: Duration::from_millis(120),
            chore_wait_max: Duration::from_secs(20),
            connect_wait_max: Duration::from_secs(5),
            scan_points_max: 10_000,
            jitter_seed: 0,
            points_bytes_max: 256 << 20,
            volatile_entries_max: 100_000,
            volatile_lines_max: 1_000_000,
        }
    }
}
