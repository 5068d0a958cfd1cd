//! The four ways a store can fail its caller. Each implementation turns its own database's errors
//! into these; nobody above hears of a database's codes.

use std::fmt;

/// Why a store did not do what it was asked. The text says what was tried and what to do; it never
/// holds anything of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// Not now: trying again later may help.
    Unavailable(String),
    /// No room: trying again helps once there is room.
    Full(String),
    /// What is stored cannot be used: trying again does not help, someone has to look.
    Corrupt(String),
    /// What was asked can never be done: trying again does not help, whoever asks is wrong.
    Refused(String),
}

impl Error {
    /// More keys in one call than a store takes.
    pub(super) fn too_many_keys(keys: usize) -> Self {
        let max = super::KEYS_MAX;
        Self::Unavailable(format!(
            "{keys} keys asked for at once: ask for at most {max}"
        ))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unavailable(text) => write!(f, "the store is unavailable: {text}"),
            Self::Full(text) => write!(f, "the store is full: {text}"),
            Self::Corrupt(text) => write!(f, "the store cannot be used: {text}"),
            Self::Refused(text) => write!(f, "the store refuses: {text}"),
        }
    }
}

impl std::error::Error for Error {}
