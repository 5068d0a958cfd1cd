//! A policy file: YAML in, policies out, or every mistake in it at once, each with its place. It
//! never fills in what was mistyped: an unknown key or an odd value refuses the file.

use std::collections::BTreeMap;

use super::decimal::{basis_points, scaled_up};
use super::glob::{GLOB_BYTES_MAX, Glob};
use super::yaml::{self, Node, Value};
use super::{
    CoalesceScope, Config, Enabled, Guard, Kind, OnAbandon, Policy, Profile, Scope, Share,
    TTL_SECONDS_MAX,
};
use crate::mistake::{Mistake, unknown};
use crate::names::{Name, TenantId};
use crate::semantic::guard::Cause;

/// Entries of one list: agents, models, synonyms.
const LIST_LEN_MAX: usize = 1_000;
/// Bytes of a name.
const NAME_BYTES_MAX: usize = 128;

/// Reads a policy file (`policies:` and a list).
///
/// # Errors
/// Every mistake, in the order of the file.
pub fn parse(text: &str) -> Result<Vec<Policy>, Vec<Mistake>> {
    let root = yaml::parse(text).map_err(|mistake| vec![mistake])?;
    let Some(root) = root else {
        return Err(vec![Mistake {
            line: 1,
            column: 1,
            key: "policies".to_owned(),
            text: "the file is empty; write `policies:` and a list".to_owned(),
        }]);
    };
    let mut mistakes = Vec::new();
    let policies = read_file(&root, &mut mistakes);
    mistakes.sort();
    if mistakes.is_empty() {
        Ok(policies)
    } else {
        Err(mistakes)
    }
}

fn read_file(root: &Node, mistakes: &mut Vec<Mistake>) -> Vec<Policy> {
    let Some(mut file) = Section::open(root, "", mistakes) else {
        return Vec::new();
    };
    let Some(list) = file.get("policies") else {
        file.mistakes
            .push(root.mistake("policies", "missing; write `policies:` and a list"));
        file.close();
        return Vec::new();
    };
    file.close();
    let Value::List(items) = &list.value else {
        mistakes.push(list.mistake("policies", "is a list: begin each policy with `- name:`"));
        return Vec::new();
    };
    let read = items.iter().enumerate();
    let policies: Vec<Policy> = read
        .map(|(at, item)| read_policy(item, &format!("policies[{at}]"), mistakes))
        .collect();
    refuse_twins(items, &policies, mistakes);
    policies
}

fn refuse_twins(items: &[Node], policies: &[Policy], mistakes: &mut Vec<Mistake>) {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (at, (item, policy)) in items.iter().zip(policies).enumerate() {
        if policy.name.is_empty() {
            continue;
        }
        if let Some(first) = seen.insert(&policy.name, at) {
            let text = format!("`{}` is the name of policies[{first}] already", policy.name);
            mistakes.push(item.mistake(&format!("policies[{at}].name"), text));
        }
    }
}

fn read_policy(node: &Node, path: &str, mistakes: &mut Vec<Mistake>) -> Policy {
    let Some(mut row) = Section::open(node, path, mistakes) else {
        return Policy::default();
    };
    let policy = Policy {
        name: row.required("name", name),
        kind: row.required("type", |text| {
            choice(
                text,
                &[
                    ("semantic_cache", Kind::SemanticCache),
                    ("exact_cache", Kind::ExactCache),
                ],
            )
        }),
        enabled: row.or_default("enabled", |text| {
            let words = [
                ("true", Enabled::Yes),
                ("false", Enabled::No),
                ("on_request", Enabled::OnRequest),
            ];
            choice(text, &words)
        }),
        agents: row.list("agents", name),
        models: row.list("models", glob),
        tenants: row.list("tenants", |text| name(text).map(TenantId)),
        paths: row.list("paths", path_glob),
        prompts: row.list("prompts", glob),
        config: Config::default(),
    };
    let config = row.get("config");
    row.close();
    let Some(config) = config else { return policy };
    read_config(config, &format!("{path}.config"), policy, mistakes)
}

