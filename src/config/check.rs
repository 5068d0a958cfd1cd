//! Texts become settings here, all at once: each is read where it was given, what contradicts is
//! found when all are read, and whoever asked hears every mistake with its place. A secret is
//! never repeated in a mistake.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use fgy_cluster::Secret;

use super::args::VARIABLES;
use super::file::{self, Entry, Value};
use super::value::{
    bootstrap_key, choice, dimensions, header, host, name, seeds, store, url, weak,
};
use super::{
    AccessLog, Args, Auth, Embedding, Environment, Limits, LogFormat, Mode, Provider, ProviderKind,
    Settings, Tls,
};
use crate::mistake::{Mistake, unknown};
use crate::names::Name;
use crate::policy::Glob;
use crate::registry::DEFAULT_PROVIDER;

/// Reads flags, environment and the text of the file, and checks the whole.
///
/// # Errors
/// Every mistake: those of the file in its order, after those that have no place.
pub fn settings(
    mode: Mode,
    args: &Args,
    environment: &Environment,
    file: Option<&str>,
) -> Result<Settings, Vec<Mistake>> {
    let mut reading = Reading::default();
    reading.take_file(file.unwrap_or_default());
    // Weakest first: a later layer takes the place of an earlier one, mistakes included.
    for (key, name, text) in environment.platform() {
        reading
            .given
            .entry(key)
            .or_insert_with(|| Given::nowhere(name, text));
    }
    for (key, name, text) in environment.given() {
        reading.given.insert(key, Given::nowhere(name, text));
    }
    for (key, text) in args.given() {
        reading.given.insert(
            key,
            Given::nowhere(format!("--{}", key.replace('_', "-")), text),
        );
    }
    let mut settings = reading.settings(mode);
    settings.embedding_key = reading.embedding_key(&settings.embedding, environment);
    let mut mistakes = reading.mistakes;
    mistakes.sort();
    if mistakes.is_empty() {
        Ok(settings)
    } else {
        Err(mistakes)
    }
}

/// The `[providers.NAME]` sections of a file, for telling a running node of them. The rest of the
/// file is understood and left alone, so that a node's own file will do.
///
/// # Errors
/// Every mistake of the sections, and of the file's form.
pub fn providers(file: &str) -> Result<Vec<Provider>, Vec<Mistake>> {
    let mut reading = Reading::default();
    reading.take_file(file);
    let providers = reading.providers();
    let mut mistakes = reading.mistakes;
    mistakes.sort();
    if mistakes.is_empty() {
        Ok(providers.into_values().collect())
    } else {
        Err(mistakes)
    }
}

/// A text and where it was given.
struct Given {
    line: usize,
    column: usize,
    key: String,
    text: String,
}

impl Given {
    fn nowhere(key: impl Into<String>, text: &str) -> Self {
        Self {
            line: 0,
            column: 0,
            key: key.into(),
            text: text.to_owned(),
        }
    }

    fn mistake(&self, text: impl Into<String>) -> Mistake {
        Mistake {
            line: self.line,
            column: self.column,
            key: self.key.clone(),
            text: text.into(),
        }
    }
}

#[derive(Default)]
struct Reading {
    given: BTreeMap<&'static str, Given>,
    limits: Limits,
    embedding: BTreeMap<String, Entry>,
    providers: BTreeMap<String, BTreeMap<String, Entry>>,
    store_shared: Option<bool>,
    mistakes: Vec<Mistake>,
}

const SECTIONS: &[&str] = &["providers", "embedding", "limits", "store_shared"];
const PROVIDER_KEYS: &[&str] = &["kind", "base_url", "models", "auth", "forward_headers"];
const EMBEDDING_KEYS: &[&str] = &[
    "provider",
    "embedding_model",
    "vector_dimensions",
    "key_env",
];

// The file.
impl Reading {
    fn take_file(&mut self, text: &str) {
        let (entries, mistakes) = file::read(text);
        for entry in entries {
            // What was made of a line that is not TOML says nothing about what was meant.
            if mistakes.iter().all(|mistake| mistake.line != entry.line) {
                self.take_entry(entry);
            }
        }
        self.mistakes.extend(mistakes);
    }

