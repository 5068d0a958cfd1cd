//! Goal: voters and ring follow who is here, one safe change at a time. Method: a table of
//! pictures, each with the one change that is due.

use super::*;

type Spoil = fn(&mut Picture);

fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

fn member(name: &str) -> Member {
    Member {
        id: name.into(),
        region: "home".into(),
        zone: "".into(),
        weight: Member::WEIGHT,
    }
}

/// `n1` leads; the first `voters` of `nodes` vote, all of them are on the ring, ready and steady.
fn picture(nodes: u64, voters: u64) -> Picture {
    let name = |n: u64| format!("n{n}");
    Picture {
        me: 1,
        sets: vec![(1..=voters).collect()],
        is_settled: true,
        nodes: (1..=nodes)
            .map(|n| (n, Placed::of(&member(&name(n)))))
            .collect(),
        here: (1..=nodes)
            .map(|n| {
                let here = Here {
                    member: member(&name(n)),
                    replica: n,
                    phase: Phase::Ready,
                    steady: secs(100),
                };
                (here.member.id.clone(), here)
            })
            .collect(),
        gone: BTreeMap::new(),
        behind: (1..=nodes).map(|n| (n, 0)).collect(),
        ring: (1..=nodes).map(|n| member(&name(n))).collect(),
        since_change: secs(100),
        quorum_contact: Duration::ZERO,
        voter_region: None,
        timers: Timers::default(),
    }
}

fn gone(picture: &mut Picture, n: u64, for_secs: u64) {
    let name = NodeId::from(&*format!("n{n}"));
    picture.here.remove(&name);
    picture.gone.insert(name.clone(), secs(for_secs));
    if for_secs >= 60 {
        picture.ring.retain(|member| member.id != name);
    }
}

fn here(picture: &mut Picture, n: u64) -> &mut Here {
    picture
        .here
        .get_mut(&NodeId::from(&*format!("n{n}")))
        .unwrap()
}

fn voters(some: &[u64]) -> Option<Change> {
    Some(Change::Voters(some.iter().copied().collect()))
}

#[test]
fn voters_grow_by_odd_numbers_with_the_nodes() {
    let table: &[(u64, u64, Option<Change>)] = &[
        (1, 1, None),
        (2, 1, None),
        (3, 1, voters(&[1, 2, 3])),
        (5, 3, None),
        (6, 3, None),
        (7, 3, voters(&[1, 2, 3, 4, 5])),
        (9, 5, None),
    ];
    for (nodes, voting, expected) in table {
        assert_eq!(
            decide(&picture(*nodes, *voting)),
            *expected,
            "{nodes} nodes, {voting} vote"
        );
    }
}

#[test]
fn nothing_is_changed_on_a_guess() {
    let table: &[(&str, Spoil)] = &[
        ("no majority answered", |p| p.quorum_contact = secs(2)),
        ("the last change is not agreed", |p| p.is_settled = false),
        ("the last change is young", |p| p.since_change = secs(9)),
        ("the learners are young", |p| {
            here(p, 2).steady = secs(9);
        }),
        ("a learner lags", |p| {
            p.behind.insert(3, LAG_COUNT_MAX + 1);
        }),
        ("nobody knows how far a learner is", |p| {
            p.behind.remove(&3);
        }),
        ("a learner stands elsewhere", |p| {
            here(p, 3).member.region = "away".into();
            p.ring[2].region = "away".into();
        }),
    ];
    for (what, spoil) in table {
        let mut picture = picture(3, 1);
        spoil(&mut picture);
        assert_eq!(decide(&picture), None, "{what}");
    }
}

#[test]
fn a_dead_voter_is_swapped_after_a_minute_and_only_with_a_majority() {
    let mut lost = picture(5, 3);
    gone(&mut lost, 3, 59);
    assert_eq!(decide(&lost), None);
    gone(&mut lost, 3, 60);
    assert_eq!(decide(&lost), voters(&[1, 2, 4]));
    gone(&mut lost, 2, 5);
    assert_eq!(decide(&lost), None, "one of three is no majority");

    let mut nobody_else = picture(3, 3);
    gone(&mut nobody_else, 3, 60);
    assert_eq!(
        decide(&nobody_else),
        None,
        "three of which one is dead bear more than two do"
    );

    let mut five = picture(5, 5);
    gone(&mut five, 5, 60);
    assert_eq!(
        decide(&five),
        voters(&[1, 3, 4]),
        "five without a fifth become three"
    );
}

