//! all-MiniLM-L6-v2: text to vectors, by six layers of attention, on one thread. Weights and
//! rows in whole numbers of sixteen bits, everything else in single precision; the same vector on
//! every processor. It waits for nothing, starts nothing and knows no queue.
//!
//! A crate of its own so that it is optimised in every build: without that, one text takes seconds.

mod codes;
mod forward;
mod kernel;
mod math;
mod weights;
mod wordpiece;

use std::fmt;
use std::path::Path;

use self::codes::Linear;
pub use self::forward::Desk;
pub use self::kernel::Processor;
use self::math::Norm;
use self::weights::{Odd, Weights};
pub use self::wordpiece::Piece;
use self::wordpiece::WordPiece;

/// Numbers in a vector.
pub const WIDTH: usize = 384;
/// Pieces that the model looks at; it was trained on no more.
pub const WINDOW: usize = 256;

const LAYERS: usize = 6;
const HEADS: usize = 12;
const HEAD_WIDTH: usize = WIDTH / HEADS;
const INNER_WIDTH: usize = 4 * WIDTH;
const VOCABULARY: usize = 30_522;
const POSITIONS: usize = 512;

/// The file of the weights.
pub const WEIGHTS_FILE: &str = "model.safetensors";
/// The file of the vocabulary.
pub const VOCABULARY_FILE: &str = "tokenizer.json";

/// The model in memory: about 47 MB.
pub struct MiniLm {
    wordpiece: WordPiece,
    words: Words,
    /// Row by row, what a place in the text adds; the one type of text is in it.
    places: Vec<f32>,
    first: Norm,
    layers: Vec<Layer>,
    processor: Processor,
}

/// The table of pieces: sixteen bits a number, with one scale for each row.
struct Words {
    codes: Vec<i16>,
    scales: Vec<f32>,
}

struct Layer {
    /// Queries, keys and values, side by side.
    attention: Linear,
    attended: Linear,
    attended_norm: Norm,
    inner: Linear,
    outer: Linear,
    outer_norm: Norm,
}

/// Why the model cannot be loaded.
#[derive(Debug)]
pub struct Unloadable {
    file: &'static str,
    why: Odd,
}

impl fmt::Display for Unloadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.file, self.why)
    }
}

impl std::error::Error for Unloadable {}

impl MiniLm {
    /// Reads the model's files in a folder. Takes some tenths of a second.
    pub fn load(folder: &Path, processor: Processor) -> Result<Self, Unloadable> {
        let wordpiece =
            WordPiece::open(&folder.join(VOCABULARY_FILE)).map_err(|why| Unloadable {
                file: VOCABULARY_FILE,
                why,
            })?;
        let parts = || {
            let weights = Weights::open(&folder.join(WEIGHTS_FILE))?;
            Ok((
                Words::read(&weights)?,
                places(&weights)?,
                norm(&weights, "embeddings.LayerNorm")?,
                (0..LAYERS)
                    .map(|layer| Layer::read(&weights, layer))
                    .collect::<Result<_, _>>()?,
            ))
        };
        let (words, places, first, layers) = parts().map_err(|why| Unloadable {
            file: WEIGHTS_FILE,
            why,
        })?;
        Ok(Self {
            wordpiece,
            words,
            places,
            first,
            layers,
            processor,
        })
    }

    /// A text's pieces, as many as the model looks at.
    pub fn pieces(&self, text: &str) -> Vec<Piece> {
        self.wordpiece.pieces(text, WINDOW)
    }

    /// How many pieces a text has; counting stops at `most`.
    pub fn count(&self, text: &str, most: usize) -> usize {
        self.wordpiece.count(text, most)
    }
}

impl Words {
    fn read(weights: &Weights) -> Result<Self, Odd> {
        let mut words = Self {
            codes: Vec::with_capacity(VOCABULARY * WIDTH),
            scales: Vec::with_capacity(VOCABULARY),
        };
        let name = "embeddings.word_embeddings.weight";
        weights.read_rows(name, &[VOCABULARY, WIDTH], |row| {
            let top = math::greatest_size(row).max(f32::MIN_POSITIVE);
            let scale = top / f32::from(i16::MAX);
            words.scales.push(scale);
            let codes = row.iter().map(|number| (number / scale) as i16);
            words.codes.extend(codes);
        })?;
        Ok(words)
    }
}

/// What places add, with what the one type of text adds everywhere.
fn places(weights: &Weights) -> Result<Vec<f32>, Odd> {
    let name = "embeddings.position_embeddings.weight";
    let mut places = weights.read(name, &[POSITIONS, WIDTH])?;
    let kinds = weights.read("embeddings.token_type_embeddings.weight", &[2, WIDTH])?;
    places.truncate(WINDOW * WIDTH);
    for place in places.chunks_exact_mut(WIDTH) {
        place.iter_mut().zip(&kinds).for_each(|(a, b)| *a += b);
    }
    Ok(places)
}

fn norm(weights: &Weights, name: &str) -> Result<Norm, Odd> {
    Ok(Norm {
        weights: weights.read(&format!("{name}.weight"), &[WIDTH])?,
        biases: weights.read(&format!("{name}.bias"), &[WIDTH])?,
    })
}

impl Layer {
    fn read(weights: &Weights, layer: usize) -> Result<Self, Odd> {
        let part = |part: &str| format!("encoder.layer.{layer}.{part}");
        let linear = |names: &[&str], inputs, outputs| {
            let (mut rows, mut biases) = (Vec::new(), Vec::new());
            for name in names {
                let name = part(name);
                rows.extend(weights.read(&format!("{name}.weight"), &[outputs, inputs])?);
                biases.extend(weights.read(&format!("{name}.bias"), &[outputs])?);
            }
            Linear::pack(&rows, biases)
        };
        let three = [
            "attention.self.query",
            "attention.self.key",
            "attention.self.value",
        ];
        let mut attention = linear(&three, WIDTH, WIDTH)?;
        attention.scale_outputs(0..WIDTH, (HEAD_WIDTH as f32).sqrt().recip());
        Ok(Self {
            attention,
            attended: linear(&["attention.output.dense"], WIDTH, WIDTH)?,
            attended_norm: norm(weights, &part("attention.output.LayerNorm"))?,
            inner: linear(&["intermediate.dense"], WIDTH, INNER_WIDTH)?,
            outer: linear(&["output.dense"], INNER_WIDTH, WIDTH)?,
            outer_norm: norm(weights, &part("output.LayerNorm"))?,
        })
    }
}
