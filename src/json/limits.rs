//! What a JSON text may not be, and the words its sender hears. It never quotes the text: a prompt
//! must not reach a log through an error.

use std::fmt;

/// How many arrays and objects may lie inside one another.
pub const DEPTH_LEVELS_MAX: usize = 128;

/// The text is not one JSON value that fgy accepts: what is wrong with it and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Malformed {
    what: String,
    line: usize,
    column: usize,
}

impl Malformed {
    pub(crate) fn new(what: impl Into<String>, line: usize, column: usize) -> Malformed {
        Malformed {
            what: what.into(),
            line,
            column,
        }
    }

    /// The complaint of the parser. With our visitors it speaks of syntax alone, never of content.
    pub(crate) fn of(error: &serde_json::Error) -> Malformed {
        let said = error.to_string();
        let what = said.split(" at line ").next().unwrap_or_default();
        Malformed::new(what, error.line(), error.column())
    }

    pub(crate) fn not_utf8(bytes: &[u8], error: std::str::Utf8Error) -> Malformed {
        let good = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + good.iter().filter(|byte| **byte == b'\n').count();
        let column = 1 + good.iter().rev().take_while(|byte| **byte != b'\n').count();
        Malformed::new("a byte that is not UTF-8", line, column)
    }

    /// The line of the mistake, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// The column of the mistake in bytes, from 1.
    pub fn column(&self) -> usize {
        self.column
    }
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "not acceptable JSON: {} at line {} column {}: send one JSON value in UTF-8, no name \
             twice in an object, at most {DEPTH_LEVELS_MAX} levels deep",
            self.what, self.line, self.column
        )
    }
}

impl std::error::Error for Malformed {}
