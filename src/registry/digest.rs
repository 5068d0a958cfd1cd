//! What is kept of a tenant's key: a keyed digest, compared in constant time. The key itself is
//! never kept and cannot be had back; without the installation key the digest cannot even be
//! guessed at, so a stolen registry does not open the door to an offline search.

use std::fmt;
use std::hash::{Hash, Hasher};

use fgy_cluster::Key;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

/// The digest under which a tenant key is known: blake3 keyed with the installation key, over a
/// label of its own, so that it can never equal a digest made for another purpose.
#[must_use]
pub fn key_digest(installation: &[u8; 32], key: &str) -> [u8; 32] {
    let mut hasher = blake3::Hasher::new_keyed(installation);
    hasher.update(b"fgy tenant key 1\0");
    hasher.update(key.as_bytes());
    *hasher.finalize().as_bytes()
}

/// A tenant key's digest as it stands in the registry and in commands; 64 hexadecimal digits in
/// JSON.
#[derive(Clone, Copy, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Digest(Key);

/// The digits by which people name a key: enough to tell keys apart, far too few to be one.
const ID_DIGITS: usize = 16;

impl Digest {
    /// The name of the key in lists and in `revoke-key`: the digest's first 16 digits.
    #[must_use]
    pub fn id(&self) -> String {
        let mut digits = self.0.to_string();
        digits.truncate(ID_DIGITS);
        digits
    }
}

impl From<[u8; 32]> for Digest {
    fn from(bytes: [u8; 32]) -> Self {
        Self(Key(bytes))
    }
}

/// How long a comparison takes must not tell how much of a guess was right.
impl PartialEq for Digest {
    fn eq(&self, other: &Self) -> bool {
        self.0.0.ct_eq(&other.0.0).into()
    }
}

/// A look-up finds its place by the digest's first bytes and then compares the whole in constant
/// time. How long the way to the place takes tells of the digest at most, and a digest is keyed:
/// nobody outside can make one that begins as he likes, or learn a key of 256 bits from its end.
///
/// The digest is uniform already: its first bytes are as good as any hash of the whole.
impl Hash for Digest {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.0.prefix());
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_digest_depends_on_the_key_and_on_the_installation() {
        let (here, there) = ([1; 32], [2; 32]);
        assert_eq!(key_digest(&here, "fgy_a"), key_digest(&here, "fgy_a"));
        assert_ne!(key_digest(&here, "fgy_a"), key_digest(&here, "fgy_b"));
        assert_ne!(key_digest(&here, "fgy_a"), key_digest(&there, "fgy_a"));
        assert_ne!(
            key_digest(&here, ""),
            *blake3::keyed_hash(&here, b"").as_bytes()
        );
    }

    #[test]
    fn digests_differ_if_any_byte_does() {
        let digest = Digest::from([7; 32]);
        for at in 0..32 {
            let mut other = [7; 32];
            other[at] ^= 1;
            assert_ne!(digest, Digest::from(other), "byte {at}");
        }
        assert_eq!(digest, Digest::from([7; 32]));
        assert_eq!(digest.id(), "0707070707070707");
    }
}
