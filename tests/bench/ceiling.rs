//! The ceiling `deploy/bench/hits` measures against: an axum server that parses the request,
//! hashes it and answers 1 KiB that never changes. No cache, no key, no ledger; what is between it
//! and fgy is what fgy itself costs.

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Response, header};
use axum::routing::{get, post};
use axum::serve::ListenerExt;

// The same allocator as the product's, or the comparison is of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static ANSWER: [u8; 1024] = [b'x'; 1024];

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let words: Vec<String> = std::env::args().collect();
    let address = words.iter().skip_while(|word| *word != "--listen").nth(1);
    // `cargo bench` runs every bench target; this one is a server and has nothing to measure.
    let Some(address) = address else {
        return Ok(());
    };
    let routes = Router::new()
        .route("/ready", get(async || "ready"))
        .route("/v1/chat/completions", post(answer));
    let listener = tokio::net::TcpListener::bind(address)
        .await?
        .tap_io(|stream| {
            let _ = stream.set_nodelay(true);
        });
    axum::serve(listener, routes).await
}

async fn answer(body: Bytes) -> Response<Body> {
    let parsed = serde_json::from_slice::<serde_json::Value>(&body).is_ok();
    let hash = blake3::hash(&body);
    std::hint::black_box((parsed, hash));
    let mut response = Response::new(Body::from(&ANSWER[..]));
    let json = header::HeaderValue::from_static("application/json");
    response.headers_mut().insert(header::CONTENT_TYPE, json);
    response
}
