//! A finished tape as bytes for the store: a version, the key it is sealed with, where each frame
//! ends, the frames. Whatever this release does not know is treated as absent, never guessed at.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use fgy_cluster::Sealed;

use super::Malformed;

/// Raised when the layout changes.
pub const CODEC_VERSION: u8 = 1;

/// Not sealed: the bytes lie in the store as they are.
const SEALED_WITH_NONE: u8 = 0;

const PREFIX_BYTES: usize = 6;

/// The tape as bytes.
pub fn encode(sealed: &Sealed) -> Bytes {
    let ends = sealed.ends();
    let mut out = BytesMut::with_capacity(PREFIX_BYTES + 4 * ends.len() + sealed.bytes().len());
    out.put_u8(CODEC_VERSION);
    out.put_u8(SEALED_WITH_NONE);
    out.put_u32_le(ends.len() as u32);
    ends.iter().for_each(|end| out.put_u32_le(*end));
    out.extend_from_slice(sealed.bytes());
    out.freeze()
}

/// The tape again, its frames sharing the buffer.
pub fn decode(mut bytes: Bytes) -> Result<Sealed, Malformed> {
    if bytes.len() < PREFIX_BYTES {
        return Err(Malformed("a stored answer is shorter than its prefix"));
    }
    let (version, key, count) = (bytes.get_u8(), bytes.get_u8(), bytes.get_u32_le() as usize);
    if version != CODEC_VERSION || key != SEALED_WITH_NONE {
        return Err(Malformed("a stored answer of another version"));
    }
    if bytes.len() / 4 < count {
        return Err(Malformed(
            "a stored answer is shorter than its list of frames",
        ));
    }
    let ends = (0..count).map(|_| bytes.get_u32_le()).collect();
    Sealed::restore(bytes, ends).map_err(|_| Malformed("a stored answer contradicts itself"))
}

#[cfg(test)]
mod tests {
    use fgy_cluster::Tape;

    use super::*;

    fn sealed() -> std::sync::Arc<Sealed> {
        let frames = ["head", "body", "tally"].map(|text| Bytes::from_static(text.as_bytes()));
        Tape::finished(frames).sealed().unwrap()
    }

    #[test]
    fn what_goes_in_comes_out() {
        let again = decode(encode(&sealed())).unwrap();
        assert_eq!(again.bytes(), sealed().bytes());
        assert_eq!(again.ends(), sealed().ends());
    }

    #[test]
    fn every_cut_and_every_other_version_is_refused() {
        let whole = encode(&sealed());
        for length in 0..whole.len() {
            assert!(decode(whole.slice(..length)).is_err(), "cut at {length}");
        }
        for at in [0, 1] {
            let mut other = whole.to_vec();
            other[at] = 9;
            assert!(decode(other.into()).is_err(), "byte {at}");
        }
    }
}
