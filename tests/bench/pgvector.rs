//! A look for the nearest questions in the shared store, of fifty tenants of very different size in
//! one table: how long it takes, and how often the nearest of all came first, beside a scan of every
//! cosine. Driven by `deploy/bench/pgvector`, in three steps, so that the graph can be built at once
//! between two of them. Prints, never judges; does nothing under `cargo bench`.
//!
//! `pgvector table|load|ask URL ROWS [FILE]`; FILE holds real questions, 384 little-endian floats
//! each, which are used as they are and then again with noise. Without it they are made up: topics,
//! intents in each, many wordings of each.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fgy::answer::stamp::{Millis, Stamp};
use fgy::key::Space;
use fgy::store::{ModelKey, Point, Put, Settings, Stores, open};
use fgy_cluster::Key;

const TENANTS: usize = 50;
const DIMENSIONS: usize = 384;
const NOW: Millis = Millis(1);
/// Looks that are timed, and those of them that are compared with every cosine.
const ASKED: usize = 4_000;
const COMPARED: usize = 1_000;

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

    fn normal(&mut self) -> f32 {
        let (radius, turn) = (-2.0 * self.even().max(1e-9).ln(), self.even());
        radius.sqrt() * (std::f32::consts::TAU * turn).cos()
    }

    fn any(&mut self) -> Vec<f32> {
        unit((0..DIMENSIONS).map(|_| self.normal()).collect())
    }

    /// A direction this far from another, in parts of its length: 0.3 leaves a cosine of 0.96.
    fn near(&mut self, other: &[f32], far: f32) -> Vec<f32> {
        let step = far / (DIMENSIONS as f32).sqrt();
        unit(other.iter().map(|it| it + step * self.normal()).collect())
    }
}

fn dot(one: &[f32], other: &[f32]) -> f32 {
    one.iter().zip(other).map(|(a, b)| a * b).sum()
}

fn unit(vector: Vec<f32>) -> Vec<f32> {
    let length = dot(&vector, &vector).sqrt();
    vector.iter().map(|it| it / length).collect()
}

/// What the questions are drawn around.
fn seeds(draw: &mut Draw, file: Option<&str>) -> Vec<Vec<f32>> {
    let Some(file) = file else {
        let topics: Vec<_> = (0..40).map(|_| draw.any()).collect();
        return (0..2_000)
            .map(|number| draw.near(&topics[number % 40], 0.9))
            .collect();
    };
    let bytes = std::fs::read(file).unwrap();
    let floats = bytes.as_chunks::<4>().0.iter();
    let floats: Vec<f32> = floats.map(|it| f32::from_le_bytes(*it)).collect();
    let each = floats.chunks_exact(DIMENSIONS);
    each.map(|it| unit(it.to_vec())).collect()
}

/// The tenant of a row: the first has 22 of 100 rows, the last 4 of 1,000, and all are mixed.
fn tenant(draw: &mut Draw) -> usize {
    let whole: f32 = (1..=TENANTS).map(|rank| 1.0 / rank as f32).sum();
    let mut left = draw.even() * whole;
    for rank in 1..TENANTS {
        left -= 1.0 / rank as f32;
        if left < 0.0 {
            return rank - 1;
        }
    }
    TENANTS - 1
}

/// All rows, the same in each step.
fn rows(many: usize, file: Option<&str>) -> Vec<(usize, Vec<f32>)> {
    let mut draw = Draw(7);
    let seeds = seeds(&mut draw, file);
    let mut row = |number: usize| {
        let tenant = tenant(&mut draw);
        let vector = match file.is_some() && number < seeds.len() {
            true => seeds[number].clone(),
            false => {
                let far = 0.1 + 0.6 * draw.even();
                let seed = draw.below(seeds.len());
                draw.near(&seeds[seed], far)
            }
        };
        (tenant, vector)
    };
    (0..many).map(&mut row).collect()
}

fn key(number: usize) -> Key {
    Key(*blake3::hash(&number.to_le_bytes()).as_bytes())
}

fn space(tenant: usize) -> Space {
    Space(*blake3::hash(format!("tenant {tenant}").as_bytes()).as_bytes())
}

fn model() -> ModelKey {
    ModelKey {
        name: "all-MiniLM-L6-v2".into(),
        revision: "".into(),
        dimensions: DIMENSIONS as u32,
    }
}

fn put(number: usize, tenant: usize, vector: &[f32]) -> Put {
    let stamp = Stamp {
        tenant: format!("tenant-{tenant}").as_str().into(),
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
        space: space(tenant),
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
        bytes: Bytes::from_static(&[1; 600]),
        point: Some(Arc::new(point)),
    }
}

