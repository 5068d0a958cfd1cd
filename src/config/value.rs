//! What single values look like: addresses, URLs, names, secrets. Each reader says what it would
//! take instead; none repeats a secret, or a URL that may carry one.

use std::net::IpAddr;

use fgy_cluster::Secret;

use crate::names::Name;
use crate::registry::{base_url, forwarded};

/// The least length of a secret people may choose.
const SECRET_BYTES_MIN: usize = 24;

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
        "correct-horse",
        "password",
        "qwerty",
        "asdfgh",
        "<",
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
    } else if repeats_itself(secret.as_bytes()) {
        Some("repeats one piece again and again")
    } else if counts(secret.as_bytes()) {
        Some("counts up or down")
    } else {
        None
    }
}

/// Whether it is one piece twice or more, the last time perhaps cut off.
fn repeats_itself(secret: &[u8]) -> bool {
    let is_period = |period: usize| secret[period..] == secret[..secret.len() - period];
    (1..=secret.len() / 2).any(is_period)
}

/// Whether most letters follow from the one before: `abcdef`, `987654`.
fn counts(secret: &[u8]) -> bool {
    let steps = secret
        .windows(2)
        .filter(|pair| pair[0].abs_diff(pair[1]) == 1);
    steps.count() * 2 > secret.len()
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
    forwarded(text).map_err(|why| format!("`{text}` {why}"))
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

pub(super) fn url(text: &str) -> Result<String, String> {
    base_url(text).map_err(str::to_owned)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_anybody_could_guess_is_weak() {
        for (secret, why) in [
            ("", "empty"),
            ("short", "shorter"),
            ("k7Qw2nZx9Lr4Tb6Vm8Yc1Hd", "shorter"),
            ("please-change-me-before-you-go", "example"),
            ("My-Password-Is-A-Long-One-2026", "example"),
            ("<your admin token goes in here>", "example"),
            ("correct-horse-battery-staple", "example"),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "handful"),
            ("fgy-token-fgy-token-fgy-token-", "piece"),
            ("k7Qw2nZx9Lr4k7Qw2nZx9Lr4", "piece"),
            ("abcdefghijklmnopqrstuvwxyz", "counts"),
            ("zyxwvutsrqponmlkjihgfedcba-1", "counts"),
        ] {
            assert!(
                weak(secret).is_some_and(|told| told.contains(why)),
                "{secret}: {:?}",
                weak(secret)
            );
        }
        for secret in [
            "k7Qw2nZx9Lr4Tb6Vm8Yc1Hd3",
            "5f2b8c1d9e7a4036f1c8d2b59a6e7043",
            "glacier orbit velvet monkey tram",
            "fgy_Zk3mV9xQ2rT7wB5nL8cJ1dH4",
        ] {
            assert_eq!(weak(secret), None, "{secret}");
        }
    }
}
