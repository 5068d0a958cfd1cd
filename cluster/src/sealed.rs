//! A finished recording as memory, store and wire hold it: one buffer and where each frame ends.
//! It never changes; the one thing it may gain is a rendering in its other shape, made on demand.

use std::fmt;
use std::ops::Range;
use std::sync::OnceLock;

use bytes::{Bytes, BytesMut};

use crate::tape::Frame;

/// A finished recording.
pub struct Sealed {
    bytes: Bytes,
    ends: Box<[u32]>,
    /// The same answer rendered in the shape it was not recorded in; the application fills it
    /// once, and counts it in the weight of what it keeps.
    pub other: OnceLock<Bytes>,
}

/// Ends that do not describe their buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the frame ends do not describe the recording")
    }
}

impl std::error::Error for Malformed {}

impl Sealed {
    pub(crate) fn of(frames: &[Frame]) -> Sealed {
        let mut bytes = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
        let ends = frames
            .iter()
            .map(|frame| {
                bytes.extend_from_slice(frame);
                // Tapes are bounded far below 4 GiB.
                bytes.len() as u32
            })
            .collect();
        Sealed {
            bytes: bytes.freeze(),
            ends,
            other: OnceLock::new(),
        }
    }

    /// A recording as it was taken apart for keeping: every end at or after the one before it,
    /// the last at the end of the buffer.
    pub fn restore(bytes: Bytes, ends: Vec<u32>) -> Result<Sealed, Malformed> {
        let ordered = ends.is_sorted();
        let whole = ends
            .last()
            .map_or(bytes.is_empty(), |end| *end as usize == bytes.len());
        if ordered && whole {
            Ok(Sealed {
                bytes,
                ends: ends.into(),
                other: OnceLock::new(),
            })
        } else {
            Err(Malformed)
        }
    }

    /// All frames, one after the other.
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Where each frame ends.
    pub fn ends(&self) -> &[u32] {
        &self.ends
    }

    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether nothing was recorded.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The frame at `index`, sharing the buffer; empty where there is none.
    pub fn frame(&self, index: usize) -> Frame {
        self.bytes.slice(self.span(index))
    }

    /// The same, only to be looked at: readers on many cores need not count themselves.
    pub fn look(&self, index: usize) -> &[u8] {
        &self.bytes[self.span(index)]
    }

    fn span(&self, index: usize) -> Range<usize> {
        let Some(end) = self.ends.get(index) else {
            return 0..0;
        };
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before]);
        start as usize..*end as usize
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "Sealed({} frames, {} bytes)",
            self.len(),
            self.bytes.len()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_apart_is_put_together_again() {
        let frames = ["head", "", "body"].map(|text| Bytes::from_static(text.as_bytes()));
        let sealed = Sealed::of(&frames);
        let again = Sealed::restore(sealed.bytes().clone(), sealed.ends().to_vec()).unwrap();
        assert_eq!([again.frame(0), again.frame(1), again.frame(2)], frames);
        assert_eq!(again.look(2), b"body");
        assert_eq!(again.frame(3), "");
    }

    #[test]
    fn ends_that_do_not_fit_are_refused() {
        for ends in [vec![], vec![3], vec![5], vec![3, 2, 4], vec![u32::MAX]] {
            assert_eq!(
                Sealed::restore(Bytes::from_static(b"four"), ends).err(),
                Some(Malformed)
            );
        }
    }
}
