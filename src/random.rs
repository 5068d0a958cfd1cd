//! Randomness: the only place that draws it. Everything below the shell is handed what it needs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::answer::stamp::Millis;
use crate::ledger::line::LineId;

/// The system has no randomness to give; nothing can be kept secret without it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRandomness;

impl std::fmt::Display for NoRandomness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the operating system gave no random bytes")
    }
}

impl std::error::Error for NoRandomness {}

/// Thirty-two random bytes.
#[expect(
    clippy::disallowed_methods,
    reason = "this is the place the others are pointed to"
)]
pub fn bytes() -> Result<[u8; 32], NoRandomness> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// A random number.
pub fn number() -> Result<u64, NoRandomness> {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes()?[..8]);
    Ok(u64::from_le_bytes(number))
}

/// A new tenant key: `fgy_` and 256 bits in hexadecimal.
pub fn tenant_key() -> Result<String, NoRandomness> {
    Ok(format!("fgy_{}", hex(&bytes()?)))
}

/// A new operator's token: 256 bits in hexadecimal.
pub fn token() -> Result<String, NoRandomness> {
    Ok(hex(&bytes()?))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            // Writing to a string cannot fail.
            let _infallible = write!(text, "{byte:02x}");
            text
        })
}

/// Makes the ids of replies: UUIDs of version 7 whose random part was drawn once for this life of
/// the node and is counted on from there, so that a request costs no system call.
#[derive(Debug)]
pub struct Ids {
    node: u64,
    next: AtomicU64,
}

impl Ids {
    /// Ids for this life of the node.
    pub fn draw() -> Result<Ids, NoRandomness> {
        let bytes = bytes()?;
        let mut halves = [[0; 8]; 2];
        halves[0].copy_from_slice(&bytes[..8]);
        halves[1].copy_from_slice(&bytes[8..16]);
        let [node, next] = halves.map(u64::from_le_bytes);
        Ok(Ids {
            node: node & 0xFFFF_FFFF,
            next: AtomicU64::new(next),
        })
    }

    /// The next id: 48 bits of time, 42 that count, 32 of this life.
    pub fn next(&self, now: Millis) -> LineId {
        let count = u128::from(self.next.fetch_add(1, Ordering::Relaxed)) & 0x3FF_FFFF_FFFF;
        let time = u128::from(now.0) & 0xFFFF_FFFF_FFFF;
        let (high, low) = (count >> 30, count & 0x3FFF_FFFF);
        let tail = (0b10 << 62) | (low << 32) | u128::from(self.node);
        LineId((time << 80) | (0x7 << 76) | (high << 64) | tail)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn ids_are_uuids_of_version_7_and_differ() {
        let ids = Ids::draw().unwrap();
        let made: BTreeSet<LineId> = (0..10_000)
            .map(|_| ids.next(Millis(1_763_000_000_000)))
            .collect();
        assert_eq!(made.len(), 10_000);
        for id in made.iter().take(100) {
            let text = id.to_string();
            assert_eq!(&text[14..15], "7", "{text}");
            assert!(matches!(&text[19..20], "8" | "9" | "a" | "b"), "{text}");
            assert_eq!(id.0 >> 80, 1_763_000_000_000);
        }
    }

    #[test]
    fn two_lives_of_a_node_share_no_id() {
        let (one, two) = (Ids::draw().unwrap(), Ids::draw().unwrap());
        assert_ne!(one.next(Millis(1)), two.next(Millis(1)));
    }

    #[test]
    fn tenant_keys_are_long_and_named() {
        let key = tenant_key().unwrap();
        assert!(key.starts_with("fgy_") && key.len() == 68, "{}", key.len());
        assert_ne!(key, tenant_key().unwrap());
    }
}
