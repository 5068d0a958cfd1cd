//! One file of the journal, of fixed size, mapped into memory: the only `unsafe` module of this
//! crate. Appending is a copy into the mapping; the kernel writes it out, even after `kill -9`.
//! It knows bytes and frames, no lines, and it never changes a frame once it is written.
//!
//! File: a header of 64 bytes (magic, format, checksum, number, how far it was shipped), then
//! frames up to the first whose length is zero. Frame: `length u32 | crc32 u32 | payload`, padded
//! to eight bytes, little endian. The crc covers the segment's number, the length and the payload.
//!
//! The file is filled with zeros before it gets its name, so every block is there: a full disk is
//! found then, as an error, and never later, as a signal in the middle of a reply. (`fallocate`
//! would reserve the blocks as well, but leaves them *unwritten*: each first write would change
//! the file's map and make every sync dearer.)
#![expect(
    unsafe_code,
    reason = "a mapped file is raw memory; nothing else here may be unsafe"
)]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use memmap2::{MmapOptions, MmapRaw};

const MAGIC: [u8; 8] = *b"fgyLines";
const FORMAT: u32 = 1;
const SHIPPED_AT: usize = 24;
const HEADER_BYTES: usize = 64;
const FRAME_HEAD_BYTES: usize = 8;

/// A segment anyone may read up to its end.
pub(super) struct Segment {
    number: u64,
    path: PathBuf,
    map: MmapRaw,
    /// Frames below this offset are whole and never change again.
    end: AtomicUsize,
    /// Bytes below this offset have been synced to the disk.
    synced: AtomicUsize,
}

/// The right to append to a segment: there is one, made together with the file.
pub(super) struct Writer {
    segment: Arc<Segment>,
    end: usize,
}

/// A segment that was found, and whether its last bytes were no whole frame.
pub(super) struct Found {
    pub(super) segment: Arc<Segment>,
    pub(super) torn: bool,
}

impl Writer {
    /// Makes a new file of zeros under its final name, synced, so that what is appended later has
    /// its place on the disk already.
    pub(super) fn create(folder: &Path, number: u64, bytes: usize) -> io::Result<Self> {
        let (path, unfinished) = (path(folder, number), folder.join("unfinished"));
        let made = fill(&unfinished, number, bytes).and_then(|file| {
            fs::rename(&unfinished, &path)?;
            File::open(folder)?.sync_all()?;
            MmapOptions::new().len(bytes).map_raw(&file)
        });
        let map = made.inspect_err(|_| drop(fs::remove_file(&unfinished)))?;
        let (end, synced) = (
            AtomicUsize::new(HEADER_BYTES),
            AtomicUsize::new(HEADER_BYTES),
        );
        let segment = Arc::new(Segment {
            number,
            path,
            map,
            end,
            synced,
        });
        Ok(Self {
            segment,
            end: HEADER_BYTES,
        })
    }

    pub(super) fn segment(&self) -> &Arc<Segment> {
        &self.segment
    }

    /// Adds a frame; `false` when there is no room for it. No system call, no allocation.
    pub(super) fn append(&mut self, payload: &[u8]) -> bool {
        let Ok(length) = u32::try_from(payload.len()) else {
            return false;
        };
        let next = self.end + frame_bytes(payload.len());
        if payload.is_empty() || next > self.segment.map.len() {
            return false;
        }
        let head = u64::from(length) | u64::from(checksum(self.segment.number, payload)) << 32;
        // SAFETY: `end..next` lies inside the mapping (checked above) and above `segment.end`, so
        // no reader looks at it; `&mut self` is the only writer, because `create` makes one and
        // `Writer` cannot be cloned. `end` is a multiple of eight in a page-aligned mapping, so
        // the head is an aligned u64.
        unsafe {
            let frame = self.segment.map.as_mut_ptr().add(self.end);
            let body = frame.add(FRAME_HEAD_BYTES);
            std::ptr::copy_nonoverlapping(payload.as_ptr(), body, payload.len());
            // Last and at once: a process killed before this store leaves a length of zero.
            AtomicU64::from_ptr(frame.cast()).store(head.to_le(), Ordering::Release);
        }
        self.end = next;
        self.segment.end.store(next, Ordering::Release);
        true
    }
}

