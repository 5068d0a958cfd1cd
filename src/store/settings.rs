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
            volatile_entries_max: 100_000,
            volatile_lines_max: 1_000_000,
        }
    }
}