#[test]
fn who_drains_is_swapped_out_at_once_even_if_it_leads() {
    let mut leaves = picture(5, 3);
    here(&mut leaves, 1).phase = Phase::Draining;
    leaves.ring.remove(0);
    assert_eq!(decide(&leaves), voters(&[2, 3, 4]));

    let mut last_but_one = picture(3, 3);
    here(&mut last_but_one, 3).phase = Phase::Draining;
    last_but_one.ring.pop();
    assert_eq!(decide(&last_but_one), voters(&[1]), "never two");

    let mut last = picture(1, 1);
    here(&mut last, 1).phase = Phase::Draining;
    assert_eq!(decide(&last), None, "neither ring nor voters become empty");
}

#[test]
fn zones_are_spread_and_a_lost_change_is_finished() {
    let mut zones = picture(5, 1);
    for (n, zone) in [(1, "a"), (2, "a"), (3, "b"), (4, "b"), (5, "c")] {
        zones.nodes.get_mut(&n).unwrap().zone = zone.into();
        here(&mut zones, n).member.zone = zone.into();
        zones.ring[usize::try_from(n).unwrap() - 1].zone = zone.into();
    }
    assert_eq!(decide(&zones), voters(&[1, 3, 5]));

    let mut joint = picture(4, 3);
    joint.sets.push([1, 2, 4].into());
    joint.since_change = secs(1);
    assert_eq!(decide(&joint), voters(&[1, 2, 4]));
}

#[test]
fn who_is_seen_listens_and_who_is_lost_is_forgotten() {
    let mut new = picture(3, 3);
    new.nodes.remove(&3);
    new.sets = vec![[1].into()];
    new.nodes.remove(&2);
    let both = [2, 3].map(|n| (n, Placed::of(&member(&format!("n{n}")))));
    assert_eq!(decide(&new), Some(Change::Learners(both.into())));

    let mut lost = picture(5, 3);
    gone(&mut lost, 5, 60);
    assert_eq!(decide(&lost), Some(Change::Forget([5].into())));

    // The node is back without its volume: the old replica will never speak again.
    let mut replaced = picture(4, 3);
    here(&mut replaced, 3).replica = 33;
    let anew = Placed::of(&member("n3"));
    assert_eq!(
        decide(&replaced),
        Some(Change::Learners([(33, anew.clone())].into()))
    );
    replaced.nodes.insert(33, anew);
    assert_eq!(decide(&replaced), voters(&[1, 2, 4]));
    replaced.sets = vec![[1, 2, 4].into()];
    assert_eq!(decide(&replaced), Some(Change::Forget([3].into())));
}

#[test]
fn the_ring_follows_readiness_and_departure() {
    let ring = |some: &[u64]| {
        let members = some.iter().map(|n| member(&format!("n{n}"))).collect();
        Some(Change::Ring(members))
    };
    let table: &[(&str, Spoil, Option<Change>)] = &[
        (
            "one drains",
            |p| here(p, 2).phase = Phase::Draining,
            ring(&[1, 3]),
        ),
        (
            "one starts again",
            |p| here(p, 2).phase = Phase::Joining,
            None,
        ),
        (
            "one joins",
            |p| {
                p.ring.pop();
                here(p, 3).steady = secs(3);
            },
            ring(&[1, 2, 3]),
        ),
        (
            "one is ready too briefly",
            |p| {
                p.ring.pop();
                here(p, 3).steady = secs(2);
            },
            None,
        ),
        (
            "one is gone for a minute",
            |p| {
                p.here.remove(&"n3".into());
                p.gone.insert("n3".into(), secs(60));
            },
            ring(&[1, 2]),
        ),
    ];
    for (what, happens, expected) in table {
        let mut picture = picture(3, 3);
        happens(&mut picture);
        assert_eq!(decide(&picture), *expected, "{what}");
    }
}
