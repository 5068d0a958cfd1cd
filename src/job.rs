//! How an answer is made: everything the owner of a key needs but the secret that pays for it.
//! It may be printed and sent again, so it must never learn a secret; the prompt is in its body
//! and is therefore never printed with it.

use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};
use fgy_cluster::Key;
use serde::{Deserialize, Serialize};

use crate::answer::stamp::Stamp;
use crate::key::Space;
use crate::names::{Name, TenantId};
use crate::openai::request::Endpoint;
use crate::policy::OnAbandon;
use crate::semantic::window::LONG_BYTES;

/// A call to be made upstream.
#[derive(Clone, Serialize, Deserialize)]
pub struct Job {
    /// Which provider.
    pub provider: Name,
    /// Where it was when the key was made: its answer is kept under that address, so whoever
    /// calls it must still find it there. Never called as it stands here.
    pub base_url: String,
    /// Which of the cached endpoints.
    pub endpoint: Endpoint,
    /// The caller's query string, without the question mark.
    pub query: Option<String>,
    /// Whether the first caller asked for a stream: upstream is asked in that shape.
    pub stream: bool,
    /// The caller's headers that go upstream, in order.
    pub headers: Vec<(String, String)>,
    /// What is written on the answer if it is kept; its end of life is decided then.
    pub stamp: Stamp,
    /// For an answer made of items that are kept one by one: the items, in order.
    pub items: Vec<JobItem>,
    /// What becomes of the call when nobody listens any more.
    pub on_abandon: OnAbandon,
    /// How another question's answer may do, where one may.
    pub near: Option<Near>,
    /// The body to send.
    #[serde(skip)]
    pub body: Bytes,
}

/// What is compared by meaning, and how near is near enough.
#[derive(Clone, Serialize, Deserialize)]
pub struct Near {
    /// In which all but the words is the same.
    pub space: Space,
    /// The words.
    pub words: String,
    /// The similarity that counts, in basis points.
    pub bar: u16,
    /// The same for words longer than the model's window; `None`: no other.
    pub bar_long: Option<u16>,
    /// More tokens than this are not matched.
    pub tokens_max: Option<u32>,
    /// Whether an answer that is older than a minute is out of date.
    pub volatile: bool,
    /// The bar is learned, and `bar` is only the least it may be.
    #[serde(default)]
    pub aim: Option<Aim>,
}

/// What a bar is learned for.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Aim {
    /// The rate of wrong hits aimed at, in basis points.
    pub wrong_bp: u16,
    /// Whose bar.
    pub tenant: TenantId,
    /// In which partition.
    pub namespace: Name,
}

impl Near {
    /// The similarity that counts for these words.
    pub fn bar_of(&self) -> u16 {
        match self.bar_long {
            Some(long) if self.words.len() > LONG_BYTES => long,
            _ => self.bar,
        }
    }
}

/// One item of a batch.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct JobItem {
    /// Where its answer is kept.
    pub key: Key,
    /// What is written on it.
    pub stamp: Stamp,
    /// How many bytes it takes in the body: by them its tokens are told.
    pub bytes: usize,
}

/// Bytes that are not a job of this release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl Job {
    /// The length of the description, the description, the body.
    pub fn encode(&self) -> Bytes {
        let description = serde_json::to_vec(self).unwrap_or_default();
        let mut bytes = BytesMut::with_capacity(4 + description.len() + self.body.len());
        bytes.put_u32_le(description.len() as u32);
        bytes.extend_from_slice(&description);
        bytes.extend_from_slice(&self.body);
        bytes.freeze()
    }

    /// The reverse of [`Job::encode`]; the body shares the buffer.
    pub fn decode(bytes: &Bytes) -> Result<Job, Malformed> {
        let length = bytes.first_chunk().ok_or(Malformed)?;
        let length = u32::from_le_bytes(*length) as usize;
        let end = length
            .checked_add(4)
            .filter(|end| *end <= bytes.len())
            .ok_or(Malformed)?;
        let job: Job = serde_json::from_slice(&bytes[4..end]).map_err(|_| Malformed)?;
        Ok(Job {
            body: bytes.slice(end..),
            ..job
        })
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Job({:?} of {}, {} bytes)",
            self.endpoint,
            self.provider,
            self.body.len()
        )
    }
}
