//! What a node shows and whom it believes, as rustls wants it told: made whole at every renewal
//! and never changed. With two secrets in use there are two certificates, and the other end, which
//! says whom it believes, is shown the right one.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::time_provider::TimeProvider;
use rustls::version::TLS13;
use rustls::{
    ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConfig,
    SignatureScheme,
};

use super::WallClock;
use super::authority::Authority;
use crate::node::NodeId;

/// For dialling and for being dialled.
pub(super) struct Keyring {
    pub(super) client: Arc<ClientConfig>,
    pub(super) server: Arc<ServerConfig>,
}

impl Keyring {
    /// New certificates of every authority, the first for whoever has no wish.
    pub(super) fn mint(
        authorities: &[Authority],
        me: &NodeId,
        clock: &WallClock,
        life: Duration,
    ) -> io::Result<Arc<Keyring>> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots
                .add(authority.root.clone())
                .map_err(io::Error::other)?;
        }
        let now = clock();
        let subjects = roots.subjects();
        let mut shown = Vec::with_capacity(authorities.len());
        for (authority, subject) in authorities.iter().zip(&subjects) {
            let key = authority.certify(me, now, life)?;
            shown.push((subject.clone(), Arc::new(key)));
        }
        let (shown, roots) = (Arc::new(Shown(shown)), Arc::new(roots));
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        Ok(Arc::new(Keyring {
            client: Arc::new(client(&provider, clock, &roots, subjects, shown.clone())?),
            server: Arc::new(server(&provider, clock, &roots, shown)?),
        }))
    }
}

fn client(
    provider: &Arc<CryptoProvider>,
    clock: &WallClock,
    roots: &Arc<RootCertStore>,
    subjects: Vec<DistinguishedName>,
    shown: Arc<Shown>,
) -> io::Result<ClientConfig> {
    let inner = WebPkiServerVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(io::Error::other)?;
    let believes = Arc::new(Believes { inner, subjects });
    let told = Arc::new(Told(clock.clone()));
    let mut config = ClientConfig::builder_with_details(provider.clone(), told)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .dangerous()
        .with_custom_certificate_verifier(believes)
        .with_client_cert_resolver(shown);
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    Ok(config)
}

fn server(
    provider: &Arc<CryptoProvider>,
    clock: &WallClock,
    roots: &Arc<RootCertStore>,
    shown: Arc<Shown>,
) -> io::Result<ServerConfig> {
    let verifier = WebPkiClientVerifier::builder_with_provider(roots.clone(), provider.clone())
        .build()
        .map_err(io::Error::other)?;
    let told = Arc::new(Told(clock.clone()));
    let mut config = ServerConfig::builder_with_details(provider.clone(), told)
        .with_protocol_versions(&[&TLS13])
        .map_err(io::Error::other)?
        .with_client_cert_verifier(verifier)
        .with_cert_resolver(shown);
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// The certificates of this node, by the subject of who signed them.
struct Shown(Vec<(DistinguishedName, Arc<CertifiedKey>)>);

impl Shown {
    /// The first that the other end believes; whoever does not say whom it believes gets the
    /// first of all, and so does a stranger, who will refuse it.
    fn to<'a>(
        &self,
        believed: impl Iterator<Item = &'a [u8]> + Clone,
    ) -> Option<Arc<CertifiedKey>> {
        let known = |subject: &DistinguishedName| {
            believed
                .clone()
                .any(|believed| believed == subject.as_ref())
        };
        let found = self.0.iter().find(|(subject, _)| known(subject));
        found.or(self.0.first()).map(|(_, key)| key.clone())
    }
}

impl fmt::Debug for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Shown({})", self.0.len())
    }
}

impl ResolvesServerCert for Shown {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let believed = hello.certificate_authorities().unwrap_or_default();
        self.to(believed.iter().map(AsRef::as_ref))
    }
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, believed: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        self.to(believed.iter().copied())
    }

    fn has_certs(&self) -> bool {
        !self.0.is_empty()
    }
}

/// The usual check of chain and name, which also says aloud whom it believes.
#[derive(Debug)]
struct Believes {
    inner: Arc<WebPkiServerVerifier>,
    subjects: Vec<DistinguishedName>,
}

impl ServerCertVerifier for Believes {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.inner
            .verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        Some(&self.subjects)
    }
}

/// The clock, as rustls reads it.
struct Told(WallClock);

impl fmt::Debug for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Told")
    }
}

impl TimeProvider for Told {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch((self.0)()))
    }
}
