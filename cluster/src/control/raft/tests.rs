//! Goal: what stands below the agreement keeps its promises. Method: the library's own suite over
//! real files, and files that were damaged on purpose.

mod purges;
mod three;
mod town;

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use openraft::testing::{StoreBuilder, Suite};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::electorate::Electorate;
use super::file::File;
use super::log::{Kept, Log, Voting};
use super::machine::Machine;
use super::types::{StorageError, StorageIOError, Types};
use crate::control::{ControlError, State};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Tally {
    pub(super) sum: u64,
}

impl State for Tally {
    const FORMAT: u32 = 3;
    type Command = u64;
    type Outcome = u64;

    fn apply(&mut self, _index: u64, command: u64) -> u64 {
        assert_ne!(command, 13, "the command that panics");
        self.sum += command;
        self.sum
    }
}

/// A folder of its own for each test, gone at its end.
pub(super) struct Folder(pub(super) PathBuf);

impl Folder {
    pub(super) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "fgy-raft-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Files;

impl StoreBuilder<Types, Log, Machine<Tally>, Folder> for Files {
    async fn build(&self) -> Result<(Folder, Log, Machine<Tally>), StorageError> {
        let folder = Folder::new();
        let (file, _) = File::open(&folder.file("raft.redb"), 7).unwrap();
        let voting = Arc::new(Voting::new(Arc::new(Electorate::new(Instant::now()))));
        let kept = Kept::open(file, voting).map_err(|e| StorageIOError::read(&e))?;
        let kept = Arc::new(kept);
        let (machine, _) = Machine::open(Arc::clone(&kept), None).unwrap();
        Ok((folder, Log::new(kept), machine))
    }
}

#[test]
fn log_vote_state_and_snapshot_pass_the_suite() {
    Suite::test_all(Files).unwrap();
}

#[test]
fn a_file_that_cannot_be_trusted_is_refused_with_a_way_out() {
    let folder = Folder::new();
    let path = folder.file("raft.redb");
    drop(File::open(&path, 7).unwrap());

    let other = File::open(&path, 8).map(drop).unwrap_err();
    assert!(
        matches!(other, ControlError::OtherReplica { found: 7, .. }),
        "{other}"
    );
    assert_eq!(File::replica(&path).unwrap(), Some(7));
    assert_eq!(File::replica(&folder.file("none")).unwrap(), None);

    let whole = fs::read(&path).unwrap();
    let mut zeroed = whole.clone();
    zeroed[..4096].fill(0);
    let broken: &[(&str, Vec<u8>)] = &[
        ("cut in the middle", whole[..whole.len() / 2].to_vec()),
        ("cut to a few bytes", whole[..100].to_vec()),
        ("text", b"hello, this is not a database".to_vec()),
        ("a page of zeros", zeroed),
    ];
    for (what, bytes) in broken {
        fs::write(&path, bytes).unwrap();
        let said = match std::panic::catch_unwind(|| File::open(&path, 7).map(drop)) {
            Ok(opened) => opened.expect_err(what).to_string(),
            Err(_) => panic!("{what}: panicked"),
        };
        assert!(
            said.contains("move it aside") && said.contains("raft.redb"),
            "{what}: {said}"
        );
        assert_eq!(&fs::read(&path).unwrap(), bytes, "{what}: left as it was");
    }
}

#[test]
fn a_flipped_byte_is_found_or_was_in_nobodys_way() {
    let folder = Folder::new();
    let path = folder.file("raft.redb");
    let (file, _) = File::open(&path, 7).unwrap();
    file.write(|rows| super::file::put(rows, "state", &"x".repeat(20_000)))
        .unwrap();
    drop(file);
    let whole = fs::read(&path).unwrap();
    let mut found = 0;
    for at in (0..whole.len()).step_by(whole.len() / 199) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x10;
        fs::write(&path, &bytes).unwrap();
        let opened = std::panic::catch_unwind(|| File::open(&path, 7));
        match opened {
            Err(_) => found += 1,
            Ok(Err(_)) => found += 1,
            Ok(Ok((file, _))) => {
                let state: Option<String> = file.row("state").unwrap();
                assert_eq!(state, Some("x".repeat(20_000)), "flipped at {at}");
            }
        }
    }
    println!("{found} of 199 flipped bytes were found, the others stood in unused places");
    assert!(found >= 1);
}
