//! What a replica makes anew when its file has failed: the open file and the library's node over
//! it. It opens, watches, and opens again; it decides nothing else.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use openraft::{Config, Raft, SnapshotPolicy};

use super::file::{File, Identity, damaged};
use super::link::Links;
use super::log::{Kept, Log, Voting};
use super::machine::Machine;
use super::replica::Replica;
use super::settings::Timers;
use super::types::Types;
use crate::control::shown::Shown;
use crate::control::{ControlError, State};
use crate::tasks::Tasks;

/// Entries in one append.
const ENTRIES_COUNT_MAX: u64 = 64;
/// A snapshot travels in pieces of this size.
const PIECE_BYTES_MAX: u64 = 1 << 20;
/// How long one piece may take.
const PIECE_PATIENCE: Duration = Duration::from_secs(10);
/// A snapshot is written after so many entries, and so many are kept behind it for those who lag.
const SNAPSHOT_EVERY: u64 = 1000;
const ENTRIES_KEPT: u64 = 500;
/// A replica further behind than this is sent the snapshot.
const LAG_COUNT_MAX: u64 = 2000;
/// Before a file that failed is opened again.
const REVIVE_PAUSE: Duration = Duration::from_secs(5);
/// How long the end may take.
const END_PATIENCE: Duration = Duration::from_secs(2);

/// What is made anew when the file has failed.
#[derive(Clone)]
pub(super) struct Core {
    pub(super) raft: Raft<Types>,
    pub(super) kept: Arc<Kept>,
}

impl<S: State> Replica<S> {
    /// When the file has failed (a full disk above all) the agreeing stops, as it must; readers go
    /// on, and it is taken up again as soon as the file can be written.
    pub(super) fn keep_agreeing(self: &Arc<Self>, tasks: &Tasks) {
        let (replica, stopping) = (Arc::downgrade(self), tasks.stopping());
        tasks.spawn("agreement", async move {
            while let Some(core) = replica.upgrade().and_then(|replica| replica.core().ok()) {
                let mut metrics = core.raft.metrics();
                let failed = async {
                    let failed = metrics.wait_for(|now| now.running_state.is_err()).await;
                    failed.map_or_else(
                        |e| e.to_string(),
                        |now| {
                            now.running_state
                                .as_ref()
                                .err()
                                .map_or_else(String::new, ToString::to_string)
                        },
                    )
                };
                let failed = stopping.run_until_cancelled(failed).await;
                // Its tasks end with it; one that does not is not waited for.
                let _ = tokio::time::timeout(END_PATIENCE, core.raft.shutdown()).await;
                let Some(why) = failed else {
                    return;
                };
                drop((core, metrics));
                let revived = stopping.run_until_cancelled(revive(&replica, why)).await;
                if revived.is_none() {
                    return;
                }
            }
        });
    }
}

/// Opens the file and starts what agrees over it.
pub(super) async fn open_core<S: State>(
    path: &Path,
    links: &Links,
    timers: &Timers,
    electorate: &Arc<Voting>,
    shown: Option<Arc<Shown<S>>>,
) -> Result<(Core, Arc<Shown<S>>, Identity), ControlError> {
    let (at, number, electorate) = (path.to_owned(), links.me, Arc::clone(electorate));
    let opened = tokio::task::spawn_blocking(move || {
        let (file, identity) = File::open(&at, number)?;
        let kept = Kept::open(file, electorate).map_err(|e| damaged(&at, e))?;
        let kept = Arc::new(kept);
        let (machine, shown) = Machine::<S>::open(Arc::clone(&kept), shown)?;
        Ok((kept, machine, shown, identity))
    });
    // What is found in a file may make its reader panic; that is damage too.
    let (kept, machine, shown, identity) = opened
        .await
        .map_err(|_| damaged(path, "reading it panicked"))??;
    links.cluster.store(identity.cluster, Ordering::Relaxed);
    let (config, log) = (Arc::new(config(timers)), Log::new(Arc::clone(&kept)));
    let raft = Raft::new(number, config, links.clone(), log, machine).await;
    let raft = raft.map_err(|error| damaged(path, error))?;
    Ok((Core { raft, kept }, shown, identity))
}

/// Tries to open the file again until it can be.
async fn revive<S: State>(replica: &Weak<Replica<S>>, mut why: String) {
    while let Some(replica) = replica.upgrade() {
        tracing::error!(
            why,
            "the agreement has stopped on this node; it is tried again"
        );
        *replica.seat() = Err(why);
        tokio::time::sleep(REVIVE_PAUSE).await;
        let shown = Some(Arc::clone(&replica.shown));
        let (links, timers) = (&replica.links, &replica.timers);
        match open_core(&replica.path, links, timers, &replica.electorate, shown).await {
            Ok((core, ..)) => {
                *replica.seat() = Ok(core);
                tracing::info!("the agreement goes on");
                return;
            }
            Err(error) => why = error.to_string(),
        }
    }
}

fn config(timers: &Timers) -> Config {
    let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Config {
        cluster_name: "fgy".to_owned(),
        heartbeat_interval: millis(timers.heartbeat),
        election_timeout_min: millis(timers.election.0),
        election_timeout_max: millis(timers.election.1),
        install_snapshot_timeout: millis(PIECE_PATIENCE),
        max_payload_entries: ENTRIES_COUNT_MAX,
        snapshot_max_chunk_size: PIECE_BYTES_MAX,
        snapshot_policy: SnapshotPolicy::LogsSinceLast(SNAPSHOT_EVERY),
        max_in_snapshot_log_to_keep: ENTRIES_KEPT,
        replication_lag_threshold: LAG_COUNT_MAX,
        ..Config::default()
    }
}
