//! How an answer is spelled: the one trait the OpenAI and Anthropic wire formats implement.
//! A dialect knows no time and no misbehaviour; [`super::paced`] brings those.

use axum::body::Bytes;
use serde::Serialize;

use super::ask::Ask;
use super::script::Script;

/// One server-sent event, ready to write.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub bytes: Bytes,
    /// Whether it is a token, for which time must pass; frames around the tokens come at once.
    pub token: bool,
}

/// The events of one answer, made as they are written: an answer may be long.
pub(super) type Events = Box<dyn Iterator<Item = Event> + Send>;

/// A wire format.
pub(super) trait Dialect: Send + Sync {
    /// The whole answer as one JSON body.
    fn plain(&self, ask: &Ask, script: &Script) -> Vec<u8>;
    /// The answer as events; `None` where the format has no streams.
    fn events(&self, script: Script) -> Option<Events>;
    /// An error body in the format's shape.
    fn error(&self, status: u16, message: &str) -> Vec<u8>;
    /// An error in the middle of a stream.
    fn error_event(&self, message: &str) -> Bytes;
}

/// Serialises plain data. Only a map with keys that are not strings could fail; none is made here.
pub(super) fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}

/// One event of `name` (none for OpenAI) around a JSON payload.
pub(super) fn sse(name: Option<&str>, value: &impl Serialize) -> Bytes {
    let mut text = Vec::with_capacity(384);
    if let Some(name) = name {
        text.extend_from_slice(b"event: ");
        text.extend_from_slice(name.as_bytes());
        text.push(b'\n');
    }
    text.extend_from_slice(b"data: ");
    // As in `json`: plain data cannot fail, and a vector takes every write.
    let _ = serde_json::to_writer(&mut text, value);
    text.extend_from_slice(b"\n\n");
    text.into()
}
