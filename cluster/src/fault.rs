//! The named ways a tape can break, and who hears which. Words for people are chosen where they
//! are heard, never here.

use std::fmt;

use bytes::Bytes;

use crate::sync::Arc;

/// A digest of the secret that a caller would have its answer made with. Equal digests mean equal
/// secrets; the secret itself cannot be had back. It is compared, never stored or sent to peers
/// other than beside the ask it belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Credential(pub [u8; 16]);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// How a recording ended before it was finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The recorder was dropped unfinished: its task ended, panicked or was cancelled.
    Abandoned,
    /// The answer outgrew the longest tape allowed.
    TooLong,
    /// Nothing came for longer than the recorder or the listener was willing to wait.
    TooSlow,
    /// There is no room for another flight, listener or byte in the air.
    NoRoom,
    /// Where the answer was coming from went away: before the first byte, or in the middle.
    Lost,
    /// The node that the answer came from went away in the middle. Whoever has passed nothing on
    /// may ask again: another node owns the key by then.
    OwnerLost,
    /// The maker of the answer said no, in its own words.
    Refused(Arc<Refusal>),
}

/// A refusal, passed on verbatim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The status the maker answered with, in whatever numbering the application uses.
    pub status: u16,
    /// What the application wants to know about the body, in its own encoding.
    pub head: Bytes,
    /// What was said besides, to the one whose ask was refused and to nobody else.
    pub aside: Bytes,
    /// The refusal itself; bounded by the application.
    pub body: Bytes,
    /// Whom it concerns.
    pub heard_by: HeardBy,
}

/// Whom a refusal concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeardBy {
    /// It is about the question: every listener would hear the same.
    All,
    /// It is about the first caller's account: only holders of the same credential hear it.
    Holders(Credential),
}

impl Fault {
    /// Whether a listener with this credential must take the fault as its own answer. Where not,
    /// it may ask again: the flight it followed has ended, and one of the others will lead.
    pub fn concerns(&self, credential: Credential) -> bool {
        match self {
            Fault::Refused(refusal) => match refusal.heard_by {
                HeardBy::All => true,
                HeardBy::Holders(holder) => holder == credential,
            },
            _ => true,
        }
    }

    /// The fault as one who only followed hears it.
    pub fn overheard(self) -> Fault {
        match self {
            Fault::Refused(refusal) => Fault::Refused(Arc::new(Refusal {
                aside: Bytes::new(),
                ..Refusal::clone(&refusal)
            })),
            other => other,
        }
    }

    /// A short name for counters and traces.
    pub fn name(&self) -> &'static str {
        match self {
            Fault::Abandoned => "abandoned",
            Fault::TooLong => "too-long",
            Fault::TooSlow => "too-slow",
            Fault::NoRoom => "no-room",
            Fault::Lost => "lost",
            Fault::OwnerLost => "owner-lost",
            Fault::Refused(_) => "refused",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::error::Error for Fault {}
