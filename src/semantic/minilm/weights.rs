//! The file of weights: a header that says where each tensor lies, then the tensors. It reads
//! numbers of one kind, checks that they have the shape that was asked for, and knows no model.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::Deserialize;

/// A header is a few KiB; a longer one belongs to something else.
const HEADER_BYTES_MAX: u64 = 1 << 20;

/// Why a file of weights cannot be used.
#[derive(Debug)]
pub(super) enum Odd {
    /// It could not be read.
    Unreadable(io::Error),
    /// It is not what it should be.
    Shape(String),
}

impl Odd {
    pub(super) fn shape(what: impl Into<String>) -> Self {
        Self::Shape(what.into())
    }
}

impl fmt::Display for Odd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(error) => write!(f, "it cannot be read: {error}"),
            Self::Shape(what) => write!(f, "{what} is not as the model has it"),
        }
    }
}

impl From<io::Error> for Odd {
    fn from(error: io::Error) -> Self {
        Self::Unreadable(error)
    }
}

/// Where a tensor lies.
#[derive(Deserialize)]
struct Place {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// An open file of weights.
pub(super) struct Weights {
    file: File,
    /// Where the tensors begin.
    begin: u64,
    places: BTreeMap<String, Place>,
}

impl Weights {
    /// Opens a file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, Odd> {
        let mut file = BufReader::new(File::open(path)?);
        let mut length = [0; 8];
        file.read_exact(&mut length)?;
        let length = u64::from_le_bytes(length);
        if length > HEADER_BYTES_MAX {
            return Err(Odd::shape("the header"));
        }
        let mut header = Vec::new();
        file.by_ref().take(length).read_to_end(&mut header)?;
        let mut places: BTreeMap<String, serde_json::Value> =
            serde_json::from_slice(&header).map_err(|_| Odd::shape("the header"))?;
        // What the file says about itself, in no tensor's form.
        places.remove("__metadata__");
        let place = |(name, value)| Ok((name, serde_json::from_value(value)?));
        let places: Result<_, serde_json::Error> = places.into_iter().map(place).collect();
        Ok(Self {
            file: file.into_inner(),
            begin: 8 + length,
            places: places.map_err(|_| Odd::shape("the header"))?,
        })
    }

    /// A tensor's numbers, row after row.
    pub(super) fn read(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Odd> {
        let mut numbers = Vec::with_capacity(shape.iter().product());
        self.read_rows(name, shape, |row| numbers.extend_from_slice(row))?;
        Ok(numbers)
    }

    /// The same, one row at a time.
    pub(super) fn read_rows(
        &self,
        name: &str,
        shape: &[usize],
        mut take: impl FnMut(&[f32]),
    ) -> Result<(), Odd> {
        let numbers: usize = shape.iter().product();
        let bytes = numbers as u64 * 4;
        let fits = |place: &&Place| {
            place.dtype == "F32"
                && place.shape == shape
                && place.data_offsets[0].checked_add(bytes) == Some(place.data_offsets[1])
        };
        let place = self.places.get(name).filter(fits);
        let place = place.ok_or_else(|| Odd::shape(name))?;
        let width = shape.last().copied().unwrap_or(1);
        let mut at = self.begin + place.data_offsets[0];
        let (mut raw, mut row) = (vec![0; width * 4], vec![0.0; width]);
        for _ in 0..numbers / width {
            self.file.read_exact_at(&mut raw, at)?;
            for (number, bytes) in row.iter_mut().zip(raw.as_chunks::<4>().0) {
                *number = f32::from_le_bytes(*bytes);
            }
            take(&row);
            at += raw.len() as u64;
        }
        Ok(())
    }
}
