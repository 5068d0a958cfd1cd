//! What can go wrong with the agreed state, in words that say what to do. It decides nothing.

use std::fmt;
use std::path::{Path, PathBuf};

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
    /// Another process has the file open.
    InUse(PathBuf),
    /// The file of a replica is damaged.
    Damaged(PathBuf, String),
    /// The file belongs to a replica of another number.
    OtherReplica {
        /// Where it lies.
        path: PathBuf,
        /// The number in it.
        found: u64,
        /// The number this node goes by.
        asked: u64,
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
    /// No majority of the cluster was found in time; nothing has changed.
    Away,
    /// The outcome could not be learnt in time.
    Unknown,
    /// The change is in force, and not every node was seen to go by it.
    Unsettled,
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
            Self::InUse(path) => write!(
                f,
                "{} is in use by another process; stop that one first",
                at(path)
            ),
            Self::Damaged(path, why) => write!(
                f,
                "{} is damaged ({why}); while most voters of the cluster live, move it aside \
                 together with the node's replica number and start again: the node comes back as a \
                 new replica and copies everything from the others. Never restore it from a \
                 backup while others live. If this was the only voter, restore a backup, or start \
                 a new cluster and empty the store (purged answers would be served again)",
                at(path)
            ),
            Self::OtherReplica { path, found, asked } => write!(
                f,
                "{} belongs to replica {found:016x} and this node goes by {asked:016x}; put the \
                 number back that lay beside it, or move the file aside to start as a new replica",
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
            Self::Away => f.write_str(
                "no majority of the cluster could be reached in time; nothing was changed, \
                 `fgy cluster status` shows who is missing",
            ),
            Self::Unknown => f.write_str(
                "the cluster did not confirm in time: the change may or may not be in force; \
                 look, then repeat",
            ),
            Self::Unsettled => f.write_str(
                "the change is in force, but no majority confirmed in time that every node goes by \
                 it; a node that is cut off may serve what came before for some seconds, repeat \
                 to be sure",
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
            Self::Corrupt(..)
            | Self::Newer { .. }
            | Self::InUse(_)
            | Self::Damaged(..)
            | Self::OtherReplica { .. }
            | Self::TooLarge { .. }
            | Self::Panicked
            | Self::Away
            | Self::Unknown
            | Self::Unsettled => None,
        }
    }
}
