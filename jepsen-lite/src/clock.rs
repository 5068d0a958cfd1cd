//! The one clock of a run, in microseconds since its begin, and the wall's for what the API wants
//! so. Everything in a history is of this clock; the nodes' clocks are never compared with it.

use tokio::time::Instant;

/// Microseconds since the run began.
pub(crate) type Micros = u64;

/// The run's monotonic clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Instant);

impl Clock {
    pub(crate) fn begin() -> Clock {
        Clock(Instant::now())
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.0.elapsed().as_micros()).unwrap_or(u64::MAX)
    }
}

/// Unix milliseconds, for an `older_than`.
#[expect(
    clippy::disallowed_methods,
    reason = "a caller's own clock says what is older than what"
)]
pub(crate) fn wall_millis() -> u64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0, |since| {
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    })
}
