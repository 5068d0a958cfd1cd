//! A look in the memory tier, beside moka holding the same entries, alone and with a neighbour
//! thread that keeps looking and inserting: `cargo bench --bench memory`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    clippy::type_complexity,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use fgy::answer::stamp::{Millis, Stamp};
use fgy::filler::memory::{Half, Memory, MemoryLimits};
use fgy_cluster::{Key, Sealed, Tape};

const ENTRIES: u64 = 100_000;

fn key(number: u64) -> Key {
    Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn answer() -> Arc<Sealed> {
    let frames = [
        Bytes::from_static(b"head"),
        vec![b'x'; 1024].into(),
        Bytes::from_static(b"t"),
    ];
    Tape::finished(frames).sealed().unwrap()
}

fn stamp() -> Arc<Stamp> {
    Arc::new(Stamp {
        tenant: "acme".into(),
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

fn ours() -> Arc<Memory> {
    let limits = MemoryLimits {
        owned_bytes_max: 1 << 30,
        guest_bytes_max: 0,
        tenant_percent_max: 100,
    };
    let memory = Memory::new(limits);
    for number in 0..ENTRIES {
        memory.keep(Half::Owned, key(number), answer(), stamp(), None);
    }
    Arc::new(memory)
}

fn moka() -> moka::sync::Cache<Key, Arc<(Arc<Sealed>, Arc<Stamp>)>> {
    let cache = moka::sync::Cache::builder()
        .weigher(|_: &Key, kept: &Arc<(Arc<Sealed>, Arc<Stamp>)>| kept.0.bytes().len() as u32 + 480)
        .max_capacity(1 << 30)
        .build();
    for number in 0..ENTRIES {
        cache.insert(key(number), Arc::new((answer(), stamp())));
    }
    cache.run_pending_tasks();
    cache
}

/// Runs `work` on another thread for as long as `measure` takes.
fn beside(work: impl Fn(u64) + Send + 'static, measure: impl FnOnce()) {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = stop.clone();
    let neighbour = std::thread::spawn(move || {
        let mut number = 0;
        while !stopped.load(Ordering::Relaxed) {
            number = (number + 7_919) % ENTRIES;
            work(number);
        }
    });
    measure();
    stop.store(true, Ordering::Relaxed);
    neighbour.join().unwrap();
}

fn bench(criterion: &mut Criterion) {
    let keys: Vec<Key> = (0..ENTRIES).map(key).collect();
    let (ours, theirs) = (ours(), moka());
    let mut group = criterion.benchmark_group("memory look-up");
    group
        .measurement_time(Duration::from_secs(3))
        .sample_size(30);
    let mut at = 0;
    let mut next = move || {
        at = (at + 104_729) % ENTRIES as usize;
        at
    };
    group.bench_function("quick_cache", |b| {
        b.iter(|| black_box(ours.get(&keys[next()])))
    });
    group.bench_function("moka", |b| b.iter(|| black_box(theirs.get(&keys[next()]))));
    let (memory, looked) = (ours.clone(), keys.clone());
    let work = move |number: u64| {
        black_box(memory.get(&looked[number as usize]));
        if number.is_multiple_of(16) {
            memory.keep(
                Half::Owned,
                looked[number as usize],
                answer(),
                stamp(),
                None,
            );
        }
    };
    beside(work, || {
        group.bench_function("quick_cache, with a neighbour", |b| {
            b.iter(|| black_box(ours.get(&keys[next()])));
        });
    });
    let (cache, looked) = (theirs.clone(), keys.clone());
    let work = move |number: u64| {
        black_box(cache.get(&looked[number as usize]));
        if number.is_multiple_of(16) {
            cache.insert(looked[number as usize], Arc::new((answer(), stamp())));
        }
    };
    beside(work, || {
        group.bench_function("moka, with a neighbour", |b| {
            b.iter(|| black_box(theirs.get(&keys[next()])));
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
