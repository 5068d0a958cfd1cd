//! A provider's embeddings endpoint, in OpenAI's shape, paid with the operator's own key: a
//! caller's key never comes here. Every answer is checked before it is believed: as many vectors as
//! texts, each of the dimensions that were agreed. A call is never repeated, since it costs money,
//! and no text, answer or key is ever logged.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fgy_cluster::{BoxFuture, Secret};
use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::{Client, StatusCode, Url};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;

use super::{COUNT_MAX, Declined, Embedder, ModelId, Paid, Vector};
use crate::answer::usage::Usage;
use crate::ledger::money::NanoUsd;
use crate::ledger::price::Price;
use crate::names::Name;

/// What a provider is told about an embedding model.
#[derive(Clone, Debug)]
pub struct HttpSettings {
    /// The provider's base URL, version included, as `providers.NAME.base_url` has it.
    pub base_url: String,
    /// The model asked for.
    pub embedding_model: Name,
    /// Numbers in its vectors; an answer of others is refused.
    pub vector_dimensions: u32,
    /// The operator's key; `None` for a server without keys.
    pub key: Option<Secret>,
    /// The model's list price; `None`: unknown, and nothing is taken off for it.
    pub price: Option<Price>,
    /// How long a call may take as a whole.
    pub patience: Duration,
    /// Calls in the air; above it, busy.
    pub calls_max: usize,
}

/// Settings that cannot work.
#[derive(Debug)]
pub enum Unusable {
    /// The base URL.
    Url(String),
    /// The key has bytes that no header may have.
    Key,
    /// The model gives no vectors of this length.
    Dimensions {
        /// The model.
        model: Name,
        /// The most it gives.
        most: u32,
    },
    /// There is no HTTP client.
    Client(reqwest::Error),
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => write!(
                f,
                "{url}: give an http or https URL such as https://api.openai.com/v1"
            ),
            Self::Key => f.write_str("the embedding key cannot be sent: it must be plain text"),
            Self::Dimensions { model, most } => {
                write!(
                    f,
                    "{model} gives {most} dimensions: set vector_dimensions so"
                )
            }
            Self::Client(error) => write!(f, "no HTTP client for embeddings: {error}"),
        }
    }
}

impl std::error::Error for Unusable {}

/// Models whose vectors are known: the dimensions they give, and whether fewer can be asked for.
const KNOWN: &[(&str, u32, bool)] = &[
    ("text-embedding-3-small", 1_536, true),
    ("text-embedding-3-large", 3_072, true),
    ("text-embedding-ada-002", 1_536, false),
];

/// What OpenAI's models see of a text.
const WINDOW_TOKENS: usize = 8_191;

/// Room for a number as JSON: 1.2345678901234567e-10 and a comma.
const NUMBER_BYTES: usize = 32;

/// The endpoint, ready to be asked.
pub struct Http {
    client: Client,
    url: Url,
    authorization: Option<HeaderValue>,
    model: ModelId,
    /// Dimensions to ask for, where the model knows what that means.
    dimensions: Option<u32>,
    price: Option<Price>,
    places: Semaphore,
    /// Whether the last call failed: the log hears of changes alone.
    failing: AtomicBool,
}

#[derive(Serialize)]
struct Call<'a> {
    model: &'a str,
    input: &'a [String],
    encoding_format: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    dimensions: Option<u32>,
}

#[derive(Deserialize)]
struct Answer {
    data: Vec<Item>,
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Item {
    index: usize,
    embedding: Vec<f32>,
}

#[derive(Deserialize)]
struct Tokens {
    prompt_tokens: u32,
}

/// What went wrong, for the log.
#[derive(Debug)]
enum Fault {
    Status(StatusCode),
    Unreachable,
    TooSlow,
    NotUnderstood(&'static str),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "the provider says {status}"),
            Self::Unreachable => f.write_str("the provider cannot be reached, or broke off"),
            Self::TooSlow => f.write_str("the provider took too long"),
            Self::NotUnderstood(what) => write!(f, "the provider's answer has {what}"),
        }
    }
}

impl Fault {
    fn declined(&self) -> Declined {
        match self {
            Self::TooSlow | Self::Status(StatusCode::TOO_MANY_REQUESTS) => Declined::Busy,
            _ => Declined::Failed,
        }
    }
}

impl Http {
    /// Checks the settings; asks nobody.
    pub fn new(settings: HttpSettings) -> Result<Self, Unusable> {
        let model = settings.embedding_model;
        let known = KNOWN.iter().find(|known| known.0 == &*model);
        let asked = settings.vector_dimensions;
        if let Some((_, most, fewer)) = known
            && (asked > *most || asked < *most && !fewer || asked == 0)
        {
            return Err(Unusable::Dimensions { model, most: *most });
        }
        let client = Client::builder()
            .timeout(settings.patience)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .tcp_nodelay(true)
            .build()
            .map_err(Unusable::Client)?;
        Ok(Self {
            client,
            url: url(&settings.base_url)?,
            authorization: settings.key.as_ref().map(bearer).transpose()?,
            model: ModelId {
                name: model,
                revision: "".into(),
                dimensions: asked,
            },
            dimensions: known.is_some_and(|known| known.2).then_some(asked),
            price: settings.price,
            places: Semaphore::new(settings.calls_max),
            failing: AtomicBool::new(false),
        })
    }

