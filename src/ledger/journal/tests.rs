//! The journal: what is appended is read back, once, whatever happens to the process or the file.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use tempfile::TempDir;

use super::*;
use crate::ledger::samples::line;

const FOLDER: &str = "FGY_JOURNAL_TEST_FOLDER";

fn small() -> Settings {
    Settings {
        segment_bytes: 16 * 1024,
        journal_bytes_max: 64 * 1024,
        ..Settings::default()
    }
}

fn opened(folder: &TempDir, settings: Settings) -> Journal {
    Journal::open(&folder.path().join("journal"), settings).unwrap()
}

fn numbers(lines: &[Line]) -> Vec<u128> {
    lines.iter().map(|line| line.id.0).collect()
}

/// Reads and ships all there is.
fn drain(journal: &Journal) -> Vec<u128> {
    let mut all = Vec::new();
    while let Some(batch) = journal.read(100) {
        all.extend(numbers(&batch.lines));
        journal.shipped(&batch);
    }
    all
}

fn files(folder: &TempDir) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder.path().join("journal")).unwrap();
    let mut paths: Vec<_> = paths.map(|file| file.unwrap().path()).collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "lines")
    });
    paths.sort();
    paths
}

#[test]
fn lines_are_read_in_order_and_again_until_they_are_shipped() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    assert!(journal.read(10).is_none());
    (0..5).for_each(|number| journal.append(&line(number)).unwrap());
    assert_eq!(journal.read(3).unwrap().lines, [line(0), line(1), line(2)]);
    let first = journal.read(2).unwrap();
    assert_eq!(numbers(&first.lines), [0, 1]);
    journal.shipped(&first);
    assert_eq!(drain(&journal), [2, 3, 4]);
    assert!(journal.read(10).is_none());
    assert_eq!(journal.counts().waiting_bytes, 0);
}

#[test]
fn a_full_journal_refuses_and_counts_and_takes_lines_again_once_shipped() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    let (mut taken, mut refused) = (0, 0);
    for number in 0..10_000 {
        match journal.append(&line(number)) {
            Ok(()) => taken += 1,
            Err(NoRoom) => {
                refused += 1;
                journal.make_room().unwrap();
            }
        }
    }
    assert!(taken > 100 && refused > 100, "{taken} {refused}");
    let counts = journal.counts();
    assert_eq!((counts.appended, counts.unbilled), (taken, refused));
    assert_eq!(
        files(&folder).len(),
        4,
        "as many as journal_bytes_max allows"
    );
    assert_eq!(drain(&journal).len() as u64, taken);
    journal.make_room().unwrap();
    assert_eq!(files(&folder).len(), 2, "the one written to and a spare");
    journal.append(&line(20_000)).unwrap();
    assert_eq!(drain(&journal), [20_000]);
}

#[test]
fn a_journal_that_was_left_full_starts_all_the_same() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    let mut taken = 0;
    for _ in 0..4 {
        journal.make_room().unwrap();
        while journal.append(&line(taken)).is_ok() {
            taken += 1;
        }
    }
    drop(journal);
    let journal = opened(&folder, small());
    assert_eq!(journal.append(&line(taken)), Err(NoRoom));
    assert_eq!(drain(&journal), (0..taken).collect::<Vec<_>>());
    journal.make_room().unwrap();
    journal.append(&line(taken)).unwrap();
    assert_eq!(drain(&journal), [taken]);
}

#[test]
fn rotating_makes_no_file_on_the_way() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    journal.make_room().unwrap();
    let before = files(&folder);
    let mut number = 0;
    while journal.append(&line(number)).is_ok() {
        number += 1;
    }
    assert_eq!(files(&folder), before);
    assert_eq!(before.len(), 2, "both were filled");
    assert_eq!(drain(&journal), (0..number).collect::<Vec<_>>());
}

#[test]
fn what_was_not_shipped_is_there_after_a_restart_and_nothing_else() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    (0..10).for_each(|number| journal.append(&line(number)).unwrap());
    let first = journal.read(4).unwrap();
    journal.shipped(&first);
    drop(journal);
    let journal = opened(&folder, small());
    journal.append(&line(10)).unwrap();
    assert_eq!(drain(&journal), [4, 5, 6, 7, 8, 9, 10]);
    drop(journal);
    let journal = opened(&folder, small());
    assert!(journal.read(1).is_none());
    assert_eq!(files(&folder).len(), 1, "what was shipped is deleted");
}