impl Segment {
    /// Opens what an earlier process left. It is only read from now on: where its frames end is
    /// found anew each time, by the first that is not whole, and nothing is ever appended to it.
    pub(super) fn open(path: &Path) -> io::Result<Found> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let bytes = usize::try_from(file.metadata()?.len()).map_err(|_| unreadable("its size"))?;
        if bytes < HEADER_BYTES {
            return Err(unreadable("its size"));
        }
        let map = MmapOptions::new().len(bytes).map_raw(&file)?;
        let (end, synced) = (AtomicUsize::new(bytes), AtomicUsize::new(bytes));
        let mut segment = Self {
            number: 0,
            path: path.to_owned(),
            map,
            end,
            synced,
        };
        segment.number = number(segment.slice(0..HEADER_BYTES))?;
        let (end, torn) = segment.scan();
        segment.end = AtomicUsize::new(end);
        Ok(Found {
            segment: Arc::new(segment),
            torn,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn bytes(&self) -> u64 {
        self.map.len() as u64
    }

    /// Where the frames written so far end.
    pub(super) fn end(&self) -> usize {
        self.end.load(Ordering::Acquire)
    }

    /// The frame at an offset and where the next one begins; `None` at the end.
    pub(super) fn frame(&self, at: usize) -> Option<(&[u8], usize)> {
        if at + FRAME_HEAD_BYTES > self.end() {
            return None;
        }
        let head = self.slice(at..at + FRAME_HEAD_BYTES);
        let length = u32::from_le_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let body = at + FRAME_HEAD_BYTES;
        let next = at + frame_bytes(length);
        (length > 0 && next <= self.end()).then(|| (self.slice(body..body + length), next))
    }

    /// The offset up to which the frames are in the ledger. It is kept in the file; an offset that
    /// is no frame's end counts as none, and the ledger passes over what it knows.
    pub(super) fn shipped(&self) -> usize {
        usize::try_from(u64::from_le(self.cursor().load(Ordering::Acquire)))
            .map_or(HEADER_BYTES, |shipped| {
                shipped.clamp(HEADER_BYTES, self.end())
            })
    }

    pub(super) fn set_shipped(&self, upto: usize) {
        self.cursor()
            .store((upto as u64).to_le(), Ordering::Release);
    }

    pub(super) fn is_shipped(&self) -> bool {
        self.shipped() >= self.end()
    }

    pub(super) fn is_dirty(&self) -> bool {
        self.synced.load(Ordering::Acquire) < self.end()
    }

    /// Has everything appended so far written to the disk. Blocks.
    pub(super) fn sync(&self) -> io::Result<()> {
        let (from, end) = (self.synced.load(Ordering::Acquire), self.end());
        if from < end {
            self.map.flush_range(from, end - from)?;
            self.synced.fetch_max(end, Ordering::AcqRel);
        }
        Ok(())
    }

    /// Counts what is there as synced, after a sync that must not be tried again.
    pub(super) fn pass_sync(&self) {
        self.synced.fetch_max(self.map.len(), Ordering::AcqRel);
    }

    /// Where the first frame begins.
    pub(super) fn first(&self) -> usize {
        HEADER_BYTES
    }

    /// The end of the last whole frame, and whether anything but zeros follows it.
    fn scan(&self) -> (usize, bool) {
        let (mut at, cursor) = (HEADER_BYTES, self.shipped());
        let mut cursor_is_an_end = cursor == HEADER_BYTES;
        while let Some((payload, next)) = self.frame(at) {
            let head = self.slice(at + 4..at + FRAME_HEAD_BYTES);
            if head != checksum(self.number, payload).to_le_bytes() {
                break;
            }
            at = next;
            cursor_is_an_end |= at == cursor;
        }
        if !cursor_is_an_end {
            self.set_shipped(HEADER_BYTES);
        }
        let torn = self.slice(at..self.map.len()).iter().any(|byte| *byte != 0);
        (at, torn)
    }

    fn slice(&self, range: Range<usize>) -> &[u8] {
        assert!(
            range.start <= range.end && range.end <= self.map.len(),
            "inside the mapping"
        );
        // SAFETY: inside the mapping (checked above), and asked for by this module alone: below
        // `end`, where a writer never writes again, or in `open`, when there is no writer at all.
        // The one place that changes, the cursor, is read through its atomic only, but for the
        // header check in `open`, before anyone could set it. The journal's lock file keeps other
        // processes of ours away; the file is its owner's alone.
        unsafe { std::slice::from_raw_parts(self.map.as_ptr().add(range.start), range.len()) }
    }

    fn cursor(&self) -> &AtomicU64 {
        // SAFETY: inside the header (every mapping has at least HEADER_BYTES), eight-byte aligned
        // in a page-aligned mapping, alive as long as `self`, and accessed atomically only.
        unsafe { AtomicU64::from_ptr(self.map.as_mut_ptr().add(SHIPPED_AT).cast()) }
    }
}

/// Where a segment lies: the names sort as the numbers do.
pub(super) fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.lines"))
}

fn fill(path: &Path, number: u64, bytes: usize) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let options = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600);
    let mut file = options.open(path)?;
    file.write_all(&header(number))?;
    let zeros = [0; 64 * 1024];
    let mut left = bytes - HEADER_BYTES;
    while left > 0 {
        let some = left.min(zeros.len());
        file.write_all(&zeros[..some])?;
        left -= some;
    }
    file.sync_all()?;
    Ok(file)
}

fn header(number: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
    header[12..16].copy_from_slice(&checksum(number, &MAGIC).to_le_bytes());
    header[16..24].copy_from_slice(&number.to_le_bytes());
    header
}

/// Reads the number back out of a header made by this format.
fn number(found: &[u8]) -> io::Result<u64> {
    let mut number = [0; 8];
    number.copy_from_slice(&found[16..24]);
    let number = u64::from_le_bytes(number);
    let expected = header(number);
    if found[..8] != expected[..8] {
        Err(unreadable("it is no journal segment"))
    } else if found[8..12] != expected[8..12] {
        Err(unreadable(
            "it was written by another version of fgy; let that version ship it",
        ))
    } else if found[12..16] != expected[12..16] {
        Err(unreadable("its header is damaged"))
    } else {
        Ok(number)
    }
}

fn unreadable(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

fn frame_bytes(payload: usize) -> usize {
    (FRAME_HEAD_BYTES + payload).next_multiple_of(8)
}

fn checksum(number: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&number.to_le_bytes());
    crc.update(&(payload.len() as u64).to_le_bytes());
    crc.update(payload);
    crc.finalize()
}