/// The section may name the models, too; a policy that names them twice has to decide.
fn read_config(node: &Node, path: &str, policy: Policy, mistakes: &mut Vec<Mistake>) -> Policy {
    let Some(mut row) = Section::open(node, path, mistakes) else {
        return policy;
    };
    let models = row.list("models", glob);
    if !models.is_empty() && !policy.models.is_empty() {
        row.wrong(
            "models",
            "is given beside `config` already; keep one of the two",
        );
    }
    let config = Config {
        profile: row.or_default("profile", profile),
        similarity_basis_points: row.optional("similarity_threshold", threshold),
        ttl_seconds: row
            .either("ttl_seconds", "ttl", ttl_seconds)
            .unwrap_or(super::TTL_SECONDS_DEFAULT),
        max_entries: row.optional("max_entries", |text| whole(text, 1, u64::MAX)),
        scope: row.or_default("scope", |text| {
            choice(
                text,
                &[
                    ("auto", Scope::Auto),
                    ("user", Scope::User),
                    ("tenant", Scope::Tenant),
                ],
            )
        }),
        namespace: row.or_default("namespace", namespace),
        share: share(&mut row),
        max_prompt_tokens: row.optional("max_prompt_tokens", |text| whole(text, 1, u32::MAX)),
        long_prompt_basis_points: row.optional("long_prompt_threshold", threshold),
        max_temperature_milli: row.optional("max_temperature", temperature),
        guard: Guard::default(),
        languages: languages(&mut row),
        target_wrong_basis_points: row.optional("target_wrong", threshold),
        coalesce_scope: row.or_default("coalesce_scope", |text| {
            choice(
                text,
                &[
                    ("global", CoalesceScope::Global),
                    ("region", CoalesceScope::Region),
                ],
            )
        }),
        on_abandon: row.or_default("on_abandon", |text| {
            choice(
                text,
                &[("finish", OnAbandon::Finish), ("cancel", OnAbandon::Cancel)],
            )
        }),
    };
    let guard = row.get("guard");
    row.close();
    let guard = guard.map(|node| read_guard(node, &format!("{path}.guard"), mistakes));
    let config = Config {
        guard: guard.unwrap_or_default(),
        ..config
    };
    let models = if models.is_empty() {
        policy.models
    } else {
        models
    };
    Policy {
        models,
        config,
        ..policy
    }
}

fn read_guard(node: &Node, path: &str, mistakes: &mut Vec<Mistake>) -> Guard {
    let Some(mut row) = Section::open(node, path, mistakes) else {
        return Guard::default();
    };
    let guard = Guard {
        off: row.list("off", cause),
        antonyms: row.groups("antonyms"),
        entities: row.list("entities", name),
        synonyms: row.groups("synonyms"),
    };
    row.close();
    guard
}

fn share(row: &mut Section<'_, '_>) -> Share {
    let words = [("models", true), ("agents", false)];
    let named = row.list("share", |text| choice(text, &words));
    Share {
        models: named.contains(&true),
        agents: named.contains(&false),
    }
}

/// `auto` is the empty list: what the model covers.
fn languages(row: &mut Section<'_, '_>) -> Vec<Name> {
    let named = row.list("languages", name);
    if named.iter().any(|language| &**language == "auto") {
        if named.len() > 1 {
            row.wrong("languages", "is `auto` or a list of languages, not both");
        }
        return Vec::new();
    }
    named
}

/// What a value should have been.
type Expected = String;

fn profile(text: &str) -> Result<Profile, Expected> {
    let words = [
        ("strict", Profile::Strict),
        ("safe", Profile::Safe),
        ("balanced", Profile::Balanced),
        ("aggressive", Profile::Aggressive),
        ("verified", Profile::Verified),
    ];
    choice(text, &words)
}

