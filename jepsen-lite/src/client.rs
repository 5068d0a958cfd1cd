//! One HTTP/1.1 request on one connection of its own, so that it is known whether a node can have
//! heard it. Never retries, never keeps a connection.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// A longer answer is cut off and counts as lost.
const REPLY_BYTES_MAX: usize = 64 << 20;

/// What is asked.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) headers: Vec<(&'static str, String)>,
    /// Empty: none.
    pub(crate) body: String,
}

/// What was answered, whole.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    head: String,
    body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Nobody listened: it was surely not heard.
    Refused,
    /// It broke off, or took longer than the caller waits: it may have been heard.
    Unknown,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> &str {
        header(&self.head, name).unwrap_or_default()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// `null` where it is no JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }
}

fn header<'h>(head: &'h str, name: &str) -> Option<&'h str> {
    head.lines().skip(1).find_map(|line| {
        let (is, value) = line.split_once(':')?;
        is.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

/// Asks, and hears the answer to its end within `patience`.
pub(crate) async fn send(
    to: SocketAddr,
    request: &Request,
    patience: Duration,
) -> Result<Reply, Lost> {
    tokio::time::timeout(patience, whole(to, request))
        .await
        .unwrap_or(Err(Lost::Unknown))
}

async fn whole(to: SocketAddr, request: &Request) -> Result<Reply, Lost> {
    let mut stream = TcpStream::connect(to).await.map_err(|_| Lost::Refused)?;
    let mut words = format!(
        "{} {} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n",
        request.method, request.path
    );
    for (name, value) in &request.headers {
        words.push_str(&format!("{name}: {value}\r\n"));
    }
    if !request.body.is_empty() {
        words.push_str(&format!(
            "content-type: application/json\r\ncontent-length: {}\r\n",
            request.body.len()
        ));
    }
    words.push_str("\r\n");
    words.push_str(&request.body);
    let lost = |_| Lost::Unknown;
    stream.write_all(words.as_bytes()).await.map_err(lost)?;
    let mut said = Vec::new();
    let mut limited = stream.take(REPLY_BYTES_MAX as u64);
    limited.read_to_end(&mut said).await.map_err(lost)?;
    read(&said).ok_or(Lost::Unknown)
}

/// A whole answer; none where any of it is missing.
fn read(said: &[u8]) -> Option<Reply> {
    let split = said.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&said[..split]).into_owned();
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let rest = &said[split + 4..];
    let is_chunked = header(&head, "transfer-encoding").is_some_and(|how| how.contains("chunked"));
    let body = match header(&head, "content-length") {
        _ if is_chunked => unchunk(rest)?,
        Some(length) => rest.get(..length.parse().ok()?)?.to_vec(),
        None => rest.to_vec(),
    };
    Some(Reply { status, head, body })
}

/// The pieces together; none where the last, empty one is missing.
fn unchunk(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.split(';').next()?.trim(), 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        let begin = end + 2;
        body.extend_from_slice(rest.get(begin..begin + size)?);
        rest = rest.get(begin + size + 2..)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_or_lost() {
        let plain = read(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-A: b\r\n\r\n{}").unwrap();
        assert_eq!(
            (plain.status, plain.header("x-a"), plain.text()),
            (200, "b", "{}".into())
        );
        assert!(read(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n{}").is_none());
        let head = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
        let pieces = |tail: &str| read(format!("{head}2\r\nab\r\n1\r\nc\r\n{tail}").as_bytes());
        assert_eq!(pieces("0\r\n\r\n").unwrap().text(), "abc");
        assert!(pieces("").is_none(), "a stream that broke off is no answer");
        assert!(read(b"HTTP/1.1 200").is_none());
    }
}
