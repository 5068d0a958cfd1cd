//! What is asked, as one key: the only place where a key is made. Every field of [`KeyParts`] is
//! taken by name, so that a new one does not compile until it is decided here. It never reads a
//! clock, a header or a setting: all of it comes in.

#[cfg(test)]
mod tests;

use std::fmt;

use blake3::Hasher;
use fgy_cluster::{Credential, Key, Secret};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::json::Canonical;
use crate::registry::key_digest;

/// Raised when the same request must get another key than before: all that is stored then misses.
pub const KEY_SCHEMA_VERSION: u32 = 2;

/// For what that key is derived from the cluster's secret.
const APART_LABEL: &str = "fgy 1 installation key of nodes that share no store";

/// The secret under which this installation makes its keys, so that knowing a request is not
/// enough to know its key. Made once, kept by the store, the same on every node, for ever.
#[derive(Clone)]
pub struct InstallationKey([u8; 32]);

impl InstallationKey {
    /// Takes the secret over. The caller wipes its own copy.
    pub fn new(secret: [u8; 32]) -> InstallationKey {
        InstallationKey(secret)
    }
}

impl InstallationKey {
    /// The digest under which a tenant key is known.
    pub fn key_digest(&self, key: &str) -> [u8; 32] {
        key_digest(&self.0, key)
    }

    /// By which nodes of one installation know each other.
    pub fn identity(&self) -> [u8; 16] {
        let mut digest = [0; 16];
        digest.copy_from_slice(&Preimage::labelled(self, "identity").key().0[..16]);
        digest
    }

    /// By which callers who pay with the same secret are told from others.
    pub fn credential(&self, secret: Option<&Secret>) -> Credential {
        let mut preimage = Preimage::labelled(self, "credential");
        preimage.bytes(secret.map_or(&[][..], Secret::reveal));
        let mut digest = [0; 16];
        digest.copy_from_slice(&preimage.key().0[..16]);
        Credential(digest)
    }

    /// By which retries of one tenant are told from each other; the caller's own word is not kept.
    pub fn idempotency_digest(&self, tenant: &str, word: &str) -> [u8; 32] {
        let mut preimage = Preimage::labelled(self, "idempotency");
        preimage.text(Some(tenant));
        preimage.text(Some(word));
        preimage.key().0
    }

    /// The key of a list of questions, in their order.
    pub fn of_list(&self, keys: &[Key]) -> Key {
        let mut preimage = Preimage::labelled(self, "list");
        keys.iter().for_each(|key| preimage.bytes(&key.0));
        preimage.key()
    }
}

impl Drop for InstallationKey {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What nodes that share a secret and no store take for their installation key.
pub fn of_cluster(secret: &Secret) -> [u8; 32] {
    blake3::derive_key(APART_LABEL, secret.reveal())
}

/// Where meanings are compared: everything of a question but the words compared by meaning, so that
/// two questions in one space differ in those words alone. A keyed digest, like a key.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Space(pub [u8; 32]);

impl fmt::Display for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Space {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A header as it counts: its lower-case name and its value, in the order of the request.
pub type KeyHeader<'a> = (&'a str, &'a [u8]);

/// Everything that tells two questions apart. `None` is "not part of it", which is never the same
/// as an empty text.
#[derive(Clone, Copy, Debug)]
pub struct KeyParts<'a> {
    /// whose entries these are
    pub tenant: &'a str,
    /// the agent, unless the policy shares across agents
    pub agent: Option<&'a str>,
    /// the provider, unless the policy shares across models
    pub provider: Option<&'a str>,
    /// the provider's base URL, unless the policy shares across models
    pub base_url: Option<&'a str>,
    /// the path of the endpoint
    pub endpoint: &'a str,
    /// the query string as it came
    pub query: Option<&'a str>,
    /// `anthropic-version`, `anthropic-beta`, `openai-beta`
    pub version_headers: &'a [KeyHeader<'a>],
    /// what the provider's `forward_headers` lists
    pub forwarded_headers: &'a [KeyHeader<'a>],
    /// the partition of the policy
    pub policy_namespace: Option<&'a str>,
    /// the caller's partition inside it
    pub namespace: Option<&'a str>,
    /// the end user, where the scope asks for one
    pub user: Option<&'a str>,
    /// the latest purge that covers the request
    pub epoch: u64,
    /// what is asked
    pub canonical: CanonicalDigest,
}

