//! What the lexical side of matching by meaning costs: a fingerprint, its bytes and back, a
//! comparison, and the rules every request is read by. Prints, never judges. `cargo bench --bench guard`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fgy::semantic::eligible::{is_covered, is_personal, is_volatile};
use fgy::semantic::guard::{Fingerprint, Rules, judge};
use fgy::semantic::window::windows;

/// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Twenty words, some of each kind.
const ASKED: &str = "How do I move 250 dollars from the savings account at Nordbank to Anna's \
    account before next Friday without a fee?";
/// Another way to say it: nothing is found, all is looked for.
const ALIKE: &str = "What is the way to transfer 250 dollars to Anna's account from the Nordbank \
    savings account before next Friday without any fee?";
/// Another prompt in the same words.
const OTHER: &str = "How do I move 250 dollars from Anna's account to the savings account at \
    Nordbank before next Friday without a fee?";

fn fingerprints(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("fingerprint");
    let print = Fingerprint::of(ASKED);
    let bytes = print.encode();
    let name = format!("20 words, {} B kept", bytes.len());
    group.bench_function(BenchmarkId::new("of", &name), |bench| {
        bench.iter(|| Fingerprint::of(black_box(ASKED)));
    });
    group.bench_function(BenchmarkId::new("encode", &name), |bench| {
        bench.iter(|| black_box(&print).encode());
    });
    group.bench_function(BenchmarkId::new("decode", &name), |bench| {
        bench.iter(|| Fingerprint::decode(black_box(&bytes)));
    });
    group.finish();
}

fn verdicts(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("judge");
    let (asked, rules) = (Fingerprint::of(ASKED), Rules::default());
    for (name, text) in [("a paraphrase", ALIKE), ("a look-alike", OTHER)] {
        let kept = Fingerprint::of(text);
        group.bench_function(name, |bench| {
            bench.iter(|| judge(black_box(&asked), black_box(&kept), &rules));
        });
    }
    group.finish();
}

type Rule = fn(&str) -> bool;

fn rules(criterion: &mut Criterion) {
    let sentence = "The tenants of the house have asked for a lift since the third floor was let. ";
    let text = sentence.repeat(1_024 / sentence.len() + 1);
    let other = text.replacen("third", "fifth", 7);
    let mut group = criterion.benchmark_group("eligible");
    group.throughput(Throughput::Bytes(text.len() as u64));
    let rules: [(&str, Rule); 3] = [
        ("personal", is_personal),
        ("volatile", is_volatile),
        ("covered", is_covered),
    ];
    for (name, rule) in rules {
        group.bench_function(name, |bench| bench.iter(|| rule(black_box(&text))));
    }
    group.bench_function("windows", |bench| {
        bench.iter(|| windows(black_box(&text), black_box(&other)));
    });
    group.finish();
}

criterion_group!(benches, fingerprints, verdicts, rules);
criterion_main!(benches);
