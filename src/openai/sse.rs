//! Server-sent events, both ways: bytes in any pieces to events, events to bytes. No socket, no
//! meaning: what stands in `data` is somebody else's matter.

#[cfg(test)]
mod tests;

use std::fmt;

use bytes::{BufMut, BytesMut};

use super::error::{ErrorBody, TRUNCATED};

/// The payload that ends an OpenAI stream.
pub const DONE: &str = "[DONE]";

/// One event of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SseEvent {
    /// the name given by `event:`, if any
    pub event: Option<String>,
    /// the `data:` lines, joined by line feeds
    pub data: String,
}

/// Why a stream cannot be read on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SseFault {
    /// an event is longer than allowed
    TooLong {
        /// the limit, in bytes
        event_bytes_max: usize,
    },
    /// a line is not UTF-8
    NotText,
}

impl fmt::Display for SseFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SseFault::TooLong { event_bytes_max } => {
                write!(
                    f,
                    "an event of the stream is longer than {event_bytes_max} bytes"
                )
            }
            SseFault::NotText => f.write_str("the stream is not UTF-8 text"),
        }
    }
}

impl std::error::Error for SseFault {}

/// Bytes to events. What was fed stays bounded: a partial event never grows past the limit.
#[derive(Debug)]
pub struct SseDecoder {
    event_bytes_max: usize,
    /// the line that has not ended yet
    line: Vec<u8>,
    /// the last byte was CR: an LF right after it ends nothing
    after_cr: bool,
    /// no line has ended yet: a byte order mark may stand before the first
    at_start: bool,
    event: Option<String>,
    data: Option<String>,
}

impl SseDecoder {
    /// A decoder at the start of a stream.
    pub fn new(event_bytes_max: usize) -> SseDecoder {
        SseDecoder {
            event_bytes_max,
            line: Vec::new(),
            after_cr: false,
            at_start: true,
            event: None,
            data: None,
        }
    }

    /// Takes the next piece; the events that it completes are appended. After a fault the stream is
    /// lost; the events before it stand.
    pub fn feed(&mut self, piece: &[u8], events: &mut Vec<SseEvent>) -> Result<(), SseFault> {
        let mut rest = piece;
        if self.after_cr && !rest.is_empty() {
            self.after_cr = false;
            rest = rest.strip_prefix(b"\n").unwrap_or(rest);
        }
        while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\n' | b'\r')) {
            let (line, tail) = rest.split_at(at);
            let (ending, tail) = tail.split_at(1);
            rest = tail;
            if ending == b"\r" {
                self.after_cr = rest.is_empty();
                rest = rest.strip_prefix(b"\n").unwrap_or(rest);
            }
            self.hold(line)?;
            self.line_ended(events)?;
        }
        self.hold(rest)
    }

    /// Whether what is left at the end of the bytes, an event without its blank line, says `[DONE]`:
    /// some servers end so. Anything else left over is half an event, and lost.
    pub fn is_left_done(&self) -> bool {
        match &self.data {
            Some(data) => data == DONE && self.line.is_empty(),
            None => {
                let value = self.line.strip_prefix(b"data:").unwrap_or_default();
                value.trim_ascii() == DONE.as_bytes()
            }
        }
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), SseFault> {
        let held = self.line.len()
            + self.data.as_ref().map_or(0, String::len)
            + self.event.as_ref().map_or(0, String::len);
        if held + bytes.len() > self.event_bytes_max {
            return Err(SseFault::TooLong {
                event_bytes_max: self.event_bytes_max,
            });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }

    fn line_ended(&mut self, events: &mut Vec<SseEvent>) -> Result<(), SseFault> {
        let line = std::mem::take(&mut self.line);
        let line = std::str::from_utf8(&line).map_err(|_| SseFault::NotText)?;
        let first = std::mem::take(&mut self.at_start);
        let line = if first {
            line.strip_prefix('\u{feff}').unwrap_or(line)
        } else {
            line
        };
        if line.is_empty() {
            let event = self.event.take();
            events.extend(self.data.take().map(|data| SseEvent { event, data }));
            return Ok(());
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "data" => self.add_data(value),
            "event" => self.event = Some(value.to_owned()),
            // Comments have an empty name; `id` and `retry` serve reconnecting, which a completion
            // cannot do; other names are to be ignored.
            _ => {}
        }
        Ok(())
    }

    fn add_data(&mut self, value: &str) {
        match &mut self.data {
            None => self.data = Some(value.to_owned()),
            Some(data) => {
                data.push('\n');
                data.push_str(value);
            }
        }
    }
}

/// Appends an event with this payload; each line of it becomes a `data:` line.
pub fn write_data(out: &mut BytesMut, payload: &str) {
    write_parts(out, &[payload]);
}

/// Appends an event whose payload lies in pieces.
pub fn write_parts(out: &mut BytesMut, parts: &[&str]) {
    out.reserve(parts.iter().map(|part| part.len()).sum::<usize>() + 8);
    out.put_slice(b"data: ");
    for part in parts {
        for (at, line) in part.split(['\n', '\r']).enumerate() {
            if at > 0 {
                out.put_slice(b"\ndata: ");
            }
            out.put_slice(line.as_bytes());
        }
    }
    out.put_slice(b"\n\n");
}

/// Appends the end of a whole stream.
pub fn write_done(out: &mut BytesMut) {
    out.put_slice(b"data: [DONE]\n\n");
}

/// Appends a comment, which clients skip and proxies count as life.
pub fn write_keep_alive(out: &mut BytesMut) {
    out.put_slice(b": keep-alive\n\n");
}

/// Appends the end of a stream that broke off. No `[DONE]` follows it.
pub fn write_truncated(out: &mut BytesMut, message: &str) {
    let code = Some(TRUNCATED);
    let body = ErrorBody {
        message,
        kind: "server_error",
        code,
        param: None,
    }
    .to_bytes();
    out.put_slice(b"event: error\ndata: ");
    out.put_slice(&body);
    out.put_slice(b"\n\n");
}
