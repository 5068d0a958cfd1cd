//! Ledger lines on this machine, between the reply and the store. Appending is a copy into mapped
//! memory under a short lock: no system call, no waiting for a disk, no allocation. It survives
//! `kill -9` at once, and a power cut once the background sync has been by, a few milliseconds
//! later.
//!
//! When there is no room, a line is refused and counted as unbilled: the reply goes on. Nobody is
//! refused over our own disk, and nothing is billed that is not in the journal.
//!
//! A folder belongs to one process. What an earlier process left is only read: each start begins a
//! new segment. Segments are deleted when all their lines are in the ledger.

mod record;
mod segment;

use std::collections::VecDeque;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use self::record::RECORD_BYTES_MAX;
use self::segment::{Found, Segment, Writer};
use super::line::Line;

/// How large a journal may become and how soon it is safe from a power cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Size of each file; about 40,000 lines in the usual 8 MiB.
    pub segment_bytes: usize,
    /// All files together; beyond it lines are refused until some are shipped.
    pub journal_bytes_max: u64,
    /// Files kept ready ahead of need.
    pub spares: usize,
    /// How often appended lines are synced.
    pub sync_every: Duration,
    /// How often shipped files are deleted and spare ones made.
    pub room_every: Duration,
    /// How long to wait after a file could not be made.
    pub room_retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            segment_bytes: 8 << 20,
            journal_bytes_max: 1 << 30,
            spares: 1,
            // Killing the process loses nothing, synced or not; this bounds what a power cut takes.
            sync_every: Duration::from_millis(25),
            room_every: Duration::from_millis(50),
            room_retry: Duration::from_secs(1),
        }
    }
}

/// A journal that cannot be opened, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// There was no room for a line: it is not billed, and counted as such.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoRoom;

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(
            "the ledger journal has no room: see that the store takes lines, or give it \
                     a larger disk",
        )
    }
}

impl std::error::Error for NoRoom {}

/// Lines to be shipped together, and how far the journal is shipped once they are.
pub struct Batch {
    /// In the order in which they were appended.
    pub lines: Vec<Line>,
    segment: Arc<Segment>,
    upto: usize,
}

/// What a journal has seen since it was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lines appended.
    pub appended: u64,
    /// Lines refused for want of room.
    pub unbilled: u64,
    /// Bytes that wait to be shipped.
    pub waiting_bytes: u64,
    /// Files left behind by an earlier process whose last bytes were no whole line.
    pub torn: u64,
    /// Lines that were whole but could not be understood.
    pub unreadable: u64,
    /// Files that could not be synced.
    pub sync_failures: u64,
}

/// The journal of one process.
pub struct Journal {
    folder: PathBuf,
    settings: Settings,
    front: Mutex<Front>,
    /// Held for as long as the journal lives.
    _lock: File,
    next: AtomicU64,
    appended: AtomicU64,
    unbilled: AtomicU64,
    torn: u64,
    unreadable: AtomicU64,
    sync_failures: AtomicU64,
}

struct Front {
    writer: Option<Writer>,
    spares: Vec<Writer>,
    /// Oldest first; the writer's is the last.
    segments: VecDeque<Arc<Segment>>,
}

impl Front {
    fn append(&mut self, record: &[u8]) -> bool {
        if self
            .writer
            .as_mut()
            .is_some_and(|writer| writer.append(record))
        {
            return true;
        }
        let Some(mut spare) = self.spares.pop() else {
            return false;
        };
        let appended = spare.append(record);
        self.segments.push_back(spare.segment().clone());
        self.writer = Some(spare);
        appended
    }

    fn is_written(&self, segment: &Arc<Segment>) -> bool {
        self.writer
            .as_ref()
            .is_some_and(|writer| Arc::ptr_eq(writer.segment(), segment))
    }

    fn is_done(&self, segment: &Arc<Segment>) -> bool {
        !self.is_written(segment) && segment.is_shipped()
    }

    fn bytes(&self) -> u64 {
        let spares = self.spares.iter().map(Writer::segment);
        self.segments
            .iter()
            .chain(spares)
            .map(|segment| segment.bytes())
            .sum()
    }
}

