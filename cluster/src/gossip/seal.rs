//! The seal of a datagram: who has the cluster's secret can read it and could have written it, it
//! was written less than half a minute ago, and it is heard once. Pure: time and randomness are
//! handed in. It never looks at what it seals.
//!
//! A datagram: magic (2 bytes), version, zero, name of the key (8), milliseconds since 1970 (8),
//! life of the sender (16), count in that life (8); then, sealed with XChaCha20-Poly1305, the
//! sender's address (19) and the payload; then the tag (16). Life and count together are the
//! nonce: a life is drawn at random once a start, a count is never used twice in it. Everything
//! before the sealed part, and the cluster's name, is authenticated with it.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305, XNonce};

use crate::secret::{ClusterSecret, ClusterSecrets};

const MAGIC: [u8; 2] = *b"fg";
const VERSION: u8 = 1;
const KEY_AT: usize = 4;
const STAMP_AT: usize = 12;
const NONCE_AT: usize = 20;
const SEALED_AT: usize = 44;
const ADDRESS_BYTES: usize = 19;
const TAG_BYTES: usize = 16;

/// What a seal adds to a payload.
pub(super) const SEAL_BYTES: usize = SEALED_AT + ADDRESS_BYTES + TAG_BYTES;

/// How far a stamp may lie from the receiver's clock, either way.
const STAMP_MILLIS_MAX: u64 = 30_000;

/// Lives remembered at once. At the limit those that are too old to be replayed are forgotten, and
/// while there are none the datagrams of further lives are refused as crowded.
const LIVES_COUNT_MAX: usize = 1_024;

/// Why a datagram was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Refused {
    /// It is no datagram of ours, or of another version.
    Malformed,
    /// It was not sealed with a key of ours for this cluster, or was changed on its way.
    WrongKey,
    /// Its stamp is too far from this node's clock.
    Old,
    /// It was heard before, is older than what is remembered, or is this node's own.
    Replayed,
    /// Too many lives were heard in half a minute.
    Crowded,
}

impl Refused {
    /// The reason as it is logged.
    pub(super) fn name(self) -> &'static str {
        match self {
            Refused::Malformed => "malformed",
            Refused::WrongKey => "wrong key",
            Refused::Old => "old",
            Refused::Replayed => "replayed",
            Refused::Crowded => "crowded",
        }
    }
}

/// What seals and opens the datagrams of one node in one life.
pub(super) struct Seal {
    cluster: Box<[u8]>,
    life: [u8; 16],
    address: [u8; ADDRESS_BYTES],
    count: AtomicU64,
    keys: ArcSwap<Keys>,
}

struct Keys {
    current: Key,
    previous: Option<Key>,
}

struct Key {
    /// Tells keys apart without trying them; says nothing of the key.
    name: [u8; 8],
    cipher: XChaCha20Poly1305,
}

impl Key {
    fn of(secret: &ClusterSecret) -> Key {
        let mut name = [0; 8];
        name.copy_from_slice(&secret.derive("fgy gossip key name 1")[..8]);
        let key = zeroize::Zeroizing::new(secret.derive("fgy gossip key 1"));
        Key {
            name,
            cipher: XChaCha20Poly1305::new((&*key).into()),
        }
    }
}

impl Keys {
    fn of(secrets: &ClusterSecrets) -> Keys {
        Keys {
            current: Key::of(&secrets.current),
            previous: secrets.previous.as_ref().map(Key::of),
        }
    }
}

impl Seal {
    /// `life` is random and new at every start; `address` is where others send to this node.
    pub(super) fn new(
        secrets: &ClusterSecrets,
        cluster: &str,
        life: [u8; 16],
        address: SocketAddr,
    ) -> Seal {
        Seal {
            cluster: cluster.as_bytes().into(),
            life,
            address: packed(address),
            count: AtomicU64::new(0),
            keys: ArcSwap::from_pointee(Keys::of(secrets)),
        }
    }

    /// From now on these keys: the current one seals, both open.
    pub(super) fn rotate(&self, secrets: &ClusterSecrets) {
        self.keys.store(Keys::of(secrets).into());
    }

    /// The datagram that carries `payload`; none where the cipher refuses its length, which no
    /// datagram reaches.
    pub(super) fn seal(&self, now_millis: u64, payload: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.load();
        let count = self.count.fetch_add(1, Ordering::Relaxed);
        let mut header = Vec::with_capacity(SEAL_BYTES + payload.len());
        header.extend_from_slice(&MAGIC);
        header.extend_from_slice(&[VERSION, 0]);
        header.extend_from_slice(&keys.current.name);
        header.extend_from_slice(&now_millis.to_be_bytes());
        header.extend_from_slice(&self.life);
        header.extend_from_slice(&count.to_be_bytes());
        let mut sealed = Vec::with_capacity(ADDRESS_BYTES + payload.len() + TAG_BYTES);
        sealed.extend_from_slice(&self.address);
        sealed.extend_from_slice(payload);
        let nonce = nonce(&header)?;
        let beside = self.beside(&header);
        let cipher = &keys.current.cipher;
        cipher.encrypt_in_place(&nonce, &beside, &mut sealed).ok()?;
        header.extend_from_slice(&sealed);
        Some(header)
    }

