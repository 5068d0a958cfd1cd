//! The small state that must never be lost or reordered, and the one way to change it: propose a
//! command, hear its outcome. What stands behind (a file on a lone node, agreement among peers) is
//! not to be seen from outside, and readers never wait for it: they look at the last published
//! state. This module never looks into the state it carries.

mod solo;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use self::solo::Solo;
pub use self::state::State;

/// A handle on the agreed state; clones share it.
pub struct Control<S: State> {
    solo: Arc<Solo<S>>,
}

impl<S: State> Clone for Control<S> {
    fn clone(&self) -> Self {
        Self {
            solo: Arc::clone(&self.solo),
        }
    }
}

impl<S: State> fmt::Debug for Control<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Control")
            .field("index", &self.index())
            .finish_non_exhaustive()
    }
}

impl<S: State> Control<S> {
    /// The state of a node without peers, kept at `path`. A missing file is an empty state at
    /// index 0; nothing is written before the first proposal.
    ///
    /// # Errors
    /// [`ControlError::Unreadable`], [`ControlError::Corrupt`] or [`ControlError::Newer`]: starting
    /// with an empty state instead would lock every tenant out and forget every purge.
    pub async fn solo(path: impl Into<PathBuf>) -> Result<Self, ControlError> {
        let path = path.into();
        let opened = tokio::task::spawn_blocking(move || Solo::open(path)).await;
        let solo = opened.map_err(|_| ControlError::Panicked)??;
        Ok(Self {
            solo: Arc::new(solo),
        })
    }

    /// Puts `command` in its place in the order, makes it durable, and only then publishes the new
    /// state and answers: the index the command was given and what it came to. A caller that goes
    /// away while it waits does not undo the command.
    ///
    /// # Errors
    /// After [`ControlError::Refused`], [`ControlError::TooLarge`] and [`ControlError::Panicked`]
    /// nothing has changed; after [`ControlError::Unsure`] the command is in force, but may be
    /// forgotten by a power failure.
    pub async fn propose(&self, command: S::Command) -> Result<(u64, S::Outcome), ControlError> {
        let turn = Arc::clone(&self.solo).turn().await;
        let solo = Arc::clone(&self.solo);
        let applied = tokio::task::spawn_blocking(move || {
            // The turn travels with the work: were it left with the caller's future, a dropped
            // caller would let the next command overtake this one half way to the disk.
            let _turn = turn;
            solo.apply(command)
        });
        applied.await.map_err(|_| ControlError::Panicked)?
    }

    /// The last published state. Never waits, never locks.
    #[must_use]
    pub fn state(&self) -> Arc<S> {
        self.solo.published().state
    }

    /// Looks at the last published state without counting one more holder of it: for what every
    /// request asks on every core. What looks must be quick; it holds nobody up.
    pub fn look<R>(&self, look: impl FnOnce(&S) -> R) -> R {
        look(&self.solo.look().state)
    }

    /// The index of the last command in [`Control::state`]; 0 before the first.
    #[must_use]
    pub fn index(&self) -> u64 {
        self.solo.published().index
    }
}

/// Why the state could not be opened or changed.
#[derive(Debug)]
pub enum ControlError {
    /// The file exists and cannot be read.
    Unreadable(PathBuf, std::io::Error),
    /// The file is not a state this program wrote, or was damaged.
    Corrupt(PathBuf, String),
    /// The file was written by a newer program.
    Newer {
        /// Where it lies.
        path: PathBuf,
        /// The format found in it.
        found: u32,
        /// The newest format this program reads.
        known: u32,
    },
    /// The change could not be written; nothing has changed.
    Refused(PathBuf, std::io::Error),
    /// The state would outgrow its limit; nothing has changed.
    TooLarge {
        /// What the state would have come to.
        bytes: usize,
        /// What it may come to.
        bytes_max: usize,
    },
    /// The change is in force, but its folder could not be flushed.
    Unsure(PathBuf, std::io::Error),
    /// Applying the command panicked; nothing has changed.
    Panicked,
}

impl fmt::Display for ControlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = |path: &Path| path.display().to_string();
        match self {
            Self::Unreadable(path, error) => {
                write!(
                    f,
                    "cannot read {}: {error}; check its owner and permissions",
                    at(path)
                )
            }
            Self::Corrupt(path, why) => write!(
                f,
                "{} is damaged ({why}); restore it from a backup, or move it aside to start with no \
                 tenants, keys, policies or purges (then empty the store too: purged answers would \
                 be served again)",
                at(path)
            ),
            Self::Newer { path, found, known } => write!(
                f,
                "{} has format {found} and this program reads up to {known}; start the newer \
                 version that wrote it",
                at(path)
            ),
            Self::Refused(path, error) => write!(
                f,
                "cannot write {}: {error}; nothing was changed, make room or mend the folder and \
                 try again",
                at(path)
            ),
            Self::TooLarge { bytes, bytes_max } => write!(
                f,
                "the state would take {bytes} bytes and may take {bytes_max}; nothing was changed, \
                 remove tenants, keys or policies that are no longer used"
            ),
            Self::Unsure(path, error) => write!(
                f,
                "the change is in force, but the folder of {} could not be flushed: {error}; check \
                 the disk, then repeat the command",
                at(path)
            ),
            Self::Panicked => f.write_str(
                "applying the command panicked; nothing was changed, please report the command",
            ),
        }
    }
}

impl std::error::Error for ControlError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unreadable(_, error) | Self::Refused(_, error) | Self::Unsure(_, error) => {
                Some(error)
            }
            Self::Corrupt(..) | Self::Newer { .. } | Self::TooLarge { .. } | Self::Panicked => None,
        }
    }
}
