//! What a caller says about caching, read from the request's headers. A header that is there is
//! understood or refused by name, never half understood; one that is not fgy's is not looked at.
//! Nothing is decided here: whether a wish is granted is for [`super::decide`].

use std::fmt;

use super::decimal::basis_points;
use crate::names::Name;

/// Bytes of a name or an idempotency key in a header.
const NAME_BYTES_MAX: usize = 256;
/// The greatest number of seconds told apart; above it all are this (RFC 9111, 1.2.2).
const SECONDS_MAX: u64 = 1 << 31;

/// A caller's wishes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Directives {
    /// `Cache-Control: no-cache`: a fresh answer.
    pub no_cache: bool,
    /// `Cache-Control: no-store`: not to be kept.
    pub no_store: bool,
    /// `Cache-Control: only-if-cached`: no call.
    pub only_if_cached: bool,
    /// `Cache-Control: max-age`: the oldest answer accepted, in seconds.
    pub max_age_seconds: Option<u64>,
    /// `X-Fgy-Cache`: how far to go.
    pub reach: Option<ReachAsked>,
    /// `X-Fgy-Similarity-Threshold`, in basis points.
    pub similarity_min: Option<u16>,
    /// `X-Fgy-TTL-Seconds`: how long to keep the answer.
    pub ttl_seconds: Option<u64>,
    /// `X-Fgy-Namespace`: a partition.
    pub namespace: Option<Name>,
    /// `X-Fgy-Agent`: the agent, unless the key is bound to one.
    pub agent: Option<Name>,
    /// `X-Fgy-User`: the end user.
    pub user: Option<Name>,
    /// `X-Fgy-Provider`: a configured provider.
    pub provider: Option<Name>,
    /// `Idempotency-Key`: marks retries.
    pub idempotency_key: Option<Name>,
}

/// How far a caller lets the look-up go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ReachAsked {
    /// No cache at all.
    Off,
    /// The same request alone.
    Exact,
    /// One of the same meaning too.
    Semantic,
}

/// A header that cannot be understood: the caller's mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unreadable {
    /// Its name, as documented.
    pub header: &'static str,
    /// What it should be.
    pub expected: &'static str,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "header {} is unreadable: {}", self.header, self.expected)
    }
}

impl std::error::Error for Unreadable {}

const CACHE_CONTROL: &str = "Cache-Control";
const CACHE: &str = "X-Fgy-Cache";
const THRESHOLD: &str = "X-Fgy-Similarity-Threshold";
const TTL: &str = "X-Fgy-TTL-Seconds";
const NAMESPACE: &str = "X-Fgy-Namespace";
const AGENT: &str = "X-Fgy-Agent";
const USER: &str = "X-Fgy-User";
const PROVIDER: &str = "X-Fgy-Provider";
const IDEMPOTENCY: &str = "Idempotency-Key";

const WHOLE_SECONDS: &str = "write whole seconds, such as 600";
const ONE_VALUE: &str = "send it once, or with one value";
const NAME: &str = "write up to 256 bytes of text without control characters";

impl Directives {
    /// Reads the headers of one request, in any order, names in any case.
    ///
    /// # Errors
    /// The first header that is fgy's and cannot be understood, or that says two things.
    pub fn read<'a>(
        headers: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> Result<Self, Unreadable> {
        let mut read = Self::default();
        for (name, value) in headers {
            if let Some(header) = known(name) {
                read.take(header, value)?;
            }
        }
        Ok(read)
    }

    /// The agent this request speaks for: the one its key is bound to, else the one it names.
    #[must_use]
    pub fn agent(&self, bound: Option<&Name>) -> Name {
        bound.or(self.agent.as_ref()).cloned().unwrap_or_default()
    }

