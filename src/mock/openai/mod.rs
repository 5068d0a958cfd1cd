//! OpenAI's wire formats: chat completions, completions, embeddings, models, errors. Spelling
//! only; what is said comes in a [`super::script::Script`].

mod chat;
mod embeddings;
mod text;

use axum::body::Bytes;
use serde::Serialize;

pub(super) use chat::Chat;
pub(super) use embeddings::Embeddings;
pub(super) use text::Text;

use super::dialect::{json, sse};
use super::script::Usage;

/// What closes every stream.
const DONE: Bytes = Bytes::from_static(b"data: [DONE]\n\n");

#[derive(Serialize)]
struct UsageOut {
    prompt_tokens: u32,
    completion_tokens: u32,
    total_tokens: u32,
    prompt_tokens_details: Cached,
}

#[derive(Serialize)]
struct Cached {
    cached_tokens: u32,
}

impl From<Usage> for UsageOut {
    fn from(usage: Usage) -> Self {
        Self {
            prompt_tokens: usage.prompt,
            completion_tokens: usage.completion,
            total_tokens: usage.prompt + usage.completion,
            prompt_tokens_details: Cached {
                cached_tokens: usage.cached,
            },
        }
    }
}

/// Fields nobody knows, to see whether they survive.
#[derive(Serialize)]
struct Extra {
    x_mock: ExtraCall,
}

#[derive(Serialize)]
struct ExtraCall {
    call: u64,
    unheard_of: [Option<f64>; 2],
}

fn extra(wanted: bool, call: u64) -> Option<Extra> {
    wanted.then_some(Extra {
        x_mock: ExtraCall {
            call,
            unheard_of: [Some(1.5), None],
        },
    })
}

/// OpenAI's error body: `{"error": {"message", "type", "param", "code"}}`.
pub(super) fn error(status: u16, message: &str) -> Vec<u8> {
    json(&error_of(status, message))
}

fn error_event(message: &str) -> Bytes {
    sse(None, &error_of(500, message))
}

fn error_of(status: u16, message: &str) -> serde_json::Value {
    let (kind, code) = match status {
        401 => ("invalid_request_error", Some("invalid_api_key")),
        429 => ("requests", Some("rate_limit_exceeded")),
        400..500 => ("invalid_request_error", None),
        _ => ("server_error", None),
    };
    serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}})
}

/// The model list.
pub(super) fn models(names: &[String]) -> Vec<u8> {
    let model = |id: &String| serde_json::json!({"id": id, "object": "model", "created": 1_700_000_000, "owned_by": "mock"});
    let models: Vec<_> = names.iter().map(model).collect();
    json(&serde_json::json!({"object": "list", "data": models}))
}
