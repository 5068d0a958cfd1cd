//! How those who agree reach each other, as seen from here: a payload goes to a node by name and a
//! reply comes back. What is in a payload is nobody else's business, and who carries it decides
//! nothing about it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::fill::BoxFuture;
use crate::node::NodeId;

/// Carries payloads to [`Control::hear`](super::Control::hear) of another node.
pub trait Carry: Send + Sync + 'static {
    /// Brings `payload` to `to` and its reply back, within `patience`.
    fn carry<'a>(
        &'a self,
        to: &'a NodeId,
        payload: Bytes,
        patience: Duration,
    ) -> BoxFuture<'a, Result<Bytes, Uncarried>>;
}

/// Why no reply came back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Uncarried {
    /// The payload has surely not been heard: there was nobody to give it to.
    Unreachable,
    /// It may have been heard: the connection was lost, or the reply did not come in time.
    Lost,
}

impl fmt::Display for Uncarried {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Uncarried::Unreachable => "the node cannot be reached",
            Uncarried::Lost => "the node did not answer in time",
        })
    }
}

impl std::error::Error for Uncarried {}
