//! The seal against strangers, echoes, old datagrams and a secret that changes.

use super::*;

const NOW: u64 = 1_700_000_000_000;

fn secrets(current: &str, previous: Option<&str>) -> ClusterSecrets {
    let secret = |text: &str| ClusterSecret::new(text.as_bytes());
    ClusterSecrets {
        current: secret(current),
        previous: previous.map(secret),
    }
}

fn at(port: u16) -> SocketAddr {
    ([10, 0, 0, 1], port).into()
}

fn seal(life: u8, secrets: &ClusterSecrets) -> Seal {
    Seal::new(secrets, "here", [life; 16], at(life.into()))
}

fn pair() -> (Seal, Seal) {
    let shared = secrets("one secret of a cluster", None);
    (seal(1, &shared), seal(2, &shared))
}

#[test]
fn what_is_sealed_is_opened_once_with_its_senders_address() {
    let ((from, to), mut heard) = (pair(), Heard::default());
    for payload in [&b"a rumour"[..], b"", b"another rumour"] {
        let datagram = from.seal(NOW, payload).unwrap();
        assert_eq!(datagram.len(), payload.len() + SEAL_BYTES);
        let opened = to.open(&mut heard, NOW, &datagram);
        assert_eq!(opened, Ok((at(1), payload.to_vec())));
        let again = to.open(&mut heard, NOW, &datagram);
        assert_eq!(again, Err(Refused::Replayed));
    }
}

#[test]
fn an_address_of_either_family_survives() {
    for address in ["10.1.2.3:7946", "[fdaa:0:18::3]:7946", "[::1]:1"] {
        let address: SocketAddr = address.parse().unwrap();
        assert_eq!(unpacked(&packed(address)), Some(address));
    }
    assert_eq!(unpacked(&[5; ADDRESS_BYTES]), None);
    assert_eq!(unpacked(&[4; ADDRESS_BYTES - 1]), None);
}

#[test]
fn nothing_of_the_payload_or_the_names_is_to_be_seen() {
    let (from, _) = pair();
    let datagram = from.seal(NOW, b"ams-1 is ready").unwrap();
    for hidden in [&b"ams-1"[..], b"here", &[10, 0, 0, 1]] {
        assert!(!datagram.windows(hidden.len()).any(|part| part == hidden));
    }
    let same = from.seal(NOW, b"ams-1 is ready").unwrap();
    assert_ne!(datagram[SEALED_AT..], same[SEALED_AT..]);
}

#[test]
fn any_changed_byte_and_any_cut_are_refused() {
    let ((from, to), mut heard) = (pair(), Heard::default());
    let datagram = from.seal(NOW, b"a rumour").unwrap();
    for at in 0..datagram.len() {
        let mut changed = datagram.clone();
        changed[at] ^= 1;
        let refused = to.open(&mut heard, NOW, &changed).unwrap_err();
        let expected: &[Refused] = match at {
            0..KEY_AT => &[Refused::Malformed],
            KEY_AT..STAMP_AT => &[Refused::WrongKey],
            STAMP_AT..NONCE_AT => &[Refused::WrongKey, Refused::Old],
            _ => &[Refused::WrongKey],
        };
        assert!(expected.contains(&refused), "byte {at}: {refused:?}");
        assert!(to.open(&mut heard, NOW, &datagram[..at]).is_err());
    }
    assert!(heard.lives.is_empty(), "the refused leave nothing behind");
    assert!(to.open(&mut heard, NOW, &datagram).is_ok());
}

#[test]
fn another_secret_or_cluster_is_refused() {
    let ((_, to), mut heard) = (pair(), Heard::default());
    let other = seal(1, &secrets("another secret", None));
    let datagram = other.seal(NOW, b"a rumour").unwrap();
    let refused = to.open(&mut heard, NOW, &datagram);
    assert_eq!(refused, Err(Refused::WrongKey));
    let shared = secrets("one secret of a cluster", None);
    let elsewhere = Seal::new(&shared, "there", [1; 16], at(1));
    let datagram = elsewhere.seal(NOW, b"a rumour").unwrap();
    let refused = to.open(&mut heard, NOW, &datagram);
    assert_eq!(refused, Err(Refused::WrongKey));
}

