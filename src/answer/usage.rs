//! How many tokens an answer took. Plain numbers, as the provider counted them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Tokens of one answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Usage {
    /// Tokens read, cached ones included.
    pub input: u32,
    /// The part of `input` the provider read from its own prompt cache.
    pub cached_input: u32,
    /// Tokens written.
    pub output: u32,
    /// Counted here, because the provider sent no numbers: shown, never billed.
    pub estimated: bool,
}
