//! A socket and bytes, for what no well-behaved client would send.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::node::{KEY, PATIENCE};

/// Silence after which what was heard is all there is.
const QUIET: Duration = Duration::from_millis(700);

/// A connection.
pub(crate) struct Raw {
    stream: TcpStream,
    heard: Vec<u8>,
}

impl Raw {
    pub(crate) async fn connect(address: SocketAddr) -> Raw {
        let stream = TcpStream::connect(address).await.unwrap();
        let heard = Vec::new();
        Raw { stream, heard }
    }

    /// Writes as much as the other side takes; whether it took all.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.stream.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Hears until this text has come; whether it came before the end.
    pub(crate) async fn hears(&mut self, text: &str) -> bool {
        while !self.text().contains(text) {
            let mut piece = [0; 16 * 1024];
            match tokio::time::timeout(PATIENCE, self.stream.read(&mut piece)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return false,
                Ok(Ok(count)) => self.heard.extend_from_slice(&piece[..count]),
                Err(_) => panic!("no {text} and no end: {}", self.text()),
            }
        }
        true
    }

    /// Hears to the end of the connection, which has to come.
    pub(crate) async fn until_closed(&mut self) -> String {
        let ended = !self.hears("\u{1}never said\u{1}").await;
        assert!(ended);
        self.text()
    }

    /// Hears until nothing more comes for a while; whether the connection was closed.
    pub(crate) async fn until_quiet(&mut self) -> (String, bool) {
        self.within(QUIET).await
    }

    /// The same, with another idea of a while.
    pub(crate) async fn within(&mut self, quiet: Duration) -> (String, bool) {
        loop {
            let mut piece = [0; 16 * 1024];
            match tokio::time::timeout(quiet, self.stream.read(&mut piece)).await {
                Ok(Ok(0)) | Ok(Err(_)) => return (self.text(), true),
                Ok(Ok(count)) => self.heard.extend_from_slice(&piece[..count]),
                Err(_) => return (self.text(), false),
            }
        }
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.heard).into_owned()
    }
}

/// The head of a chat request with these further lines, each ended by `\r\n`.
pub(crate) fn head(lines: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: fgy\r\nAuthorization: Bearer {KEY}\r\n\
         X-Provider-Auth: Bearer sk-baddays\r\nContent-Type: application/json\r\n{lines}\r\n"
    )
}

/// The statuses of the answers in a text, in their order.
pub(crate) fn statuses(text: &str) -> Vec<u16> {
    let marks = text.match_indices("HTTP/1.1 ");
    marks
        .filter_map(|(at, mark)| text.get(at + mark.len()..at + mark.len() + 3)?.parse().ok())
        .collect()
}
