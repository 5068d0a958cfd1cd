//! How long a request takes from its bytes to its key, at 1 KiB and at 32 KiB, step by step, and
//! beside it the obvious way: `Value`, `to_vec`, blake3 (which keeps twins, blurs numbers and knows
//! no list of what stands aside). Prints, never judges. `cargo bench --bench key`

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use fgy::key::{CanonicalDigest, InstallationKey, KeyParts, derive};
use fgy::openai::normal::canonical;
use fgy::openai::request::{Endpoint, Reading, Request};

/// The binary's own allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// A chat request of about this size: two messages, a tool, the usual settings.
fn body(bytes: usize) -> Vec<u8> {
    let words = "The quick brown fox said \\\"jump\\\" to the lazy dog.\\n ";
    let prompt = words.repeat((bytes.saturating_sub(440) / words.len()).max(1) + 1);
    format!(
        r#"{{"model":"gpt-4o-mini","messages":[{{"role":"system","content":"You answer in one line."}},{{"role":"user","content":"{prompt}"}}],"temperature":0.2,"max_tokens":256,"top_p":1.0,"stream":true,"stream_options":{{"include_usage":true}},"tools":[{{"type":"function","function":{{"name":"look_up","parameters":{{"type":"object","properties":{{"q":{{"type":"string"}}}},"required":["q"]}}}}}}],"user":"u-1"}}"#
    )
    .into_bytes()
}

fn read(body: &[u8]) -> Request<'_> {
    match Request::read(Endpoint::Chat, body) {
        Ok(Reading::Understood(request)) => request,
        other => panic!("the benchmark's own request: {other:?}"),
    }
}

fn parts<'a>(canonical: &'a fgy::json::Canonical) -> KeyParts<'a> {
    KeyParts {
        tenant: "acme",
        agent: Some("faq-bot"),
        provider: Some("default"),
        base_url: Some("https://api.openai.com/v1"),
        endpoint: Endpoint::Chat.path(),
        query: None,
        version_headers: &[],
        forwarded_headers: &[],
        policy_namespace: None,
        namespace: None,
        user: None,
        epoch: 1,
        canonical: CanonicalDigest::of(canonical),
    }
}

fn peer(body: &[u8]) -> Option<blake3::Hash> {
    let value: serde_json::Value = serde_json::from_slice(body).ok()?;
    Some(blake3::hash(&serde_json::to_vec(&value).ok()?))
}

fn key(criterion: &mut Criterion) {
    let secret = InstallationKey::new([7; 32]);
    let mut group = criterion.benchmark_group("key");
    for bytes in [1_024, 32_768] {
        let body = body(bytes);
        let (request, name) = (read(&body), format!("{} B", body.len()));
        let text = canonical(&request);
        group.throughput(Throughput::Bytes(body.len() as u64));
        group.bench_function(BenchmarkId::new("parse", &name), |bench| {
            bench.iter(|| read(black_box(&body)));
        });
        group.bench_function(BenchmarkId::new("canonical", &name), |bench| {
            bench.iter(|| canonical(black_box(&request)));
        });
        group.bench_function(BenchmarkId::new("hash", &name), |bench| {
            bench.iter(|| derive(&secret, black_box(&parts(&text))));
        });
        group.bench_function(BenchmarkId::new("whole", &name), |bench| {
            bench.iter(|| derive(&secret, &parts(&canonical(&read(black_box(&body))))));
        });
        group.bench_function(
            BenchmarkId::new("peer: Value, to_vec, blake3", &name),
            |bench| {
                bench.iter(|| peer(black_box(&body)));
            },
        );
    }
    group.finish();
}

criterion_group!(benches, key);
criterion_main!(benches);
