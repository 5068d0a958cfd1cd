//! What time it is: the only place that asks. Everything below the shell is told.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::answer::stamp::Millis;

/// The node's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock;

impl Clock {
    /// Unix time.
    #[expect(
        clippy::disallowed_methods,
        reason = "this is the place the others are pointed to"
    )]
    pub fn now(self) -> Millis {
        let since = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap_or_default();
        Millis(since.as_millis() as u64)
    }
}