    fn take_entry(&mut self, entry: Entry) {
        if let Value::Odd(what) = entry.value {
            return self.mistakes.push(entry.mistake(format!("is {what}")));
        }
        let path: Vec<&str> = entry.path.iter().map(String::as_str).collect();
        match path[..] {
            ["limits" | "embedding" | "providers"] if entry.value == Value::Empty => {}
            ["limits", name] => self.take_limit(name, &entry),
            ["embedding", key] => match known(&entry, key, EMBEDDING_KEYS) {
                Ok(()) => drop(self.embedding.insert(key.to_owned(), entry)),
                Err(mistake) => self.mistakes.push(mistake),
            },
            ["providers", name, key] => match known(&entry, key, PROVIDER_KEYS) {
                Ok(()) => {
                    let provider = self.providers.entry(name.to_owned()).or_default();
                    provider.insert(key.to_owned(), entry);
                }
                Err(mistake) => self.mistakes.push(mistake),
            },
            ["providers", _] => self
                .mistakes
                .push(entry.mistake("is empty; give it a base_url")),
            ["store_shared"] => match text(&entry).map(str::parse) {
                Ok(Ok(shared)) => self.store_shared = Some(shared),
                _ => self.mistakes.push(entry.mistake("is true or false")),
            },
            [key] => self.take_variable(key, &entry),
            _ => self.mistakes.push(entry.mistake("unknown section")),
        }
    }

    fn take_variable(&mut self, key: &str, entry: &Entry) {
        let keys = || VARIABLES.iter().map(|(key, _)| *key);
        let Some(key) = keys().find(|known| *known == key) else {
            let what = unknown(key, keys().chain(SECTIONS.iter().copied()));
            return self.mistakes.push(entry.mistake(what));
        };
        let text = match &entry.value {
            Value::Text(text) => text.clone(),
            Value::List(items) if key == "seeds" => items.join(","),
            _ => return self.mistakes.push(entry.mistake("is one value")),
        };
        let (line, column) = (entry.line, entry.column);
        self.given.insert(
            key,
            Given {
                line,
                column,
                key: key.to_owned(),
                text,
            },
        );
    }

    fn take_limit(&mut self, name: &str, entry: &Entry) {
        let value = text(entry).ok().and_then(|text| text.parse().ok());
        let what = match self.limits.set(name, value) {
            Ok(()) => return,
            Err(Some((least, most))) => format!("is a whole number from {least} to {most}"),
            Err(None) => unknown(name, Limits::NAMES.iter().copied()),
        };
        self.mistakes.push(entry.mistake(what));
    }
}

fn known(entry: &Entry, key: &str, keys: &[&str]) -> Result<(), Mistake> {
    if keys.contains(&key) {
        return Ok(());
    }
    Err(entry.mistake(unknown(key, keys.iter().copied())))
}

fn text(entry: &Entry) -> Result<&str, Mistake> {
    match &entry.value {
        Value::Text(text) => Ok(text),
        _ => Err(entry.mistake("is one value")),
    }
}

// The whole.
impl Reading {
    fn settings(&mut self, mode: Mode) -> Settings {
        let data = self.text("data", "./fgy-data");
        let settings = Settings {
            listen: self.address("listen", 8080),
            admin_listen: self.address("admin_listen", 8081),
            peer_listen: self.address("peer_listen", 8082),
            peer_tls: self.choice("peer_tls", true, &[("on", true), ("off", false)]),
            gossip_listen: self.address("gossip_listen", 8083),
            advertise: self.read("advertise", |text| host(text).map(str::to_owned)),
            tls: self.tls(),
            seeds: self.read("seeds", seeds).unwrap_or_default(),
            node_id: self.read("node_id", name),
            region: self.read("region", name),
            zone: self.read("zone", name),
            cluster_secret: self.secret("cluster_secret"),
            cluster_secret_previous: self.secret("cluster_secret_previous"),
            admin_token: self.secret("admin_token"),
            admin_read_token: self.secret("admin_read_token"),
            store: self
                .read("store", store)
                .unwrap_or_else(|| format!("sqlite:{data}/fgy.db")),
            data: data.into(),
            store_shared: self.store_shared,
            upstream: self
                .read("upstream", url)
                .unwrap_or_else(|| "https://api.openai.com/v1".to_owned()),
            bootstrap_key: self.read("bootstrap_key", bootstrap_key),
            model_dir: self.read("model_dir", |text| Ok(text.into())),
            prices: self.read("prices", |text| Ok(text.into())),
            log: self.text("log", "info"),
            log_format: self.choice(
                "log_format",
                None,
                &[
                    ("human", Some(LogFormat::Human)),
                    ("json", Some(LogFormat::Json)),
                ],
            ),
            access_log: self.choice(
                "access_log",
                AccessLog::Sampled,
                &[("sampled", AccessLog::Sampled), ("all", AccessLog::All)],
            ),
            providers: self.providers(),
            embedding: self.embedding(),
            embedding_key: None,
            limits: self.limits.clone(),
        };
        self.contradictions(mode, &settings);
        settings
    }

