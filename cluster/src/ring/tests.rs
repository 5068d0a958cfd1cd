//! The ring's promises, by counting: balance, few moves, none between old members, and a walk
//! that names each member once.

use std::collections::{BTreeMap, BTreeSet};

use super::*;

const KEYS: u64 = 100_000;

fn keys() -> impl Iterator<Item = Key> {
    // Any uniform spread will do: a Weyl sequence over the prefix.
    (0..KEYS).map(|i| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&i.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
        Key(bytes)
    })
}

fn member(name: &str, zone: &str, weight: u8) -> Member {
    Member {
        id: name.into(),
        region: "".into(),
        zone: zone.into(),
        weight,
    }
}

fn nodes(count: usize) -> Vec<Member> {
    (0..count)
        .map(|i| member(&format!("node-{i}"), "", Member::WEIGHT))
        .collect()
}

fn anyone(_: &NodeId) -> bool {
    true
}

fn owners(ring: &Ring) -> Vec<NodeId> {
    keys()
        .map(|key| ring.owner(&key, anyone).unwrap().clone())
        .collect()
}

#[test]
fn a_ring_of_one_owns_everything_and_a_ring_of_none_nothing() {
    let one = Ring::of(nodes(1));
    assert!(
        keys()
            .take(1000)
            .all(|key| one.owner(&key, anyone).is_some())
    );
    let none = Ring::of([]);
    assert!(
        keys()
            .take(1000)
            .all(|key| none.owner(&key, anyone).is_none())
    );
}

#[test]
fn the_fullest_node_is_within_a_tenth_of_the_mean() {
    for count in [3, 5, 8] {
        let mut load: BTreeMap<NodeId, u64> = BTreeMap::new();
        for owner in owners(&Ring::of(nodes(count))) {
            *load.entry(owner).or_default() += 1;
        }
        let fullest = *load.values().max().unwrap() as f64;
        let mean = KEYS as f64 / count as f64;
        assert!(fullest / mean <= 1.10, "{count} nodes: {}", fullest / mean);
    }
}

#[test]
fn a_joiner_takes_its_share_and_moves_nothing_between_the_others() {
    let before = owners(&Ring::of(nodes(5)));
    let after = owners(&Ring::of(nodes(6)));
    let joiner = NodeId::from("node-5");
    let moved = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old != new)
        .count();
    let between = before
        .iter()
        .zip(&after)
        .filter(|(old, new)| old != new && **new != joiner);
    assert_eq!(between.count(), 0);
    let share = moved as f64 / KEYS as f64;
    assert!((share - 1.0 / 6.0).abs() <= 0.02, "{share}");
}

#[test]
fn weight_is_a_share_and_zero_owns_nothing() {
    let ring = Ring::of([member("a", "", 2), member("b", "", 1), member("c", "", 0)]);
    let owners = owners(&ring);
    let share = |name: &str| {
        owners.iter().filter(|owner| owner.as_str() == name).count() as f64 / KEYS as f64
    };
    assert!((share("a") - 2.0 / 3.0).abs() < 0.04, "{}", share("a"));
    assert_eq!(share("c"), 0.0);
}

#[test]
fn the_walk_names_each_member_once_and_steps_into_other_zones_first() {
    let ring = Ring::of([
        member("a1", "a", 1),
        member("a2", "a", 1),
        member("b1", "b", 1),
        member("b2", "b", 1),
    ]);
    for key in keys().take(2_000) {
        let walk = ring.successors(&key);
        let names: BTreeSet<&str> = walk.iter().map(|member| member.id.as_str()).collect();
        assert_eq!(names.len(), 4);
        assert_ne!(walk[0].zone, walk[1].zone);
        assert_eq!(Some(&walk[0].id), ring.owner(&key, anyone));
    }
}

#[test]
fn a_masked_owner_is_walked_over_and_gets_its_keys_back() {
    let ring = Ring::of(nodes(4));
    for key in keys().take(2_000) {
        let owner = ring.owner(&key, anyone).unwrap();
        let next = ring.owner(&key, |id| id != owner).unwrap();
        assert_ne!(owner, next);
        assert_eq!(ring.owner(&key, anyone), Some(owner));
    }
}

#[test]
fn names_and_order_decide_nothing_but_the_set() {
    let mut shuffled = nodes(5);
    shuffled.reverse();
    shuffled.push(member("node-3", "", Member::WEIGHT));
    assert_eq!(owners(&Ring::of(nodes(5))), owners(&Ring::of(shuffled)));
}

#[test]
fn placement_is_the_same_in_every_release() {
    let ring = Ring::of(nodes(5));
    let first: Vec<&str> = keys()
        .take(12)
        .map(|key| ring.owner(&key, anyone).unwrap().as_str())
        .collect();
    // Changing this moves every key of every running cluster.
    assert_eq!(first.join(" "), include_str!("golden.txt").trim());
}

#[test]
fn shares_sum_to_all_and_follow_the_weights() {
    let ring = Ring::of([member("a", "", 4), member("b", "", 4), member("c", "", 8)]);
    let shares = ring.shares();
    let sum: u32 = shares.iter().sum();
    assert!((999_990..=1_000_000).contains(&sum), "{shares:?}");
    assert!(shares[2] > shares[0] && shares[2] > shares[1], "{shares:?}");
    let counted = owners(&ring)
        .iter()
        .filter(|owner| owner.as_str() == "c")
        .count();
    let counted = counted as f64 / KEYS as f64;
    let share = f64::from(shares[2]) / 1e6;
    assert!((counted - share).abs() < 0.01, "{counted} {share}");
}
