//! One call upstream and the answer as it arrives. Every wait has its limit; nothing is buffered
//! beyond the piece in hand, retried, or looked into.

use std::time::Duration;

use bytes::Bytes;
use fgy_cluster::Secret;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};

use super::{Auth, Provider, Providers, Wire};

const X_API_KEY: HeaderName = HeaderName::from_static("x-api-key");

/// What is sent.
pub struct Call<'a> {
    /// The method.
    pub method: Method,
    /// Below the provider's base URL.
    pub path: &'a str,
    /// The caller's query, without the question mark.
    pub query: Option<&'a str>,
    /// Headers, already chosen; the credential is not among them.
    pub headers: HeaderMap,
    /// The body.
    pub body: reqwest::Body,
    /// What pays.
    pub secret: Option<&'a Secret>,
}

/// Why no answer, or no whole answer, came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallFault {
    /// It could not be reached, or broke off.
    Lost,
    /// It was silent for longer than it may be.
    TooSlow,
    /// The caller's key cannot be written in a header.
    BadSecret,
}

/// An answer whose head is here.
pub struct Arriving {
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    pieces: BoxStream<'static, Result<Bytes, reqwest::Error>>,
    chunk: Duration,
}

/// A body that goes upstream while it still arrives.
pub fn sent_on<E>(
    pieces: impl futures_util::Stream<Item = Result<Bytes, E>> + Send + 'static,
) -> reqwest::Body
where
    E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
{
    reqwest::Body::wrap_stream(pieces)
}

impl Providers {
    /// Sends one call and waits for the head of its answer.
    pub async fn send(&self, provider: &Provider, call: Call<'_>) -> Result<Arriving, CallFault> {
        let url = provider.url(call.path, call.query);
        let mut headers = call.headers;
        headers
            .entry(CONTENT_TYPE)
            .or_insert(HeaderValue::from_static("application/json"));
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        if provider.auth == Auth::Caller
            && let Some(secret) = call.secret
        {
            match provider.wire {
                Wire::OpenAi => headers.insert(AUTHORIZATION, sensitive(secret.reveal())?),
                Wire::Anthropic => headers.insert(X_API_KEY, sensitive(bare(secret.reveal()))?),
            };
        }
        let sent = self
            .client
            .request(call.method, url)
            .headers(headers)
            .body(call.body)
            .send();
        let response = tokio::time::timeout(self.patience.first_byte, sent)
            .await
            .map_err(|_| CallFault::TooSlow)?
            .map_err(|error| fault(&error))?;
        Ok(Arriving {
            status: response.status(),
            headers: response.headers().clone(),
            pieces: response.bytes_stream().boxed(),
            chunk: self.patience.chunk,
        })
    }
}

/// A secret as a header that no log shows.
fn sensitive(secret: &[u8]) -> Result<HeaderValue, CallFault> {
    let mut value = HeaderValue::from_bytes(secret).map_err(|_| CallFault::BadSecret)?;
    value.set_sensitive(true);
    Ok(value)
}

/// The key without the scheme before it.
fn bare(secret: &[u8]) -> &[u8] {
    let scheme = secret
        .get(..7)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"bearer "));
    if scheme {
        secret[7..].trim_ascii()
    } else {
        secret
    }
}

fn fault(error: &reqwest::Error) -> CallFault {
    if error.is_timeout() {
        CallFault::TooSlow
    } else {
        CallFault::Lost
    }
}

impl Arriving {
    /// The next piece of the body; `None` at its end.
    pub async fn piece(&mut self) -> Result<Option<Bytes>, CallFault> {
        match tokio::time::timeout(self.chunk, self.pieces.next()).await {
            Ok(Some(Ok(piece))) => Ok(Some(piece)),
            Ok(Some(Err(error))) => Err(fault(&error)),
            Ok(None) => Ok(None),
            Err(_) => Err(CallFault::TooSlow),
        }
    }

    /// The whole body, or `None` where it is longer than `bytes_max`.
    pub async fn whole(&mut self, bytes_max: usize) -> Result<Option<Bytes>, CallFault> {
        // As long as it says it is, within reason: growing by doubling would hold thrice the body.
        let said = self
            .headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok());
        let mut whole = bytes::BytesMut::with_capacity(said.unwrap_or(0).min(bytes_max));
        while let Some(piece) = self.piece().await? {
            if whole.len() + piece.len() > bytes_max {
                return Ok(None);
            }
            whole.extend_from_slice(&piece);
        }
        Ok(Some(whole.freeze()))
    }

    /// The first `bytes_max` bytes of the body and no more: for error bodies.
    pub async fn beginning(&mut self, bytes_max: usize) -> Bytes {
        let mut beginning = bytes::BytesMut::new();
        while beginning.len() < bytes_max {
            match self.piece().await {
                Ok(Some(piece)) => beginning.extend_from_slice(&piece),
                // What came before it broke off is still the best there is to say.
                Ok(None) | Err(_) => break,
            }
        }
        beginning.truncate(bytes_max);
        beginning.freeze()
    }

    /// What kind of body it says it is.
    pub fn is(&self, media_type: &str) -> bool {
        self.headers
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split(';').next())
            .is_some_and(|found| found.trim().eq_ignore_ascii_case(media_type))
    }

    /// The rest of the body as it comes, for passing it on.
    pub fn into_pieces(self) -> impl futures_util::Stream<Item = Result<Bytes, CallFault>> + Send {
        futures_util::stream::unfold(Some(self), |arriving| async {
            let mut arriving = arriving?;
            match arriving.piece().await {
                Ok(Some(piece)) => Some((Ok(piece), Some(arriving))),
                Ok(None) => None,
                Err(fault) => Some((Err(fault), None)),
            }
        })
    }
}
