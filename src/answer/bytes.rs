//! Reading and writing the fixed binary of frames. Every read is checked; nothing here panics on
//! foreign bytes or allocates by a length that it has not seen the bytes of.

use super::Malformed;

const SHORT: Malformed = Malformed("a frame ends too early");

/// What is still to be read of a frame.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reader<'f> {
    rest: &'f [u8],
}

impl<'f> Reader<'f> {
    pub(super) fn of(frame: &'f [u8]) -> Reader<'f> {
        Reader { rest: frame }
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'f [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(SHORT)?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(SHORT)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array().map(|[byte]| byte)
    }

    /// A length written by [`write_varint`].
    pub(super) fn varint(&mut self) -> Result<usize, Malformed> {
        let mut value: u64 = 0;
        for shift in (0..35).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return usize::try_from(value).map_err(|_| Malformed("a length is too large"));
            }
        }
        Err(Malformed("a length is too large"))
    }

    pub(super) fn text(&mut self, length: usize) -> Result<&'f str, Malformed> {
        std::str::from_utf8(self.take(length)?).map_err(|_| Malformed("a text is not UTF-8"))
    }

    pub(super) fn rest(self) -> &'f [u8] {
        self.rest
    }

    /// Nothing may follow.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(Malformed("a frame goes on too long"))
        }
    }
}

/// Seven bits a byte, the lowest first; lengths of one frame stay far below five bytes.
pub(super) fn write_varint(value: usize, out: &mut Vec<u8>) {
    let mut value = value;
    loop {
        #[expect(clippy::cast_possible_truncation, reason = "seven bits")]
        let low = (value & 0x7f) as u8;
        value >>= 7;
        if value == 0 {
            return out.push(low);
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_survive() {
        for value in [0, 1, 127, 128, 300, 16_383, 16_384, u32::MAX as usize] {
            let mut out = Vec::new();
            write_varint(value, &mut out);
            let mut reader = Reader::of(&out);
            assert_eq!(reader.varint(), Ok(value));
            assert_eq!(reader.end(), Ok(()));
        }
    }

    #[test]
    fn endless_or_cut_lengths_are_refused() {
        assert!(Reader::of(&[0xff; 9]).varint().is_err());
        assert!(Reader::of(&[0x80]).varint().is_err());
    }
}
