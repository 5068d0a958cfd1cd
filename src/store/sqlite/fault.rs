//! SQLite's errors, turned into the store's three. It repeats no values, only what SQLite says of
//! itself.

use std::path::Path;

use crate::store::Error;

// https://www.sqlite.org/rescode.html
const CORRUPT: u32 = 11;
const FULL: u32 = 13;
const NOT_A_DATABASE: u32 = 26;

/// What an error means for the caller.
pub(super) fn of(path: &Path, error: sqlx::Error) -> Error {
    let shown = path.display();
    match &error {
        sqlx::Error::PoolTimedOut => {
            Error::Unavailable(format!("{shown} is busy: no connection came free in time"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
            Error::Corrupt(format!("{shown}: {error}; restore it from a copy"))
        }
        sqlx::Error::Database(told) => match primary(told.code().as_deref()) {
            Some(FULL) => Error::Full(format!("{shown}: {told}; make room on its disk")),
            Some(NOT_A_DATABASE) => Error::Corrupt(format!(
                "{shown} is not an SQLite database: name another file, or move this one away",
            )),
            Some(CORRUPT) => damaged(path, &told.to_string()),
            _ => Error::Unavailable(format!("{shown}: {told}")),
        },
        _ => Error::Unavailable(format!("{shown}: {error}")),
    }
}

/// Something in the file is not what was written.
pub(super) fn damaged(path: &Path, what: &str) -> Error {
    let shown = path.display();
    Error::Corrupt(format!(
        "{shown} is damaged ({what}): move it away or restore it from a copy"
    ))
}

/// The low byte of an extended result code.
fn primary(code: Option<&str>) -> Option<u32> {
    Some(code?.parse::<u32>().ok()? & 0xff)
}