    async fn call(&self, texts: &[String]) -> Result<Paid, Fault> {
        let call = Call {
            model: &self.model.name,
            input: texts,
            encoding_format: "float",
            dimensions: self.dimensions,
        };
        let body = serde_json::to_vec(&call).map_err(|_| Fault::NotUnderstood("no body"))?;
        let mut request = self.client.post(self.url.clone()).body(body);
        request = request.header(CONTENT_TYPE, "application/json");
        request = request.header(ACCEPT_ENCODING, "identity");
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization);
        }
        let mut response = request.send().await.map_err(|error| fault(&error))?;
        if response.status() != StatusCode::OK {
            return Err(Fault::Status(response.status()));
        }
        let room = texts.len() * (self.model.dimensions as usize * NUMBER_BYTES + 256) + 4096;
        let mut whole = Vec::new();
        while let Some(piece) = response.chunk().await.map_err(|error| fault(&error))? {
            if whole.len() + piece.len() > room {
                return Err(Fault::NotUnderstood("more bytes than its vectors need"));
            }
            whole.extend_from_slice(&piece);
        }
        self.read(texts, &whole)
    }

    fn read(&self, texts: &[String], body: &[u8]) -> Result<Paid, Fault> {
        let answer: Answer = serde_json::from_slice(body)
            .map_err(|_| Fault::NotUnderstood("not the shape of embeddings"))?;
        if answer.data.len() != texts.len() {
            return Err(Fault::NotUnderstood("not as many vectors as texts"));
        }
        let mut vectors = vec![None; texts.len()];
        for item in answer.data {
            if item.embedding.len() != self.model.dimensions as usize {
                return Err(Fault::NotUnderstood(
                    "vectors of other dimensions than vector_dimensions says",
                ));
            }
            let slot = vectors.get_mut(item.index);
            let slot = slot.ok_or(Fault::NotUnderstood("an index beyond its texts"))?;
            *slot = Vector::new(item.embedding);
        }
        let vectors: Option<Vec<Vector>> = vectors.into_iter().collect();
        let tokens = match answer.usage {
            Some(usage) => usage.prompt_tokens,
            None => texts.iter().map(|text| guess(text) as u32).sum(),
        };
        Ok(Paid {
            vectors: vectors.ok_or(Fault::NotUnderstood("texts without a vector"))?,
            tokens,
            price: self.price_of(tokens),
        })
    }

    fn price_of(&self, tokens: u32) -> NanoUsd {
        let usage = Usage {
            input: tokens,
            ..Usage::default()
        };
        self.price.map_or(NanoUsd::ZERO, |price| price.cost(&usage))
    }

    fn note(&self, fault: Option<&Fault>) {
        let failed_before = self.failing.swap(fault.is_some(), Ordering::Relaxed);
        match fault {
            Some(fault) if !failed_before => {
                tracing::warn!(%fault, model = %self.model, "embeddings fail");
            }
            None if failed_before => tracing::info!(model = %self.model, "embeddings work again"),
            _ => {}
        }
    }
}

/// A text's tokens where nobody here can count them: rather too many.
fn guess(text: &str) -> usize {
    text.len().div_ceil(3)
}

fn url(base_url: &str) -> Result<Url, Unusable> {
    let url = Url::parse(&format!("{}/embeddings", base_url.trim_end_matches('/'))).ok();
    let url = url.filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.ok_or_else(|| Unusable::Url(base_url.to_owned()))
}

fn bearer(key: &Secret) -> Result<HeaderValue, Unusable> {
    let whole = [b"Bearer ", key.reveal().trim_ascii()].concat();
    let mut value = HeaderValue::from_bytes(&whole).map_err(|_| Unusable::Key)?;
    value.set_sensitive(true);
    Ok(value)
}

fn fault(error: &reqwest::Error) -> Fault {
    if error.is_timeout() {
        Fault::TooSlow
    } else {
        Fault::Unreachable
    }
}

impl Embedder for Http {
    fn model(&self) -> &ModelId {
        &self.model
    }

    fn window_tokens(&self) -> usize {
        WINDOW_TOKENS
    }

    fn count_tokens(&self, text: &str) -> usize {
        guess(text).min(COUNT_MAX)
    }

    fn is_paid(&self) -> bool {
        true
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vector>, Declined>> {
        Box::pin(async move { Ok(self.embed_paid(texts).await?.vectors) })
    }

    fn embed_paid(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Paid, Declined>> {
        Box::pin(async move {
            let _place = self.places.try_acquire().map_err(|_| Declined::Busy)?;
            let paid = self.call(&texts).await;
            self.note(paid.as_ref().err());
            paid.map_err(|fault| fault.declined())
        })
    }
}

#[cfg(test)]
mod tests;
