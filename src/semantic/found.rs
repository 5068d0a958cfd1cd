//! What a look for near answers gives, as plain values, and the two things the edge may ask of whoever
//! looks. It holds no word of any question and decides nothing.

use std::borrow::Cow;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use fgy_cluster::{Key, Sealed, Terms};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};

use crate::answer::stamp::{Millis, Stamp};
use crate::job::Near;
use crate::label::Label;
use crate::ledger::money::NanoUsd;
use crate::names::Name;

/// A near answer.
#[derive(Clone, Debug)]
pub struct Match {
    /// Where it lies.
    pub key: Key,
    /// How near it is, less what the guard takes off, in basis points, rounded down.
    pub similarity_bp: u16,
    /// Whose it is and how long it lives.
    pub stamp: Stamp,
}

/// One of the nearest, and what was said of it.
#[derive(Clone, Debug, Serialize, JsonSchema)]
pub struct Candidate {
    /// By which a purge names its entry.
    #[schemars(with = "String")]
    pub key: Key,
    /// Where its answer lies.
    #[serde(skip)]
    pub lies_at: Key,
    /// How near it is.
    #[serde(serialize_with = "unit")]
    #[schemars(with = "f64")]
    pub similarity: u16,
    /// The same less what the guard takes off: what is held against the bar. Nothing where the
    /// guard refuses it outright.
    #[serde(serialize_with = "unit_or_none")]
    #[schemars(with = "Option<f64>")]
    pub counted: Option<u16>,
    /// When its answer was begun.
    pub began: Millis,
    /// `accepted`, or why not.
    pub verdict: Cow<'static, str>,
}

/// The verdict on what may be served.
pub const ACCEPTED: &str = "accepted";

/// What a look would find, without anything being served.
#[derive(Clone, Debug, Default, Serialize, JsonSchema)]
pub struct Survey {
    /// The similarity that admits.
    #[serde(serialize_with = "unit")]
    #[schemars(with = "f64")]
    pub bar: u16,
    /// Of the words compared; 0 where nobody counted.
    pub tokens: usize,
    /// The nearest, the most similar first.
    pub neighbours: Vec<Candidate>,
    /// Why none was looked for, or none was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub declined: Option<Cow<'static, str>>,
}

impl Survey {
    /// The one that would be served.
    pub fn best(&self) -> Option<&Candidate> {
        let accepted = self.neighbours.iter().filter(|it| it.verdict == ACCEPTED);
        accepted.max_by_key(|it| it.counted)
    }

    /// Why nothing would be served.
    pub fn reason(&self) -> Cow<'static, str> {
        let first = self.neighbours.first().map(|it| it.verdict.clone());
        self.declined.clone().or(first).unwrap_or_default()
    }
}

/// What is in the cache, looked for without a flight.
#[derive(Default)]
pub struct Nearby {
    /// A near answer, its head saying so.
    pub answer: Option<Arc<Sealed>>,
    /// What was paid to a provider for looking.
    pub paid: NanoUsd,
}

/// A future that whoever looks hands out.
pub type Looking<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Looks among what is kept, for the edge.
pub trait Looks: Send + Sync {
    /// The best near answer, for whom nothing may be called. Nothing is kept.
    fn nearby<'a>(
        &'a self,
        near: &'a Near,
        policy: &'a Name,
        terms: &'a Terms,
    ) -> Looking<'a, Nearby>;

    /// What somebody said of a look-up.
    fn heard(&self, label: &Label);

    /// What is written on a kept answer.
    fn stamp<'a>(&'a self, key: &'a Key) -> Looking<'a, Option<Stamp>>;

    /// What a look would find and what would become of each.
    fn survey<'a>(
        &'a self,
        near: &'a Near,
        policy: &'a Name,
        terms: &'a Terms,
    ) -> Looking<'a, Survey>;
}

fn unit<S: Serializer>(basis_points: &u16, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(f64::from(*basis_points) / 10_000.0)
}

fn unit_or_none<S: Serializer>(
    basis_points: &Option<u16>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match basis_points {
        Some(basis_points) => unit(basis_points, serializer),
        None => serializer.serialize_none(),
    }
}
