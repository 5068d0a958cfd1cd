//! The way upstream: one HTTP client and the providers an operator configured. A URL is never
//! taken from a caller, a redirect is never followed (it would carry the caller's key to a place
//! nobody named), and a call is never repeated here: it costs money.

mod call;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, Guard};
use http::HeaderName;
use reqwest::Url;

pub use call::{Arriving, Call, CallFault, sent_on};

use crate::names::Name;
use crate::policy::Glob;
use crate::registry::{self, DEFAULT_PROVIDER, ProviderKind};

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

    /// A provider as the registry tells it.
    ///
    /// # Errors
    /// [`Unfit`] where nothing can be called so.
    pub fn told(told: &registry::Provider) -> Result<Provider, Unfit> {
        let unfit = |why: &str| Unfit(format!("{}: {why}", told.name));
        let auth = match told.auth {
            registry::Auth::Caller => Auth::Caller,
            registry::Auth::None => Auth::None,
            registry::Auth::Operator => return Err(unfit(registry::NO_OPERATOR)),
        };
        let wire = match told.kind {
            ProviderKind::OpenAi => Wire::OpenAi,
            ProviderKind::Anthropic => Wire::Anthropic,
        };
        let headers = told.forward_headers.iter();
        let headers = headers.map(|header| HeaderName::try_from(header.as_str()));
        let forward_headers = headers
            .collect::<Result<_, _>>()
            .map_err(|_| unfit("forward_headers are header names"))?;
        let plain = Provider::new(&told.name, &told.base_url, auth)
            .map_err(|_| unfit("base_url is no http or https URL"))?;
        Ok(Provider {
            wire,
            models: told.models.clone(),
            forward_headers,
            ..plain
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

/// A provider of the registry that this program cannot call; why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit(pub String);

impl std::fmt::Display for Unfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "provider {}", self.0)
    }
}

impl std::error::Error for Unfit {}

/// The way to all configured upstreams: the client that reaches them, and the book they stand in,
/// which is replaced as a whole when the registry's providers change. Clones share both.
#[derive(Clone)]
pub struct Providers {
    client: reqwest::Client,
    patience: Patience,
    book: Arc<ArcSwap<Book>>,
}

/// All configured upstreams at one moment.
pub struct Book {
    /// What it was written from, to tell whether that has changed.
    told: Option<Arc<Vec<registry::Provider>>>,
    by_name: BTreeMap<Name, Arc<Provider>>,
    default: Arc<Provider>,
}

impl Providers {
    /// The way to `default` alone, until [`Providers::follow`] tells of others.
    pub fn new(default: Provider, patience: Patience) -> Result<Providers, reqwest::Error> {
        let client = reqwest::Client::builder()
            .connect_timeout(patience.connect)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .pool_max_idle_per_host(patience.idle_connections_max)
            .pool_idle_timeout(Duration::from_secs(50))
            .tcp_nodelay(true)
            .referer(false)
            .build()?;
        let (book, _) = Book::of(Arc::new(default), None);
        Ok(Providers {
            client,
            patience,
            book: Arc::new(ArcSwap::from_pointee(book)),
        })
    }

    /// The providers of this moment. What is read from it is good for one request; nobody keeps
    /// it over a wait.
    pub fn book(&self) -> Guard<Arc<Book>> {
        self.book.load()
    }

    /// Whether a provider could be called as it is told.
    ///
    /// # Errors
    /// [`Unfit`], with the reason.
    pub fn takes(&self, told: &registry::Provider) -> Result<(), Unfit> {
        Provider::told(told).map(drop)
    }

    /// Writes the book anew where the registry tells of other providers than it was written from.
    /// Calls that have begun go on as they were. Those that cannot be called are left out and told
    /// of. One caller at a time, or an older book may take the place of a newer one.
    pub fn follow(&self, told: Option<&Arc<Vec<registry::Provider>>>) -> Vec<Unfit> {
        let held = self.book.load();
        let same = match (held.told.as_ref(), told) {
            (None, None) => true,
            (Some(held), Some(told)) => Arc::ptr_eq(held, told),
            _ => false,
        };
        if same {
            return Vec::new();
        }
        let (book, unfit) = Book::of(held.default.clone(), told.cloned());
        self.book.store(Arc::new(book));
        unfit
    }
}

impl Book {
    fn of(
        default: Arc<Provider>,
        told: Option<Arc<Vec<registry::Provider>>>,
    ) -> (Book, Vec<Unfit>) {
        let (mut by_name, mut unfit) = (BTreeMap::new(), Vec::new());
        for provider in told.iter().flat_map(|all| all.iter()) {
            match Provider::told(provider) {
                Ok(provider) => drop(by_name.insert(provider.name.clone(), Arc::new(provider))),
                Err(why) => unfit.push(why),
            }
        }
        by_name.insert(DEFAULT_PROVIDER.into(), default.clone());
        let book = Book {
            told,
            by_name,
            default,
        };
        (book, unfit)
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

    /// The provider of a job whose key was made for this address; `None` where it has moved since,
    /// or this node has not heard of its move yet: one address's answer must not be kept as
    /// another's.
    pub fn still_at(&self, name: &str, base_url: &str) -> Option<&Arc<Provider>> {
        let provider = self.by_name.get(name)?;
        (provider.base_url.as_str() == base_url).then_some(provider)
    }

    /// The provider a caller named; `None` where nobody configured it.
    pub fn named(&self, name: Option<&str>) -> Option<&Arc<Provider>> {
        match name {
            None => Some(&self.default),
            Some(name) => self.by_name.get(name),
        }
    }
}

#[cfg(test)]
mod tests;
