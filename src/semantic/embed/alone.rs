//! The local model on the calling thread, without queue, threads and patience: for measuring it.

use std::path::Path;

use fgy_minilm::{Desk, MiniLm, Processor, Unloadable};

use super::Vector;

/// The model, and where it works.
pub struct Alone {
    model: MiniLm,
    desk: Desk,
    processor: Processor,
}

impl Alone {
    /// Reads the model in a folder, whose files are taken for what they say they are.
    pub fn load(folder: &Path) -> Result<Self, Unloadable> {
        let processor = Processor::here();
        Ok(Self {
            model: MiniLm::load(folder, processor)?,
            desk: Desk::default(),
            processor,
        })
    }

    /// Which instructions it uses.
    pub fn processor(&self) -> &'static str {
        self.processor.name()
    }

    /// One text's vector.
    pub fn embed(&mut self, text: &str) -> Option<Vector> {
        let pieces = self.model.pieces(text);
        let mut vectors = self.model.embed(&[&pieces], &mut self.desk).into_iter();
        vectors.next().and_then(Vector::new)
    }

    /// A text's tokens.
    pub fn count(&self, text: &str) -> usize {
        self.model.count(text, super::COUNT_MAX)
    }

    /// A text of so many tokens, three at least.
    pub fn sample(tokens: usize) -> String {
        let words = [
            "how", "do", "i", "cancel", "my", "order", "and", "get", "the", "money", "back",
            "from", "your", "shop", "before", "next", "week",
        ];
        // Two tokens mark the beginning and the end.
        let words: Vec<&str> = words
            .iter()
            .cycle()
            .copied()
            .take(tokens.saturating_sub(2))
            .collect();
        words.join(" ")
    }
}

#[cfg(test)]
mod tests;
