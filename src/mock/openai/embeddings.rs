//! `POST /v1/embeddings`: vectors drawn from each text's digest, so that the same text always has
//! the same vector, of length one, as numbers or base64. They mean nothing.

use axum::body::Bytes;
use serde_json::{Value, json};

use crate::mock::ask::Ask;
use crate::mock::calls::Digest;
use crate::mock::dialect::{Dialect, Events, json as bytes_of};
use crate::mock::script::Script;

/// Dimensions where the request does not say.
const DIMENSIONS: usize = 1536;
const DIMENSIONS_MAX: usize = 8192;

/// The embeddings dialect.
pub(in crate::mock) struct Embeddings;

impl Dialect for Embeddings {
    fn plain(&self, ask: &Ask, script: &Script) -> Vec<u8> {
        let dimensions = ask
            .dimensions
            .unwrap_or(DIMENSIONS)
            .clamp(1, DIMENSIONS_MAX);
        let as_text = ask.encoding_format.as_deref() == Some("base64");
        let item = |(index, text): (usize, String)| {
            let text = if script.alike { "" } else { &*text };
            let vector = vector(Digest::of(text.as_bytes()).seed(), dimensions);
            let embedding = if as_text {
                json!(base64(&vector))
            } else {
                json!(vector)
            };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        };
        let items: Vec<Value> = ask.texts().into_iter().enumerate().map(item).collect();
        let tokens = script.usage.prompt;
        let mut body = json!({
            "id": format!("embd-mock-{}", script.call), "object": "list", "data": items,
            "model": ask.model,
        });
        if script.usage_in_plain {
            body["usage"] = json!({"prompt_tokens": tokens, "total_tokens": tokens});
        }
        bytes_of(&body)
    }

    fn events(&self, _: Script) -> Option<Events> {
        None
    }

    fn error(&self, status: u16, message: &str) -> Vec<u8> {
        super::error(status, message)
    }

    fn error_event(&self, message: &str) -> Bytes {
        super::error_event(message)
    }
}

fn vector(seed: u64, dimensions: usize) -> Vec<f32> {
    let at = |place: usize| mixed(seed.wrapping_add(place as u64)) as i64 as f32 / i64::MAX as f32;
    let raw: Vec<f32> = (1..=dimensions).map(at).collect();
    let length = raw
        .iter()
        .map(|x| x * x)
        .sum::<f32>()
        .sqrt()
        .max(f32::MIN_POSITIVE);
    raw.into_iter().map(|x| x / length).collect()
}

/// Spreads a counter's bits over the whole word (the finaliser of splitmix64).
fn mixed(counter: u64) -> u64 {
    let mut bits = counter.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// Little-endian floats in base64, as OpenAI packs them.
fn base64(vector: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for three in bytes.chunks(3) {
        let byte = |at: usize| u32::from(three.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
            text.push(if at <= three.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_has_one_vector_of_length_one() {
        let one = vector(7, 256);
        let length: f32 = one.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
        assert_eq!(one, vector(7, 256));
        assert_ne!(one, vector(8, 256));
    }

    #[test]
    fn floats_are_packed_as_openai_packs_them() {
        let table: [(&[f32], &str); 3] = [
            (&[1.0], "AACAPw=="),
            (&[1.0, -2.0], "AACAPwAAAMA="),
            (&[0.5, 1.0, 0.25], "AAAAPwAAgD8AAIA+"),
        ];
        for (vector, text) in table {
            assert_eq!(base64(vector), text);
        }
    }
}