    fn take(&mut self, header: &'static str, value: &[u8]) -> Result<(), Unreadable> {
        let unreadable = |expected| Unreadable { header, expected };
        let text = str::from_utf8(value)
            .map_err(|_| unreadable("write it in UTF-8"))?
            .trim();
        match header {
            CACHE_CONTROL => self.take_cache_control(text),
            CACHE => once(
                header,
                &mut self.reach,
                reach(text).ok_or_else(|| unreadable("write off, exact or semantic"))?,
            ),
            THRESHOLD => once(
                header,
                &mut self.similarity_min,
                basis_points(text)
                    .ok_or_else(|| unreadable("write a number from 0.0 to 1.0, such as 0.97"))?,
            ),
            TTL => once(
                header,
                &mut self.ttl_seconds,
                seconds(text).ok_or(unreadable(WHOLE_SECONDS))?,
            ),
            NAMESPACE => name(header, &mut self.namespace, text, "/"),
            AGENT => name(header, &mut self.agent, text, "*"),
            USER => name(header, &mut self.user, text, ""),
            PROVIDER => name(header, &mut self.provider, text, ""),
            _ => name(header, &mut self.idempotency_key, text, ""),
        }
    }

    /// Directives that are not about fgy's answers (`no-transform` and the like) are nobody's
    /// mistake. Several headers are one list; of several ages the smallest counts.
    fn take_cache_control(&mut self, text: &str) -> Result<(), Unreadable> {
        for directive in text.split(',').map(str::trim) {
            let (word, argument) = directive.split_once('=').unwrap_or((directive, ""));
            let is = |known: &str| word.trim().eq_ignore_ascii_case(known);
            if is("no-cache") {
                self.no_cache = true;
            } else if is("no-store") {
                self.no_store = true;
            } else if is("only-if-cached") {
                self.only_if_cached = true;
            } else if is("max-age") {
                let age = seconds(argument.trim().trim_matches('"')).ok_or(Unreadable {
                    header: CACHE_CONTROL,
                    expected: "write max-age in whole seconds, such as max-age=600",
                })?;
                self.max_age_seconds = Some(self.max_age_seconds.map_or(age, |held| held.min(age)));
            }
        }
        Ok(())
    }
}

/// The documented spelling of a header that is read here. Most headers are not, so the first
/// letter decides before anything is compared.
fn known(name: &str) -> Option<&'static str> {
    let candidates: &[&'static str] = match name.as_bytes().first()? {
        b'c' | b'C' => &[CACHE_CONTROL],
        b'i' | b'I' => &[IDEMPOTENCY],
        b'x' | b'X' => &[CACHE, THRESHOLD, TTL, NAMESPACE, AGENT, USER, PROVIDER],
        _ => &[],
    };
    candidates
        .iter()
        .copied()
        .find(|known| known.eq_ignore_ascii_case(name))
}

/// A header sent twice with one value is one header; with two it is a riddle.
fn once<T: PartialEq>(
    header: &'static str,
    slot: &mut Option<T>,
    value: T,
) -> Result<(), Unreadable> {
    match slot {
        Some(held) if *held != value => Err(Unreadable {
            header,
            expected: ONE_VALUE,
        }),
        _ => {
            *slot = Some(value);
            Ok(())
        }
    }
}

/// An empty name names nobody. `reserved` is a letter fgy uses itself: a namespace must not look
/// like one inside another, and no agent is all agents.
fn name(
    header: &'static str,
    slot: &mut Option<Name>,
    text: &str,
    reserved: &str,
) -> Result<(), Unreadable> {
    if text.is_empty() {
        return Ok(());
    }
    let is_reserved = match reserved {
        "" => false,
        "/" => text.contains('/') || text == "*",
        whole => text == whole,
    };
    if is_reserved {
        let expected = "`*` alone, and `/` in a namespace, stand for something else; take another";
        return Err(Unreadable { header, expected });
    }
    if text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
        return Err(Unreadable {
            header,
            expected: NAME,
        });
    }
    if slot.as_deref().is_some_and(|held| held != text) {
        return Err(Unreadable {
            header,
            expected: ONE_VALUE,
        });
    }
    *slot = Some(text.into());
    Ok(())
}

fn reach(text: &str) -> Option<ReachAsked> {
    let words = [
        ("off", ReachAsked::Off),
        ("exact", ReachAsked::Exact),
        ("semantic", ReachAsked::Semantic),
    ];
    words
        .into_iter()
        .find(|(word, _)| word.eq_ignore_ascii_case(text))
        .map(|(_, reach)| reach)
}

