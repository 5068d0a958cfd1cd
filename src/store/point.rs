//! What a question means, as a store keeps it: a point in a space, seen by one model. Plain data and
//! its bounds; it makes no vector and judges no answer.

use std::fmt;

use fgy_cluster::Key;

use super::Error;
use crate::answer::stamp::Stamp;
use crate::key::Space;
use crate::names::Name;

/// The longest vector.
pub(super) const DIMENSIONS_MAX: u32 = 4_096;
/// The longest last message: more than any model's window holds.
const MESSAGE_BYTES_MAX: usize = 64 << 10;
/// The longest fingerprint.
const FINGERPRINT_BYTES_MAX: usize = 16 << 10;

/// By which model a vector was made. Vectors of two models, of two revisions of one, or of two
/// lengths never meet.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelKey {
    /// As in `all-MiniLM-L6-v2`.
    pub name: Name,
    /// Which weights; `""` where the provider tells none.
    pub revision: Name,
    /// How long its vectors are.
    pub dimensions: u32,
}

impl ModelKey {
    /// Whether a vector can be one of this model's; else what is wrong with it.
    pub(super) fn fits(&self, vector: &[f32]) -> Result<(), Error> {
        if !(1..=DIMENSIONS_MAX).contains(&self.dimensions) {
            return Err(Error::Refused(format!(
                "vectors of {self} are not kept: name a model of 1 to {DIMENSIONS_MAX} dimensions"
            )));
        }
        if vector.len() != self.dimensions as usize {
            return Err(Error::Refused(format!(
                "a vector of {} dimensions is none of {self}: set vector_dimensions to what the \
                 model gives",
                vector.len()
            )));
        }
        let length = vector.iter().map(|it| it * it).sum::<f32>();
        if !(length.is_finite() && length > f32::MIN_POSITIVE) {
            let text = format!("a vector of {self} has no direction: look at the embedder");
            return Err(Error::Refused(text));
        }
        Ok(())
    }
}

impl fmt::Display for ModelKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            revision,
            dimensions,
        } = self;
        match revision.as_str() {
            "" => write!(f, "{name}/{dimensions}"),
            revision => write!(f, "{name}@{revision}/{dimensions}"),
        }
    }
}

/// What the question of one answer means.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// Where it may be compared.
    pub space: Space,
    /// The answer's key.
    pub key: Key,
    /// By which model.
    pub model: ModelKey,
    /// Its direction; the length does not count.
    pub vector: Vec<f32>,
    /// The answer's stamp.
    pub stamp: Stamp,
    /// What else is compared, opaque here.
    pub fingerprint: Vec<u8>,
    /// The words that were compared by meaning.
    pub message: String,
}

impl Point {
    /// Whether a store takes it; else why not.
    pub(super) fn fits(&self) -> Result<(), Error> {
        let (message, fingerprint) = (self.message.len(), self.fingerprint.len());
        if message > MESSAGE_BYTES_MAX || fingerprint > FINGERPRINT_BYTES_MAX {
            return Err(Error::Refused(format!(
                "a point with a message of {message} bytes and a fingerprint of {fingerprint} is \
                 not kept: at most {MESSAGE_BYTES_MAX} and {FINGERPRINT_BYTES_MAX}"
            )));
        }
        self.model.fits(&self.vector)
    }

    /// About what it weighs while it waits.
    pub fn bytes(&self) -> usize {
        let vector = self.vector.len() * size_of::<f32>();
        size_of::<Self>() + vector + self.fingerprint.len() + self.message.len()
    }
}

/// A point that was found.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbour {
    /// Where its answer lies.
    pub key: Key,
    /// The cosine, at most 1.
    pub similarity: f32,
    /// Its answer's stamp.
    pub stamp: Stamp,
    /// As it was put.
    pub fingerprint: Vec<u8>,
    /// As it was put.
    pub message: String,
}
