//! The provider: every call has a number that no other call has, it stands in every word of the
//! answer, and when the call began and ended is written down by the run's own clock. The first call
//! of a prompt with `slow=N` in it takes N milliseconds; later ones are quick.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::clock::Clock;
use crate::history::Call;
use crate::tasks::beside;

/// Words of an answer.
const WORDS: usize = 10;
/// A larger request is hung up on.
const ASK_BYTES_MAX: usize = 1 << 20;

/// A provider that listens until the run ends.
#[derive(Clone)]
pub(crate) struct Upstream {
    pub(crate) address: SocketAddr,
    log: Arc<Mutex<Log>>,
    clock: Clock,
}

#[derive(Default)]
struct Log {
    calls: Vec<Call>,
    slow: HashSet<String>,
}

impl Upstream {
    pub(crate) async fn start(clock: Clock) -> std::io::Result<Upstream> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let upstream = Upstream {
            address: listener.local_addr()?,
            log: Arc::default(),
            clock,
        };
        let server = upstream.clone();
        drop(beside(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let server = server.clone();
                // An asker who hangs up in the middle ends its own connection and no more.
                drop(beside(async move { server.serve(stream).await.ok() }));
            }
        }));
        Ok(upstream)
    }

    /// Call `n` is at `n - 1`.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.log().calls.clone()
    }

    fn log(&self) -> MutexGuard<'_, Log> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn serve(&self, mut stream: TcpStream) -> std::io::Result<()> {
        let mut read = Vec::new();
        loop {
            let Some((body, used)) = request(&read) else {
                if read.len() > ASK_BYTES_MAX || stream.read_buf(&mut read).await? == 0 {
                    return Ok(());
                }
                continue;
            };
            read.drain(..used);
            self.answer(&mut stream, &body).await?;
        }
    }

    async fn answer(&self, stream: &mut TcpStream, body: &Value) -> std::io::Result<()> {
        let prompt = body["messages"][0]["content"].as_str().unwrap_or_default();
        let (call, pace) = {
            let mut log = self.log();
            log.calls.push(Call {
                began: self.clock.now(),
                ended: None,
            });
            let slow = slow(prompt).filter(|_| log.slow.insert(prompt.to_owned()));
            (log.calls.len(), slow.map(|slow| slow / WORDS as u32))
        };
        let words = (0..WORDS).map(|at| format!("call{call}/{at} "));
        if body["stream"] == true {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
            stream.write_all(head.as_bytes()).await?;
            for word in words {
                wait(pace).await;
                event(
                    stream,
                    &delta(call, json!({"role": "assistant", "content": word}), None),
                )
                .await?;
            }
            event(stream, &delta(call, json!({}), Some("stop"))).await?;
            stream
                .write_all(b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n")
                .await?;
        } else {
            for _ in 0..WORDS {
                wait(pace).await;
            }
            let answer = json!({
                "id": format!("chatcmpl-{call}"), "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "finish_reason": "stop",
                    "message": {"role": "assistant", "content": words.collect::<String>()}}],
                "usage": {"prompt_tokens": 5, "completion_tokens": WORDS, "total_tokens": 5 + WORDS},
            })
            .to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            stream.write_all((head + &answer).as_bytes()).await?;
        }
        if let Some(written) = self.log().calls.get_mut(call - 1) {
            written.ended = Some(self.clock.now());
        }
        Ok(())
    }
}

async fn wait(pace: Option<Duration>) {
    if let Some(pace) = pace {
        tokio::time::sleep(pace).await;
    }
}

fn slow(prompt: &str) -> Option<Duration> {
    let millis = prompt.split("slow=").nth(1)?.split(' ').next()?;
    Some(Duration::from_millis(millis.parse().ok()?))
}

fn delta(call: usize, delta: Value, finish: Option<&str>) -> Value {
    json!({
        "id": format!("chatcmpl-{call}"), "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    })
}

async fn event(stream: &mut TcpStream, value: &Value) -> std::io::Result<()> {
    let event = format!("data: {value}\n\n");
    let chunk = format!("{:x}\r\n{event}\r\n", event.len());
    stream.write_all(chunk.as_bytes()).await
}

/// The body of a whole request, and how many bytes it took.
fn request(read: &[u8]) -> Option<(Value, usize)> {
    let split = read.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&read[..split]).to_ascii_lowercase();
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length
        .and_then(|length| length.trim().parse().ok())
        .unwrap_or(0);
    let end = split + 4 + length;
    let body = read.get(split + 4..end)?;
    Some((serde_json::from_slice(body).unwrap_or_default(), end))
}

/// The numbers of the calls whose words stand in an answer, each once, in order.
pub(crate) fn calls_in(text: &str) -> Vec<u64> {
    let number = |piece: &str| {
        let digits = piece.split('/').next()?;
        digits.parse().ok()
    };
    let mut calls: Vec<u64> = text.split("call").skip(1).filter_map(number).collect();
    calls.sort_unstable();
    calls.dedup();
    calls
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_call_is_read_from_the_words() {
        assert_eq!(calls_in("call12/0 call12/1 "), [12]);
        assert_eq!(calls_in("call12/0 call7/1 "), [7, 12]);
        assert!(calls_in("{\"error\":\"called off\"}").is_empty());
        assert_eq!(slow("x slow=250 y"), Some(Duration::from_millis(250)));
        assert_eq!(slow("x"), None);
    }

    #[test]
    fn a_request_is_taken_when_it_is_whole() {
        let bytes = b"POST /x HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}GET";
        assert_eq!(request(bytes), Some((json!({}), bytes.len() - 3)));
        assert_eq!(request(&bytes[..bytes.len() - 4]), None);
    }
}