impl Journal {
    /// Opens a folder's journal, making the folder if need be, and finds every whole line an
    /// earlier process left. Blocks.
    pub fn open(folder: &Path, settings: Settings) -> Result<Self, Error> {
        let failed = |error: io::Error| unopened(folder, &error);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(folder)
            .map_err(failed)?;
        let lock = lock(folder)?;
        let left = left_behind(folder)?;
        let last = left
            .iter()
            .map(|found| found.segment.number())
            .max()
            .unwrap_or(0);
        let torn = left.iter().filter(|found| found.torn).count() as u64;
        let mut segments = VecDeque::from_iter(left.into_iter().map(|found| found.segment));
        // Room for every file there can be, so that rotating never allocates.
        let most = settings.journal_bytes_max / settings.segment_bytes.max(1) as u64;
        segments.reserve(usize::try_from(most).unwrap_or(0).min(1 << 16) + settings.spares + 2);
        let front = Front {
            writer: None,
            spares: Vec::new(),
            segments,
        };
        let journal = Self {
            folder: folder.to_owned(),
            settings,
            front: Mutex::new(front),
            _lock: lock,
            next: AtomicU64::new(last + 1),
            appended: AtomicU64::new(0),
            unbilled: AtomicU64::new(0),
            torn,
            unreadable: AtomicU64::new(0),
            sync_failures: AtomicU64::new(0),
        };
        journal.first_segment().map_err(failed)?;
        Ok(journal)
    }

    /// Adds a line: from now on it survives this process. Never waits, never blocks on a disk.
    pub fn append(&self, line: &Line) -> Result<(), NoRoom> {
        let mut buffer = [0; RECORD_BYTES_MAX];
        let record = record::encode(line, &mut buffer);
        let appended = record.is_some_and(|record| self.front().append(record));
        let count = if appended {
            &self.appended
        } else {
            &self.unbilled
        };
        count.fetch_add(1, Ordering::Relaxed);
        if appended { Ok(()) } else { Err(NoRoom) }
    }

    /// The oldest lines not yet shipped, at most `lines_max`; the same again until
    /// [`Journal::shipped`] is told.
    pub fn read(&self, lines_max: usize) -> Option<Batch> {
        let segment = self
            .front()
            .segments
            .iter()
            .find(|segment| !segment.is_shipped())
            .cloned()?;
        let (mut upto, mut lines) = (segment.shipped(), Vec::new());
        while lines.len() < lines_max.max(1) {
            let Some((record, next)) = segment.frame(upto) else {
                break;
            };
            match record::decode(record) {
                Some(line) => lines.push(line),
                None => self.count_unreadable(&segment),
            }
            upto = next;
        }
        Some(Batch {
            lines,
            segment,
            upto,
        })
    }

    /// These lines are in the ledger: they will not be read again.
    pub fn shipped(&self, batch: &Batch) {
        batch.segment.set_shipped(batch.upto);
    }

    /// What happened so far.
    pub fn counts(&self) -> Counts {
        let waiting = |segment: &Arc<Segment>| segment.end().saturating_sub(segment.shipped());
        Counts {
            appended: self.appended.load(Ordering::Relaxed),
            unbilled: self.unbilled.load(Ordering::Relaxed),
            waiting_bytes: self.front().segments.iter().map(waiting).sum::<usize>() as u64,
            torn: self.torn,
            unreadable: self.unreadable.load(Ordering::Relaxed),
            sync_failures: self.sync_failures.load(Ordering::Relaxed),
        }
    }

