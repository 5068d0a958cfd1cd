//! A runtime that gives way: what no caller waits for (writing answers to the store, shipping
//! ledger lines, syncing, sweeping) runs here, on a thread of a lower priority than those that
//! answer. Threads made from it inherit the priority, so that the store's writer, which is opened
//! here, has it too. Nothing that a reply needs may run here.

use std::io;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::priority;

/// The runtime, for as long as this is held.
pub(super) struct Quiet {
    handle: Handle,
    /// Dropped with it, which ends the thread.
    _held: oneshot::Sender<()>,
}

impl Quiet {
    /// Starts it.
    pub(super) fn start() -> io::Result<Quiet> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        let (held, dropped) = oneshot::channel::<()>();
        let run = move || {
            if let Err(error) = priority::give_way() {
                tracing::warn!(%error, "background work runs at the priority of replies");
            }
            // An error is what dropping the other half gives: the end.
            let _dropped = runtime.block_on(dropped);
        };
        std::thread::Builder::new()
            .name("fgy-quiet".to_owned())
            .spawn(run)?;
        Ok(Quiet {
            handle,
            _held: held,
        })
    }

    /// Where to spawn.
    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn what_runs_there_gives_way_and_so_do_threads_made_there() {
        let quiet = Quiet::start().unwrap();
        // Adding nothing tells what it is.
        let nice = || rustix::process::nice(0).unwrap();
        let there = quiet.handle().spawn(async move {
            let made_there = std::thread::spawn(nice).join().unwrap();
            (nice(), made_there)
        });
        assert_eq!(
            there.await.unwrap(),
            (nice() + priority::NICE, nice() + priority::NICE)
        );
    }
}
