//! Texts become vectors: the one trait everybody asks through, and what it gives. Whether two
//! vectors are near enough is decided elsewhere; nothing here is kept, and no text is logged.

mod alone;
mod http;
mod local;
mod queue;

use std::fmt;

use fgy_cluster::BoxFuture;

pub use self::alone::Alone;
pub use self::http::{Http, HttpSettings, Unusable};
pub use self::local::{Local, LocalSettings};
use crate::ledger::money::NanoUsd;
use crate::names::Name;
pub use fgy_minilm::Unloadable;

/// Makes vectors of texts.
pub trait Embedder: Send + Sync {
    /// Which model, told with each vector: those of another are never compared with its own.
    fn model(&self) -> &ModelId;

    /// The longest text it sees whole, in its own tokens; of a longer one it sees the beginning.
    fn window_tokens(&self) -> usize;

    /// How many tokens a text has. Exact where the model is here, else a guess that is rather too
    /// high. Counting stops at [`COUNT_MAX`], which is also said of texts too long to be counted
    /// while somebody waits.
    fn count_tokens(&self, text: &str) -> usize;

    /// The texts' vectors, in their order: all, or none. Waits no longer than it was allowed to.
    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vector>, Declined>>;

    /// The same, and what was paid for it, which is taken off what the cache saved.
    fn embed_paid(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Paid, Declined>> {
        Box::pin(async move {
            let vectors = self.embed(texts).await?;
            Ok(Paid {
                vectors,
                tokens: 0,
                price: NanoUsd::ZERO,
            })
        })
    }

    /// Whether somebody is paid for vectors.
    fn is_paid(&self) -> bool {
        false
    }

    /// Whether there is any use in asking now.
    fn state(&self) -> State {
        State::Ready
    }
}

/// Where counting a text's tokens stops.
pub const COUNT_MAX: usize = 65_536;

/// A direction: numbers whose squares sum to one.
#[derive(Clone, Debug, PartialEq)]
pub struct Vector(Box<[f32]>);

impl Vector {
    /// Numbers made as long as one; `None` where they point nowhere.
    pub fn new(numbers: impl Into<Box<[f32]>>) -> Option<Self> {
        let mut numbers = numbers.into();
        let squares: f64 = numbers.iter().map(|n| f64::from(*n) * f64::from(*n)).sum();
        let by = squares.sqrt().recip();
        if !by.is_finite() || by == 0.0 {
            return None;
        }
        for number in &mut numbers {
            *number = (f64::from(*number) * by) as f32;
        }
        Some(Self(numbers))
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[f32] {
        &self.0
    }

    /// The numbers, for keeping.
    pub fn into_inner(self) -> Box<[f32]> {
        self.0
    }

    /// The cosine of the angle to another of the same model: 1 is the same direction.
    pub fn cosine(&self, other: &Self) -> f32 {
        self.0.iter().zip(&other.0).map(|(a, b)| a * b).sum()
    }
}

/// Which model made a vector. Its text, `all-MiniLM-L6-v2@53aa51172d14/384`, is what stores keep.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ModelId {
    /// What people call it.
    pub name: Name,
    /// Which edition: for the local model the beginning of its weights' digest; `""` where a
    /// provider tells none.
    pub revision: Name,
    /// Numbers in a vector.
    pub dimensions: u32,
}

impl fmt::Display for ModelId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.name, self.revision, self.dimensions)
    }
}

/// Vectors and their price.
#[derive(Clone, Debug, PartialEq)]
pub struct Paid {
    /// In the order of the texts.
    pub vectors: Vec<Vector>,
    /// Tokens the provider billed, or a guess that is rather too high; nothing at home.
    pub tokens: u32,
    /// Their list price; nothing at home, or where the model has no price.
    pub price: NanoUsd,
}

/// Why there are no vectors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Declined {
    /// Too much is waiting, or waiting took too long.
    Busy,
    /// The model is not there yet.
    Loading,
    /// It did not work.
    Failed,
}

impl Declined {
    /// The token that stands in headers and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Busy => "embedder-busy",
            Self::Loading => "embedder-loading",
            Self::Failed => "embedder-failed",
        }
    }
}

impl fmt::Display for Declined {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether an embedder can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// There is no model; it may yet come.
    Off,
    /// It is being read.
    Loading,
    /// It answers.
    Ready,
}

impl State {
    /// As `/readyz` says it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Loading => "loading",
            Self::Ready => "ready",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vector_is_a_direction() {
        let vector = Vector::new(vec![3.0, -4.0]).unwrap();
        assert_eq!(vector.as_slice(), [0.6, -0.8]);
        assert!((vector.cosine(&vector) - 1.0).abs() < 1e-6);
        let across = Vector::new(vec![4.0, 3.0]).unwrap();
        assert!(vector.cosine(&across).abs() < 1e-6);
        for nowhere in [
            vec![],
            vec![0.0, 0.0],
            vec![f32::NAN, 1.0],
            vec![f32::INFINITY],
        ] {
            assert_eq!(Vector::new(nowhere.clone()), None, "{nowhere:?}");
        }
    }

    #[test]
    fn a_model_has_one_text_form() {
        let model = ModelId {
            name: "m".into(),
            revision: "abc".into(),
            dimensions: 384,
        };
        assert_eq!(model.to_string(), "m@abc/384");
    }
}
