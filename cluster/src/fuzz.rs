//! What must hold of any bytes whatever that a peer may send: the body of the fuzz target, and of
//! the tests that try it. Nothing in the product calls this.

use bytes::{Bytes, BytesMut};

use crate::wire::Decoder;

/// Bytes from a peer: nothing panics, what is read can be said again and is read the same, and how
/// the stream was cut makes no difference.
pub fn wire(bytes: &[u8]) {
    read_again(bytes);
}

/// How many frames were read.
pub(crate) fn read_again(bytes: &[u8]) -> usize {
    let (said, count) = said_again(bytes, bytes.len().max(1));
    for piece_bytes in [1, 5, 11] {
        let (cut, _) = said_again(bytes, piece_bytes);
        assert_eq!(cut, said, "cutting a stream changes what is read");
    }
    let (twice, again) = said_again(&said, said.len().max(1));
    assert_eq!(
        (&twice, again),
        (&said, count),
        "what is said again is read the same"
    );
    count
}

/// The frames read before the first that is refused, written anew.
fn said_again(bytes: &[u8], piece_bytes: usize) -> (Bytes, usize) {
    let (mut decoder, mut said, mut count) = (Decoder::default(), BytesMut::new(), 0);
    for piece in bytes.chunks(piece_bytes) {
        decoder.push(Bytes::copy_from_slice(piece));
        loop {
            match decoder.frame() {
                Ok(Some(frame)) => {
                    assert!(frame.encode(&mut said).is_ok(), "what was read can be said");
                    count += 1;
                }
                Ok(None) => break,
                Err(_) => return (said.freeze(), count),
            }
        }
    }
    (said.freeze(), count)
}
