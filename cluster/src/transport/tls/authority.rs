//! The one who signs a cluster's certificates: a key pair that every holder of the secret can
//! make, the same each time. It signs names of nodes and nothing else, and is never written down.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_ED25519, PublicKeyData,
};
use rustls::crypto::ring::sign::any_eddsa_type;
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};
use rustls::sign::CertifiedKey;
use zeroize::Zeroizing;

use super::dns_name_of;
use crate::node::NodeId;
use crate::secret::{ClusterSecret, ClusterSecrets, short_digest};

/// How far the clocks of two nodes may be apart: a certificate counts from this long ago.
const VALID_BEFORE: Duration = Duration::from_secs(3_600);

/// What PKCS #8 puts before the seed of an Ed25519 key (RFC 8410, without the public key).
const ED25519_BEFORE_SEED: [u8; 16] = [
    0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20,
];

/// What one secret may sign with.
pub(super) struct Authority {
    issuer: Issuer<'static, KeyPair>,
    /// What others trust: subject and key of this authority.
    pub(super) root: CertificateDer<'static>,
}

impl Authority {
    /// Of the secrets in use; the first signs for whoever has no wish.
    pub(super) fn all_of(secrets: &ClusterSecrets) -> io::Result<Arc<[Authority]>> {
        let each = [Some(&secrets.current), secrets.previous.as_ref()];
        each.into_iter().flatten().map(Authority::of).collect()
    }

    fn of(secret: &ClusterSecret) -> io::Result<Authority> {
        let seed = Zeroizing::new(secret.derive("peer certificates"));
        let mut pkcs8 = Zeroizing::new(ED25519_BEFORE_SEED.to_vec());
        pkcs8.extend_from_slice(&*seed);
        let pkcs8 = PrivatePkcs8KeyDer::from(pkcs8.as_slice());
        let key = KeyPair::from_pkcs8_der_and_sign_algo(&pkcs8, &PKCS_ED25519)
            .map_err(io::Error::other)?;
        let params = root_params(key.der_bytes());
        let root = params.self_signed(&key).map_err(io::Error::other)?;
        Ok(Authority {
            root: root.der().clone(),
            issuer: Issuer::new(params, key),
        })
    }

    /// A new key, and a certificate for it that carries `node`'s name.
    pub(super) fn certify(
        &self,
        node: &NodeId,
        now: Duration,
        life: Duration,
    ) -> io::Result<CertifiedKey> {
        let key = KeyPair::generate_for(&PKCS_ED25519).map_err(io::Error::other)?;
        let mut params =
            CertificateParams::new(vec![dns_name_of(node)]).map_err(io::Error::other)?;
        params.distinguished_name = DistinguishedName::new();
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![
            ExtendedKeyUsagePurpose::ServerAuth,
            ExtendedKeyUsagePurpose::ClientAuth,
        ];
        let epoch = rcgen::date_time_ymd(1970, 1, 1);
        params.not_before = epoch + now.saturating_sub(VALID_BEFORE);
        params.not_after = epoch + (now + life);
        let certificate = params
            .signed_by(&key, &self.issuer)
            .map_err(io::Error::other)?;
        let pkcs8 = PrivatePkcs8KeyDer::from(key.serialized_der());
        let signer = any_eddsa_type(&pkcs8).map_err(io::Error::other)?;
        Ok(CertifiedKey::new(vec![certificate.der().clone()], signer))
    }
}

/// The authority's own certificate. Its name tells one secret's authority from another's, so that
/// a node with two secrets can show the certificate that the other end will believe.
fn root_params(public_key: &[u8]) -> CertificateParams {
    let digest = short_digest(public_key);
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params
        .distinguished_name
        .push(DnType::CommonName, format!("fgy {hex}"));
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}
