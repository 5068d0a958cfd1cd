//! Time as it stands on entries. (Minimal copy: the stamp itself comes with the stores.)

use serde::{Deserialize, Serialize};

/// Unix time in milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);
