//! What one ledger line costs on the path of a hit: encoding it and copying it into the journal.
//! `cargo bench --bench journal --features contract`

#![expect(
    clippy::expect_used,
    reason = "a benchmark that cannot be set up has no result"
)]

use std::path::Path;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use fgy::ledger::journal::{Journal, Settings};
use fgy::ledger::samples::line;

/// Appends between two clearings, which are not measured.
const LINES: u128 = 20_000;

fn append(criterion: &mut Criterion) {
    let folder = std::env::temp_dir().join(format!("fgy-bench-{}", std::process::id()));
    let journal = open(&folder);
    let line = line(1);
    let mut group = criterion.benchmark_group("journal");
    group.throughput(criterion::Throughput::Elements(LINES as u64));
    group.bench_function("append_20000", |bencher| {
        bencher.iter_batched(
            || clear(&journal),
            |()| (0..LINES).for_each(|_| journal.append(&line).expect("room was made")),
            BatchSize::PerIteration,
        );
    });
    group.finish();
    drop(journal);
    drop(std::fs::remove_dir_all(folder));
}

fn open(folder: &Path) -> Journal {
    let settings = Settings {
        spares: 2,
        ..Settings::default()
    };
    Journal::open(folder, settings).expect("a journal in the temporary folder")
}

fn clear(journal: &Journal) {
    while let Some(batch) = journal.read(10_000) {
        journal.shipped(&batch);
    }
    journal.make_room().expect("room on the disk");
}

criterion_group!(benches, append);
criterion_main!(benches);
