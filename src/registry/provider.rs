//! A provider as it is agreed on: where it is, which wire it speaks, whose key it is called with.
//! Plain data and the rules it must keep; the same form in the file, in the admin API and at rest.
//! It never makes a call and never holds a key.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::names::Name;
use crate::policy::Glob;

/// The provider that `FGY_UPSTREAM` names: no other may be called so.
pub const DEFAULT_PROVIDER: &str = "default";

/// Models of one provider.
const MODELS_MAX: usize = 1_000;
/// Headers passed on to one provider.
const HEADERS_MAX: usize = 32;
/// Bytes of a base URL.
const URL_BYTES_MAX: usize = 2_048;

/// Sent by the proxy itself, or never passed on: not for a provider's list.
const OWN_HEADERS: &[&str] = &[
    "authorization",
    "cookie",
    "host",
    "content-length",
    "transfer-encoding",
    "connection",
];

/// One configured provider.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Provider {
    /// What `X-Fgy-Provider` calls it.
    pub name: Name,
    /// Which wire it speaks.
    #[serde(default)]
    pub kind: ProviderKind,
    /// Where it is, up to and including the version, without a slash at its end.
    pub base_url: String,
    /// The models asked of it, `*` for any run of letters; empty: only by name.
    #[serde(default)]
    pub models: Vec<Glob>,
    /// Whose key it is called with.
    #[serde(default)]
    pub auth: Auth,
    /// Request headers passed on to it, in small letters; they join the key.
    #[serde(default)]
    pub forward_headers: Vec<Name>,
}

/// Which wire a provider speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ProviderKind {
    /// OpenAI's, as most do.
    #[default]
    OpenAi,
    /// Anthropic's.
    Anthropic,
}

/// Whose key a provider is called with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Auth {
    /// The caller's.
    #[default]
    Caller,
    /// Nobody's: it asks for none.
    None,
    /// The operator's. Not there yet, and refused.
    Operator,
}

impl Provider {
    /// The same as it is kept: no slash behind its URL, headers in small letters.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat a URL.
    pub fn tidied(mut self) -> Result<Self, &'static str> {
        self.base_url = base_url(&self.base_url)?;
        for header in &mut self.forward_headers {
            *header = forwarded(header)?;
        }
        self.mistake().map_or(Ok(self), Err)
    }

    /// What is wrong with it, if anything.
    pub fn mistake(&self) -> Option<&'static str> {
        if super::check_name(&self.name).is_err() {
            return Some("a provider's name is 1 to 128 bytes without control characters");
        }
        if self.name == DEFAULT_PROVIDER {
            return Some("`default` is the provider that FGY_UPSTREAM names; choose another name");
        }
        if self.auth == Auth::Operator {
            return Some(NO_OPERATOR);
        }
        if self.models.len() > MODELS_MAX || self.forward_headers.len() > HEADERS_MAX {
            return Some("has at most 1000 models and 32 headers to pass on");
        }
        let bad_model = |model: &Glob| super::check_name(model.as_str()).is_err();
        if self.models.iter().any(bad_model) {
            return Some("a model is 1 to 128 bytes without control characters");
        }
        let as_kept = |url: &str| base_url(url).map(|kept| kept == url);
        match as_kept(&self.base_url) {
            Err(why) => return Some(why),
            Ok(false) => return Some("has a slash at the end of its base URL"),
            Ok(true) => {}
        }
        let mut headers = self.forward_headers.iter();
        headers.find_map(|header| match forwarded(header) {
            Err(why) => Some(why),
            Ok(kept) => (kept != *header).then_some("a header is written in small letters"),
        })
    }
}

/// Why nobody's key but the caller's is used.
pub const NO_OPERATOR: &str = "auth = \"operator\" is not there yet: use \"caller\", or \"none\" \
                               for a server without keys";

