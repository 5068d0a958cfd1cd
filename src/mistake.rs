//! One mistake in what an operator wrote: where it stands and what to write instead. Files are
//! checked whole, so mistakes travel in lists; nothing here decides what is a mistake.

use std::fmt;

/// A mistake in a file, the environment or a flag.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mistake {
    /// The line, from 1; 0 where there is none (a flag, a variable).
    pub line: usize,
    /// The column, in characters from 1; 0 where there is none.
    pub column: usize,
    /// The key as it would be looked for: `policies[2].config.ttl_seconds`, `FGY_LISTEN`.
    pub key: String,
    /// What is wrong and what would be right.
    pub text: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "{}:{}: ", self.line, self.column)?;
        }
        if self.key.is_empty() {
            return f.write_str(&self.text);
        }
        write!(f, "{}: {}", self.key, self.text)
    }
}

/// "unknown key", with the known one that was probably meant.
#[must_use]
pub fn unknown<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    match nearest(written, known) {
        Some(name) => format!("unknown key, did you mean `{name}`"),
        None => "unknown key".to_owned(),
    }
}

/// The known name that was probably meant: at most a third of its letters differ.
#[must_use]
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let distances = known
        .into_iter()
        .map(|name| (distance(written, name), name));
    let (distance, name) = distances.min()?;
    (distance <= name.chars().count().div_ceil(3)).then_some(name)
}

/// Letters to insert, delete or replace; swapping two neighbours counts as two.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    // Longer than any key: not worth measuring to the end.
    for (i, x) in a.chars().take(64).enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_understood_and_a_wild_guess_is_not_made() {
        let known = ["ttl_seconds", "max_entries", "scope"];
        let table = [
            ("ttl_second", Some("ttl_seconds")),
            ("tll_seconds", Some("ttl_seconds")),
            ("maxentries", Some("max_entries")),
            ("scopes", Some("scope")),
            ("colour", None),
            ("", None),
        ];
        for (written, meant) in table {
            assert_eq!(nearest(written, known), meant, "{written}");
        }
    }
}
