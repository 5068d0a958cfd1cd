//! A look for the nearest questions of one space in the embedded store, at 1,000, 10,000 and 100,000
//! of them, and beside each how often the nearest of all came first and what a point weighs. The
//! goal is 1 ms at 100,000 with 99 of 100 found. Prints, never judges.
//!
//! `cargo bench --bench vectors`, with made-up questions: topics, intents in each, many wordings of
//! each, so that neighbours lie as close as those of people do. With real ones and noise:
//! `FGY_BENCH_VECTORS=FILE`, 384 little-endian floats a question.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use fgy::answer::stamp::{Millis, Stamp};
use fgy::key::Space;
use fgy::store::{ModelKey, Point, Put, Settings, Stores, open};
use fgy_cluster::Key;

/// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 3] = [1_000, 10_000, 100_000];
const DIMENSIONS: usize = 384;
const SPACE: Space = Space([7; 32]);
/// Looks whose result is compared with every cosine.
const COMPARED: usize = 500;
const NOW: Millis = Millis(1);

struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11
    }

    fn even(&mut self) -> f32 {
        self.next() as f32 / (1_u64 << 53) as f32
    }

    fn below(&mut self, many: usize) -> usize {
        self.next() as usize % many
    }

    /// A direction this far from another, in parts of its length: 0.3 leaves a cosine of 0.96.
    fn near(&mut self, other: &[f32], far: f32) -> Vec<f32> {
        let step = far / (DIMENSIONS as f32).sqrt();
        unit(other.iter().map(|it| it + step * self.normal()).collect())
    }

    fn normal(&mut self) -> f32 {
        let (radius, turn) = (-2.0 * self.even().max(1e-9).ln(), self.even());
        radius.sqrt() * (std::f32::consts::TAU * turn).cos()
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    vector.iter().map(|it| it / length).collect()
}

/// So many questions and some to ask.
fn questions(many: usize) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
    let mut draw = Draw(7);
    let all = match std::env::var_os("FGY_BENCH_VECTORS") {
        Some(file) => real(&mut draw, &std::fs::read(file).unwrap(), many),
        None => made_up(&mut draw, many),
    };
    let asked = (0..1_000).map(|_| {
        let far = 0.15 + 0.6 * draw.even();
        let one = &all[draw.below(all.len())];
        draw.near(one, far)
    });
    let asked = asked.collect();
    (all, asked)
}

fn made_up(draw: &mut Draw, many: usize) -> Vec<Vec<f32>> {
    let any = |draw: &mut Draw| unit((0..DIMENSIONS).map(|_| draw.normal()).collect());
    let topics: Vec<_> = (0..40).map(|_| any(draw)).collect();
    let intents: Vec<_> = (0..many.div_ceil(50))
        .map(|number| draw.near(&topics[number % topics.len()], 0.9))
        .collect();
    let said = |_| {
        let far = 0.2 + 0.8 * draw.even();
        let intent = draw.below(intents.len());
        draw.near(&intents[intent], far)
    };
    (0..many).map(said).collect()
}

/// Real ones as they are, then again with noise, until there are enough.
fn real(draw: &mut Draw, bytes: &[u8], many: usize) -> Vec<Vec<f32>> {
    let floats = bytes.as_chunks::<4>().0.iter();
    let floats: Vec<f32> = floats.map(|it| f32::from_le_bytes(*it)).collect();
    let own: Vec<Vec<f32>> = floats
        .chunks_exact(DIMENSIONS)
        .map(|it| unit(it.to_vec()))
        .collect();
    assert!(!own.is_empty(), "no vectors in that file");
    let numbered = (0..many).map(|number| match own.get(number) {
        Some(own) => own.clone(),
        None => {
            let far = 0.1 + 0.5 * draw.even();
            draw.near(&own[number % own.len()], far)
        }
    });
    numbered.collect()
}

fn key(number: usize) -> Key {
    Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn model() -> ModelKey {
    ModelKey {
        name: "all-MiniLM-L6-v2".into(),
        revision: "".into(),
        dimensions: DIMENSIONS as u32,
    }
}

fn put(number: usize, vector: &[f32]) -> Put {
    let stamp = Stamp {
        tenant: "acme".into(),
        agent: "".into(),
        model: "gpt-4o".into(),
        namespace: "".into(),
        policy: "".into(),
        source: key(number),
        epoch: 0,
        began: Millis(0),
        until: Millis(u64::MAX),
    };
    let point = Point {
        space: SPACE,
        key: key(number),
        model: model(),
        vector: vector.to_vec(),
        stamp: stamp.clone(),
        fingerprint: vec![7; 150],
        message: "How long does an order take to arrive in the mountains?".into(),
    };
    Put {
        key: key(number),
        stamp,
        bytes: Bytes::from_static(&[1; 64]),
        point: Some(Arc::new(point)),
    }
}

async fn filled(path: &std::path::Path, all: &[Vec<f32>]) -> Stores {
    let url = format!("sqlite:{}", path.display());
    let stores = open(&url, &Settings::default()).await.unwrap();
    stores.vectors.load().await.unwrap();
    let numbered: Vec<_> = all.iter().enumerate().collect();
    for some in numbered.chunks(1_000) {
        let puts = some.iter().map(|(number, vector)| put(*number, vector));
        stores.entries.put(puts.collect()).await.unwrap();
    }
    stores
}

/// How long each look took by itself, how often the nearest of all came first, and how often where
/// it is a likely hit.
async fn tell(stores: &Stores, all: &[Vec<f32>], asked: &[Vec<f32>]) {
    let (model, mut took, mut firsts) = (model(), Vec::new(), Vec::new());
    for vector in asked {
        let (vector, began) = (vector.clone(), Instant::now());
        let found = stores.vectors.nearest(SPACE, &model, vector, 0.0, 8, NOW);
        let found = found.await.unwrap();
        took.push(began.elapsed().as_micros());
        firsts.push(found.first().map(|it| it.key));
    }
    let (mut first, mut near, mut near_first) = (0, 0, 0);
    for (vector, found) in asked.iter().zip(firsts).take(COMPARED) {
        let cosines = all.iter().map(|it| dot(it, vector)).enumerate();
        let (best, cosine) = cosines.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        let right = found == Some(key(best));
        first += usize::from(right);
        near += usize::from(cosine >= 0.8);
        near_first += usize::from(cosine >= 0.8 && right);
    }
    took.sort_unstable();
    let (p50, p99) = (took[took.len() / 2], took[took.len() * 99 / 100]);
    let held = stores.vectors.held();
    println!(
        "{} points: p50 {p50} us, p99 {p99} us; the nearest came first {first} times of \
         {COMPARED}, of those above 0.8 {near_first} of {near}; a point weighs {} bytes",
        held.points,
        held.bytes / held.points,
    );
}

fn nearest(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("nearest");
    group.measurement_time(Duration::from_secs(3));
    for many in SIZES {
        let folder = tempfile::TempDir::new().unwrap();
        let (all, asked) = questions(many);
        let stores = runtime.block_on(filled(&folder.path().join("fgy.db"), &all));
        runtime.block_on(tell(&stores, &all, &asked));
        let (model, mut at) = (model(), 0);
        group.bench_function(BenchmarkId::from_parameter(many), |bencher| {
            bencher.iter(|| {
                at = (at + 1) % asked.len();
                let vector = asked[at].clone();
                let found = stores.vectors.nearest(SPACE, &model, vector, 0.7, 8, NOW);
                black_box(runtime.block_on(found).unwrap())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, nearest);
criterion_main!(benches);
