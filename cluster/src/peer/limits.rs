//! How long a node waits for its peers and how many it lets in. The windows of a connection stand
//! in `room.rs`.

use std::time::Duration;

/// Bounds of a node's connections. What happens at each stands beside it.
#[derive(Debug, Clone, Copy)]
pub struct PeerLimits {
    /// From the dial to the end of the hello; then the peer is unreachable.
    pub dial_wait_max: Duration,
    /// From an arrival to the end of its hello; then it is closed.
    pub hello_wait_max: Duration,
    /// For the next piece of an ask; then the call is refused.
    pub ask_wait_max: Duration,
    /// For a caller to read further; then its call is reset.
    pub stall_max: Duration,
    /// Between two beats of a connection.
    pub pulse_pause: Duration,
    /// For the echo of a beat; then the connection is dead.
    pub pulse_wait_max: Duration,
    /// After a first failed dial; doubled after each further one.
    pub redial_pause_min: Duration,
    /// The longest pause between two dials. Calls made in a pause fail at once.
    pub redial_pause_max: Duration,
    /// Connections from others; a further one is closed.
    pub arrivals_max: usize,
}

impl PeerLimits {
    /// What suits nodes up to a quarter of a second apart.
    pub const USUAL: PeerLimits = PeerLimits {
        dial_wait_max: Duration::from_secs(3),
        hello_wait_max: Duration::from_secs(3),
        ask_wait_max: Duration::from_secs(10),
        stall_max: Duration::from_secs(30),
        pulse_pause: Duration::from_secs(2),
        pulse_wait_max: Duration::from_secs(2),
        redial_pause_min: Duration::from_millis(50),
        redial_pause_max: Duration::from_secs(1),
        arrivals_max: 1024,
    };
}