    /// What is each right alone and wrong together.
    fn contradictions(&mut self, mode: Mode, settings: &Settings) {
        let alone = mode == Mode::Up || settings.seeds.is_empty();
        if mode == Mode::Serve && settings.admin_token.is_none() {
            self.missing(
                "admin_token",
                "is empty; give it 24 random characters or more",
            );
        }
        if !alone && settings.cluster_secret.is_none() {
            self.missing("cluster_secret", "is empty, and a node with seeds needs it");
        }
        if !alone && settings.store.starts_with("sqlite:") && settings.store_shared != Some(false) {
            let text = "is a file of this node alone, and a node with peers needs a shared store: \
                        give a postgres:// URL, or say store_shared = false in the file";
            self.missing("store", text);
        }
        let peers = [
            ("peer_listen", settings.peer_listen),
            ("gossip_listen", settings.gossip_listen),
        ];
        for (key, address) in peers {
            if address.ip().is_unspecified() && settings.advertise.is_none() {
                let text =
                    "listens everywhere, so other nodes cannot tell what to dial: set advertise";
                self.missing(key, text);
            }
        }
        if !settings.peer_tls && !settings.peer_listen.ip().is_loopback() {
            self.missing("peer_tls", "is off, which is for loopback only");
        }
        self.same_secrets(settings);
        let local = Embedding::default();
        if settings.embedding.provider == local.provider {
            let asked = &settings.embedding;
            if asked.vector_dimensions != local.vector_dimensions {
                let most = local.vector_dimensions;
                self.odd_embedding(
                    "vector_dimensions",
                    format!("is {most} for the local model"),
                );
            }
            if asked.embedding_model != local.embedding_model {
                let model = local.embedding_model;
                let text = format!("is {model} where provider is `local`");
                self.odd_embedding("embedding_model", text);
            }
        }
        let known = |name: &Name| **name == *"local" || settings.providers.contains_key(name);
        if !known(&settings.embedding.provider)
            && let Some(entry) = self.embedding.get("provider")
        {
            self.mistakes
                .push(entry.mistake("is `local` or the NAME of a [providers.NAME] section"));
        }
    }

    /// Who holds one secret must not hold another by it.
    fn same_secrets(&mut self, settings: &Settings) {
        let all = [
            ("admin_token", &settings.admin_token),
            ("admin_read_token", &settings.admin_read_token),
            ("cluster_secret", &settings.cluster_secret),
            ("cluster_secret_previous", &settings.cluster_secret_previous),
            ("bootstrap_key", &settings.bootstrap_key),
        ];
        for (at, (key, secret)) in all.iter().enumerate() {
            let Some(secret) = secret else { continue };
            let same = all[..at].iter().find(|(_, other)| {
                other
                    .as_ref()
                    .is_some_and(|other| other.reveal() == secret.reveal())
            });
            if let Some((other, _)) = same {
                self.missing(key, &format!("is the same as {other}; give each its own"));
            }
        }
    }

    /// A mistake at a key of the embedding section.
    fn odd_embedding(&mut self, key: &str, text: String) {
        if let Some(entry) = self.embedding.get(key) {
            self.mistakes.push(entry.mistake(text));
        }
    }

    /// A mistake at the place where `key` was given, or at none.
    fn missing(&mut self, key: &'static str, text: &str) {
        let mistake = self.given.get(key).map_or_else(
            || Given::nowhere(key, "").mistake(text),
            |given| given.mistake(text),
        );
        self.mistakes.push(mistake);
    }

