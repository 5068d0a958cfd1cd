//! What a run is worth: held, broken, or unknown, with the figures that go with it. A run that could
//! not prove its own faults, or asked too little, says nothing about the product and is unknown.

use std::fmt;
use std::process::ExitCode;

/// Why a run could not be made or says nothing.
#[derive(Debug)]
pub(crate) struct Trouble(pub(crate) String);

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<std::io::Error> for Trouble {
    fn from(error: std::io::Error) -> Trouble {
        Trouble(error.to_string())
    }
}

/// A trouble in these words.
pub(crate) fn trouble<T>(words: impl Into<String>) -> Result<T, Trouble> {
    Err(Trouble(words.into()))
}

/// What is told at the end.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// The property held, and the run had what it takes to see it break.
    Held,
    /// It was broken here.
    Broken(Vec<String>),
    /// Nothing is known.
    Unknown(Vec<String>),
}

impl Verdict {
    /// What was broken outweighs what is missing.
    pub(crate) fn of(broken: Vec<String>, missing: Vec<String>) -> Verdict {
        match (broken.is_empty(), missing.is_empty()) {
            (false, _) => Verdict::Broken(broken),
            (true, false) => Verdict::Unknown(missing),
            (true, true) => Verdict::Held,
        }
    }

    /// 0 held, 1 broken, 2 unknown.
    pub(crate) fn code(&self) -> ExitCode {
        match self {
            Verdict::Held => ExitCode::SUCCESS,
            Verdict::Broken(_) => ExitCode::from(1),
            Verdict::Unknown(_) => ExitCode::from(2),
        }
    }
}

/// Lines that are shown of a long list.
const LINES_COUNT_MAX: usize = 20;

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (word, lines) = match self {
            Verdict::Held => return f.write_str("HELD"),
            Verdict::Broken(lines) => ("BROKEN", lines),
            Verdict::Unknown(lines) => ("UNKNOWN", lines),
        };
        write!(f, "{word} ({})", lines.len())?;
        for line in lines.iter().take(LINES_COUNT_MAX) {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_broken_outweighs_what_is_missing() {
        let line = || vec!["x".to_owned()];
        assert!(matches!(Verdict::of(line(), line()), Verdict::Broken(_)));
        assert!(matches!(Verdict::of(vec![], line()), Verdict::Unknown(_)));
        assert!(matches!(Verdict::of(vec![], vec![]), Verdict::Held));
        assert_eq!(Verdict::of(line(), vec![]).to_string(), "BROKEN (1)\n  x");
    }
}
