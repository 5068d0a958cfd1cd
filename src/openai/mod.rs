//! The OpenAI wire: requests in, answers judged, server-sent events both ways, error bodies. Text
//! and values only: nothing here knows a socket, a status code or a clock.

pub mod complete;
pub mod embeddings;
pub mod error;
pub mod normal;
pub mod request;
pub mod sse;
