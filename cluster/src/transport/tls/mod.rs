//! TCP with TLS 1.3 on both sides: each end shows a certificate of this cluster that carries its
//! name, and checks the other's. Certificates are minted here and renewed at half their life, by
//! the clock it is given; streams that stand outlive them. It trusts nobody's roots but the cluster's.

mod authority;
mod keyring;

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, TlsConnector};
use webpki::EndEntityCert;

use super::{Arrived, Arriving, Listener, Proof, Proven, Stream, Transport};
use crate::fill::BoxFuture;
use crate::node::NodeId;
use crate::secret::{ClusterSecrets, short_digest};
use authority::Authority;
use keyring::Keyring;

/// What time it is, since the beginning of 1970.
pub type WallClock = Arc<dyn Fn() -> Duration + Send + Sync>;

/// How a node proves itself.
pub struct TlsSettings {
    /// Its name.
    pub me: NodeId,
    /// Where it listens.
    pub listen: SocketAddr,
    /// What all nodes of the cluster know.
    pub secrets: ClusterSecrets,
    /// How long a certificate is good for; a new one is minted at half of it. In whole seconds.
    pub life: Duration,
    /// What time it is.
    pub clock: WallClock,
}

impl TlsSettings {
    /// How long a certificate is good for, unless a test says otherwise.
    pub const LIFE: Duration = Duration::from_secs(24 * 3_600);
}

/// Proven and secret streams over TCP.
pub struct Tls {
    listen: SocketAddr,
    papers: Arc<Papers>,
}

/// What this node shows and believes, renewed by the clock.
struct Papers {
    me: NodeId,
    life: Duration,
    clock: WallClock,
    held: Mutex<Held>,
}

struct Held {
    authorities: Arc<[Authority]>,
    minted: Duration,
    mints: u64,
    keyring: Arc<Keyring>,
}

impl Tls {
    /// Mints the first certificates.
    pub fn new(settings: TlsSettings) -> io::Result<Tls> {
        let authorities = Authority::all_of(&settings.secrets)?;
        let minted = (settings.clock)();
        let keyring = Keyring::mint(&authorities, &settings.me, &settings.clock, settings.life)?;
        let held = Held {
            authorities,
            minted,
            mints: 1,
            keyring,
        };
        Ok(Tls {
            listen: settings.listen,
            papers: Arc::new(Papers {
                me: settings.me,
                life: settings.life,
                clock: settings.clock,
                held: Mutex::new(held),
            }),
        })
    }

    /// Goes over to other secrets, for every stream made from now on. Those that stand stay.
    pub fn trust(&self, secrets: &ClusterSecrets) -> io::Result<()> {
        let authorities = Authority::all_of(secrets)?;
        let mut held = self.papers.lock();
        held.authorities = authorities;
        self.papers.renew(&mut held)
    }

    /// How often certificates were minted so far.
    pub fn mints(&self) -> u64 {
        self.papers.lock().mints
    }
}

impl Papers {
    fn lock(&self) -> std::sync::MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What to show now.
    fn keyring(&self) -> io::Result<Arc<Keyring>> {
        let mut held = self.lock();
        if due(held.minted, (self.clock)(), self.life) {
            self.renew(&mut held)?;
        }
        Ok(held.keyring.clone())
    }

    fn renew(&self, held: &mut Held) -> io::Result<()> {
        let now = (self.clock)();
        held.keyring = Keyring::mint(&held.authorities, &self.me, &self.clock, self.life)?;
        held.minted = now;
        held.mints += 1;
        Ok(())
    }
}

/// Whether half of the life is over, or the clock was set back behind the minting.
fn due(minted: Duration, now: Duration, life: Duration) -> bool {
    match now.checked_sub(minted) {
        Some(age) => age >= life / 2,
        None => true,
    }
}

impl Transport for Tls {
    fn listen(&self) -> BoxFuture<'_, io::Result<(SocketAddr, Box<dyn Listener>)>> {
        Box::pin(async move {
            let listener = TcpListener::bind(self.listen).await?;
            let address = listener.local_addr()?;
            let papers = self.papers.clone();
            let listener: Box<dyn Listener> = Box::new(TlsListener { listener, papers });
            Ok((address, listener))
        })
    }

    fn dial<'a>(
        &'a self,
        to: SocketAddr,
        expect: &'a NodeId,
    ) -> BoxFuture<'a, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let keyring = self.papers.keyring()?;
            let stream = TcpStream::connect(to).await?;
            stream.set_nodelay(true)?;
            let connector = TlsConnector::from(keyring.client.clone());
            let name = name_of(expect)?;
            let stream = connector.connect(name, stream).await.map_err(refused)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

struct TlsListener {
    listener: TcpListener,
    papers: Arc<Papers>,
}

impl Listener for TlsListener {
    fn accept(&mut self) -> BoxFuture<'_, io::Result<Arriving>> {
        Box::pin(async move {
            let (stream, _) = self.listener.accept().await?;
            let keyring = self.papers.keyring()?;
            Ok(Box::pin(greet(stream, keyring)) as Arriving)
        })
    }
}

async fn greet(stream: TcpStream, keyring: Arc<Keyring>) -> io::Result<Arrived> {
    stream.set_nodelay(true)?;
    let acceptor = TlsAcceptor::from(keyring.server.clone());
    let stream = acceptor.accept(stream).await.map_err(refused)?;
    let shown = stream.get_ref().1.peer_certificates();
    let der = shown
        .and_then(<[CertificateDer<'_>]>::first)
        .ok_or(io::ErrorKind::PermissionDenied)?;
    let proven = Proven(Proof::Certificate(der.as_ref().into()));
    Ok(Arrived {
        stream: Box::new(stream),
        proven,
    })
}

/// Tells a peer that proved nothing from a network that failed.
fn refused(error: io::Error) -> io::Error {
    let proof = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match proof {
        Some(
            rustls::Error::InvalidCertificate(_)
            | rustls::Error::NoCertificatesPresented
            | rustls::Error::AlertReceived(_),
        ) => io::Error::new(io::ErrorKind::PermissionDenied, error),
        _ => error,
    }
}

/// The name in a node's certificate: a digest, so that any name will do and none is told.
fn dns_name_of(node: &NodeId) -> String {
    let digest = short_digest(node.as_str().as_bytes());
    let hex: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{hex}.fgy")
}

fn name_of(node: &NodeId) -> io::Result<ServerName<'static>> {
    ServerName::try_from(dns_name_of(node)).map_err(io::Error::other)
}

/// Whether the certificate, whose chain was checked in the handshake, carries this node's name.
pub(super) fn certificate_names(der: &[u8], node: &NodeId) -> bool {
    let der = CertificateDer::from(der);
    let (Ok(certificate), Ok(name)) = (EndEntityCert::try_from(&der), name_of(node)) else {
        return false;
    };
    certificate.verify_is_valid_for_subject_name(&name).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_a_life_is_when_to_renew() {
        let seconds = Duration::from_secs;
        for (minted, now, expected) in [
            (100, 100, false),
            (100, 101, false),
            (100, 102, true),
            (100, 99, true),
        ] {
            assert_eq!(
                due(seconds(minted), seconds(now), seconds(4)),
                expected,
                "{minted} {now}"
            );
        }
    }
}
