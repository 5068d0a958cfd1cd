//! What a client heard of one request: the head, and as much of the body as came.

use http::HeaderMap;
use serde_json::{Value, json};

/// One answer.
#[derive(Debug)]
pub(crate) struct Heard {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// The body came to its own end.
    pub(crate) whole: bool,
}

impl Heard {
    /// Listens to the end, or to where it breaks off.
    pub(crate) async fn to_the_end(mut response: reqwest::Response) -> Heard {
        let mut heard = Heard {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            body: Vec::new(),
            whole: false,
        };
        loop {
            match response.chunk().await {
                Ok(Some(piece)) => heard.body.extend_from_slice(&piece),
                Ok(None) => {
                    heard.whole = true;
                    return heard;
                }
                Err(_) => return heard,
            }
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    pub(crate) fn cache(&self) -> &str {
        self.header("x-fgy-cache")
    }

    /// The id of the ledger line, without the node's name before it.
    pub(crate) fn id(&self) -> String {
        let id = self.header("x-request-id");
        id.rsplit('.').next().unwrap().to_owned()
    }

    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text()))
    }

    /// An error has the shape of the API, all four fields, and something to say.
    pub(crate) fn assert_error(&self, status: u16, about: &str) -> String {
        assert_eq!(self.status, status, "{about}: {}", self.text());
        assert_eq!(self.header("content-type"), "application/json", "{about}");
        let body = self.json();
        let error = body["error"].as_object().unwrap();
        for field in ["message", "type", "code", "param"] {
            assert!(error.contains_key(field), "{about}: no {field} in {body}");
        }
        let message = body["error"]["message"].as_str().unwrap();
        assert!(message.len() > 10, "{about}: {message}");
        body["error"]["code"]
            .as_str()
            .unwrap_or_default()
            .to_owned()
    }
}

/// A chat request.
pub(crate) fn chat(prompt: &str) -> Value {
    json!({"model": "gpt-4o", "messages": [{"role": "user", "content": prompt}]})
}

/// The same, streamed.
pub(crate) fn chat_streamed(prompt: &str) -> Value {
    let mut body = chat(prompt);
    body["stream"] = true.into();
    body
}
