//! One answer, recorded once and played by any number of listeners from its beginning. A kept
//! answer is a finished tape, a call in the air is a tape being recorded, and a coalesced caller
//! is one more player. Tapes are bounded in size and end exactly once, finished or broken. This
//! file never looks inside a frame, spawns nothing, and lets no listener slow the recorder.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;
use tokio::sync::watch;

use crate::budget::{Budget, Holding};
use crate::fault::Fault;
use crate::sealed::Sealed;
use crate::sync::{Arc, AtomicU64, Mutex, Ordering, lock};

/// One piece of an answer, opaque to this crate.
pub type Frame = Bytes;

/// A recording, live or finished. Cheap to clone; clones are the same recording.
#[derive(Clone)]
pub struct Tape(Source);

#[derive(Clone)]
enum Source {
    Live(Arc<Live>),
    Sealed(std::sync::Arc<Sealed>),
}

struct Live {
    state: Mutex<State>,
    /// Beats at every change. Its receivers are the players, so that it also counts them.
    beat: watch::Sender<()>,
    /// The longest life any listener would give the finished tape; see [`Tape::wish`].
    wish: AtomicU64,
}

struct State {
    frames: Vec<Frame>,
    bytes: usize,
    holding: Holding,
    end: Option<End>,
}

enum End {
    Finished(std::sync::Arc<Sealed>),
    Broken(Fault),
}

impl Tape {
    /// Begins a recording of at most `bytes_max` bytes, drawn from `budget` as it grows.
    pub fn record(bytes_max: usize, budget: &Budget) -> (Recorder, Tape) {
        let state = State {
            frames: Vec::new(),
            bytes: 0,
            holding: budget.open(),
            end: None,
        };
        let live = Arc::new(Live {
            state: Mutex::new(state),
            beat: watch::Sender::new(()),
            wish: AtomicU64::new(0),
        });
        (
            Recorder {
                live: live.clone(),
                bytes_max,
            },
            Tape(Source::Live(live)),
        )
    }

    /// A recording that is already complete.
    pub fn finished(frames: impl IntoIterator<Item = Frame>) -> Tape {
        let frames: Vec<Frame> = frames.into_iter().collect();
        Tape::from(std::sync::Arc::new(Sealed::of(&frames)))
    }

    /// A listener that hears everything, from the first frame on.
    pub fn play(&self) -> Player {
        match &self.0 {
            Source::Live(live) => Player {
                beat: Some(live.beat.subscribe()),
                ..Player::of(self.0.clone())
            },
            Source::Sealed(_) => Player::of(self.0.clone()),
        }
    }

    /// The finished form, if this recording has come to a good end.
    pub fn sealed(&self) -> Option<std::sync::Arc<Sealed>> {
        match &self.0 {
            Source::Sealed(sealed) => Some(sealed.clone()),
            Source::Live(live) => match &lock(&live.state).end {
                Some(End::Finished(sealed)) => Some(sealed.clone()),
                _ => None,
            },
        }
    }

    /// Whether this recording has come to a bad end.
    pub fn broken(&self) -> bool {
        match &self.0 {
            Source::Sealed(_) => false,
            Source::Live(live) => matches!(lock(&live.state).end, Some(End::Broken(_))),
        }
    }

    /// How many are listening to the recording now; none where it is finished.
    pub fn listeners(&self) -> usize {
        match &self.0 {
            Source::Live(live) => live.beat.receiver_count(),
            Source::Sealed(_) => 0,
        }
    }

    /// Tells the recorder how long this listener would keep the answer, in a unit of the
    /// application's; the longest wish is what [`Recorder::wish`] reads.
    pub fn wish(&self, keep: u64) {
        if let Source::Live(live) = &self.0 {
            live.wish.fetch_max(keep, Ordering::Relaxed);
        }
    }
}

impl From<std::sync::Arc<Sealed>> for Tape {
    fn from(sealed: std::sync::Arc<Sealed>) -> Tape {
        Tape(Source::Sealed(sealed))
    }
}

impl fmt::Debug for Tape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.sealed().is_some() {
            "Tape(sealed)"
        } else {
            "Tape(live)"
        })
    }
}

/// The one hand that records a tape.
///
/// Dropping it unfinished, by a panic or a cancelled task too, breaks the tape as
/// [`Fault::Abandoned`]: no listener is ever left waiting.
pub struct Recorder {
    live: Arc<Live>,
    bytes_max: usize,
}

impl Recorder {
    /// Adds a frame. Where the tape or the budget has no room for it the tape breaks, and this
    /// and every later push say how.
    pub fn push(&self, frame: Frame) -> Result<(), Fault> {
        let pushed = self.admit(frame);
        self.live.beat.send_replace(());
        pushed
    }

    fn admit(&self, frame: Frame) -> Result<(), Fault> {
        let mut state = lock(&self.live.state);
        if let Some(End::Broken(fault)) = &state.end {
            return Err(fault.clone());
        }
        let fault = if state.bytes + frame.len() > self.bytes_max {
            Some(Fault::TooLong)
        } else if !state.holding.draw(frame.len()) {
            Some(Fault::NoRoom)
        } else {
            None
        };
        match fault {
            Some(fault) => {
                state.end = Some(End::Broken(fault.clone()));
                Err(fault)
            }
            None => {
                state.bytes += frame.len();
                state.frames.push(frame);
                Ok(())
            }
        }
    }

    /// Adds every frame of a finished tape after its first, whose place `head` takes.
    pub fn copy(&self, head: Frame, sealed: &Sealed) -> Result<(), Fault> {
        self.push(head)?;
        (1..sealed.len()).try_for_each(|i| self.push(sealed.frame(i)))
    }

