//! What happened to the datagrams of one node, as plain counters. It only counts.

use crate::stats::Count;

use super::seal::Refused;

/// Counters since gossip began.
#[derive(Debug, Default)]
pub struct GossipStats {
    /// Datagrams sent.
    pub sent: Count,
    /// Datagrams heard and accepted.
    pub heard: Count,
    /// Of those sent, the ones of more than 1,200 bytes: on a small path they travel in pieces.
    pub large: Count,
    /// Datagrams that could not be sent; gossip sends others soon.
    pub unsent: Count,
    /// Refused: sealed with a key that is not this cluster's, or changed on the way.
    pub wrong_key: Count,
    /// Refused: stamped more than 30 s away from this node's clock.
    pub old: Count,
    /// Refused: heard before, or this node's own.
    pub replayed: Count,
    /// Refused: no datagram of ours, another version, or nothing gossip understands.
    pub malformed: Count,
    /// Refused: more than 1,024 lives of nodes were heard within half a minute.
    pub crowded: Count,
    /// Refused: came to the inner socket from another process of this machine.
    pub strangers: Count,
    /// A name of a seed that could not be resolved.
    pub unresolved: Count,
    /// Another live node with this node's name and a later life was seen.
    pub twins: Count,
}

impl GossipStats {
    pub(super) fn refused(&self, why: Refused) {
        match why {
            Refused::Malformed => self.malformed.add(),
            Refused::WrongKey => self.wrong_key.add(),
            Refused::Old => self.old.add(),
            Refused::Replayed => self.replayed.add(),
            Refused::Crowded => self.crowded.add(),
        }
    }
}
