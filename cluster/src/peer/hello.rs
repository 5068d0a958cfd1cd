//! The first words on a new connection, after the transport's handshake and before anything else:
//! which protocol, which kind of connection, who speaks to whom, and whose installation. Whether
//! they fit is decided by pure functions; a refusal is said before the door is closed.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::room::Class;
use super::stats::Denial;
use super::{Base, PeerError};
use crate::node::NodeId;
use crate::transport::{Proven, Stream};

/// Begins a hello and its reply alike.
const MAGIC: [u8; 4] = *b"fgyP";

/// Nodes of different majors cannot speak to each other.
const MAJOR: u16 = 1;

/// Told for the sake of who reads a capture: a newer minor only adds what an older may ignore.
const MINOR: u16 = 0;

/// The longest hello: far more than two names take.
const HELLO_BYTES_MAX: usize = 1024;

/// The longest name of a node, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// What makes two nodes parts of one whole besides the secret.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// A digest of the installation key that lies in the store all nodes of a cluster share.
    pub installation: [u8; 16],
}

/// What the one who dialled says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Hello {
    major: u16,
    minor: u16,
    class: u8,
    installation: [u8; 16],
    me: NodeId,
    you: NodeId,
}

/// What the other replies: welcome, or why not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Reply {
    verdict: Result<(), Denial>,
    installation: [u8; 16],
}

/// Whether one who says this is welcome, and on what kind of connection.
fn judge(hello: &Hello, proven: &Proven, base: &Base) -> Result<Class, Denial> {
    if hello.major != MAJOR {
        return Err(Denial::Version);
    }
    if !proven.is(&hello.me) {
        return Err(Denial::Identity);
    }
    if hello.installation != base.identity.installation {
        return Err(Denial::Installation);
    }
    if hello.you != base.me {
        return Err(Denial::Misdirected);
    }
    Class::of_number(hello.class).ok_or(Denial::Class)
}

/// Hears the hello of one who arrived and replies to it.
pub(super) async fn hear(
    stream: &mut dyn Stream,
    proven: &Proven,
    base: &Base,
) -> Result<(NodeId, Class), Denial> {
    let body = read(stream).await.map_err(|error| match error.kind() {
        io::ErrorKind::Unsupported => Denial::NoHello,
        _ => Denial::Torn,
    })?;
    let verdict = match Hello::decode(&body) {
        Some(hello) => judge(&hello, proven, base).map(|class| (hello.me, class)),
        // The version stands before everything that another version may have moved.
        None if body
            .first_chunk()
            .is_some_and(|major| u16::from_be_bytes(*major) != MAJOR) =>
        {
            Err(Denial::Version)
        }
        None => return Err(Denial::NoHello),
    };
    let reply = Reply {
        verdict: verdict.as_ref().map(|_| ()).map_err(|denial| *denial),
        installation: base.identity.installation,
    };
    let said = write(stream, &reply.encode()).await;
    if verdict.is_err() {
        // The reply must not be lost by closing too early; whether it is, changes nothing here.
        let _ = stream.shutdown().await;
    }
    let welcome = verdict?;
    said.map_err(|_| Denial::Torn)?;
    Ok(welcome)
}

/// Dials a peer and says hello.
pub(super) async fn dial(
    base: &Base,
    to: &NodeId,
    address: SocketAddr,
    class: Class,
) -> Result<Box<dyn Stream>, PeerError> {
    let hello = Hello {
        major: MAJOR,
        minor: MINOR,
        class: class.number(),
        installation: base.identity.installation,
        me: base.me.clone(),
        you: to.clone(),
    };
    let hello = hello.encode().ok_or(PeerError::Protocol)?;
    let mut stream = base
        .transport
        .dial(address, to)
        .await
        .map_err(|error| failed(base, &error))?;
    write(&mut *stream, &hello)
        .await
        .map_err(|error| failed(base, &error))?;
    let body = read(&mut *stream)
        .await
        .map_err(|error| failed(base, &error))?;
    let reply = Reply::decode(&body).ok_or(PeerError::Protocol)?;
    let verdict = reply
        .verdict
        .and(match reply.installation == base.identity.installation {
            true => Ok(()),
            false => Err(Denial::Installation),
        });
    match verdict {
        Ok(()) => Ok(stream),
        Err(denial) => Err(refused(base, denial)),
    }
}

/// A failure on the way to the end of the hello. Under TLS 1.3 the other end may refuse a
/// certificate after this end thinks the handshake done: that too is a refusal.
fn failed(base: &Base, error: &io::Error) -> PeerError {
    match error.kind() {
        io::ErrorKind::PermissionDenied | io::ErrorKind::InvalidData => {
            refused(base, Denial::Identity)
        }
        _ => PeerError::Unreachable,
    }
}

fn refused(base: &Base, denial: Denial) -> PeerError {
    if base.stats.refused_us.add(denial) {
        tracing::warn!(
            reason = denial.name(),
            "a peer refused this node, or was not who it should be; told once a minute per reason"
        );
    }
    PeerError::Refused(denial.name())
}

