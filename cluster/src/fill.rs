//! The one thing an application supplies: answers, kept or made. This crate calls it and never
//! learns what an answer is.

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use bytes::Bytes;
use zeroize::Zeroizing;

use crate::fault::Credential;
use crate::flight::Freshness;
use crate::key::Key;
use crate::sealed::Sealed;
use crate::tape::{Frame, Recorder, Tape};

/// A future that owns or borrows what it needs.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// On what conditions an existing answer will do. Judged by the application alone; here it is
/// carried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// The greatest age accepted, in milliseconds; `None`: as old as it is kept.
    pub age_millis_max: Option<u64>,
    /// How near the answer to another question must be, in basis points; `None`: only an answer to
    /// this one will do.
    pub nearness_min: Option<u16>,
}

/// Bytes that cannot be printed, compared or serialised, and are wiped when dropped. Copies that
/// a network library makes of what it sends are out of reach.
#[derive(Clone)]
pub struct Secret(Zeroizing<Box<[u8]>>);

impl Secret {
    /// Takes a copy of the secret.
    pub fn new(bytes: &[u8]) -> Secret {
        Secret(Zeroizing::new(bytes.into()))
    }

    /// The secret itself, for the one place that must write it.
    pub fn reveal(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What the maker of an answer is given.
#[derive(Debug, Clone)]
pub struct Filling {
    /// What is asked.
    pub key: Key,
    /// On what conditions a kept answer will do.
    pub terms: Terms,
    /// Whether a kept answer may do at all.
    pub freshness: Freshness,
    /// How to make the answer, in the application's encoding; may be printed and sent again.
    pub job: Bytes,
    /// What pays for it; travels beside the job and is never printed.
    pub secret: Option<Secret>,
    /// The digest of the secret.
    pub credential: Credential,
}

/// Why a copy is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Copied {
    /// The key has moved: this node owns it now.
    Moved,
    /// The key is hot and owned by another.
    Near,
}

/// Keeps and makes answers.
pub trait Fill: Send + Sync + 'static {
    /// A kept answer from memory: never waits, never locks for long.
    fn peek(&self, key: &Key, terms: &Terms) -> Option<Tape>;

    /// Kept answers from anywhere, in the order of the keys, by as few round trips as it takes.
    fn look<'a>(&'a self, keys: &'a [Key], terms: &'a Terms) -> BoxFuture<'a, Vec<Option<Tape>>>;

    /// Makes the answer, or finds it: owns the recorder to the end. An answer that others may
    /// find must be kept before the recorder is finished, or a request between the two would fly
    /// again.
    fn fill(&self, filling: Filling, recorder: Recorder) -> BoxFuture<'_, ()>;

    /// What must travel with a copy of a kept answer, in the application's encoding: how long it
    /// lives, and what would make it void. `None` where it is not kept or may not be copied.
    fn stamp(&self, key: &Key) -> Option<Bytes>;

    /// Takes in a copy that another node kept, with its stamp. What is void by then is dropped, and
    /// what is newer here stays; false where there is none of this key here afterwards.
    fn keep(&self, key: &Key, stamp: &[u8], sealed: std::sync::Arc<Sealed>, copy: Copied) -> bool;

    /// The keys of kept answers, but for near copies, that are not `mine`: the most asked for
    /// first, `limit` at most. May walk through all of memory: it is called where that is no harm.
    fn moved(&self, mine: &dyn Fn(&Key) -> bool, limit: usize) -> Vec<Key>;

    /// Whether an answer with this first frame meets the terms. An answer made anew always does.
    fn suits(&self, head: &Frame, terms: &Terms) -> bool;
}
