//! The way upstream: one HTTP client and the providers an operator configured. A URL is never
//! taken from a caller, a redirect is never followed (it would carry the caller's key to a place
//! nobody named), and a call is never repeated here: it costs money.

mod call;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use reqwest::Url;

pub use call::{Arriving, Call, CallFault, sent_on};

use crate::names::Name;
use crate::policy::Glob;

/// How long each step of a call may take. There is no limit on a whole answer.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// To be connected.
    pub connect: Duration,
    /// From the end of the request to the head of the answer; a plain answer thinks this long.
    pub first_byte: Duration,
    /// From one piece of the body to the next.
    pub chunk: Duration,
    /// Connections kept open to one provider while nothing is asked.
    pub idle_connections_max: usize,
}

/// Which wire a provider speaks, as far as a call's own headers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// The key is the whole `Authorization`.
    OpenAi,
    /// The key stands in `x-api-key`, without its scheme.
    Anthropic,
}

/// Who pays a provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auth {
    /// The caller, by `X-Provider-Auth`.
    Caller,
    /// Nobody: a model server without keys.
    None,
}

/// One configured upstream.
#[derive(Debug, Clone)]
pub struct Provider {
    /// Its name, as `X-Fgy-Provider` may say it.
    pub name: Name,
    /// Where it is, up to and including the version: `https://api.openai.com/v1`.
    pub base_url: Url,
    /// Which wire it speaks.
    pub wire: Wire,
    /// Who pays.
    pub auth: Auth,
    /// The models asked of it where the caller names no provider.
    pub models: Vec<Glob>,
    /// Headers of the caller that go upstream beside the usual ones, and join the key.
    pub forward_headers: Vec<HeaderName>,
}

/// A base URL that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BadUrl(pub String);

impl std::fmt::Display for BadUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{}: give an http or https URL such as https://api.openai.com/v1",
            self.0
        )
    }
}

impl std::error::Error for BadUrl {}

impl Provider {
    /// A provider at `base_url`.
    pub fn new(name: &str, base_url: &str, auth: Auth) -> Result<Provider, BadUrl> {
        let url = Url::parse(base_url.trim_end_matches('/'))
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .filter(|url| url.query().is_none() && url.fragment().is_none())
            .ok_or_else(|| BadUrl(base_url.to_owned()))?;
        Ok(Provider {
            name: name.into(),
            base_url: url,
            wire: Wire::OpenAi,
            auth,
            models: Vec::new(),
            forward_headers: Vec::new(),
        })
    }

    /// The URL of a path below the base, with the caller's query as it came.
    pub fn url(&self, path: &str, query: Option<&str>) -> Url {
        let mut url = self.base_url.clone();
        let base = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{base}/{}", path.trim_start_matches('/')));
        url.set_query(query);
        url
    }
}

/// All configured upstreams and the client that reaches them.
#[derive(Clone)]
pub struct Providers {
    client: reqwest::Client,
    patience: Patience,
    by_name: Arc<BTreeMap<Name, Arc<Provider>>>,
    default: Arc<Provider>,
}

impl Providers {
    /// The default provider and the others.
    pub fn new(
        default: Provider,
        others: Vec<Provider>,
        patience: Patience,
    ) -> Result<Providers, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(patience.connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(patience.idle_connections_max)
            .pool_idle_timeout(Duration::from_secs(50))
            .tcp_nodelay(true)
            .referer(false)
            .build()?;
        let default = Arc::new(default);
        let mut by_name: BTreeMap<Name, Arc<Provider>> = others
            .into_iter()
            .map(|provider| (provider.name.clone(), Arc::new(provider)))
            .collect();
        by_name.insert(default.name.clone(), default.clone());
        Ok(Providers {
            client,
            patience,
            by_name: Arc::new(by_name),
            default,
        })
    }

    /// The provider of a request: the one it names, else the first whose models the asked one is
    /// among, else the default.
    pub fn choose(&self, name: Option<&str>, model: &str) -> Option<&Arc<Provider>> {
        let serves =
            |provider: &&Arc<Provider>| provider.models.iter().any(|models| models.matches(model));
        match name {
            Some(_) => self.named(name),
            None => self.by_name.values().find(serves).or(Some(&self.default)),
        }
    }

    /// Where a provider is, for telling a caller to go there itself.
    pub fn address(&self, name: Option<&str>) -> String {
        self.named(name)
            .unwrap_or(&self.default)
            .base_url
            .to_string()
    }

    /// The provider a caller named; `None` where nobody configured it.
    pub fn named(&self, name: Option<&str>) -> Option<&Arc<Provider>> {
        match name {
            None => Some(&self.default),
            Some(name) => self.by_name.get(name),
        }
    }
}