/// What is asked, shortened to what a key takes in: the digest of its one spelling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CanonicalDigest([u8; 32]);

impl CanonicalDigest {
    /// Of the one spelling.
    pub fn of(canonical: &Canonical) -> CanonicalDigest {
        CanonicalDigest(*blake3::hash(canonical.bytes()).as_bytes())
    }
}

/// The key of a question.
pub fn derive(installation: &InstallationKey, parts: &KeyParts<'_>) -> Key {
    preimage_of(Preimage::new(installation), parts).key()
}

/// The space of a question whose canonical text is what stands around the words compared by
/// meaning.
pub fn derive_space(installation: &InstallationKey, parts: &KeyParts<'_>) -> Space {
    Space(
        preimage_of(Preimage::labelled(installation, "space"), parts)
            .key()
            .0,
    )
}

fn preimage_of(mut preimage: Preimage, parts: &KeyParts<'_>) -> Preimage {
    let KeyParts {
        tenant,
        agent,
        provider,
        base_url,
        endpoint,
        query,
        version_headers,
        forwarded_headers,
        policy_namespace,
        namespace,
        user,
        epoch,
        canonical,
    } = *parts;
    preimage.number(u64::from(KEY_SCHEMA_VERSION));
    preimage.text(Some(tenant));
    preimage.text(agent);
    preimage.text(provider);
    preimage.text(base_url);
    preimage.text(Some(endpoint));
    preimage.text(query);
    preimage.headers(version_headers);
    preimage.headers(forwarded_headers);
    preimage.text(policy_namespace);
    preimage.text(namespace);
    preimage.text(user);
    preimage.number(epoch);
    preimage.bytes(&canonical.0);
    preimage
}

/// The key a question moves to when the one entry under its present key was purged at this index of
/// the control log: what was stored or is still in the air under the old key is never asked again.
pub fn marked(key: &Key, index: u64) -> Key {
    Key(*blake3::keyed_hash(&key.0, &index.to_le_bytes()).as_bytes())
}

/// Bytes of a field gathered before they are hashed: below this the hash costs more per call than
/// per byte.
const GATHERED_BYTES: usize = 512;

/// A hash fed with fields, each behind its length, so that no two lists of fields give the same
/// bytes.
struct Preimage {
    hasher: Hasher,
    gathered: Vec<u8>,
}

impl Preimage {
    /// For another purpose than a question's key: no two purposes share a preimage.
    fn labelled(installation: &InstallationKey, label: &str) -> Preimage {
        let mut preimage = Preimage::new(installation);
        preimage.text(Some("not a question"));
        preimage.text(Some(label));
        preimage
    }

    fn new(installation: &InstallationKey) -> Preimage {
        let hasher = Hasher::new_keyed(&installation.0);
        Preimage {
            hasher,
            gathered: Vec::with_capacity(GATHERED_BYTES),
        }
    }

    fn number(&mut self, number: u64) {
        self.gathered.extend_from_slice(&number.to_le_bytes());
    }

    /// Absent is a 0; present is a 1, the length and the bytes.
    fn text(&mut self, text: Option<&str>) {
        match text {
            None => self.gathered.push(0),
            Some(text) => {
                self.gathered.push(1);
                self.bytes(text.as_bytes());
            }
        }
    }

    fn headers(&mut self, headers: &[KeyHeader<'_>]) {
        self.number(headers.len() as u64);
        for (name, value) in headers {
            self.bytes(name.as_bytes());
            self.bytes(value);
        }
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        if self.gathered.len() + bytes.len() > GATHERED_BYTES {
            self.hasher.update(&self.gathered);
            self.gathered.clear();
            self.hasher.update(bytes);
        } else {
            self.gathered.extend_from_slice(bytes);
        }
    }

    fn key(mut self) -> Key {
        self.hasher.update(&self.gathered);
        Key(*self.hasher.finalize().as_bytes())
    }
}