#[test]
fn a_stamp_is_good_for_half_a_minute_either_way() {
    for (apart, good) in [(0, true), (STAMP_MILLIS_MAX, true), (30_001, false)] {
        for now in [NOW + apart, NOW - apart] {
            let ((from, to), mut heard) = (pair(), Heard::default());
            let datagram = from.seal(NOW, b"a rumour").unwrap();
            let opened = to.open(&mut heard, now, &datagram);
            match good {
                true => assert!(opened.is_ok(), "{apart}"),
                false => assert_eq!(opened, Err(Refused::Old)),
            }
        }
    }
}

#[test]
fn disorder_is_heard_and_what_is_far_behind_is_not() {
    let ((from, to), mut heard) = (pair(), Heard::default());
    let said: Vec<_> = (0..200).map(|_| from.seal(NOW, b"x").unwrap()).collect();
    let mut open = |at: usize| to.open(&mut heard, NOW, &said[at]).map(|_| ());
    assert_eq!(open(2), Ok(()));
    assert_eq!(open(0), Ok(()));
    assert_eq!(open(1), Ok(()));
    assert_eq!(open(130), Ok(()));
    assert_eq!(open(2), Err(Refused::Replayed));
    assert_eq!(open(3), Ok(()));
    assert_eq!(open(199), Ok(()));
    assert_eq!(open(71), Err(Refused::Replayed), "128 behind");
    assert_eq!(open(72), Ok(()), "127 behind");
    assert_eq!(open(72), Err(Refused::Replayed));
}

#[test]
fn a_node_does_not_hear_itself() {
    let ((from, _), mut heard) = (pair(), Heard::default());
    let datagram = from.seal(NOW, b"a rumour").unwrap();
    let refused = from.open(&mut heard, NOW, &datagram);
    assert_eq!(refused, Err(Refused::Replayed));
}

#[test]
fn two_keys_are_good_while_the_secret_changes() {
    let (old, new) = ("the old secret", "the new secret");
    let steps = [
        secrets(old, None),
        secrets(old, Some(new)),
        secrets(new, Some(old)),
        secrets(new, None),
    ];
    let hears = |from: &ClusterSecrets, to: &ClusterSecrets| {
        let datagram = seal(1, from).seal(NOW, b"x").unwrap();
        let opened = seal(2, to).open(&mut Heard::default(), NOW, &datagram);
        opened.is_ok()
    };
    for pair in steps.windows(2) {
        assert!(hears(&pair[0], &pair[1]) && hears(&pair[1], &pair[0]));
    }
    assert!(!hears(&steps[0], &steps[2]) || !hears(&steps[2], &steps[0]));
    assert!(!hears(&steps[0], &steps[3]) && !hears(&steps[3], &steps[0]));

    // And in the middle of a life, without a number used twice.
    let (from, to) = (seal(1, &steps[0]), seal(2, &steps[0]));
    let mut heard = Heard::default();
    for step in &steps {
        from.rotate(step);
        to.rotate(step);
        let datagram = from.seal(NOW, b"x").unwrap();
        assert!(to.open(&mut heard, NOW, &datagram).is_ok());
    }
    assert_eq!(heard.lives.len(), 1);
}

#[test]
fn lives_are_bounded_and_the_stale_give_way() {
    let shared = secrets("one secret of a cluster", None);
    let (to, mut heard) = (seal(2, &shared), Heard::default());
    let mut said = |number: u64, now: u64| {
        let mut life = [0xee; 16];
        life[..8].copy_from_slice(&number.to_be_bytes());
        let from = Seal::new(&shared, "here", life, at(1));
        let datagram = from.seal(now, b"x").unwrap();
        to.open(&mut heard, now, &datagram).map(|_| ())
    };
    for number in 0..LIVES_COUNT_MAX as u64 {
        assert_eq!(said(number, NOW), Ok(()));
    }
    assert_eq!(said(5_000, NOW + STAMP_MILLIS_MAX), Err(Refused::Crowded));
    assert_eq!(said(5_000, NOW + STAMP_MILLIS_MAX + 1), Ok(()));
    assert_eq!(heard.lives.len(), 1);
}
