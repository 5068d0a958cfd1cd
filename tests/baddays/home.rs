//! A folder for one story: the data folder of its node, the files it writes, and everything its
//! processes said. It outlives the node, so that a node can be started on it again.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use tempfile::TempDir;
use tokio::time::Instant;

use crate::node::{LOOK, PATIENCE};

/// The folder and what was said in it.
pub(crate) struct Home {
    folder: TempDir,
    started: AtomicUsize,
}

/// What a command that came to its end said.
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Home {
    pub(crate) fn new() -> Home {
        Home {
            folder: tempfile::tempdir().unwrap(),
            started: AtomicUsize::new(0),
        }
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// Everything the nodes started here said, on both streams.
    pub(crate) fn logs(&self) -> String {
        (0..self.started.load(Ordering::Relaxed))
            .flat_map(|start| [format!("out-{start}"), format!("err-{start}")])
            .map(|name| String::from_utf8_lossy(&fs::read(self.path(&name)).unwrap()).into_owned())
            .collect()
    }

    /// Files for the voice of one more process.
    pub(super) fn voice(&self) -> (PathBuf, PathBuf) {
        let start = self.started.fetch_add(1, Ordering::Relaxed);
        (
            self.path(&format!("out-{start}")),
            self.path(&format!("err-{start}")),
        )
    }

    /// Every file of the data folder with its bytes.
    pub(crate) fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let mut files = Vec::new();
        walk(&self.data(), &mut files);
        files
    }

    /// Runs a command to its end, which has to come: it says little, and a pipe holds that.
    pub(crate) fn fgy(&self, args: &[&str], env: &[(&str, &str)]) -> Said {
        let mut command = program();
        command.args(args).current_dir(self.folder.path());
        command.envs(env.iter().copied()).stdin(Stdio::null());
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().unwrap().is_none() {
            if Instant::now() > deadline {
                child.kill().unwrap();
                let output = child.wait_with_output().unwrap();
                panic!("{args:?} does not end: {output:?}");
            }
            std::thread::sleep(LOOK);
        }
        let output = child.wait_with_output().unwrap();
        Said {
            status: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// The program with nothing in its environment.
pub(super) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fgy"));
    command.env_clear().env("COLUMNS", "80");
    command
}

fn walk(folder: &Path, files: &mut Vec<(PathBuf, Vec<u8>)>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if let Ok(bytes) = fs::read(&path) {
            // What the node removed meanwhile is not there to be read.
            files.push((path, bytes));
        }
    }
}

/// Whether `needle` stands somewhere in `hay`.
pub(crate) fn holds(hay: &[u8], needle: &str) -> bool {
    let needle = needle.as_bytes();
    hay.windows(needle.len()).any(|window| window == needle)
}