#[test]
fn a_cursor_that_points_nowhere_starts_over() {
    for cursor in [1, 65, 72, 16 * 1024, u64::MAX] {
        let folder = TempDir::new().unwrap();
        let journal = opened(&folder, small());
        (0..3).for_each(|number| journal.append(&line(number)).unwrap());
        drop(journal);
        let file = &files(&folder)[0];
        let mut bytes = fs::read(file).unwrap();
        bytes[24..32].copy_from_slice(&cursor.to_le_bytes());
        fs::write(file, bytes).unwrap();
        assert_eq!(drain(&opened(&folder, small())), [0, 1, 2], "{cursor}");
    }
}

/// Whatever byte the tail is torn at or flipped in: the lines before it are there, none is wrong.
#[test]
fn a_torn_or_flipped_frame_ends_the_journal_there() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    let mut ends = vec![64];
    for number in 0..4 {
        journal.append(&line(number)).unwrap();
        ends.push(journal.front().segments[0].end());
    }
    drop(journal);
    let path = files(&folder)[0].clone();
    let good = fs::read(&path).unwrap();
    let whole = |at: usize| ends.iter().filter(|end| **end <= at).count() as u128 - 1;
    for at in 64..ends[4] {
        let padding = good[at] == 0;
        let (mut torn, mut flipped) = (good.clone(), good.clone());
        torn[at..].fill(0);
        flipped[at] ^= 0x10;
        for (how, bytes) in [("torn", torn), ("flipped", flipped)] {
            fs::remove_dir_all(folder.path().join("journal")).unwrap();
            fs::create_dir(folder.path().join("journal")).unwrap();
            fs::write(&path, &bytes).unwrap();
            let journal = opened(&folder, small());
            let got = drain(&journal);
            let least: Vec<u128> = (0..whole(at)).collect();
            let most: Vec<u128> = (0..4).collect();
            assert!(
                most.starts_with(&got) && got.starts_with(&least),
                "{how} at {at}: {got:?}"
            );
            // Bytes that do not count (padding) may change; any other ends the journal there.
            assert!(padding || got == least, "{how} at {at}: {got:?}");
            assert!(
                padding
                    || bytes[ends[got.len()]..].iter().all(|byte| *byte == 0)
                    || journal.counts().torn == 1,
                "{how} at {at}"
            );
        }
    }
}

#[test]
fn a_power_cut_may_lose_a_page_in_the_middle_but_brings_no_wrong_line() {
    let folder = TempDir::new().unwrap();
    let journal = opened(&folder, small());
    let mut number = 0;
    while journal.append(&line(number)).is_ok() {
        number += 1;
    }
    drop(journal);
    let path = files(&folder)[0].clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[4096..8192].fill(0);
    fs::write(&path, bytes).unwrap();
    let journal = opened(&folder, small());
    assert_eq!(journal.counts().torn, 1);
    let got = drain(&journal);
    assert_eq!(got, (0..got.len() as u128).collect::<Vec<_>>());
    assert!(got.len() > 10 && (got.len() as u128) < number / 2);
}

#[test]
fn a_folder_has_one_owner_and_a_stranger_is_not_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("journal");
    let journal = opened(&folder, small());
    let error = Journal::open(&path, small()).err().unwrap().to_string();
    assert!(error.contains("another running fgy"), "{error}");
    drop(journal);
    let segment = files(&folder)[0].clone();
    for (story, change, says) in [
        ("no segment", (0, b'x'), "it is no journal segment"),
        ("a later format", (8, 2), "another version of fgy"),
        ("a damaged header", (16, 0xff), "header is damaged"),
    ] {
        let good = fs::read(&segment).unwrap();
        let mut bytes = good.clone();
        bytes[change.0] = change.1;
        fs::write(&segment, bytes).unwrap();
        let error = Journal::open(&path, small()).err().unwrap().to_string();
        assert!(
            error.contains(says) && error.contains("move the file away"),
            "{story}: {error}"
        );
        fs::write(&segment, good).unwrap();
    }
    fs::write(path.join("0000000000000000.lines"), "short").unwrap();
    assert!(
        Journal::open(&path, small())
            .err()
            .unwrap()
            .to_string()
            .contains("its size")
    );
}

#[test]
fn an_unfinished_file_of_an_earlier_start_is_no_segment() {
    let folder = TempDir::new().unwrap();
    fs::create_dir(folder.path().join("journal")).unwrap();
    fs::write(folder.path().join("journal/unfinished"), "half").unwrap();
    let journal = opened(&folder, small());
    journal.append(&line(1)).unwrap();
    assert_eq!(drain(&journal), [1]);
    assert!(!folder.path().join("journal/unfinished").exists());
}

