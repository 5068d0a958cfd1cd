//! The sentence model in this process, on threads of its own that give way to those that answer.
//! It looks for the model's files until they are there, so that a model fetched while the node
//! runs is used at once; it never fetches them itself. Who asks for more than can be done in time
//! is declined, and no request waits longer than it may.

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use std::{io, thread};

use fgy_cluster::BoxFuture;
use fgy_minilm::{Desk, MiniLm, Piece, Processor, WIDTH, WINDOW};
use tokio::sync::{oneshot, watch};

use super::queue::{Queue, Size};
use super::{COUNT_MAX, Declined, Embedder, ModelId, State, Vector};
use crate::priority;
use crate::semantic::model;

/// What is read of a text at most: a window of the longest words is far shorter.
const TEXT_BYTES_MAX: usize = 64 * 1024;

/// A text of more bytes is not counted; it has more tokens than any policy lets through.
const COUNTED_BYTES_MAX: usize = 256 * 1024;

/// Pieces that a thread takes on at once. More would not be faster for each, and who is first
/// would wait for who is last.
const BATCH_PIECES: usize = 96;

/// How the local embedder works.
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// Where the model lies, or will.
    pub folder: PathBuf,
    /// Threads.
    pub threads: NonZeroUsize,
    /// Texts that may wait.
    pub waiting_texts_max: usize,
    /// Tokens of all that wait.
    pub waiting_tokens_max: usize,
    /// How long a request may take, waiting included.
    pub patience: Duration,
    /// How often to look for a model that is not there.
    pub look_every: Duration,
}

impl LocalSettings {
    /// A thread for each processor but one, which is left to those that answer. What may wait is
    /// what they can do in the time a request may take.
    pub fn new(folder: PathBuf) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let threads = NonZeroUsize::new(processors - 1).unwrap_or(NonZeroUsize::MIN);
        Self {
            folder,
            threads,
            waiting_texts_max: 256 * threads.get(),
            waiting_tokens_max: 1024 * threads.get(),
            patience: Duration::from_millis(100),
            look_every: Duration::from_secs(3),
        }
    }
}

/// The local embedder. Dropped, its threads end.
pub struct Local {
    shared: Arc<Shared>,
}

struct Shared {
    id: ModelId,
    settings: LocalSettings,
    model: OnceLock<MiniLm>,
    state: watch::Sender<State>,
    queue: Queue<Ask>,
}

/// Texts that somebody waits for, as pieces.
struct Ask {
    texts: Vec<Vec<Piece>>,
    answer: oneshot::Sender<Result<Vec<Vector>, Declined>>,
}

impl Local {
    /// Starts looking for the model.
    pub fn start(settings: LocalSettings) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            id: ModelId {
                name: model::NAME.into(),
                revision: model::REVISION.into(),
                dimensions: WIDTH as u32,
            },
            queue: Queue::new(Size {
                texts: settings.waiting_texts_max,
                pieces: settings.waiting_tokens_max,
            }),
            settings,
            model: OnceLock::new(),
            state: watch::Sender::new(State::Loading),
        });
        let loader = shared.clone();
        spawn("fgy-model", move || load(&loader))?;
        Ok(Self { shared })
    }

    /// Its state now and from now on.
    pub fn states(&self) -> watch::Receiver<State> {
        self.shared.state.subscribe()
    }

    fn ask(&self, texts: &[String]) -> Result<oneshot::Receiver<Answer>, Declined> {
        let model = self.shared.model.get().ok_or(Declined::Loading)?;
        let pieces = |text: &String| model.pieces(beginning(text));
        let texts: Vec<Vec<Piece>> = texts.iter().map(pieces).collect();
        let size = Size {
            texts: texts.len(),
            pieces: texts.iter().map(Vec::len).sum(),
        };
        let (answer, answered) = oneshot::channel();
        let ask = Ask { texts, answer };
        let pushed = self.shared.queue.push(ask, size);
        pushed.map_err(|_| Declined::Busy)?;
        Ok(answered)
    }
}

type Answer = Result<Vec<Vector>, Declined>;

/// As much of a text as is read.
fn beginning(text: &str) -> &str {
    &text[..text.floor_char_boundary(TEXT_BYTES_MAX)]
}

impl Drop for Local {
    fn drop(&mut self) {
        self.shared.queue.close();
    }
}

impl Embedder for Local {
    fn model(&self) -> &ModelId {
        &self.shared.id
    }

    fn window_tokens(&self) -> usize {
        WINDOW
    }

    fn count_tokens(&self, text: &str) -> usize {
        match self.shared.model.get() {
            Some(_) if text.len() > COUNTED_BYTES_MAX => COUNT_MAX,
            Some(model) => model.count(text, COUNT_MAX),
            None => text.len().div_ceil(3).min(COUNT_MAX),
        }
    }