    /// Who sent it and what it carries. Only what is accepted changes `heard`.
    pub(super) fn open(
        &self,
        heard: &mut Heard,
        now_millis: u64,
        datagram: &[u8],
    ) -> Result<(SocketAddr, Vec<u8>), Refused> {
        if datagram.len() < SEAL_BYTES || datagram[..KEY_AT] != [MAGIC[0], MAGIC[1], VERSION, 0] {
            return Err(Refused::Malformed);
        }
        let (header, sealed) = datagram.split_at(SEALED_AT);
        let keys = self.keys.load();
        let named = |key: &&Key| header[KEY_AT..STAMP_AT] == key.name;
        let key = Some(&keys.current)
            .filter(named)
            .or(keys.previous.as_ref().filter(named))
            .ok_or(Refused::WrongKey)?;
        let stamp = number(&header[STAMP_AT..NONCE_AT]);
        if stamp.abs_diff(now_millis) > STAMP_MILLIS_MAX {
            return Err(Refused::Old);
        }
        let nonce = nonce(header).ok_or(Refused::Malformed)?;
        let mut opened = sealed.to_vec();
        key.cipher
            .decrypt_in_place(&nonce, &self.beside(header), &mut opened)
            .map_err(|_| Refused::WrongKey)?;
        let life = &header[NONCE_AT..NONCE_AT + 16];
        if life == self.life {
            return Err(Refused::Replayed);
        }
        let address = unpacked(&opened).ok_or(Refused::Malformed)?;
        heard.once(life, number(&header[NONCE_AT + 16..]), stamp, now_millis)?;
        opened.drain(..ADDRESS_BYTES);
        Ok((address, opened))
    }

    /// What is authenticated beside the sealed part.
    fn beside(&self, header: &[u8]) -> Vec<u8> {
        [header, &self.cluster].concat()
    }
}

/// What was heard lately, so that nothing is heard twice.
#[derive(Default)]
pub(super) struct Heard {
    lives: HashMap<[u8; 16], Window>,
}

/// The counts heard of one life: the highest, and which of the 128 up to it.
struct Window {
    highest: u64,
    bits: u128,
    newest_stamp: u64,
}

impl Heard {
    fn once(&mut self, life: &[u8], count: u64, stamp: u64, now: u64) -> Result<(), Refused> {
        let life: [u8; 16] = life.try_into().map_err(|_| Refused::Malformed)?;
        if !self.lives.contains_key(&life) {
            if self.lives.len() >= LIVES_COUNT_MAX {
                // Whatever they said is refused by its stamp from now on.
                self.lives
                    .retain(|_, window| window.newest_stamp + STAMP_MILLIS_MAX >= now);
            }
            if self.lives.len() >= LIVES_COUNT_MAX {
                return Err(Refused::Crowded);
            }
        }
        let window = self.lives.entry(life).or_insert(Window {
            highest: count,
            bits: 0,
            newest_stamp: stamp,
        });
        if !window.take(count) {
            return Err(Refused::Replayed);
        }
        window.newest_stamp = window.newest_stamp.max(stamp);
        Ok(())
    }
}

impl Window {
    fn take(&mut self, count: u64) -> bool {
        if count > self.highest {
            let by = count - self.highest;
            let by = u32::try_from(by).unwrap_or(u32::MAX);
            self.bits = self.bits.checked_shl(by).unwrap_or(0);
            self.highest = count;
        }
        let behind = self.highest - count;
        let bit = u32::try_from(behind)
            .ok()
            .and_then(|behind| 1u128.checked_shl(behind));
        match bit {
            Some(bit) if self.bits & bit == 0 => {
                self.bits |= bit;
                true
            }
            _ => false,
        }
    }
}

fn nonce(header: &[u8]) -> Option<XNonce> {
    XNonce::try_from(&header[NONCE_AT..SEALED_AT]).ok()
}

fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn packed(address: SocketAddr) -> [u8; ADDRESS_BYTES] {
    let mut packed = [0; ADDRESS_BYTES];
    match address.ip() {
        IpAddr::V4(ip) => {
            packed[0] = 4;
            packed[1..5].copy_from_slice(&ip.octets());
        }
        IpAddr::V6(ip) => {
            packed[0] = 6;
            packed[1..17].copy_from_slice(&ip.octets());
        }
    }
    packed[17..].copy_from_slice(&address.port().to_be_bytes());
    packed
}

fn unpacked(bytes: &[u8]) -> Option<SocketAddr> {
    let (address, _) = bytes.split_first_chunk::<ADDRESS_BYTES>()?;
    let port = u16::from_be_bytes([address[17], address[18]]);
    let (short, _) = address[1..].split_first_chunk::<4>()?;
    let (long, _) = address[1..].split_first_chunk::<16>()?;
    let ip: IpAddr = match address[0] {
        4 => Ipv4Addr::from(*short).into(),
        6 => Ipv6Addr::from(*long).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, port))
}

#[cfg(test)]
mod tests;
