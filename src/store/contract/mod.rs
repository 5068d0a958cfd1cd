//! What every store must do, as a suite that takes one already opened and empty. A store is one
//! that passes it; `tests/tidy.rs` sees that each trait method is called here.
//!
//! Each part fails by panicking with what was expected. It never sleeps and brings its own times.

#![expect(
    clippy::expect_used,
    reason = "a suite fails by panicking, like any test"
)]

pub mod entries;
pub mod installation;
pub mod labels;
pub mod ledger;
pub mod vectors;

use super::Stores;

/// Runs every part. Each uses names of its own, so that they do not meet.
pub async fn all(stores: &Stores) {
    entries::all(&*stores.entries).await;
    vectors::all(stores).await;
    ledger::all(&*stores.ledger).await;
    labels::all(&*stores.labels).await;
    installation::all(&*stores.installation).await;
}
