//! The memory tier's promises: bounds in bytes, a share per tenant given back, and weights that
//! are what entries really take.

use bytes::Bytes;
use fgy_cluster::Tape;

use super::*;
use crate::answer::stamp::Millis;

fn memory(owned_bytes_max: u64, tenant_percent_max: u8) -> Memory {
    Memory::new(MemoryLimits {
        owned_bytes_max,
        guest_bytes_max: 0,
        tenant_percent_max,
    })
}

fn key(number: u64) -> Key {
    let mut bytes = [0; 32];
    for (i, stretch) in bytes.chunks_exact_mut(8).enumerate() {
        let mixed = (number + 1)
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .rotate_left(i as u32 * 7);
        stretch.copy_from_slice(&mixed.to_le_bytes());
    }
    Key(bytes)
}

fn stamp(tenant: &str) -> Arc<Stamp> {
    Arc::new(Stamp {
        tenant: TenantId(tenant.into()),
        agent: "".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: "".into(),
        source: key(0),
        epoch: 0,
        began: Millis(0),
        until: Millis(u64::MAX),
    })
}

fn answer(length: usize) -> Arc<Sealed> {
    let frames = [
        Bytes::from_static(b"head"),
        vec![b'x'; length].into(),
        Bytes::from_static(b"t"),
    ];
    Tape::finished(frames).sealed().unwrap()
}

#[test]
fn it_never_holds_more_bytes_than_it_may() {
    let memory = memory(1 << 20, 100);
    for number in 0..5_000 {
        memory.keep(Half::Owned, key(number), answer(1_000), stamp("acme"), None);
    }
    let (entries, bytes) = memory.size(Half::Owned);
    assert!(bytes <= 1 << 20, "{bytes}");
    assert!(entries > 500, "{entries}");
}

#[test]
fn what_moved_is_told_the_most_asked_for_first() {
    let memory = memory(1 << 20, 100);
    for number in 0..20 {
        memory.keep(Half::Owned, key(number), answer(100), stamp("acme"), None);
        for _ in 0..(number * 7) % 20 {
            memory.get(&key(number));
        }
    }
    let is_mine = |key_: &Key| (0..20).step_by(2).any(|number| *key_ == key(number));
    let moved = memory.moved(is_mine, 3);
    assert_eq!(moved, [key(17), key(11), key(5)]);
    assert_eq!(memory.moved(|_| false, 100).len(), 20);
    assert_eq!(memory.moved(|_| true, 100), []);
}

#[test]
fn what_is_longer_than_everything_is_not_kept() {
    let memory = memory(10_000, 100);
    memory.keep(Half::Owned, key(1), answer(100_000), stamp("acme"), None);
    assert!(memory.get(&key(1)).is_none());
    assert_eq!(
        memory
            .account(&TenantId("acme".into()))
            .load(Ordering::Relaxed),
        0
    );
}

#[test]
fn a_tenant_above_its_share_is_not_admitted_and_others_are() {
    let memory = memory(1 << 20, 25);
    let admitted = (0..1_000)
        .filter(|n| memory.keep(Half::Owned, key(*n), answer(1_000), stamp("greedy"), None))
        .count();
    assert!(
        (150..200).contains(&admitted),
        "{admitted} entries in a quarter of 1 MiB"
    );
    assert_eq!(memory.refused(), 1_000 - admitted as u64);
    assert!(memory.keep(
        Half::Owned,
        key(5_000),
        answer(1_000),
        stamp("modest"),
        None
    ));
    let small = Some(2_000);
    assert!(memory.keep(
        Half::Owned,
        key(5_001),
        answer(1_000),
        stamp("small"),
        small
    ));
    assert!(!memory.keep(
        Half::Owned,
        key(5_002),
        answer(1_000),
        stamp("small"),
        small
    ));
}

#[test]
fn a_share_comes_back_when_entries_go_however_they_go() {
    let memory = memory(1 << 20, 100);
    let acme = TenantId("acme".into());
    let held = |memory: &Memory| memory.account(&acme).load(Ordering::Relaxed);
    memory.keep(Half::Owned, key(1), answer(1_000), stamp("acme"), None);
    let one = held(&memory);
    memory.keep(Half::Owned, key(1), answer(1_000), stamp("acme"), None);
    assert_eq!(held(&memory), one, "replaced");
    let kept = memory.get(&key(1)).unwrap();
    memory.forget(&key(1), &kept);
    drop(kept);
    assert_eq!(held(&memory), 0, "forgotten");
    memory.keep(Half::Guest, key(2), answer(1), stamp("acme"), None);
    memory.keep(Half::Owned, key(3), answer(1_000), stamp("acme"), None);
    memory.sweep(|_| false);
    assert_eq!(held(&memory), 0, "swept");
}

#[test]
fn forgetting_a_dead_entry_spares_the_one_that_replaced_it() {
    let memory = memory(1 << 20, 100);
    memory.keep(Half::Owned, key(1), answer(10), stamp("acme"), None);
    let dead = memory.get(&key(1)).unwrap();
    memory.keep(Half::Owned, key(1), answer(20), stamp("acme"), None);
    memory.forget(&key(1), &dead);
    assert!(memory.get(&key(1)).is_some());
}

/// The structures of an entry, added up: if one of them grows, the constant must.
#[test]
fn an_entry_weighs_what_it_takes() {
    let arcs = 2 * 16 + 2 * 16;
    let structures =
        size_of::<Kept>() + size_of::<Stamp>() + size_of::<Sealed>() + size_of::<Key>();
    // quick_cache keeps key, value, links and a hash-table slot per entry; half of the slots of
    // its tables may be empty.
    let table = 2 * (size_of::<Key>() + 8 + 24 + 16);
    let least = (arcs + structures + table) as u64;
    assert!(least <= ENTRY_OVERHEAD_BYTES, "{least}");
    assert!(ENTRY_OVERHEAD_BYTES <= least + 160, "{least}");
}
