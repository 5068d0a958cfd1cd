//! Goal: what was answered is on disk, what was refused left no trace, and a file that cannot be
//! trusted is never taken for an empty state. Method: a counter as the state, real files, and for
//! the full disk the device that always is.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use super::solo::Solo;
use super::{Control, ControlError, State};

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Tally {
    sum: u64,
    indexes: Vec<u64>,
}

impl State for Tally {
    const FORMAT: u32 = 3;
    type Command = u64;
    type Outcome = u64;

    fn apply(&mut self, index: u64, command: u64) -> u64 {
        assert_ne!(command, 13, "the command that panics");
        self.sum += command;
        self.indexes.push(index);
        self.sum
    }
}

/// A folder of its own for each test, gone at its end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!(
            "fgy-control-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self) -> PathBuf {
        self.0.join("control.json")
    }

    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap();
        entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

async fn open(folder: &Folder) -> Result<Control<Tally>, ControlError> {
    Control::solo(folder.file()).await
}

#[tokio::test]
async fn a_missing_file_is_an_empty_state_and_an_answer_survives_a_restart() {
    let folder = Folder::new();
    let control = open(&folder).await.unwrap();
    assert_eq!((control.index(), &*control.state()), (0, &Tally::default()));
    assert!(folder.names().is_empty(), "opening writes nothing");

    assert_eq!(control.propose(4).await.unwrap(), (1, 4));
    assert_eq!(control.propose(5).await.unwrap(), (2, 9));
    let again = open(&folder).await.unwrap();
    assert_eq!(
        (again.index(), &*again.state()),
        (
            2,
            &Tally {
                sum: 9,
                indexes: vec![1, 2]
            }
        )
    );
    assert_eq!(
        folder.names(),
        ["control.json"],
        "no attempt is left behind"
    );
}

#[tokio::test]
async fn a_reader_keeps_the_state_it_took() {
    let folder = Folder::new();
    let control = open(&folder).await.unwrap();
    let taken = control.state();
    control.propose(1).await.unwrap();
    assert_eq!((taken.sum, control.state().sum), (0, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn commands_proposed_together_each_get_an_index_of_their_own() {
    let folder = Folder::new();
    let control = open(&folder).await.unwrap();
    let mut together = tokio::task::JoinSet::new();
    for _ in 0..50 {
        let control = control.clone();
        together.spawn(async move { control.propose(1).await.unwrap() });
    }
    let mut answers = together.join_all().await;
    answers.sort_unstable();
    assert_eq!(answers, (1..=50).map(|n| (n, n)).collect::<Vec<_>>());
    assert_eq!(open(&folder).await.unwrap().state(), control.state());
}

#[tokio::test]
async fn a_caller_that_goes_away_does_not_tear_memory_from_disk() {
    let folder = Folder::new();
    let control = open(&folder).await.unwrap();
    for _ in 0..20 {
        let mut asked = Box::pin(control.propose(1));
        // Polled once, so that the work may have begun, then dropped.
        let _ = futures_poll_once(asked.as_mut()).await;
    }
    // The last one waits for its turn, so everything begun before it is over.
    control.propose(1).await.unwrap();
    let again = open(&folder).await.unwrap();
    assert_eq!(
        (again.index(), again.state()),
        (control.index(), control.state())
    );
}

async fn futures_poll_once<F: Future + Unpin>(mut future: F) -> bool {
    std::future::poll_fn(|context| {
        std::task::Poll::Ready(std::pin::Pin::new(&mut future).poll(context).is_ready())
    })
    .await
}

#[tokio::test]
async fn what_cannot_be_trusted_is_refused_with_a_way_out() {
    let table: &[(&str, &str, &str)] = &[
        ("an empty file", "", "restore it from a backup"),
        (
            "half a file",
            r#"{"format":3,"index":7,"sta"#,
            "move it aside",
        ),
        ("another file", r#"{"hello":"world"}"#, "is damaged"),
        (
            "a wrong type",
            r#"{"format":3,"index":7,"state":{"sum":"x","indexes":[]}}"#,
            "damaged",
        ),
        (
            "a newer one",
            r#"{"format":4,"index":7,"state":["new"]}"#,
            "start the newer version",
        ),
    ];
    for (what, text, advice) in table {
        let folder = Folder::new();
        fs::write(folder.file(), text).unwrap();
        let error = open(&folder).await.expect_err(what).to_string();
        assert!(
            error.contains(advice) && error.contains("control.json"),
            "{what}: {error}"
        );
        assert_eq!(
            fs::read_to_string(folder.file()).unwrap(),
            *text,
            "{what}: left as it was"
        );
    }
}

#[tokio::test]
async fn an_older_format_is_read() {
    let folder = Folder::new();
    fs::write(
        folder.file(),
        r#"{"format":1,"index":7,"state":{"sum":2,"indexes":[7]}}"#,
    )
    .unwrap();
    let control = open(&folder).await.unwrap();
    assert_eq!((control.index(), control.state().sum), (7, 2));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_full_disk_refuses_the_command_and_changes_nothing() {
    fn full(_: &Path) -> io::Result<File> {
        OpenOptions::new().write(true).open("/dev/full")
    }
    let folder = Folder::new();
    open(&folder).await.unwrap().propose(4).await.unwrap();
    let kept = fs::read(folder.file()).unwrap();

    let solo = Solo::<Tally>::open(folder.file())
        .unwrap()
        .with_create(full);
    let control = Control::from_solo(solo);
    let error = control.propose(5).await.unwrap_err();
    assert!(
        matches!(&error, ControlError::Refused(_, e) if e.kind() == io::ErrorKind::StorageFull)
    );
    assert!(error.to_string().contains("make room"), "{error}");
    assert_eq!((control.index(), control.state().sum), (1, 4));
    assert_eq!(fs::read(folder.file()).unwrap(), kept);
}

#[tokio::test]
async fn a_command_that_panics_changes_nothing_and_blocks_nobody() {
    let folder = Folder::new();
    let control = open(&folder).await.unwrap();
    assert!(matches!(
        control.propose(13).await,
        Err(ControlError::Panicked)
    ));
    assert_eq!(control.propose(1).await.unwrap(), (1, 1));
}

#[cfg(unix)]
#[tokio::test]
async fn the_file_is_the_owners_alone_even_over_a_leftover() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let leftover = folder.0.join("control.json.new");
    fs::write(&leftover, "half an attempt").unwrap();
    fs::set_permissions(&leftover, fs::Permissions::from_mode(0o666)).unwrap();
    open(&folder).await.unwrap().propose(1).await.unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(!leftover.exists());
}
