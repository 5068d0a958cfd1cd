//! Who a node is and where it stands: plain data. Addresses come and go and are never identity.

use std::fmt;

use serde::{Deserialize, Serialize};
use smol_str::SmolStr;

/// The name of a node, the same across restarts and moves. Short ones lie in the value itself: every
/// answer carries one, and a shared count would be changed by every core.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
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

/// One life of a node: a later start has a higher number, whatever its clock says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Incarnation(pub u64);

impl Incarnation {
    /// The life that begins `now_nanos` after 1970 where `last` was the one before: a clock that
    /// was set back does not make it look older. The caller keeps it for the next start.
    pub fn next(last: Option<Incarnation>, now_nanos: u64) -> Incarnation {
        let after = last.map_or(0, |last| last.0.saturating_add(1));
        Incarnation(now_nanos.max(after))
    }
}

/// How far a node is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Phase {
    /// It is here, and may not own keys yet.
    Joining,
    /// It may own keys.
    Ready,
    /// It is leaving: it answers what it is asked and should be asked nothing new.
    Draining,
}

impl Phase {
    /// The phase as people and peers read it.
    pub fn name(self) -> &'static str {
        match self {
            Phase::Joining => "joining",
            Phase::Ready => "ready",
            Phase::Draining => "draining",
        }
    }
}

/// A node as the ring sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Its name.
    pub id: NodeId,
    /// Where callers reach it quickly; empty where there is but one place.
    pub region: SmolStr,
    /// The failure domain it shares with others; empty where unknown.
    pub zone: SmolStr,
    /// Its share of the keys, relative to the others; zero owns none.
    pub weight: u8,
}

impl Member {
    /// The weight of an ordinary node. Four, so that a node can be made a quarter or a half of
    /// its neighbours, and because the fullest of a few nodes stays within a tenth of the mean
    /// only from about a thousand points each (one unit of weight is 256: 1.11 was seen at five).
    pub const WEIGHT: u8 = 4;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_life_is_later_than_the_one_before_whatever_the_clock_says() {
        assert_eq!(Incarnation::next(None, 50), Incarnation(50));
        let first = Incarnation(50);
        assert_eq!(Incarnation::next(Some(first), 70), Incarnation(70));
        assert_eq!(Incarnation::next(Some(first), 50), Incarnation(51));
        assert_eq!(Incarnation::next(Some(first), 10), Incarnation(51));
    }
}
