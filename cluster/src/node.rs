//! Who a node is and where it stands: plain data. Addresses come and go and are never identity.

use std::fmt;
use std::sync::Arc;

use smol_str::SmolStr;

/// The name of a node, the same across restarts and moves. Short ones lie in the value itself: every
/// answer carries one, and a shared count would be changed by every core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(SmolStr);

impl NodeId {
    /// A node's name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for NodeId {
    fn from(name: &str) -> NodeId {
        NodeId(name.into())
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A node as the ring sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// The failure domain it shares with others; empty where unknown.
    pub zone: Arc<str>,
    /// Its share of the keys, relative to the others; zero owns none.
    pub weight: u8,
}

impl Member {
    /// The weight of an ordinary node. Four, so that a node can be made a quarter or a half of
    /// its neighbours, and because the fullest of a few nodes stays within a tenth of the mean
    /// only from about a thousand points each (one unit of weight is 256: 1.11 was seen at five).
    pub const WEIGHT: u8 = 4;
}
