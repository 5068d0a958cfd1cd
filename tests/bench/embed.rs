//! How long the local model takes for a text of 9, 21 and 122 tokens on one thread, and how much of
//! it is reading the text. Needs the model: `fgy model pull`. Prints, never judges.
//! `cargo bench --bench embed`

use std::hint::black_box;
use std::path::PathBuf;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fgy::config::Environment;
use fgy::semantic::embed::Alone;
use fgy::semantic::model;

/// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn folder() -> Option<PathBuf> {
    let environment = Environment::of_process();
    let (cache, home) = (environment.get("XDG_CACHE_HOME"), environment.get("HOME"));
    let folder = match environment.get("FGY_MODEL_DIR") {
        Some(folder) => folder.into(),
        None => model::default_folder(cache, home)?,
    };
    model::look(&folder).map(|_| folder)
}

fn embed(criterion: &mut Criterion) {
    let Some(folder) = folder() else {
        #[expect(
            clippy::print_stderr,
            reason = "whoever measures must hear that nothing was"
        )]
        {
            eprintln!("SKIPPED: there is no model here; fetch it with `fgy model pull`");
        }
        return;
    };
    let mut alone = match Alone::load(&folder) {
        Ok(alone) => alone,
        Err(error) => panic!("{error}"),
    };
    let mut group = criterion.benchmark_group(format!("embed, {}", alone.processor()));
    for tokens in [9, 21, 122] {
        let text = Alone::sample(tokens);
        assert_eq!(alone.count(&text), tokens);
        group.throughput(Throughput::Elements(tokens as u64));
        group.bench_function(BenchmarkId::new("read", tokens), |bench| {
            bench.iter(|| alone.count(black_box(&text)));
        });
        group.bench_function(BenchmarkId::new("whole", tokens), |bench| {
            bench.iter(|| alone.embed(black_box(&text)));
        });
    }
    group.finish();
}

criterion_group!(benches, embed);
criterion_main!(benches);
