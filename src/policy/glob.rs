//! Names with `*` for any run of letters. The star is the only sign: a `?` in a prompt is a
//! question mark. Matching allocates nothing.

use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The longest pattern, in bytes.
pub(super) const GLOB_BYTES_MAX: usize = 256;

/// A pattern.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Glob(Arc<str>);

impl Glob {
    /// The pattern as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it names one thing and not a family.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether `text` is as the pattern says, letter by letter.
    #[must_use]
    pub fn matches(&self, text: &str) -> bool {
        matches_by(&self.0, text, |a, b| a == b)
    }

    /// The same, a capital being as good as a small letter.
    #[must_use]
    pub fn matches_any_case(&self, text: &str) -> bool {
        matches_by(&self.0, text, |a, b| {
            a == b || a.to_lowercase().eq(b.to_lowercase())
        })
    }

    /// Whether some text is matched by both.
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (a, b): (Vec<char>, Vec<char>) = (self.0.chars().collect(), other.0.chars().collect());
        // row[j]: whether what is left of `a` and b[j..] have a text in common, from the ends on.
        let mut row = vec![false; b.len() + 1];
        for i in (0..=a.len()).rev() {
            let below = std::mem::replace(&mut row, vec![false; b.len() + 1]);
            for j in (0..=b.len()).rev() {
                row[j] = match (a.get(i), b.get(j)) {
                    (None, None) => true,
                    (Some('*'), Some('*')) => below[j] || row[j + 1],
                    (Some('*'), next) => below[j] || (next.is_some() && row[j + 1]),
                    (next, Some('*')) => row[j + 1] || (next.is_some() && below[j]),
                    (Some(x), Some(y)) => x == y && below[j + 1],
                    (None, Some(_)) | (Some(_), None) => false,
                };
            }
        }
        row[0]
    }
}

impl From<&str> for Glob {
    fn from(pattern: &str) -> Self {
        Self(pattern.into())
    }
}

impl fmt::Debug for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// Walks both once; after a mismatch the last star swallows one letter more. Going back to an
/// earlier star is never needed: whatever it could swallow, the later one can.
fn matches_by(pattern: &str, text: &str, same: impl Fn(char, char) -> bool) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    let mut last_star = None;
    loop {
        let rest_of_text = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                if pattern.as_str().is_empty() {
                    return true;
                }
                text = rest_of_text;
                last_star = Some((pattern.clone(), text.clone()));
            }
            (Some(a), Some(b)) if same(a, b) => {}
            _ => {
                let Some((after_star, swallowed)) = &mut last_star else {
                    return false;
                };
                if swallowed.next().is_none() {
                    return false;
                }
                (pattern, text) = (after_star.clone(), swallowed.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_and_nothing_else_is_special() {
        let table = [
            ("gpt-4o", "gpt-4o", true),
            ("gpt-4o", "gpt-4o-mini", false),
            ("claude-*", "claude-haiku", true),
            ("claude-*", "claude-", true),
            ("claude-*", "gpt-4o", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*stock price*", "what is the stock price of x?", true),
            ("*stock price*", "the stock is a price", false),
            ("a*b*c", "a-b-b-c", true),
            ("a*b*c", "a-b-b-d", false),
            ("*ab", "aab", true),
            ("what?", "what?", true),
            ("what?", "whats", false),
            ("*ß*", "Straße", true),
        ];
        for (pattern, text, matched) in table {
            assert_eq!(
                Glob::from(pattern).matches(text),
                matched,
                "{pattern} {text}"
            );
        }
        assert!(Glob::from("*STOCK*").matches_any_case("the Stock"));
        assert!(!Glob::from("*STOCK*").matches("the Stock"));
    }

    #[test]
    fn two_patterns_overlap_if_one_text_suits_both() {
        let table = [
            ("a", "a", true),
            ("a", "b", false),
            ("*", "", true),
            ("gpt-*", "gpt-4o", true),
            ("gpt-*", "*-mini", true),
            ("gpt-*", "claude-*", false),
            ("*a", "*b", false),
            ("a*b", "*c*", true),
        ];
        for (a, b, both) in table {
            assert_eq!(Glob::from(a).overlaps(&Glob::from(b)), both, "{a} {b}");
            assert_eq!(Glob::from(b).overlaps(&Glob::from(a)), both, "{b} {a}");
        }
    }
}
