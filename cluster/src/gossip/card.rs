//! What a node says of itself: few short keys, and back. A node whose card cannot be read yet is
//! not seen. Pure: it knows no sockets.

use std::net::SocketAddr;

use chitchat::{ChitchatId, NodeState};

use crate::node::{Incarnation, Member, NodeId, Phase};
use crate::view::Seen;

pub(super) const PHASE: &str = "phase";
const REGION: &str = "region";
const ZONE: &str = "zone";
const WEIGHT: &str = "weight";
const PEER: &str = "peer";
const REPLICA: &str = "replica";

/// The keys of a node that gossips as `seen`.
pub(super) fn written(seen: &Seen) -> Vec<(String, String)> {
    let member = &seen.member;
    [
        (PHASE, seen.phase.name().to_owned()),
        (REGION, member.region.to_string()),
        (ZONE, member.zone.to_string()),
        (WEIGHT, member.weight.to_string()),
        (PEER, seen.address.to_string()),
        (REPLICA, format!("{:x}", seen.replica)),
    ]
    .map(|(key, value)| (key.to_owned(), value))
    .into()
}

/// What the node `id` says of itself; none while a part is missing or makes no sense.
pub(super) fn read(id: &ChitchatId, state: &NodeState) -> Option<Seen> {
    read_from(&id.node_id, id.generation_id, |key| state.get(key))
}

fn read_from<'a>(
    name: &str,
    generation: u64,
    get: impl Fn(&str) -> Option<&'a str>,
) -> Option<Seen> {
    let phases = [Phase::Joining, Phase::Ready, Phase::Draining];
    let phase = get(PHASE)?;
    let address: SocketAddr = get(PEER)?.parse().ok()?;
    Some(Seen {
        member: Member {
            id: NodeId::from(name),
            region: get(REGION)?.into(),
            zone: get(ZONE)?.into(),
            weight: get(WEIGHT)?.parse().ok()?,
        },
        incarnation: Incarnation(generation),
        phase: phases.into_iter().find(|known| known.name() == phase)?,
        address,
        replica: u64::from_str_radix(get(REPLICA)?, 16).ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen() -> Seen {
        Seen {
            member: Member {
                id: NodeId::from("ams-1"),
                region: "ams".into(),
                zone: "".into(),
                weight: 4,
            },
            incarnation: Incarnation(7),
            phase: Phase::Draining,
            address: "[fdaa::3]:7947".parse().unwrap(),
            replica: u64::MAX,
        }
    }

    fn read_back(card: &[(String, String)]) -> Option<Seen> {
        read_from("ams-1", 7, |key| {
            let found = card.iter().find(|(held, _)| held == key)?;
            Some(found.1.as_str())
        })
    }

    #[test]
    fn a_card_says_all_of_a_node() {
        let card = written(&seen());
        assert_eq!(read_back(&card), Some(seen()));
        assert!(card.len() <= 10, "gossip is for few keys");
    }

    #[test]
    fn half_a_card_is_no_node() {
        let card = written(&seen());
        for at in 0..card.len() {
            let mut half = card.clone();
            half.remove(at);
            assert_eq!(read_back(&half), None, "without {}", card[at].0);
        }
        for (key, value) in [("phase", "gone"), ("weight", "-1"), ("peer", "ams-1:80")] {
            let mut odd = card.clone();
            for held in odd.iter_mut().filter(|held| held.0 == key) {
                held.1 = value.to_owned();
            }
            assert_eq!(read_back(&odd), None, "{key} {value}");
        }
    }
}
