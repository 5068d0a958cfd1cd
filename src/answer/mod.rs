//! One answer, as it lies on a tape: a [`head`] first, then [`event`]s, the last of them a tally;
//! and its two shapes, [`fold`]ed into one JSON body or [`unfold`]ed into chunks. Bytes and values
//! only; how a tape is kept, carried or played is not known here.

use std::fmt;

pub mod aside;
pub mod codec;
pub mod event;
pub mod fold;
pub mod head;
mod merge;
pub mod stamp;
pub mod unfold;
pub mod usage;

mod bytes;

/// A frame or a body that is not what this version writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed(pub &'static str);

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "unreadable answer, treat it as absent: {}", self.0)
    }
}

impl std::error::Error for Malformed {}
