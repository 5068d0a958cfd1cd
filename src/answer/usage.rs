//! Tokens of one answer.

use serde::{Deserialize, Serialize};

/// What an answer took, in tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// of the request, all of them
    pub input: u32,
    /// the part of `input` that the provider had cached
    pub cached_input: u32,
    /// of the answer
    pub output: u32,
    /// counted or apportioned here, not told by the provider: never billed
    pub estimated: bool,
}
