//! Straight through: a request that is not cached goes to the provider and its answer comes back
//! as it is, streamed both ways, nothing recorded. What is taken off on the way is what belongs to
//! this hop or to this product.

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use http::header::{self, HeaderName};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::ask::Ask;
use super::question::upstream_headers;
use super::{Answer, Gateway};
use crate::ledger::line::Outcome;
use crate::policy::Reason;
use crate::problem::Problem;
use crate::provider::{Auth, Call, CallFault, Provider, sent_on};
use crate::settle::Settlement;

/// Headers that concern one hop alone.
const HOP_BY_HOP: [&str; 9] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Headers that end here: they name the tenant, carry the provider key, or are not for providers.
const ENDS_HERE: [&str; 7] = [
    "authorization",
    "x-api-key",
    "x-provider-auth",
    "cookie",
    "host",
    "expect",
    "accept-encoding",
];

/// Headers by which the callers of other gateways talk to their cache.
const ALIASES: [&str; 6] = [
    "helicone-",
    "x-portkey-",
    "x-bf-cache-",
    "x-bf-vk",
    "cf-aig-",
    "x-fgy-",
];

/// A request that is passed through.
pub struct PassAsk<'a> {
    /// Its method.
    pub method: Method,
    /// Its path below `/v1`.
    pub path: &'a str,
    /// Its query string.
    pub query: Option<&'a str>,
    /// All its headers.
    pub headers: &'a HeaderMap,
    /// The provider that was named, if one was.
    pub provider: Option<&'a str>,
    /// Why it is passed through.
    pub reason: Reason,
}

/// What came back.
pub struct Passed {
    /// The provider's status.
    pub status: StatusCode,
    /// The provider's end-to-end headers.
    pub headers: HeaderMap,
    /// The provider's body as it comes.
    pub body: BoxStream<'static, Result<Bytes, CallFault>>,
    /// Why it was passed through.
    pub reason: &'static str,
}

impl Gateway {
    /// Passes a request on with its body as it arrives.
    pub async fn pass<E>(
        &self,
        ask: PassAsk<'_>,
        body: impl futures_util::Stream<Item = Result<Bytes, E>> + Send + 'static,
        bill: &mut Settlement,
    ) -> Result<Passed, Problem>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        let provider = self
            .providers
            .book()
            .named(ask.provider)
            .cloned()
            .ok_or(Problem::NoSuchProvider)?;
        let headers = end_to_end(ask.headers);
        let call = Call {
            method: ask.method,
            path: ask.path,
            query: ask.query,
            headers,
            body: sent_on(body),
            secret: None,
        };
        self.pass_on(call, ask.headers, &provider, ask.reason, bill)
            .await
    }

    /// Passes a request on a cached path on, its body being here already.
    pub(super) async fn pass_body(
        &self,
        ask: Ask<'_>,
        provider: &Provider,
        reason: Reason,
        bill: &mut Settlement,
    ) -> Result<Answer, Problem> {
        bill.asked(ask.request.model.clone(), Default::default(), None);
        let mut headers = HeaderMap::new();
        for (name, value) in upstream_headers(ask.headers, provider) {
            if let (Ok(name), Ok(value)) =
                (HeaderName::try_from(name), HeaderValue::try_from(value))
            {
                headers.append(name, value);
            }
        }
        let call = Call {
            method: Method::POST,
            path: ask.request.endpoint.path().trim_start_matches("/v1/"),
            query: ask.query,
            headers,
            body: ask.raw.clone().into(),
            secret: None,
        };
        self.pass_on(call, ask.headers, provider, reason, bill)
            .await
            .map(Answer::Passed)
    }

    async fn pass_on(
        &self,
        call: Call<'_>,
        headers: &HeaderMap,
        provider: &Provider,
        reason: Reason,
        bill: &mut Settlement,
    ) -> Result<Passed, Problem> {
        let secret = headers
            .get("x-provider-auth")
            .map(|value| fgy_cluster::Secret::new(value.as_bytes()));
        if provider.auth == Auth::Caller && secret.is_none() {
            return Err(Problem::NoProviderKey);
        }
        let call = Call {
            secret: secret.as_ref(),
            ..call
        };
        let arriving = self.providers.send(provider, call).await?;
        bill.became(Outcome::Bypass, reason.as_str().into(), None);
        Ok(Passed {
            status: arriving.status,
            headers: end_to_end(&arriving.headers),
            body: arriving.into_pieces().boxed(),
            reason: reason.as_str(),
        })
    }
}

/// The headers that are meant for the other end, every value, in their order.
fn end_to_end(headers: &HeaderMap) -> HeaderMap {
    let named: Vec<&str> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        .collect();
    let mut kept = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        let text = name.as_str();
        let dropped = HOP_BY_HOP.contains(&text)
            || ENDS_HERE.contains(&text)
            || ALIASES.iter().any(|alias| text.starts_with(alias))
            || named.iter().any(|named| named.eq_ignore_ascii_case(text));
        if !dropped {
            kept.append(name, value.clone());
        }
    }
    kept
}

impl From<CallFault> for Problem {
    fn from(fault: CallFault) -> Problem {
        match fault {
            CallFault::Lost => Problem::Unreachable,
            CallFault::TooSlow => Problem::TooSlow,
            CallFault::BadSecret => Problem::BadHeader {
                name: "x-provider-auth",
                expected: "the provider's own Authorization value, such as `Bearer sk-…`",
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_belongs_to_this_hop_or_this_product_stays_here() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("accept", "a"),
            ("accept", "b"),
            ("authorization", "Bearer fgy_x"),
            ("connection", "close, x-private"),
            ("cookie", "c"),
            ("helicone-cache-enabled", "true"),
            ("openai-beta", "assistants=v2"),
            ("te", "trailers"),
            ("x-api-key", "fgy_x"),
            ("x-fgy-namespace", "n"),
            ("x-private", "p"),
            ("x-provider-auth", "Bearer sk"),
        ] {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let kept = end_to_end(&headers);
        let kept: Vec<(&str, &str)> = kept
            .iter()
            .map(|(n, v)| (n.as_str(), v.to_str().unwrap()))
            .collect();
        assert_eq!(
            kept,
            [
                ("accept", "a"),
                ("accept", "b"),
                ("openai-beta", "assistants=v2")
            ]
        );
    }
}