/// A base URL without the slash at its end. Credentials in it would end in logs.
///
/// # Errors
/// What is wrong with it; the URL is not repeated.
pub fn base_url(text: &str) -> Result<String, &'static str> {
    let rest = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"));
    let authority = rest.map_or("", |rest| rest.split(['/', '?', '#']).next().unwrap_or(""));
    if authority.is_empty() || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("is no URL; write https://HOST or http://HOST, and a path");
    }
    if authority.contains('@') {
        return Err("carries credentials; give them as a key instead");
    }
    if text.contains(['?', '#']) {
        return Err("is a base URL; leave out the query");
    }
    if text.len() > URL_BYTES_MAX {
        return Err("is longer than 2048 bytes");
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// A header that may be passed on to a provider, in small letters.
///
/// # Errors
/// Why it may not.
pub fn forwarded(text: &str) -> Result<Name, &'static str> {
    let small = text.to_ascii_lowercase();
    let is_token = !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    if !is_token || small.starts_with("x-fgy-") || small == "x-provider-auth" {
        return Err("is not a header to pass on");
    }
    if OWN_HEADERS.contains(&small.as_str()) {
        return Err("is never passed on from a caller");
    }
    Ok(small.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(base_url: &str) -> Provider {
        Provider {
            name: "groq".into(),
            kind: ProviderKind::OpenAi,
            base_url: base_url.into(),
            models: vec!["llama-*".into()],
            auth: Auth::Caller,
            forward_headers: vec!["X-Trace".into()],
        }
    }

    #[test]
    fn what_is_kept_is_tidy_and_what_cannot_be_is_told() {
        let kept = at("http://127.0.0.1:11434/v1/").tidied().unwrap();
        assert_eq!(kept.base_url, "http://127.0.0.1:11434/v1");
        assert_eq!(kept.forward_headers, ["x-trace"]);
        assert_eq!(kept.mistake(), None);
        assert_eq!(kept.clone().tidied(), Ok(kept.clone()), "once is enough");
        let like = |change: &dyn Fn(&mut Provider)| {
            let mut told = kept.clone();
            change(&mut told);
            told.tidied().err().unwrap_or_default()
        };
        for (words, why) in [
            ("no URL", like(&|p| p.base_url = "ftp://HOST/v1".into())),
            ("no URL", like(&|p| p.base_url = "http:///v1".into())),
            ("no URL", like(&|p| p.base_url = "http://x b/v1".into())),
            (
                "credentials",
                like(&|p| p.base_url = "http://user:b@HOST".into()),
            ),
            ("query", like(&|p| p.base_url = "http://HOST/v1?a=b".into())),
            ("longer", like(&|p| p.base_url += &"/x".repeat(1_100))),
            ("FGY_UPSTREAM", like(&|p| p.name = "default".into())),
            ("128 bytes", like(&|p| p.name = "".into())),
            ("128 bytes", like(&|p| p.models.push("".into()))),
            ("not there yet", like(&|p| p.auth = Auth::Operator)),
            ("at most", like(&|p| p.models = vec!["m".into(); 1_001])),
            (
                "not a header",
                like(&|p| p.forward_headers.push("X-Fgy-Agent".into())),
            ),
            (
                "not a header",
                like(&|p| p.forward_headers.push("a b".into())),
            ),
            (
                "never passed on",
                like(&|p| p.forward_headers.push("Cookie".into())),
            ),
        ] {
            assert!(why.contains(words), "{words}: {why:?}");
        }
    }

    #[test]
    fn a_provider_reads_as_the_file_says_it() {
        let told: Provider =
            serde_json::from_str(r#"{"name": "a", "base_url": "http://x", "kind": "anthropic"}"#)
                .unwrap();
        assert_eq!(
            (told.kind, told.auth),
            (ProviderKind::Anthropic, Auth::Caller)
        );
        let odd = r#"{"name": "a", "base_url": "http://x", "base_uri": "http://x"}"#;
        assert!(serde_json::from_str::<Provider>(odd).is_err());
    }
}
