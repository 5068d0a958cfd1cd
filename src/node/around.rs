//! What keeping needs to know of the rest of the node: the time, and how much a policy may hold.

use fgy_cluster::Control;

use crate::answer::stamp::Millis;
use crate::clock::Clock;
use crate::filler::keep::Around;
use crate::names::{Name, TenantId};
use crate::registry::Registry;

/// The clock and the policies of the node.
pub(super) struct Surroundings {
    pub(super) clock: Clock,
    pub(super) control: Control<Registry>,
}

impl Around for Surroundings {
    fn now(&self) -> Millis {
        self.clock.now()
    }

    fn entries_max(&self, policy: &Name, _: &TenantId) -> Option<u64> {
        let registry = self.control.state();
        let named = registry.policies().iter().find(|held| held.name == *policy);
        named.and_then(|policy| policy.config.max_entries)
    }
}