async fn load(stores: &Stores, all: &[(usize, Vec<f32>)]) {
    let began = Instant::now();
    let numbered: Vec<_> = all.iter().enumerate().collect();
    for some in numbered.chunks(1_000) {
        let puts = some
            .iter()
            .map(|(number, (tenant, vector))| put(*number, *tenant, vector));
        stores.entries.put(puts.collect()).await.unwrap();
    }
    println!("{} rows written in {:.0?}", all.len(), began.elapsed());
}

/// Times in order, told at their middle and near their end.
fn tell(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let Some(last) = times.len().checked_sub(1) else {
        return;
    };
    let at = |percent: usize| times[last * percent / 100].as_secs_f64() * 1e3;
    let many = times.len();
    println!(
        "{what:<34} p50 {:6.2} ms   p90 {:6.2} ms   p99 {:6.2} ms   ({many} looks)",
        at(50),
        at(90),
        at(99)
    );
}

async fn ask(stores: &Stores, all: &[(usize, Vec<f32>)]) {
    let (mut draw, model) = (Draw(11), model());
    let mut of: Vec<Vec<usize>> = vec![Vec::new(); TENANTS];
    for (number, (tenant, _)) in all.iter().enumerate() {
        of[*tenant].push(number);
    }
    let (mut exact, mut small, mut large, mut every) = (vec![], vec![], vec![], vec![]);
    let (mut right, mut compared, mut right_above, mut above) = (0, 0, 0, 0);
    // As many more, first, so that connections, statements and pages are there.
    for number in 0..2 * ASKED {
        let timed = number >= ASKED;
        let (tenant, vector) = &all[draw.below(all.len())];
        let far = 0.15 + 0.6 * draw.even();
        let (space, vector) = (space(*tenant), draw.near(vector, far));
        let began = Instant::now();
        let unknown = key(usize::MAX - number);
        assert_eq!(
            stores.entries.get_many(&[unknown], NOW).await.unwrap(),
            [None]
        );
        let got = began.elapsed();
        let began = Instant::now();
        let found = stores
            .vectors
            .nearest(space, &model, vector.clone(), 0.0, 8, NOW);
        let found = found.await.unwrap();
        let took = began.elapsed();
        if !timed {
            continue;
        }
        exact.push(got);
        every.push(took);
        if of[*tenant].len() > 10_000 {
            large.push(took);
        } else {
            small.push(took);
        }
        if number < ASKED + COMPARED {
            let cosines = of[*tenant]
                .iter()
                .map(|it| (dot(&all[*it].1, &vector), *it));
            let (cosine, best) = cosines.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap();
            let hit = found.first().is_some_and(|it| it.key == key(best));
            compared += 1;
            right += usize::from(hit);
            above += usize::from(cosine >= 0.85);
            right_above += usize::from(hit && cosine >= 0.85);
        }
    }
    let sizes: Vec<usize> = of.iter().map(Vec::len).collect();
    let (most, least) = (sizes.iter().max().unwrap(), sizes.iter().min().unwrap());
    println!("{} rows, {TENANTS} tenants of {least} to {most}", all.len());
    tell("an exact key that is not there", exact);
    tell("near, all tenants by their rows", every);
    tell("near, spaces of up to 10,000", small);
    tell("near, larger spaces, by graph", large);
    println!(
        "recall@1 {:.4} of {compared}",
        right as f64 / compared as f64
    );
    println!(
        "recall@1 {:.4} of the {above} whose nearest lies above 0.85",
        right_above as f64 / above.max(1) as f64
    );
}

#[tokio::main(flavor = "multi_thread", worker_threads = 1)]
async fn main() {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [step, url, many, file @ ..] = &args[..] else {
        println!("pgvector table|load|ask URL ROWS [FILE]: run deploy/bench/pgvector");
        return;
    };
    let settings = Settings {
        // What takes long shall be seen, not given up.
        look_wait_max: Duration::from_secs(10),
        chore_wait_max: Duration::from_secs(600),
        ..Settings::default()
    };
    let stores = open(url, &settings).await.unwrap();
    let all = rows(many.parse().unwrap(), file.first().map(String::as_str));
    match step.as_str() {
        "table" => stores
            .entries
            .put(vec![put(0, all[0].0, &all[0].1)])
            .await
            .unwrap(),
        "load" => load(&stores, &all).await,
        "ask" => ask(&stores, &all).await,
        other => println!("there is no step {other}"),
    }
}
