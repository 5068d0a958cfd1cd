//! The cluster's one secret, and what is derived from it: a key for each purpose, by a label of
//! its own, so that no purpose can read another's. It never shows the secret and never keeps a key.

use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use zeroize::Zeroizing;

/// Salts the extraction, so that the same words used elsewhere give other keys.
const SALT: &[u8] = b"fgy cluster secret 1";

/// What all nodes of a cluster know and nobody else: whoever holds it can call itself any node.
/// It is wiped when dropped and cannot be printed or compared.
pub struct ClusterSecret(Zeroizing<Box<[u8]>>);

impl ClusterSecret {
    /// Takes a copy of the secret. How long it must be is the caller's rule.
    pub fn new(bytes: &[u8]) -> ClusterSecret {
        ClusterSecret(Zeroizing::new(bytes.into()))
    }

    /// The key of one purpose.
    pub(crate) fn derive(&self, label: &'static str) -> [u8; 32] {
        let mut key = [0; 32];
        // The length asked for is one block, far below the 255 that HKDF can give.
        let filled = Salt::new(HKDF_SHA256, SALT)
            .extract(&self.0)
            .expand(&[label.as_bytes()], Key)
            .and_then(|derived| derived.fill(&mut key));
        debug_assert!(filled.is_ok());
        key
    }
}

/// The secret in use, and while it is being changed the other one: what was made with either is
/// believed.
pub struct ClusterSecrets {
    /// What this node speaks with.
    pub current: ClusterSecret,
    /// What it believes besides: the secret before this one, or the one to come.
    pub previous: Option<ClusterSecret>,
}

/// The first half of a SHA-256: for names that must be short and need not be secret.
pub(crate) fn short_digest(bytes: &[u8]) -> [u8; 16] {
    let whole = digest(&SHA256, bytes);
    let mut half = [0; 16];
    half.copy_from_slice(&whole.as_ref()[..16]);
    half
}

struct Key;

impl KeyType for Key {
    fn len(&self) -> usize {
        32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_label_and_every_secret_has_its_own_key() {
        let (one, other) = (ClusterSecret::new(b"one"), ClusterSecret::new(b"other"));
        let keys = [
            one.derive("gossip"),
            one.derive("peers"),
            other.derive("gossip"),
            other.derive("peers"),
        ];
        for (i, key) in keys.iter().enumerate() {
            assert_ne!(*key, [0; 32]);
            assert!(keys.iter().skip(i + 1).all(|later| later != key));
        }
        assert_eq!(
            one.derive("gossip"),
            ClusterSecret::new(b"one").derive("gossip")
        );
    }

    #[test]
    fn what_a_secret_becomes_never_changes() {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let key = ClusterSecret::new(b"a cluster that was started long ago").derive("peers");
        assert_eq!(
            hex(&key),
            "d5ef6a638312609da6cceaab1182cbdcdc165359f9cfedbd6c87c7a316e387b7"
        );
        assert_eq!(
            hex(&short_digest(b"node")),
            "545ea538461003efdc8c81c244531b00"
        );
    }
}
