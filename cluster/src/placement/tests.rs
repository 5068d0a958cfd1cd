//! Where an ask goes next, and that it only ever goes down.

use super::*;
use crate::node::Member;
use crate::rings::RingConfig;

fn member(name: &str) -> Member {
    let (region, _) = name.split_once('-').unwrap();
    Member {
        id: name.into(),
        region: region.into(),
        zone: "".into(),
        weight: Member::WEIGHT,
    }
}

fn placement(names: &[&str]) -> Placement {
    Placement::of(&Rings {
        current: RingConfig {
            epoch: 1,
            members: names.iter().map(|name| member(name)).collect(),
        },
        previous: None,
    })
}

fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&number.wrapping_mul(0x9E37_79B9_7F4A_7C15).to_le_bytes());
    Key(bytes)
}

const NODES: &[&str] = &["ams-1", "ams-2", "iad-1", "iad-2", "syd-1"];

#[test]
fn an_ask_only_goes_down_and_is_made_at_home() {
    let placement = placement(NODES);
    for number in 0..500 {
        let key = key(number);
        for name in NODES {
            let (mut me, mut at) = (NodeId::from(*name), Rank::Entry);
            let mut hops = 0;
            loop {
                let region = member(me.as_str()).region;
                let place = Place {
                    me: &me,
                    region: &region,
                    at,
                };
                let step = placement.step(&key, place, Coalesce::World, |_| true);
                assert!(step.at >= at && !step.stands_in);
                let Some((to, rank)) = step.to else { break };
                assert!(rank > step.at, "{name}: {rank:?} after {at:?}");
                assert!(rank != Rank::Region || member(to.as_str()).region == region);
                (me, at, hops) = (to, rank, hops + 1);
            }
            assert!(hops <= 2);
            assert_eq!(Some(&me), placement.home_owner(&key));
        }
    }
}

#[test]
fn the_owner_in_its_region_is_the_owner_and_every_region_has_one() {
    let placement = placement(NODES);
    let mut homes = std::collections::BTreeMap::<String, u32>::new();
    for number in 0..2_000 {
        let key = key(number);
        let home = placement.ring.home(&key).unwrap();
        assert_eq!(placement.owner(&key, home), placement.home_owner(&key));
        assert_eq!(placement.ring.homes(&key)[0], home);
        *homes.entry(home.into()).or_default() += 1;
        for region in ["ams", "iad", "syd"] {
            let owner = placement.owner(&key, region).unwrap();
            assert_eq!(member(owner.as_str()).region, region);
        }
    }
    // By weight: one of five nodes.
    assert!((300..=500).contains(&homes["syd"]), "{homes:?}");
}

#[test]
fn all_who_lost_the_same_region_agree_on_who_stands_in() {
    let placement = placement(NODES);
    let lost = |id: &NodeId| id.as_str().starts_with("ams");
    let mut stood_in = 0;
    for number in 0..500 {
        let key = key(number);
        let mut makers = Vec::new();
        for region in ["iad", "syd"] {
            let me = placement.owner(&key, region).unwrap();
            let place = Place {
                me,
                region,
                at: Rank::Region,
            };
            let step = placement.step(&key, place, Coalesce::World, |id| !lost(id));
            assert_eq!(step.stands_in, placement.ring.home(&key) == Some("ams"));
            stood_in += u32::from(step.stands_in);
            makers.push(step.to.map_or(me.clone(), |(to, _)| to));
        }
        assert_eq!(makers[0], makers[1]);
    }
    assert!(stood_in > 100);
}

#[test]
fn what_keeps_to_its_region_or_its_node_does_not_leave_it() {
    let placement = placement(NODES);
    for number in 0..200 {
        for name in NODES {
            let (me, region) = (NodeId::from(*name), member(name).region);
            for at in [Rank::Entry, Rank::Region, Rank::Home] {
                let place = Place {
                    me: &me,
                    region: &region,
                    at,
                };
                let within = |scope| placement.step(&key(number), place, scope, |_| true).to;
                assert_eq!(within(Coalesce::Node), None);
                if let Some((to, rank)) = within(Coalesce::Region) {
                    assert_eq!((at, rank), (Rank::Entry, Rank::Home));
                    assert_eq!(member(to.as_str()).region, region);
                }
            }
        }
    }
}
