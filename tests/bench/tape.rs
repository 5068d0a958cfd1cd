//! One tape, a thousand players, two thousand frames, on two threads; and what a player costs on
//! top of the tape: `cargo bench --bench tape`.

#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark"
)]

use std::hint::black_box;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use fgy_cluster::{Budget, Player, Tape};

const PLAYERS: usize = 1_000;
const FRAMES: usize = 2_000;

async fn hear(mut player: Player) -> usize {
    let mut heard = 0;
    while let Ok(Some(frame)) = player.next().await {
        heard += black_box(frame).len();
    }
    heard
}

async fn fan_out() {
    let (recorder, tape) = Tape::record(1 << 20, &Budget::new(1 << 30));
    let crowd: Vec<_> = (0..PLAYERS)
        .map(|_| tokio::spawn(hear(tape.play())))
        .collect();
    let writer = tokio::spawn(async move {
        for _ in 0..FRAMES {
            recorder
                .push(Bytes::from_static(
                    b"a frame of some forty bytes or thereabouts",
                ))
                .unwrap();
            // As a stream would: others run between one frame and the next.
            tokio::task::yield_now().await;
        }
        let sealed = recorder.seal();
        recorder.finish(sealed);
    });
    writer.await.unwrap();
    for player in crowd {
        assert_eq!(player.await.unwrap(), FRAMES * 42);
    }
}

fn bench(criterion: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap();
    let mut group = criterion.benchmark_group("tape");
    group
        .measurement_time(Duration::from_secs(5))
        .sample_size(15);
    group.bench_function("1,000 players x 2,000 frames", |b| {
        b.iter(|| runtime.block_on(async { tokio::spawn(fan_out()).await.unwrap() }));
    });
    let sealed = Tape::finished(vec![Bytes::from_static(b"a frame of a kept answer"); 3]);
    group.bench_function("a kept answer, played", |b| {
        b.iter(|| {
            let mut player = sealed.play();
            while let Some(frame) = player.ready() {
                black_box(frame);
            }
        });
    });
    group.finish();
}

criterion_group!(benches, bench);
criterion_main!(benches);
