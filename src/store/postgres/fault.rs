//! PostgreSQL's errors, turned into the store's own. It repeats no values, only what the server says
//! of itself, and never a user or a password.

use crate::store::Error;

/// What an error means for the caller; `shown` is where the server is.
pub(super) fn of(shown: &str, error: &sqlx::Error) -> Error {
    match error {
        sqlx::Error::PoolTimedOut => {
            Error::Unavailable(format!("{shown} gave no connection in time"))
        }
        sqlx::Error::ColumnDecode { .. } | sqlx::Error::ColumnNotFound(_) => {
            Error::Corrupt(format!("{shown}: {error}; restore it from a copy"))
        }
        sqlx::Error::Database(told) => told_by_the_server(shown, told.as_ref()),
        _ => Error::Unavailable(format!("{shown}: {error}")),
    }
}

// https://www.postgresql.org/docs/current/errcodes-appendix.html
fn told_by_the_server(shown: &str, told: &dyn sqlx::error::DatabaseError) -> Error {
    let code = told.code();
    let code = code.as_deref().unwrap_or_default();
    // The message alone: what the server says in detail may quote a row.
    let message = told.message();
    let what_to_do = match code {
        "53100" => return Error::Full(format!("{shown}: {message}; make room on its disk")),
        "XX001" | "XX002" => return damaged(shown, message),
        "25006" => "name the primary, not a standby",
        "28000" | "28P01" => "give the user and the password it knows, in FGY_STORE",
        "3D000" => "create the database first",
        "42501" => "let that user create tables there, or run fgy once as one who may",
        "53300" => "lower store_connections_max, or raise max_connections there",
        "57014" => "it took too long",
        _ => "",
    };
    let end = if what_to_do.is_empty() { "" } else { "; " };
    Error::Unavailable(format!("{shown}: {message}{end}{what_to_do}"))
}

/// Something in the database is not what was written.
pub(super) fn damaged(shown: &str, what: &str) -> Error {
    Error::Corrupt(format!(
        "{shown} is damaged ({what}): restore it from a copy"
    ))
}

/// Whether the server was well when it said so: a row that cannot be read was delivered all right.
pub(super) fn is_of_a_row(error: &sqlx::Error) -> bool {
    matches!(
        error,
        sqlx::Error::ColumnDecode { .. }
            | sqlx::Error::ColumnNotFound(_)
            | sqlx::Error::ColumnIndexOutOfBounds { .. }
            | sqlx::Error::Decode(_)
            | sqlx::Error::RowNotFound
    )
}

/// Whether the server could not be asked at all, so that asking later may help by itself.
pub(super) fn is_away(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|told| told.code());
    match (error, code.as_deref()) {
        (sqlx::Error::Io(_) | sqlx::Error::PoolTimedOut, _) => true,
        // Starting, stopping, or full of others.
        (_, Some(code)) => code.starts_with("57P") || code == "53300",
        _ => false,
    }
}