fn choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, Expected> {
    let found = words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| *value);
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("is `{text}`; write one of {}", words.join(", "))
    })
}

fn name(text: &str) -> Result<Name, Expected> {
    if text.is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err("write 1 to 128 bytes without control characters".to_owned());
    }
    Ok(text.into())
}

/// An inner partition is the caller's to name, so the mark between the two is not.
fn namespace(text: &str) -> Result<Name, Expected> {
    if text.contains(crate::registry::INSIDE) {
        return Err("may not contain `/`, which parts it from the caller's own".to_owned());
    }
    if text.is_empty() {
        Ok(Name::default())
    } else {
        name(text)
    }
}

/// What a guard may be told not to ask.
fn cause(text: &str) -> Result<Name, Expected> {
    match Cause::named(text) {
        Some(cause) => Ok(Name::new_static(cause.as_str())),
        None => {
            let known: Vec<&str> = Cause::ALL.iter().map(|cause| cause.as_str()).collect();
            Err(format!("is `{text}`; write any of {}", known.join(", ")))
        }
    }
}

fn glob(text: &str) -> Result<Glob, Expected> {
    if text.is_empty() || text.len() > GLOB_BYTES_MAX {
        return Err(format!(
            "write 1 to {GLOB_BYTES_MAX} bytes, `*` for any run of letters"
        ));
    }
    Ok(text.into())
}

fn path_glob(text: &str) -> Result<Glob, Expected> {
    if !text.starts_with(['/', '*']) {
        return Err("begins with `/`, such as /v1/chat/completions".to_owned());
    }
    glob(text)
}

fn threshold(text: &str) -> Result<u16, Expected> {
    basis_points(text).ok_or_else(|| format!("is `{text}`; write a number from 0.0 to 1.0"))
}

/// In thousandths; the widest range any provider takes is 0 to 2.
fn temperature(text: &str) -> Result<u16, Expected> {
    let milli = scaled_up(text, 3).and_then(|milli| u16::try_from(milli).ok());
    let fits = milli.filter(|milli| *milli <= 2_000);
    fits.ok_or_else(|| format!("is `{text}`; write a number from 0.0 to 2.0"))
}

fn ttl_seconds(text: &str) -> Result<u32, Expected> {
    whole(text, 1, TTL_SECONDS_MAX)
}

fn whole<T>(text: &str, least: T, most: T) -> Result<T, Expected>
where
    T: Copy + PartialOrd + std::fmt::Display + std::str::FromStr,
{
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = digits.then(|| text.parse::<T>().ok()).flatten();
    let fits = number.filter(|number| least <= *number && *number <= most);
    fits.ok_or_else(|| format!("is `{text}`; write a whole number from {least} to {most}"))
}

/// One section while it is read: each key is taken once, and what is left over is a mistake.
struct Section<'t, 'm> {
    path: String,
    rows: &'t [(Node, Node)],
    asked: Vec<&'static str>,
    mistakes: &'m mut Vec<Mistake>,
}

impl<'t, 'm> Section<'t, 'm> {
    fn open(node: &'t Node, path: &str, mistakes: &'m mut Vec<Mistake>) -> Option<Self> {
        let Value::Section(rows) = &node.value else {
            mistakes.push(node.mistake(path, "is a section: write `key: value` lines below it"));
            return None;
        };
        let mut section = Self {
            path: path.to_owned(),
            rows,
            asked: Vec::new(),
            mistakes,
        };
        section.refuse_repeats();
        Some(section)
    }

    fn refuse_repeats(&mut self) {
        for (at, (key, _)) in self.rows.iter().enumerate() {
            let Value::Text(text) = &key.value else {
                self.mistakes
                    .push(key.mistake(&self.path, "a key is a plain word"));
                continue;
            };
            let before = &self.rows[..at];
            if before
                .iter()
                .any(|(k, _)| matches!(&k.value, Value::Text(t) if t == text))
            {
                self.mistakes
                    .push(key.mistake(&self.at(text), "is given twice; keep one"));
            }
        }
    }