async fn read(stream: &mut dyn Stream) -> io::Result<Vec<u8>> {
    let mut head = [0; 6];
    stream.read_exact(&mut head).await?;
    let [m0, m1, m2, m3, length @ ..] = head;
    let length = usize::from(u16::from_be_bytes(length));
    if [m0, m1, m2, m3] != MAGIC || length > HELLO_BYTES_MAX {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await?;
    Ok(body)
}

async fn write(stream: &mut dyn Stream, body: &[u8]) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(MAGIC.len() + 2 + body.len());
    bytes.extend_from_slice(&MAGIC);
    // Bounded by the two names.
    bytes.extend_from_slice(&(body.len() as u16).to_be_bytes());
    bytes.extend_from_slice(body);
    stream.write_all(&bytes).await?;
    stream.flush().await
}

impl Hello {
    /// `None` where a name is too long to be said.
    fn encode(&self) -> Option<Vec<u8>> {
        let mut body = Vec::with_capacity(64);
        body.extend_from_slice(&self.major.to_be_bytes());
        body.extend_from_slice(&self.minor.to_be_bytes());
        body.push(self.class);
        body.extend_from_slice(&self.installation);
        for name in [&self.me, &self.you] {
            let name = name.as_str().as_bytes();
            if name.len() > NAME_BYTES_MAX {
                return None;
            }
            body.push(name.len() as u8);
            body.extend_from_slice(name);
        }
        Some(body)
    }

    /// What a newer minor adds at the end is left unread.
    fn decode(body: &[u8]) -> Option<Hello> {
        let mut words = Words(body);
        Some(Hello {
            major: words.number()?,
            minor: words.number()?,
            class: words.bytes::<1>()?[0],
            installation: words.bytes()?,
            me: words.name()?,
            you: words.name()?,
        })
    }
}

impl Reply {
    fn encode(&self) -> Vec<u8> {
        let verdict = match self.verdict {
            Ok(()) => 0,
            Err(denial) => denial as u8 + 1,
        };
        let mut body = Vec::with_capacity(24);
        body.extend_from_slice(&MAJOR.to_be_bytes());
        body.extend_from_slice(&MINOR.to_be_bytes());
        body.push(verdict);
        body.extend_from_slice(&self.installation);
        body
    }

    /// The verdict is read whatever the version: that is what it may be about.
    fn decode(body: &[u8]) -> Option<Reply> {
        let mut words = Words(body);
        let (major, _minor) = (words.number()?, words.number()?);
        let [verdict] = words.bytes()?;
        let verdict = match verdict {
            0 if major == MAJOR => Ok(()),
            0 => Err(Denial::Version),
            denied => Err(*Denial::ALL.get(usize::from(denied) - 1)?),
        };
        let installation = words.bytes()?;
        Some(Reply {
            verdict,
            installation,
        })
    }
}

/// What is left to read.
struct Words<'a>(&'a [u8]);

impl Words<'_> {
    fn bytes<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn number(&mut self) -> Option<u16> {
        self.bytes().map(u16::from_be_bytes)
    }

    fn name(&mut self) -> Option<NodeId> {
        let [length] = self.bytes()?;
        let (name, rest) = self.0.split_at_checked(usize::from(length))?;
        self.0 = rest;
        std::str::from_utf8(name).ok().map(NodeId::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hello() -> Hello {
        Hello {
            major: MAJOR,
            minor: MINOR,
            class: 2,
            installation: [0x1a; 16],
            me: "n1".into(),
            you: "n2".into(),
        }
    }

    #[test]
    fn the_words_of_this_release_are_kept() {
        let hex =
            |bytes: &[u8]| -> String { bytes.iter().map(|byte| format!("{byte:02x}")).collect() };
        let said = hello().encode().unwrap();
        assert_eq!(
            hex(&said),
            "00010000021a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a026e31026e32"
        );
        let welcome = Reply {
            verdict: Ok(()),
            installation: [0x1a; 16],
        };
        assert_eq!(
            hex(&welcome.encode()),
            "00010000001a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
        );
        let refusal = Reply {
            verdict: Err(Denial::Installation),
            ..welcome
        };
        assert_eq!(
            hex(&refusal.encode()),
            "00010000051a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a"
        );
    }

    #[test]
    fn what_is_said_is_understood_and_what_a_newer_minor_adds_is_left() {
        let mut said = hello().encode().unwrap();
        assert_eq!(Hello::decode(&said), Some(hello()));
        for cut in 0..said.len() {
            assert_eq!(Hello::decode(&said[..cut]), None);
        }
        said.extend_from_slice(b"more");
        assert_eq!(Hello::decode(&said), Some(hello()));
        for verdict in Denial::ALL.map(Err).into_iter().chain([Ok(())]) {
            let reply = Reply {
                verdict,
                installation: [7; 16],
            };
            assert_eq!(Reply::decode(&reply.encode()), Some(reply));
        }
        assert_eq!(Reply::decode(&[0, 1, 0, 0, 99]), None);
    }

    #[test]
    fn a_name_too_long_is_not_said() {
        let long = Hello {
            me: "n".repeat(256).as_str().into(),
            ..hello()
        };
        assert_eq!(long.encode(), None);
    }
}
