//! The only place that spawns. Tasks are named and counted, a panic in one is caught and counted
//! without its message (a message may quote what was being handled), and at the end they are
//! waited for. It never restarts anything by itself.

use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::stats::Count;

/// Every task of a node. Cheap to clone; clones are the same set.
#[derive(Clone, Default)]
pub struct Tasks {
    tracker: TaskTracker,
    stop: CancellationToken,
    panics: Arc<Count>,
    /// Where they run, if not where they are spawned.
    elsewhere: Option<Handle>,
}

impl Tasks {
    /// No tasks yet.
    pub fn new() -> Tasks {
        Tasks::default()
    }

    /// The same set, whose further tasks run on another runtime.
    pub fn on(&self, runtime: &Handle) -> Tasks {
        Tasks {
            elsewhere: Some(runtime.clone()),
            ..self.clone()
        }
    }

    /// Runs `future` to its end, whoever started it goes away or not.
    pub fn spawn(&self, name: &'static str, future: impl Future<Output = ()> + Send + 'static) {
        let panics = self.panics.clone();
        let task = async move {
            if AssertUnwindSafe(future).catch_unwind().await.is_err() {
                panics.add();
                tracing::error!(task = name, "a task panicked; what it was doing has ended");
            }
        };
        match &self.elsewhere {
            None => self.tracker.spawn(task),
            Some(runtime) => self.tracker.spawn_on(task, runtime),
        };
    }

    /// Runs a background part for as long as the node lives: a panic ends one turn of it, is
    /// counted, and the part is started again after `pause`.
    pub fn keep_running<F>(
        &self,
        name: &'static str,
        pause: Duration,
        mut part: impl FnMut() -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send + 'static,
    {
        let (panics, stop) = (self.panics.clone(), self.stop.clone());
        self.spawn(name, async move {
            while AssertUnwindSafe(part()).catch_unwind().await.is_err() {
                panics.add();
                tracing::error!(
                    task = name,
                    "a background part panicked and is started again"
                );
                if stop
                    .run_until_cancelled(tokio::time::sleep(pause))
                    .await
                    .is_none()
                {
                    return;
                }
            }
        });
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.get()
    }

    /// Tasks running now.
    pub fn running(&self) -> usize {
        self.tracker.len()
    }

    /// Fires when background parts should come to their end.
    pub fn stopping(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Tells background parts to end and waits for every task; false where `deadline` came first.
    pub async fn end(&self, deadline: Duration) -> bool {
        self.stop.cancel();
        self.tracker.close();
        tokio::time::timeout(deadline, self.tracker.wait())
            .await
            .is_ok()
    }
}
