//! What single values look like: addresses, URLs, names, secrets. Each reader says what it would
//! take instead; none repeats a secret, or a URL that may carry one.

use std::net::IpAddr;

use fgy_cluster::Secret;

use crate::names::Name;

/// The least length of a secret people may choose.
const SECRET_BYTES_MIN: usize = 24;

/// Sent by the proxy itself, or never passed on: not for a provider's list.
const OWN_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// Why a secret is none, if it is none.
#[must_use]
pub fn weak(secret: &str) -> Option<&'static str> {
    const EXAMPLES: &[&str] = &[
        "change-me",
        "changeme",
        "example",
        "replace-me",
        "your-secret",
        "0123456789",
        "insert-",
    ];
    let small = secret.to_ascii_lowercase();
    let mut letters: Vec<u8> = secret.bytes().collect();
    letters.sort_unstable();
    letters.dedup();
    if secret.is_empty() {
        Some("is empty")
    } else if secret.len() < SECRET_BYTES_MIN {
        Some("is shorter than 24 characters")
    } else if EXAMPLES.iter().any(|example| small.contains(example)) {
        Some("is a documented example")
    } else if letters.len() < 8 {
        Some("repeats a handful of characters")
    } else {
        None
    }
}

pub(super) fn choice<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words
        .iter()
        .find(|(word, _)| *word == text)
        .map(|(_, value)| value.clone());
    found.ok_or_else(|| {
        let words: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("is `{text}`; write one of {}", words.join(", "))
    })
}

pub(super) fn name(text: &str) -> Result<Name, String> {
    if text.is_empty() || text.len() > 128 || text.chars().any(char::is_control) {
        return Err("is 1 to 128 bytes without control characters".to_owned());
    }
    Ok(text.into())
}

pub(super) fn header(text: &str) -> Result<Name, String> {
    let small = text.to_ascii_lowercase();
    let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_token || small.starts_with("x-fgy-") || small == "x-provider-auth" {
        return Err(format!("`{text}` is not a header to pass on"));
    }
    if OWN_HEADERS.contains(&small.as_str()) {
        return Err(format!("`{text}` is never passed on from a caller"));
    }
    Ok(small.into())
}

pub(super) fn dimensions(text: &str) -> Result<u32, String> {
    let fits = text
        .parse()
        .ok()
        .filter(|number| (1..=16_384).contains(number));
    fits.ok_or_else(|| format!("is `{text}`; write a whole number from 1 to 16384"))
}

/// A name or an address, v6 with or without its brackets; the port is the listener's own.
pub(super) fn host(text: &str) -> Result<&str, String> {
    let bare = text
        .strip_prefix('[')
        .and_then(|text| text.strip_suffix(']'))
        .unwrap_or(text);
    let wildcard = |address: IpAddr| address.is_unspecified();
    if let Ok(address) = bare.parse::<IpAddr>() {
        return if wildcard(address) {
            Err("is no address to dial".to_owned())
        } else {
            Ok(bare)
        };
    }
    let is_name = |text: &str| {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_');
        !text.is_empty() && text.len() <= 253 && text.bytes().all(plain)
    };
    if is_name(text) {
        Ok(text)
    } else {
        Err(format!("is `{text}`; write a host or an IP, no port"))
    }
}

pub(super) fn seeds(text: &str) -> Result<Vec<String>, String> {
    let listed = text
        .split(',')
        .map(str::trim)
        .filter(|seed| !seed.is_empty());
    listed
        .map(|seed| {
            let (name, port) = seed.rsplit_once(':').unwrap_or((seed, ""));
            let bracketed = !name.contains(':') || (name.starts_with('[') && name.ends_with(']'));
            let fits =
                bracketed && host(name).is_ok() && port.parse::<u16>().is_ok_and(|port| port > 0);
            fits.then(|| seed.to_owned()).ok_or_else(|| {
                format!("has `{seed}`; write host:port, an IPv6 address as [::1]:8083")
            })
        })
        .collect()
}

/// A base URL without the slash at its end. Credentials in it would end in logs.
pub(super) fn url(text: &str) -> Result<String, String> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let authority = rest.map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    if authority.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("is no URL; write https://HOST or http://HOST, and a path".to_owned());
    }
    if authority.contains('@') {
        return Err("carries credentials; give them as a key instead".to_owned());
    }
    if text.contains(['?', '#']) {
        return Err("is a base URL; leave out the query".to_owned());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

pub(super) fn store(text: &str) -> Result<String, String> {
    const SCHEMES: &[&str] = &["sqlite:", "postgres://", "postgresql://", "volatile:"];
    let fits = SCHEMES.iter().any(|scheme| text.starts_with(scheme)) && text != "sqlite:";
    // A URL may carry a password, so it is not repeated.
    fits.then(|| text.to_owned())
        .ok_or_else(|| "is sqlite:PATH or a postgres:// URL".to_owned())
}

pub(super) fn bootstrap_key(text: &str) -> Result<Secret, String> {
    if !text.starts_with("fgy_") {
        return Err("begins with `fgy_`".to_owned());
    }
    match weak(text) {
        None => Ok(Secret::new(text.as_bytes())),
        Some(why) => Err(format!(
            "{why}; write `fgy_` and 24 random characters or more"
        )),
    }
}