    fn read<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.given.get(key)?;
        read(given.text.trim())
            .map_err(|text| self.mistakes.push(given.mistake(text)))
            .ok()
    }

    fn text(&mut self, key: &'static str, default: &str) -> String {
        let read = |text: &str| {
            if text.is_empty() {
                Err("is empty".to_owned())
            } else {
                Ok(text.to_owned())
            }
        };
        self.read(key, read).unwrap_or_else(|| default.to_owned())
    }

    fn address(&mut self, key: &'static str, port: u16) -> SocketAddr {
        let default = SocketAddr::from(([127, 0, 0, 1], port));
        self.read(key, |text| {
            text.parse()
                .map_err(|_| format!("is `{text}`; write an address and a port, such as {default}"))
        })
        .unwrap_or(default)
    }

    fn choice<T: Clone>(&mut self, key: &'static str, default: T, words: &[(&str, T)]) -> T {
        self.read(key, |text| choice(text, words))
            .unwrap_or(default)
    }

    fn secret(&mut self, key: &'static str) -> Option<Secret> {
        self.read(key, |text| match weak(text) {
            None => Ok(Secret::new(text.as_bytes())),
            Some(why) => Err(format!("{why}; give it 24 random characters or more")),
        })
    }

    fn tls(&mut self) -> Option<Tls> {
        let cert = self.read("tls_cert", |text| Ok(text.into()));
        let key = self.read("tls_key", |text| Ok(text.into()));
        match (cert, key) {
            (Some(cert), Some(key)) => Some(Tls { cert, key }),
            (None, None) => None,
            (Some(_), None) => {
                self.missing("tls_cert", "is given without tls_key");
                None
            }
            (None, Some(_)) => {
                self.missing("tls_key", "is given without tls_cert");
                None
            }
        }
    }

    /// What the variable holds that `key_env` names.
    fn embedding_key(&mut self, told: &Embedding, environment: &Environment) -> Option<Secret> {
        let variable = told.key_env.as_deref()?;
        let key = environment.get(variable);
        if key.is_none()
            && let Some(entry) = self.embedding.get("key_env")
        {
            let text = format!("names {variable}, which is not set in the environment");
            self.mistakes.push(entry.mistake(text));
        }
        key.map(|key| Secret::new(key.as_bytes()))
    }

    fn embedding(&mut self) -> Embedding {
        let section = std::mem::take(&mut self.embedding);
        let mut entries = Entries {
            section: &section,
            mistakes: &mut self.mistakes,
        };
        let provider = entries
            .read("provider", name)
            .unwrap_or_else(|| "local".into());
        let defaults = if &*provider == "local" {
            Embedding::default()
        } else {
            let embedding_model = "text-embedding-3-small".into();
            Embedding {
                embedding_model,
                vector_dimensions: 1_536,
                ..Embedding::default()
            }
        };
        let embedding = Embedding {
            provider,
            embedding_model: entries
                .read("embedding_model", name)
                .unwrap_or(defaults.embedding_model),
            vector_dimensions: entries
                .read("vector_dimensions", dimensions)
                .unwrap_or(defaults.vector_dimensions),
            key_env: entries.read("key_env", name),
        };
        self.embedding = section;
        embedding
    }

    fn providers(&mut self) -> BTreeMap<Name, Provider> {
        let mut providers = BTreeMap::new();
        for (provider, section) in std::mem::take(&mut self.providers) {
            let mut entries = Entries {
                section: &section,
                mistakes: &mut self.mistakes,
            };
            let base_url = entries.read("base_url", url);
            if base_url.is_none()
                && !section.contains_key("base_url")
                && let Some(first) = section
                    .values()
                    .min_by_key(|entry| (entry.line, entry.column))
            {
                let key = format!("providers.{provider}.base_url");
                entries.mistakes.push(Mistake {
                    key,
                    ..first.mistake("missing")
                });
            }
            let kinds = [
                ("openai", ProviderKind::OpenAi),
                ("anthropic", ProviderKind::Anthropic),
            ];
            let auths = [
                ("caller", Auth::Caller),
                ("none", Auth::None),
                ("operator", Auth::Operator),
            ];
            let name_of = Name::from(provider);
            if name_of == DEFAULT_PROVIDER
                && let Some(first) = section.values().min_by_key(|it| (it.line, it.column))
            {
                let text = "is what FGY_UPSTREAM says: set upstream, or choose another name";
                entries.mistakes.push(Mistake {
                    key: "providers.default".to_owned(),
                    ..first.mistake(text)
                });
            }
            let read_auth = |text: &str| match choice(text, &auths) {
                Ok(Auth::Operator) => Err(
                    "is not there yet: write caller, or none for a server without keys".to_owned(),
                ),
                other => other,
            };
            let read = Provider {
                name: name_of.clone(),
                kind: entries
                    .read("kind", |text| choice(text, &kinds))
                    .unwrap_or_default(),
                base_url: base_url.unwrap_or_default(),
                models: entries.list("models", |text| name(text).map(|it| Glob::from(&*it))),
                auth: entries.read("auth", read_auth).unwrap_or_default(),
                forward_headers: entries.list("forward_headers", header),
            };
            providers.insert(name_of, read);
        }
        providers
    }
}

/// The entries of one section.
struct Entries<'s, 'm> {
    section: &'s BTreeMap<String, Entry>,
    mistakes: &'m mut Vec<Mistake>,
}

impl Entries<'_, '_> {
    fn read<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        let entry = self.section.get(key)?;
        let value = text(entry).and_then(|text| read(text).map_err(|text| entry.mistake(text)));
        value.map_err(|mistake| self.mistakes.push(mistake)).ok()
    }

    fn list<T>(&mut self, key: &str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let Some(entry) = self.section.get(key) else {
            return Vec::new();
        };
        let Value::List(items) = &entry.value else {
            self.mistakes
                .push(entry.mistake("is a list: [\"one\", \"two\"]"));
            return Vec::new();
        };
        let mut values = Vec::new();
        for item in items {
            match read(item) {
                Ok(value) => values.push(value),
                Err(text) => self.mistakes.push(entry.mistake(text)),
            }
        }
        values
    }
}