    /// The finished form of what has been recorded so far, for keeping it before anyone can see
    /// that it is finished.
    pub fn seal(&self) -> std::sync::Arc<Sealed> {
        std::sync::Arc::new(Sealed::of(&lock(&self.live.state).frames))
    }

    /// The same with another first frame, for what is only known once the whole is recorded.
    pub fn seal_as(&self, head: Frame) -> std::sync::Arc<Sealed> {
        let mut frames = lock(&self.live.state).frames.clone();
        if let Some(first) = frames.first_mut() {
            *first = head;
        }
        std::sync::Arc::new(Sealed::of(&frames))
    }

    /// How many are listening now.
    pub fn listeners(&self) -> usize {
        self.live.beat.receiver_count()
    }

    /// The recording is complete, as [`Recorder::seal`] or [`Recorder::seal_as`] gave it.
    pub fn finish(self, sealed: std::sync::Arc<Sealed>) {
        self.end(End::Finished(sealed));
    }

    /// The recording is broken.
    pub fn fail(self, fault: Fault) {
        self.end(End::Broken(fault));
    }

    /// The recording is complete as it stands, for one who copies another's frame by frame.
    pub(crate) fn complete(&self) {
        self.end(End::Finished(self.seal()));
    }

    /// The recording is broken, for one who goes on holding it.
    pub(crate) fn break_off(&self, fault: Fault) {
        self.end(End::Broken(fault));
    }

    /// Resolves once nobody listens.
    pub async fn deserted(&self) {
        self.live.beat.closed().await;
    }

    /// The longest life that any listener so far would give the answer.
    pub fn wish(&self) -> u64 {
        self.live.wish.load(Ordering::Relaxed)
    }

    /// The only place where a tape ends by itself; the first end stands.
    fn end(&self, end: End) {
        {
            let mut state = lock(&self.live.state);
            if state.end.is_none() {
                if matches!(end, End::Finished(_)) {
                    // Players go on in the sealed form: the frames need not be held twice.
                    state.frames = Vec::new();
                }
                state.end = Some(end);
            }
        }
        self.live.beat.send_replace(());
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.end(End::Broken(Fault::Abandoned));
    }
}

/// One listener, from the first frame on. Dropping it means that it has gone.
pub struct Player {
    source: Source,
    cursor: usize,
    pending: VecDeque<Frame>,
    beat: Option<watch::Receiver<()>>,
}

/// What looking at the recording gave.
enum Progress {
    More,
    Wait,
    End,
}

impl Player {
    fn of(source: Source) -> Player {
        Player {
            source,
            cursor: 0,
            pending: VecDeque::new(),
            beat: None,
        }
    }

    /// The next frame; `None` at the good end, a fault at the bad one, after every frame that
    /// was recorded before it.
    pub async fn next(&mut self) -> Result<Option<Frame>, Fault> {
        loop {
            if let Some(frame) = self.ready() {
                return Ok(Some(frame));
            }
            // Seen before looking, so that a change after the look is not slept through.
            if let Some(beat) = &mut self.beat {
                beat.mark_unchanged();
            }
            match self.gather()? {
                Progress::More => {}
                Progress::End => return Ok(None),
                Progress::Wait => self.wait().await,
            }
        }
    }

    /// What [`Player::next`] would give, if it can be had without waiting.
    pub(crate) fn try_next(&mut self) -> Option<Result<Option<Frame>, Fault>> {
        loop {
            if let Some(frame) = self.ready() {
                return Some(Ok(Some(frame)));
            }
            match self.gather() {
                Ok(Progress::More) => {}
                Ok(Progress::End) => return Some(Ok(None)),
                Ok(Progress::Wait) => return None,
                Err(fault) => return Some(Err(fault)),
            }
        }
    }

    /// The next frame if it can be had without waiting and without a lock.
    pub fn ready(&mut self) -> Option<Frame> {
        if let Source::Sealed(sealed) = &self.source {
            let frame = (self.cursor < sealed.len()).then(|| sealed.frame(self.cursor));
            self.cursor += usize::from(frame.is_some());
            return frame;
        }
        let frame = self.pending.pop_front();
        self.cursor += usize::from(frame.is_some());
        frame
    }

    /// The finished form, if the recording has come to a good end.
    pub fn sealed(&self) -> Option<std::sync::Arc<Sealed>> {
        Tape(self.source.clone()).sealed()
    }

    /// Whether everything of a finished recording has been heard.
    pub fn at_end(&self) -> bool {
        matches!(&self.source, Source::Sealed(sealed) if self.cursor >= sealed.len())
    }

    /// Takes every frame recorded since the last look: one lock for many frames.
    fn gather(&mut self) -> Result<Progress, Fault> {
        let sealed = match &self.source {
            Source::Sealed(_) => return Ok(Progress::End),
            Source::Live(live) => {
                let state = lock(&live.state);
                match &state.end {
                    Some(End::Finished(sealed)) => sealed.clone(),
                    end => {
                        self.pending
                            .extend(state.frames[self.cursor..].iter().cloned());
                        return match end {
                            _ if !self.pending.is_empty() => Ok(Progress::More),
                            Some(End::Broken(fault)) => Err(fault.clone()),
                            _ => Ok(Progress::Wait),
                        };
                    }
                }
            }
        };
        self.source = Source::Sealed(sealed);
        self.beat = None;
        Ok(Progress::More)
    }

    async fn wait(&mut self) {
        if let Some(beat) = &mut self.beat {
            // An error says that the recording has ended, which the next look finds.
            let _ended = beat.changed().await;
        }
    }
}
