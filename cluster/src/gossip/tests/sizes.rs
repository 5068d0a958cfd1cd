//! How large datagrams are: forty nodes fit into whole ones, and what does not is sent all the same.

use std::net::Ipv6Addr;

use chitchat::{DeletionStatus, VersionedValue};

use super::tap::Tap;
use super::*;

/// Numbers without a pattern that a compressor finds.
fn numbers() -> impl Iterator<Item = u64> {
    let mut state = 1u64;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005);
        state = state.wrapping_add(1_442_695_040_888_963_407);
        state ^ state >> 29
    })
}

/// Makes `gossip` know a node that nobody runs.
async fn told_of(gossip: &Gossip, name: &str, numbers: &mut impl Iterator<Item = u64>) {
    let mut number = || numbers.next().unwrap();
    // One private network, and starts within some days.
    let ip = Ipv6Addr::from(0xfdaa_0000_0018_0a7b << 64 | u128::from(number()));
    let start = 1_790_000_000_000_000_000 + number() % 1_000_000_000_000_000;
    let seen = Seen {
        member: settings(name, &[]).me,
        incarnation: Incarnation(start),
        phase: Phase::Ready,
        address: SocketAddr::new(ip.into(), 7_947),
        replica: number(),
    };
    let place = SocketAddr::new(ip.into(), 7_946);
    let id = ChitchatId::new(name, seen.incarnation.0, place);
    let card = card::written(&seen);
    let count = card.len() as u64;
    let tell = |chitchat: &mut chitchat::Chitchat| {
        let values = card.iter().cloned().zip(1..);
        let values = values.map(|((key, value), version)| {
            let status = DeletionStatus::Set;
            let value = VersionedValue {
                value,
                version,
                status,
            };
            (key, value)
        });
        chitchat.reset_node_state_if_update(&id, values, count, 0);
    };
    gossip.handle.with_chitchat(tell).await;
}

/// Of how many nodes `gossip` knows all they say of themselves.
async fn known(gossip: &Gossip) -> usize {
    let read = |chitchat: &mut chitchat::Chitchat| {
        let states = chitchat.node_states().iter();
        states
            .filter_map(|(id, state)| card::read(id, state))
            .count()
    };
    gossip.handle.with_chitchat(read).await
}

#[tokio::test]
async fn forty_nodes_fit_into_whole_datagrams() {
    let tasks = Tasks::new();
    let (tap_one, one) = Tap::before(settings("one", &[]), &tasks).await;
    let mut numbers = numbers();
    for number in 0..38 {
        told_of(&one, &format!("fgy-machine-{number:02}"), &mut numbers).await;
    }
    let (tap_two, two) = Tap::before(settings("two", &[one.address()]), &tasks).await;
    let learned = timeout(BOUND, async {
        let mut looks = interval(LOOK_PAUSE);
        while known(&two).await < 40 {
            looks.tick().await;
        }
    });
    learned.await.expect("the second never learned of all");
    sees_names(&one, &["one", "two"]).await;
    // What comes now is what is said all the time; what came before, a newcomer's first answer.
    hear_more(&[&one, &two], 5).await;
    let (first, second) = (tap_one.kept().len(), tap_two.kept().len());
    hear_more(&[&one, &two], 20).await;
    let largest = |datagrams: &[Vec<u8>]| datagrams.iter().map(Vec::len).max().unwrap();
    let later = largest(&[&tap_one.kept()[first..], &tap_two.kept()[second..]].concat());
    let newcomers = largest(&tap_two.kept()[..second]);
    println!("forty nodes: {later} B at most, and {newcomers} B to a newcomer once");
    assert!((200..=1_200).contains(&later), "{later}");
    let large = one.stats().large.get();
    assert!(newcomers > 1_200 && (1..10).contains(&large), "{large}");
}

#[tokio::test]
async fn what_does_not_fit_one_piece_is_counted_and_sent() {
    let tasks = Tasks::new();
    let one = started("one", &[], &tasks).await;
    let mut wide = settings("wide", &[one.address()]);
    // Text that does not compress much.
    let digits = numbers().map(|number| char::from(b'!' + (number >> 33) as u8 % 90));
    let zone: String = digits.take(2_000).collect();
    wide.me.zone = zone.as_str().into();
    let wide = Gossip::start(wide, &tasks).await.unwrap();
    let view = sees_names(&one, &["one", "wide"]).await;
    assert_eq!(view.get(&NodeId::from("wide")).unwrap().member.zone, zone);
    assert!(wide.stats().large.get() > 0);
}