    fn embed(&self, texts: Vec<String>) -> BoxFuture<'_, Result<Vec<Vector>, Declined>> {
        let asked = self.ask(&texts);
        Box::pin(async move {
            match tokio::time::timeout(self.shared.settings.patience, asked?).await {
                Ok(Ok(answer)) => answer,
                // Dropped unanswered: the embedder ends.
                Ok(Err(_)) => Err(Declined::Failed),
                Err(_) => Err(Declined::Busy),
            }
        })
    }

    fn state(&self) -> State {
        *self.shared.state.borrow()
    }
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> io::Result<()> {
    let run = move || {
        if let Err(error) = priority::give_way() {
            tracing::warn!(%error, "embedding runs at the priority of replies");
        }
        run();
    };
    thread::Builder::new().name(name.to_owned()).spawn(run)?;
    Ok(())
}

/// Looks for the model until it is loaded or nobody wants it any more; then the threads start.
fn load(shared: &Arc<Shared>) {
    let folder = &shared.settings.folder;
    // What was found unusable is not read again until it changes.
    let mut unusable = None;
    let mut told = false;
    loop {
        match model::look(folder) {
            None if !told => {
                told = true;
                shared.state.send_replace(State::Off);
                tracing::warn!(
                    folder = %folder.display(),
                    "matching by meaning is off: the model is not there; `fgy model pull` fetches it"
                );
            }
            Some(looks) if unusable.as_ref() != Some(&looks) => {
                shared.state.send_replace(State::Loading);
                match read(shared) {
                    Ok(()) => return,
                    Err(error) => tracing::warn!(error, "matching by meaning is off"),
                }
                shared.state.send_replace(State::Off);
                unusable = Some(looks);
            }
            _ => {}
        }
        if shared.queue.closed_within(shared.settings.look_every) {
            return;
        }
    }
}

/// Reads the model and starts the threads.
fn read(shared: &Arc<Shared>) -> Result<(), String> {
    let folder = &shared.settings.folder;
    model::check(folder).map_err(|wrong| wrong.to_string())?;
    let processor = Processor::here();
    let model = MiniLm::load(folder, processor);
    let model = model.map_err(|error| format!("{}: {error}", folder.display()))?;
    if shared.model.set(model).is_err() {
        return Ok(());
    }
    for number in 0..shared.settings.threads.get() {
        let worker = shared.clone();
        let started = spawn(&format!("fgy-embed-{number}"), move || work(&worker));
        // With one thread less it is slower; without any it is nothing.
        match started {
            Err(error) if number == 0 => return Err(format!("no thread for embedding: {error}")),
            Err(error) => tracing::warn!(%error, "one thread less for embedding"),
            Ok(()) => {}
        }
    }
    tracing::info!(model = %shared.id, processor = processor.name(), "matching by meaning is on");
    shared.state.send_replace(State::Ready);
    Ok(())
}

/// One thread: takes what waits, answers, until the queue is closed.
fn work(shared: &Shared) {
    let Some(model) = shared.model.get() else {
        return;
    };
    let mut desk = Desk::default();
    while let Some(mut asks) = shared.queue.take(BATCH_PIECES) {
        // Nobody waits for these any more.
        asks.retain(|ask| !ask.answer.is_closed());
        let (texts, answers): (Vec<_>, Vec<_>) =
            asks.into_iter().map(|ask| (ask.texts, ask.answer)).unzip();
        let embedded = catch_unwind(AssertUnwindSafe(|| embed(model, &texts, &mut desk)));
        let mut vectors = embedded.ok().map(Vec::into_iter);
        if vectors.is_none() {
            // It may have been left half done.
            desk = Desk::default();
        }
        for (texts, answer) in texts.iter().zip(answers) {
            let some = vectors
                .as_mut()
                .map(|all| all.by_ref().take(texts.len()).collect());
            // Who has gone in the meantime misses nothing.
            let _gone = answer.send(some.flatten().ok_or(Declined::Failed));
        }
    }
}

/// The vectors of all texts, batch after batch; `None` for those that point nowhere.
fn embed(model: &MiniLm, texts: &[Vec<Vec<Piece>>], desk: &mut Desk) -> Vec<Option<Vector>> {
    let texts: Vec<&[Piece]> = texts.iter().flatten().map(Vec::as_slice).collect();
    let (mut vectors, mut rest) = (Vec::with_capacity(texts.len()), &texts[..]);
    while !rest.is_empty() {
        let mut sum = 0;
        let more = rest.iter().take_while(|text| {
            sum += text.len();
            sum <= BATCH_PIECES
        });
        let (batch, after) = rest.split_at(more.count().max(1));
        vectors.extend(model.embed(batch, desk).into_iter().map(Vector::new));
        rest = after;
    }
    vectors
}

#[cfg(test)]
mod tests;