    fn at(&self, key: &str) -> String {
        if self.path.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.path)
        }
    }

    fn get(&mut self, key: &'static str) -> Option<&'t Node> {
        self.asked.push(key);
        let is = |node: &Node| matches!(&node.value, Value::Text(text) if text == key);
        self.rows
            .iter()
            .find(|(node, _)| is(node))
            .map(|(_, value)| value)
    }

    fn wrong(&mut self, key: &'static str, text: &str) {
        if let Some(node) = self.get(key) {
            self.mistakes.push(node.mistake(&self.at(key), text));
        }
    }

    fn optional<T>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let node = self.get(key)?;
        self.value(key, node, read)
    }

    fn or_default<T: Default>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> T {
        self.optional(key, read).unwrap_or_default()
    }

    fn required<T: Default>(
        &mut self,
        key: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> T {
        if self.get(key).is_none()
            && let Some((first, _)) = self.rows.first()
        {
            self.mistakes.push(first.mistake(&self.at(key), "missing"));
        }
        self.or_default(key, read)
    }

    /// A key under either of two names.
    fn either<T>(
        &mut self,
        key: &'static str,
        alias: &'static str,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let (named, by_alias) = (self.optional(key, &read), self.optional(alias, &read));
        if named.is_some() && by_alias.is_some() {
            self.wrong(
                alias,
                &format!("means `{key}`, which is given too; keep one"),
            );
        }
        named.or(by_alias)
    }

    /// A list, or one value standing for a list of one.
    fn list<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, Expected>) -> Vec<T> {
        let Some(node) = self.get(key) else {
            return Vec::new();
        };
        self.items(key, node, read)
    }

    fn groups(&mut self, key: &'static str) -> Vec<Vec<Name>> {
        let Some(node) = self.get(key) else {
            return Vec::new();
        };
        let Value::List(groups) = &node.value else {
            self.mistakes
                .push(node.mistake(&self.at(key), "is a list of lists: [[buy, sell]]"));
            return Vec::new();
        };
        groups
            .iter()
            .take(LIST_LEN_MAX)
            .map(|group| self.items(key, group, name))
            .collect()
    }

    fn items<T>(
        &mut self,
        key: &str,
        node: &Node,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Vec<T> {
        match &node.value {
            Value::Text(_) => self.value(key, node, read).into_iter().collect(),
            Value::List(items) if items.len() > LIST_LEN_MAX => {
                let text = format!("has more than {LIST_LEN_MAX} entries");
                self.mistakes.push(node.mistake(&self.at(key), text));
                Vec::new()
            }
            Value::List(items) => items
                .iter()
                .filter_map(|item| self.value(key, item, &read))
                .collect(),
            Value::Section(_) => {
                self.mistakes.push(node.mistake(&self.at(key), "is a list"));
                Vec::new()
            }
        }
    }

    fn value<T>(
        &mut self,
        key: &str,
        node: &Node,
        read: impl Fn(&str) -> Result<T, Expected>,
    ) -> Option<T> {
        let read = match &node.value {
            Value::Text(text) => read(text),
            Value::List(_) | Value::Section(_) => Err("is one value".to_owned()),
        };
        read.map_err(|text| self.mistakes.push(node.mistake(&self.at(key), text)))
            .ok()
    }

    /// Every key that nobody asked for is a mistake, and one policy that would silently not do
    /// what it says.
    fn close(self) {
        for (key, _) in self.rows {
            if let Value::Text(text) = &key.value
                && !self.asked.contains(&text.as_str())
            {
                let what = unknown(text, self.asked.iter().copied());
                self.mistakes.push(key.mistake(&self.at(text), what));
            }
        }
    }
}

#[cfg(test)]
mod tests;
