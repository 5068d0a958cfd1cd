//! The one place that starts tasks. A run ends with its process, and whoever needs an end waits for it.

use std::future::Future;

use tokio::task::JoinHandle;

/// Runs it beside; ends with the runtime.
#[expect(
    clippy::disallowed_methods,
    reason = "callers of a run are waited for by the run, or end with it"
)]
pub(crate) fn beside<T: Send + 'static>(
    work: impl Future<Output = T> + Send + 'static,
) -> JoinHandle<T> {
    tokio::spawn(work)
}

/// What each of them came to, in their order; one that panicked is left out.
pub(crate) async fn all<T>(works: Vec<JoinHandle<T>>) -> Vec<T> {
    let mut all = Vec::with_capacity(works.len());
    for work in works {
        all.extend(work.await.ok());
    }
    all
}
