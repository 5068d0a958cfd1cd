//! An answer while it arrives: its events, each with the moment it was in hand. It takes one piece
//! at a time off the connection, so that whoever does not ask for more is a slow reader.

use std::collections::VecDeque;

use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};
use reqwest::Response;
use reqwest::header::HeaderMap;
use serde_json::Value;

/// One event of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Told {
    /// When it was in hand, in microseconds of unix time.
    pub(crate) micros: u64,
    /// The `event:` line, if there was one.
    pub(crate) event: Option<String>,
    /// The payload; a comment's text with its colon.
    pub(crate) data: String,
}

impl Told {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|_| panic!("no JSON: {}", self.data))
    }

    pub(crate) fn is_done(&self) -> bool {
        self.data == "[DONE]"
    }
}

/// A stream in the hands of its reader.
pub(crate) struct Live {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pieces: BoxStream<'static, reqwest::Result<Bytes>>,
    bytes: Vec<u8>,
    told: VecDeque<Told>,
}

impl Live {
    pub(super) fn new(response: Response) -> Live {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Live {
            status,
            headers,
            pieces: response.bytes_stream().boxed(),
            bytes: Vec::new(),
            told: VecDeque::new(),
        }
    }

    pub(crate) fn cache(&self) -> &str {
        let value = self.headers.get("x-fgy-cache");
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The next event; `None` at the end. A connection that breaks is an end too: what is missing
    /// then is `[DONE]`.
    pub(crate) async fn next(&mut self) -> Option<Told> {
        while self.told.is_empty() {
            let piece = self.pieces.next().await?.ok()?;
            self.bytes.extend_from_slice(&piece);
            self.take_events();
        }
        self.told.pop_front()
    }

    /// The next so many events.
    pub(crate) async fn take(&mut self, count: usize) -> Vec<Told> {
        let mut taken = Vec::new();
        while taken.len() < count {
            taken.push(self.next().await.expect("another event"));
        }
        taken
    }

    /// Everything that is still to come.
    pub(crate) async fn rest(&mut self) -> Vec<Told> {
        let mut all = Vec::new();
        while let Some(told) = self.next().await {
            all.push(told);
        }
        all
    }

    fn take_events(&mut self) {
        let micros = now_micros();
        while let Some(end) = self.bytes.windows(2).position(|two| two == b"\n\n") {
            let block = self.bytes.drain(..end + 2).collect();
            let block = String::from_utf8(block).expect("an event is text");
            let mut told = Told {
                micros,
                event: None,
                data: String::new(),
            };
            for line in block.lines() {
                match line.split_once(": ") {
                    Some(("data", data)) => told.data.push_str(data),
                    Some(("event", event)) => told.event = Some(event.to_owned()),
                    _ => told.data.push_str(line),
                }
            }
            self.told.push_back(told);
        }
    }
}

/// The payloads alone.
pub(crate) fn payloads(told: &[Told]) -> Vec<&str> {
    told.iter().map(|told| told.data.as_str()).collect()
}

/// Now, in microseconds of unix time: the scale the provider writes its own moments on.
#[expect(
    clippy::disallowed_methods,
    reason = "a client has a clock of its own, and is compared with the provider's"
)]
pub(crate) fn now_micros() -> u64 {
    let unix = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    unix.expect("a clock past 1970").as_micros() as u64
}