/// Digits alone; a number too great to be told apart is the greatest one.
fn seconds(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(SECONDS_MAX).min(SECONDS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(headers: &[(&str, &str)]) -> Result<Directives, Unreadable> {
        Directives::read(
            headers
                .iter()
                .map(|(name, value)| (*name, value.as_bytes())),
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let none = Directives::default;
        let table: Vec<(&[(&str, &str)], Directives)> = vec![
            (&[], none()),
            (
                &[
                    ("accept", "*/*"),
                    ("x-request-id", "7"),
                    ("x-fgy-unheard-of", "1"),
                ],
                none(),
            ),
            (
                &[("cache-control", "no-cache")],
                Directives {
                    no_cache: true,
                    ..none()
                },
            ),
            (
                &[
                    ("Cache-Control", "NO-STORE , max-age=60"),
                    ("cache-control", "max-age=\"30\""),
                ],
                Directives {
                    no_store: true,
                    max_age_seconds: Some(30),
                    ..none()
                },
            ),
            (
                &[(
                    "cache-control",
                    "only-if-cached, no-transform, max-stale=5, ",
                )],
                Directives {
                    only_if_cached: true,
                    ..none()
                },
            ),
            (
                &[("cache-control", "max-age=99999999999999999999999")],
                Directives {
                    max_age_seconds: Some(SECONDS_MAX),
                    ..none()
                },
            ),
            (
                &[("x-fgy-cache", " Exact ")],
                Directives {
                    reach: Some(ReachAsked::Exact),
                    ..none()
                },
            ),
            (
                &[("x-fgy-similarity-threshold", "0.97001")],
                Directives {
                    similarity_min: Some(9_701),
                    ..none()
                },
            ),
            (
                &[("X-Fgy-TTL-Seconds", "0")],
                Directives {
                    ttl_seconds: Some(0),
                    ..none()
                },
            ),
            (
                &[
                    ("x-fgy-user", "ü-123"),
                    ("x-fgy-user", "ü-123"),
                    ("x-fgy-agent", ""),
                ],
                Directives {
                    user: Some("ü-123".into()),
                    ..none()
                },
            ),
            (
                &[("x-fgy-namespace", "staging"), ("x-fgy-provider", "ollama")],
                Directives {
                    namespace: Some("staging".into()),
                    provider: Some("ollama".into()),
                    ..none()
                },
            ),
            (
                &[("idempotency-key", "k1")],
                Directives {
                    idempotency_key: Some("k1".into()),
                    ..none()
                },
            ),
        ];
        for (headers, expected) in table {
            assert_eq!(read(headers), Ok(expected), "{headers:?}");
        }
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        let long = "n".repeat(NAME_BYTES_MAX + 1);
        let table: &[(&str, &str)] = &[
            (CACHE_CONTROL, "max-age=abc"),
            (CACHE_CONTROL, "max-age"),
            (CACHE_CONTROL, "max-age=-1"),
            (CACHE_CONTROL, "no-cache, max-age=1.5"),
            (CACHE, "on"),
            (CACHE, ""),
            (THRESHOLD, "1.5"),
            (THRESHOLD, "abc"),
            (THRESHOLD, "NaN"),
            (TTL, "1.5"),
            (TTL, "-1"),
            (TTL, ""),
            (NAMESPACE, &long),
            (NAMESPACE, "a/b"),
            (AGENT, "*"),
            (USER, "a\u{7f}b"),
        ];
        for (header, value) in table {
            let error = read(&[(header, value)]).expect_err(value);
            assert_eq!(error.header, *header, "{value}");
            assert!(error.to_string().contains(header), "{error}");
        }
        let raw: [(&str, &[u8]); 1] = [("x-fgy-user", &[0xff, 0xfe])];
        assert_eq!(Directives::read(raw).unwrap_err().header, USER);
    }

    #[test]
    fn a_header_may_not_say_two_things() {
        for (header, a, b) in [
            (CACHE, "off", "exact"),
            (TTL, "1", "2"),
            (USER, "u-1", "u-2"),
            (THRESHOLD, "0.9", "1"),
        ] {
            assert_eq!(
                read(&[(header, a), (header, b)]).unwrap_err().expected,
                ONE_VALUE
            );
            assert!(read(&[(header, a), (header, a)]).is_ok());
        }
    }

    #[test]
    fn a_bound_key_speaks_for_its_own_agent() {
        let named = read(&[(AGENT, "asked")]).unwrap();
        assert_eq!(&*named.agent(Some(&"bound".into())), "bound");
        assert_eq!(&*named.agent(None), "asked");
        assert_eq!(&*Directives::default().agent(None), "");
    }
}
