//! A state that one node keeps for itself: the whole of it in one small JSON file, replaced
//! atomically before a command is answered. It never edits the file in place and never leaves a
//! half-written one where it would be read. One process at a time may hold the folder; keeping a
//! second one out is the business of whoever owns the folder.

use std::fs::{File, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::{Mutex, OwnedMutexGuard};

use super::shown::{Published, Shown};
use super::{ControlError, State};
use crate::rings::Rings;

/// More than any registry within its own limits needs; a file above it is not ours.
const SNAPSHOT_BYTES_MAX: usize = 256 << 20;

pub(super) struct Solo<S> {
    path: PathBuf,
    shown: Arc<Shown<S>>,
    turn: Arc<Mutex<()>>,
    /// How the file to be written is opened: a field, so that a test can hand in a full disk.
    create: fn(&Path) -> io::Result<File>,
}

/// Read first, alone: the rest of a newer file may look like nothing this program knows.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

#[derive(Serialize, Deserialize)]
struct Snapshot<T> {
    format: u32,
    index: u64,
    state: T,
}

impl<S: State> Solo<S> {
    pub(super) fn open(path: PathBuf) -> Result<Self, ControlError> {
        let published = match read(&path) {
            Ok(bytes) => parse(&path, &bytes)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Published {
                index: 0,
                state: Arc::new(S::default()),
            },
            Err(error) => return Err(ControlError::Unreadable(path, error)),
        };
        Ok(Self {
            path,
            shown: Arc::new(Shown::new(
                published.index,
                published.state,
                Rings::default(),
            )),
            turn: Arc::default(),
            create: create_private,
        })
    }

    /// Waits until the commands that came first are done.
    pub(super) async fn turn(self: Arc<Self>) -> OwnedMutexGuard<()> {
        Arc::clone(&self.turn).lock_owned().await
    }

    /// What readers see.
    pub(super) fn shown(&self) -> &Arc<Shown<S>> {
        &self.shown
    }

    /// Called by one thread at a time: the one whose turn it is.
    pub(super) fn apply(&self, command: S::Command) -> Result<(u64, S::Outcome), ControlError> {
        let before = self.shown.published();
        let index = before.index + 1;
        let mut state = S::clone(&before.state);
        let outcome = state.apply(index, command);
        self.replace(&encode(index, &state)?)
            .map_err(|error| ControlError::Refused(self.path.clone(), error))?;
        // From here on a restart would find the new state, so memory has to show it as well,
        // whatever becomes of the folder's own flush.
        self.shown.show(index, Arc::new(state));
        sync_folder(&self.path).map_err(|error| ControlError::Unsure(self.path.clone(), error))?;
        Ok((index, outcome))
    }

    /// After an error the old file is untouched and the attempt is gone.
    fn replace(&self, bytes: &[u8]) -> io::Result<()> {
        let attempt = beside(&self.path);
        let written = (self.create)(&attempt)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .and_then(|()| std::fs::rename(&attempt, &self.path));
        if written.is_err() {
            // A leftover would do no harm (the next attempt truncates it), so an error here is
            // not worth hiding the first one.
            let _ = std::fs::remove_file(&attempt);
        }
        written
    }

    #[cfg(test)]
    pub(super) fn with_create(mut self, create: fn(&Path) -> io::Result<File>) -> Self {
        self.create = create;
        self
    }
}

fn encode<S: State>(index: u64, state: &S) -> Result<Vec<u8>, ControlError> {
    let bytes = serde_json::to_vec(&Snapshot {
        format: S::FORMAT,
        index,
        state,
    })
    .map_err(|_| ControlError::Panicked)?;
    if bytes.len() > SNAPSHOT_BYTES_MAX {
        return Err(ControlError::TooLarge {
            bytes: bytes.len(),
            bytes_max: SNAPSHOT_BYTES_MAX,
        });
    }
    Ok(bytes)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let file = File::open(path)?;
    // One byte beyond the limit is enough to be refused by the parser as cut off.
    file.take(SNAPSHOT_BYTES_MAX as u64 + 1)
        .read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn parse<S: State>(path: &Path, bytes: &[u8]) -> Result<Published<S>, ControlError> {
    let corrupt =
        |error: serde_json::Error| ControlError::Corrupt(path.to_owned(), error.to_string());
    let Format { format } = serde_json::from_slice(bytes).map_err(corrupt)?;
    if format > S::FORMAT {
        return Err(ControlError::Newer {
            path: path.to_owned(),
            found: format,
            known: S::FORMAT,
        });
    }
    let snapshot: Snapshot<S> = serde_json::from_slice(bytes).map_err(corrupt)?;
    Ok(Published {
        index: snapshot.index,
        state: Arc::new(snapshot.state),
    })
}

/// The attempt lies in the same folder, because a rename is atomic only within one file system.
fn beside(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".new");
    PathBuf::from(name)
}

/// For the owner alone: key digests and policies are nobody else's business.
fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    // The mode above counts only for a file that did not exist; a leftover keeps its own.
    #[cfg(unix)]
    file.set_permissions(<Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o600))?;
    Ok(file)
}

/// A rename is only as durable as the folder that records it.
fn sync_folder(path: &Path) -> io::Result<()> {
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}
