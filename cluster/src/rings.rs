//! What is agreed about the ring: its members, and the ones before them. Plain data; where a key
//! lives on it is computed in `ring.rs`, and who may change it is decided in `control`.

use serde::{Deserialize, Serialize};

use crate::node::Member;

/// The members of the ring from one agreed moment on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RingConfig {
    /// The log index that set it; 0 before any was set.
    pub epoch: u64,
    /// Who is on it, ordered by name.
    pub members: Vec<Member>,
}

/// The ring in force and the one it replaced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rings {
    /// The ring in force.
    pub current: RingConfig,
    /// Where keys lived before, for whoever moves what they hold.
    pub previous: Option<RingConfig>,
}

impl Rings {
    /// A ring of one node.
    pub fn alone(me: Member) -> Rings {
        Rings {
            current: RingConfig {
                epoch: 0,
                members: vec![me],
            },
            previous: None,
        }
    }

    /// The rings once `members` are agreed at `epoch`. Order does not matter, a name given twice
    /// counts once, and the same members again change nothing.
    #[must_use]
    pub fn next(&self, epoch: u64, mut members: Vec<Member>) -> Rings {
        members.sort_by(|a, b| a.id.cmp(&b.id));
        members.dedup_by(|a, b| a.id == b.id);
        if members == self.current.members {
            return self.clone();
        }
        Rings {
            current: RingConfig { epoch, members },
            previous: Some(self.current.clone()).filter(|ring| !ring.members.is_empty()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str) -> Member {
        Member {
            id: name.into(),
            region: "".into(),
            zone: "".into(),
            weight: Member::WEIGHT,
        }
    }

    #[test]
    fn the_ring_before_is_kept_and_the_same_members_change_nothing() {
        let empty = Rings::default();
        let first = empty.next(3, vec![member("b"), member("a"), member("b")]);
        assert_eq!(first.current.members, [member("a"), member("b")]);
        assert_eq!(first.previous, None, "an empty ring held no keys");
        assert_eq!(first.next(4, vec![member("a"), member("b")]), first);
        let second = first.next(5, vec![member("a")]);
        assert_eq!(
            (second.current.epoch, second.previous),
            (5, Some(first.current))
        );
    }
}
