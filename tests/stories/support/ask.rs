//! A request as a client makes it and the answer as a client has it. It follows no redirect,
//! retries nothing and understands nothing of what it reads.

use bytes::Bytes;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use reqwest::{Client, Method, Response};
use serde_json::Value;

use super::Live;

/// A request in the making.
#[derive(Clone)]
pub(crate) struct Ask {
    client: Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Ask {
    pub(crate) fn new(client: Client, method: Method, url: String) -> Ask {
        let (headers, body) = (HeaderMap::new(), Bytes::new());
        Ask {
            client,
            method,
            url,
            headers,
            body,
        }
    }

    /// With this header, in place of any of its name.
    pub(crate) fn header(mut self, name: &str, value: &str) -> Ask {
        let name: HeaderName = name.parse().expect("a header name");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("a header value");
        self.headers.insert(name, value);
        self
    }

    /// With this header beside others of its name.
    pub(crate) fn header_too(mut self, name: &str, value: &str) -> Ask {
        let name: HeaderName = name.parse().expect("a header name");
        let value = value.parse().expect("a header value");
        self.headers.append(name, value);
        self
    }

    pub(crate) fn without(mut self, name: &str) -> Ask {
        self.headers.remove(name);
        self
    }

    /// With the key of another tenant.
    pub(crate) fn key(self, key: &str) -> Ask {
        self.header("authorization", &format!("Bearer {key}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Bytes>) -> Ask {
        self.body = body.into();
        self
    }

    /// With this behind the path.
    pub(crate) fn query(mut self, query: &str) -> Ask {
        self.url = format!("{}?{query}", self.url);
        self
    }

    /// The same request to another address, such as the provider's own.
    pub(crate) fn at(mut self, url: String) -> Ask {
        self.url = url;
        self
    }

    pub(crate) fn through(mut self, client: &Client) -> Ask {
        self.client = client.clone();
        self
    }

    async fn response(self) -> Response {
        let request = self.client.request(self.method, self.url);
        let sent = request.headers(self.headers).body(self.body).send().await;
        sent.expect("an answer's head")
    }

    /// The whole answer.
    pub(crate) async fn send(self) -> Answer {
        let response = self.response().await;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        let body = response.bytes().await.expect("an answer's body");
        Answer {
            status,
            headers,
            body,
        }
    }

    /// The answer as it comes.
    pub(crate) async fn open(self) -> Live {
        Live::new(self.response().await)
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// What `X-Fgy-Cache` says; `""`: nothing.
    pub(crate) fn cache(&self) -> &str {
        self.header("x-fgy-cache").unwrap_or("")
    }

    /// What `X-Fgy-Cache-Reason` says; `""`: nothing.
    pub(crate) fn reason(&self) -> &str {
        self.header("x-fgy-cache-reason").unwrap_or("")
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// The `code` of an error in the API's shape, whose other parts must be there too.
    pub(crate) fn error_code(&self) -> String {
        let body = self.json();
        let error = &body["error"];
        assert!(error["message"].as_str().is_some_and(|m| !m.is_empty()));
        assert!(error["type"].is_string() && error.get("param").is_some());
        error["code"].as_str().unwrap_or_default().to_owned()
    }
}