    /// Syncs and makes room until told to stop, then syncs a last time.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let upkeep = async { tokio::join!(self.keep_synced(), self.keep_room()) };
        tokio::select! {
            () = stop.cancelled() => {}
            _ = upkeep => {}
        }
        self.blocking(Self::sync).await;
    }

    /// Has every line appended so far written to the disk. Blocks.
    pub fn sync(&self) {
        let dirty = |segment: &&Arc<Segment>| segment.is_dirty();
        let segments: Vec<_> = self
            .front()
            .segments
            .iter()
            .filter(dirty)
            .cloned()
            .collect();
        for segment in segments {
            if let Err(error) = segment.sync() {
                self.give_up(&segment, &error);
            }
        }
    }

    /// Deletes what is shipped and prepares spare files. Blocks.
    pub fn make_room(&self) -> io::Result<()> {
        for segment in self.take_done() {
            // A file that stays is read again at the next start, and the ledger knows its lines.
            fs::remove_file(segment.path())?;
        }
        while self.wants_spare() {
            let spare = self.create()?;
            self.front().spares.push(spare);
        }
        Ok(())
    }

    async fn keep_synced(self: &Arc<Self>) {
        let mut tick = tokio::time::interval(self.settings.sync_every);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            if self
                .front()
                .segments
                .iter()
                .any(|segment| segment.is_dirty())
            {
                self.blocking(Self::sync).await;
            }
        }
    }

    async fn keep_room(self: &Arc<Self>) {
        loop {
            let mut pause = self.settings.room_every;
            if self.wants_spare() || self.has_done() {
                let made = self.blocking(Self::make_room).await;
                if let Some(Err(error)) = made {
                    tracing::error!(%error, "the ledger journal cannot make room");
                    pause = self.settings.room_retry;
                }
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// `None` when the runtime is shutting down.
    async fn blocking<T: Send + 'static>(self: &Arc<Self>, work: fn(&Self) -> T) -> Option<T> {
        let journal = self.clone();
        tokio::task::spawn_blocking(move || work(&journal))
            .await
            .ok()
    }

    /// Every change under the lock is a push, a pop or a copy, so a panic leaves it whole.
    fn front(&self) -> MutexGuard<'_, Front> {
        self.front.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn create(&self) -> io::Result<Writer> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let bytes = self.settings.segment_bytes.max(2 * RECORD_BYTES_MAX);
        Writer::create(&self.folder, number, bytes)
    }

    /// A journal that was full when its process ended starts without a segment, and refuses lines
    /// until some are shipped, like one that becomes full.
    fn first_segment(&self) -> io::Result<()> {
        for segment in self.take_done() {
            fs::remove_file(segment.path())?;
        }
        if self.front().bytes() + self.settings.segment_bytes as u64
            <= self.settings.journal_bytes_max
        {
            let writer = self.create()?;
            let mut front = self.front();
            front.segments.push_back(writer.segment().clone());
            front.writer = Some(writer);
        }
        Ok(())
    }

    fn wants_spare(&self) -> bool {
        let front = self.front();
        let room = front.bytes() + self.settings.segment_bytes as u64;
        front.spares.len() < self.settings.spares.max(1) && room <= self.settings.journal_bytes_max
    }

    fn has_done(&self) -> bool {
        let front = self.front();
        front.segments.iter().any(|segment| front.is_done(segment))
    }

    fn take_done(&self) -> Vec<Arc<Segment>> {
        let mut front = self.front();
        let done: Vec<_> = front
            .segments
            .iter()
            .filter(|it| front.is_done(it))
            .cloned()
            .collect();
        front
            .segments
            .retain(|segment| !done.iter().any(|done| Arc::ptr_eq(done, segment)));
        done
    }

    /// After a failed sync the kernel may have dropped the pages: trying the same file again could
    /// succeed without having written them. It gets no more lines; those in it are still readable
    /// from memory and go to the ledger from there.
    fn give_up(&self, segment: &Arc<Segment>, error: &io::Error) {
        tracing::error!(%error, file = %segment.path().display(), "a journal file cannot be synced");
        self.sync_failures.fetch_add(1, Ordering::Relaxed);
        segment.pass_sync();
        let mut front = self.front();
        if front.is_written(segment) {
            front.writer = None;
        }
    }

    fn count_unreadable(&self, segment: &Segment) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::error!(file = %segment.path().display(), "a journal line cannot be understood");
    }
}

fn lock(folder: &Path) -> Result<File, Error> {
    let mut options = OpenOptions::new();
    let options = options.write(true).create(true).truncate(false).mode(0o600);
    let file = options
        .open(folder.join("lock"))
        .map_err(|error| unopened(folder, &error))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error(format!(
            "the ledger journal in {} belongs to another running fgy: stop that one, or give this \
             one a data folder of its own",
            folder.display(),
        ))),
        Err(TryLockError::Error(error)) => Err(unopened(folder, &error)),
    }
}

/// The segments of an earlier process, oldest first.
fn left_behind(folder: &Path) -> Result<Vec<Found>, Error> {
    let failed = |error: io::Error| unopened(folder, &error);
    let mut paths = Vec::new();
    for file in fs::read_dir(folder).map_err(failed)? {
        let path = file.map_err(failed)?.path();
        if path
            .extension()
            .is_some_and(|extension| extension == "lines")
        {
            paths.push(path);
        }
    }
    paths.sort();
    paths.iter().map(|path| found(path)).collect()
}

fn found(path: &Path) -> Result<Found, Error> {
    let shown = path.display();
    let found = Segment::open(path).map_err(|error| {
        let text = "move the file away to start without the lines in it";
        Error(format!(
            "cannot read the ledger journal's {shown}: {error}; {text}"
        ))
    })?;
    let newest = std::iter::successors(found.segment.frame(found.segment.first()), |(_, next)| {
        found.segment.frame(*next)
    })
    .filter_map(|(record, _)| record.first().copied())
    .max();
    if newest.is_some_and(|version| version > record::VERSION) {
        let text = "start that version once to ship them, or move the file away";
        return Err(Error(format!(
            "{shown} holds ledger lines of a newer fgy: {text}"
        )));
    }
    if found.torn {
        tracing::warn!(file = %shown, "the ledger journal ended in the middle of a line");
    }
    Ok(found)
}

fn unopened(folder: &Path, error: &io::Error) -> Error {
    let what_to_do = match error.kind() {
        io::ErrorKind::StorageFull => "make room on that disk",
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            "give the user fgy runs as the right to write there"
        }
        _ => "name a data folder on a disk of this machine",
    };
    Error(format!(
        "cannot keep the ledger journal in {}: {error}; {what_to_do}",
        folder.display()
    ))
}

#[cfg(test)]
mod tests;
