//! Carries ledger lines from the journal to the store: in batches, again and again until the store
//! has them, and only then forgotten by the journal. A batch posted twice counts once, so dying at
//! any point loses nothing and doubles nothing. It never drops a line and never waits for a reply.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::journal::{Batch, Journal};
use crate::store::{Error, Ledger};

/// How lines are shipped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Lines posted together.
    pub batch_lines_max: usize,
    /// How many times as long as a batch took the shipper rests after it: what requests need of
    /// the processor is theirs first, and the journal holds what waits.
    pub rest_factor: u32,
    /// Waiting bytes above which it does not rest.
    pub hurry_bytes: u64,
    /// How often the journal is looked into once it was empty.
    pub look_every: Duration,
    /// The first pause after a failure; each further one is twice as long.
    pub retry_first: Duration,
    /// The longest pause after a failure.
    pub retry_max: Duration,
    /// A post that takes longer has failed.
    pub post_wait_max: Duration,
    /// How long the last lines may take when the node stops.
    pub flush_wait_max: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            batch_lines_max: 2_048,
            rest_factor: 15,
            hurry_bytes: 512 << 20,
            look_every: Duration::from_millis(100),
            retry_first: Duration::from_millis(100),
            retry_max: Duration::from_secs(10),
            post_wait_max: Duration::from_secs(30),
            flush_wait_max: Duration::from_secs(5),
        }
    }
}

/// The shipper of one journal. There is one at a time.
pub struct Post {
    journal: Arc<Journal>,
    ledger: Arc<dyn Ledger>,
    settings: Settings,
    posted: AtomicU64,
    failures: AtomicU64,
}

impl Post {
    /// Ships nothing yet: [`Post::run`] does.
    pub fn new(journal: Arc<Journal>, ledger: Arc<dyn Ledger>, settings: Settings) -> Self {
        let (posted, failures) = (AtomicU64::new(0), AtomicU64::new(0));
        Self {
            journal,
            ledger,
            settings,
            posted,
            failures,
        }
    }

    /// Lines posted so far.
    pub fn posted(&self) -> u64 {
        self.posted.load(Ordering::Relaxed)
    }

    /// Posts that failed and were, or will be, tried again.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// Ships until told to stop, then once more what came in last, as long as that may take.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = self.ship_for_ever() => {}
        }
        self.flush(self.settings.flush_wait_max).await;
    }

    /// Ships what is in the journal now, for so long at most; tells whether all of it arrived.
    /// What did not stays in the journal for the next start.
    pub async fn flush(&self, wait_max: Duration) -> bool {
        let emptied = tokio::time::timeout(wait_max, self.ship_all(0))
            .await
            .is_ok();
        if !emptied {
            let left = self.journal.counts().waiting_bytes;
            tracing::warn!(
                left,
                "ledger lines stay in the journal until the next start"
            );
        }
        emptied
    }

    async fn ship_for_ever(&self) {
        loop {
            self.ship_all(self.settings.rest_factor).await;
            tokio::time::sleep(self.settings.look_every).await;
        }
    }

    async fn ship_all(&self, rest_factor: u32) {
        let mut pause = self.settings.retry_first;
        while let Some(batch) = self.journal.read(self.settings.batch_lines_max) {
            let began = Instant::now();
            match self.ship(&batch).await {
                Ok(()) => {
                    pause = self.settings.retry_first;
                    self.rest(began.elapsed() * rest_factor).await;
                }
                Err(error) => {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    tracing::warn!(%error, ?pause, "ledger lines wait in the journal");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(self.settings.retry_max);
                }
            }
        }
    }

    async fn rest(&self, pause: Duration) {
        if !pause.is_zero() && self.journal.counts().waiting_bytes < self.settings.hurry_bytes {
            tokio::time::sleep(pause).await;
        }
    }

    async fn ship(&self, batch: &Batch) -> Result<(), Error> {
        if !batch.lines.is_empty() {
            let deadline = Instant::now() + self.settings.post_wait_max;
            let posting = self.ledger.post(batch.lines.clone());
            let posted = tokio::time::timeout_at(deadline, posting).await;
            posted.map_err(|_| Error::Unavailable("posting took too long".to_owned()))??;
        }
        crate::faults::hit("post", b"");
        self.journal.shipped(batch);
        self.posted
            .fetch_add(batch.lines.len() as u64, Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