#[test]
fn many_threads_append_and_nothing_is_lost_or_doubled() {
    let folder = TempDir::new().unwrap();
    let settings = Settings {
        segment_bytes: 64 * 1024,
        spares: 4,
        ..Settings::default()
    };
    let journal = opened(&folder, settings);
    let mut got = Vec::new();
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..4_u128)
            .map(|thread| {
                let journal = &journal;
                scope.spawn(move || {
                    for number in 0..2_000 {
                        while journal.append(&line(thread * 10_000 + number)).is_err() {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        while !writers.iter().all(|writer| writer.is_finished()) {
            journal.make_room().unwrap();
            journal.sync();
            got.extend(drain(&journal));
        }
    });
    got.extend(drain(&journal));
    assert_eq!(got.len(), 8_000);
    for thread in 0..4 {
        let of_it: Vec<u128> = got
            .iter()
            .filter(|id| **id / 10_000 == thread)
            .copied()
            .collect();
        let expected: Vec<u128> = (0..2_000).map(|number| thread * 10_000 + number).collect();
        assert_eq!(of_it, expected, "thread {thread} in its order");
    }
}

#[tokio::test]
async fn the_background_makes_room_and_syncs_and_stops() {
    let folder = TempDir::new().unwrap();
    let journal = Arc::new(opened(&folder, small()));
    let stop = CancellationToken::new();
    let upkeep = journal.clone().run(stop.clone());
    let work = async {
        for number in 0..2_000 {
            while journal.append(&line(number)).is_err() {
                drain(&journal);
                tokio::task::yield_now().await;
            }
        }
        stop.cancel();
    };
    tokio::join!(upkeep, work);
    assert!(
        !journal
            .front()
            .segments
            .iter()
            .any(|segment| segment.is_dirty())
    );
    assert_eq!(journal.counts().appended, 2_000);
}

/// A child appends from four threads and tells each id once the append has returned; it is killed
/// with SIGKILL in the midst of it. Every id it told is in the journal, and none is there twice.
#[test]
fn kill_9_loses_nothing_that_was_appended_and_doubles_nothing() {
    let folder = TempDir::new().unwrap();
    for round in 1..=3 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "ledger::journal::tests::child",
                "--ignored",
                "--nocapture",
            ])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut told = BTreeSet::new();
        for line in BufReader::new(child.stdout.take().unwrap()).lines() {
            // The harness has its own words; a cut line is an id that was not told.
            let Some(id) = line
                .unwrap()
                .strip_prefix("id ")
                .and_then(|id| id.strip_suffix(" ok").map(str::to_owned))
            else {
                continue;
            };
            told.insert(id.parse::<u128>().unwrap());
            if told.len() == 4_000 * round {
                child.kill().unwrap();
            }
        }
        assert!(
            !child.wait().unwrap().success(),
            "it was killed, it did not end by itself"
        );
        assert!(told.len() >= 4_000 * round);
        let journal = opened(&folder, child_settings());
        let found = drain(&journal);
        let distinct: BTreeSet<u128> = found.iter().copied().collect();
        assert_eq!(distinct.len(), found.len(), "none doubled");
        assert!(
            told.is_subset(&distinct),
            "{} of {} lost",
            told.difference(&distinct).count(),
            told.len()
        );
        // At most one per thread was appended and not yet told.
        assert!(distinct.len() <= told.len() + 4);
        journal.make_room().unwrap();
    }
}

fn child_settings() -> Settings {
    Settings {
        segment_bytes: 64 * 1024,
        spares: 2,
        ..Settings::default()
    }
}

#[test]
#[ignore = "the child of kill_9_loses_nothing_that_was_appended_and_doubles_nothing"]
#[expect(
    clippy::disallowed_methods,
    reason = "a parent test speaks to its child this way"
)]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else {
        return;
    };
    let journal = Journal::open(&Path::new(&folder).join("journal"), child_settings()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..4_u128 {
            let journal = &journal;
            scope.spawn(move || {
                for number in 0.. {
                    let id = thread << 64 | number;
                    while journal.append(&line(id)).is_err() {
                        std::thread::yield_now();
                    }
                    let told = format!("id {id} ok\n");
                    std::io::stdout().lock().write_all(told.as_bytes()).unwrap();
                }
            });
        }
        loop {
            journal.make_room().unwrap();
            journal.sync();
        }
    });
}
