//! What is measured when somebody looks: sizes and totals of the node's parts.

use std::sync::{Arc, OnceLock};

use fgy_cluster::{GossipStats, Tasks};

use crate::filler::Filler;
use crate::filler::keep::Keep;
use crate::filler::memory::Half;
use crate::http::Edge;
use crate::ledger::journal::Journal;
use crate::ledger::post::Post;
use crate::metrics::Gauges;
use crate::store::Vectors;

/// The parts that are looked at.
pub(super) struct NodeGauges {
    pub(super) edge: Arc<Edge>,
    pub(super) filler: Arc<Filler>,
    pub(super) keep: Arc<Keep>,
    pub(super) vectors: Arc<dyn Vectors>,
    pub(super) journal: Arc<Journal>,
    pub(super) post: Arc<Post>,
    pub(super) tasks: Tasks,
    /// Empty on a lone node.
    pub(super) gossip: Arc<OnceLock<Arc<GossipStats>>>,
}

impl Gauges for NodeGauges {
    fn read(&self) -> Vec<(&'static str, &'static str, u64)> {
        let (entries, bytes) = self.filler.memory().size(Half::Owned);
        let (readings, reading_bytes) = self.edge.gateway.readings.size();
        let (stats, keep, journal) = (
            self.edge.gateway.cluster.stats(),
            self.keep.counts(),
            self.journal.counts(),
        );
        let points = self.vectors.held();
        let mut read = self.company();
        read.extend([
            ("entries", "Answers in memory", entries as u64),
            ("entry_bytes", "What they weigh", bytes),
            (
                "memory_refused",
                "Answers not kept: the tenant held its share",
                self.filler.memory().refused(),
            ),
            (
                "inflight",
                "Flights in the air",
                self.edge.gateway.cluster.flights() as u64,
            ),
            (
                "inflight_bytes",
                "Bytes of recordings in the air",
                self.edge.gateway.cluster.bytes_in_flight(),
            ),
            ("flights_led", "Flights begun", stats.led.get()),
            (
                "flights_followed",
                "Callers who followed another's",
                stats.followed.get(),
            ),
            (
                "flights_alone",
                "Answers made outside the table",
                stats.alone.get(),
            ),
            (
                "flights_again",
                "Callers who had to ask again",
                stats.again.get(),
            ),
            (
                "flights_rerouted",
                "Asks of an owner that brought nothing, and went to the next",
                stats.rerouted.get(),
            ),
            (
                "flights_elsewhere",
                "Asks that were told of another owner",
                stats.elsewhere.get(),
            ),
            (
                "flights_lost",
                "Answers of other nodes that broke off",
                stats.lost.get(),
            ),
            (
                "answers_inherited",
                "Answers taken over from the owner before",
                stats.inherited.get(),
            ),
            (
                "answers_copied",
                "Copies of hot answers taken in",
                stats.copied.get(),
            ),
            (
                "handoff_pushed",
                "Kept answers given to who owns their keys now",
                stats.handoff_pushed.get(),
            ),
            (
                "handoff_refused",
                "Kept answers that could not be given to who owns their keys now",
                stats.handoff_refused.get(),
            ),
            (
                "handoff_taken",
                "Kept answers that others gave to this node",
                stats.handoff_taken.get(),
            ),
            (
                "handoff_pending",
                "Kept answers that moved and are still to be given",
                self.edge.gateway.cluster.handoff().pending,
            ),
            (
                "ring_epoch",
                "The agreement that set the ring",
                self.edge.gateway.cluster.ring().0,
            ),
            (
                "lease_valid",
                "1 while this node may serve what is kept",
                u64::from(self.edge.gateway.control.lease().holds()),
            ),
            ("readings", "Requests remembered as read", readings as u64),
            ("reading_bytes", "What they weigh", reading_bytes),
            ("store_kept", "Answers written to the store", keep.kept),
            (
                "store_waiting",
                "Answers waiting to be written",
                keep.waiting,
            ),
            (
                "store_refused",
                "Answers not taken: too much was waiting",
                keep.refused,
            ),
            (
                "store_dropped",
                "Answers the store would not have",
                keep.dropped,
            ),
            (
                "store_expired",
                "Expired answers removed from the store",
                keep.expired,
            ),
            (
                "store_trimmed",
                "Answers removed: their policy held too many",
                keep.trimmed,
            ),
            (
                "store_pointless",
                "Answers kept whose points the store would not have",
                keep.pointless,
            ),
            ("points", "Questions found by meaning", points.points),
            ("point_bytes", "What they weigh", points.bytes),
            (
                "points_evicted",
                "Points that made room for later ones",
                points.evicted,
            ),
            (
                "points_ready",
                "1 once the points of an earlier process were read",
                u64::from(points.ready),
            ),
            (
                "journal_lines",
                "Ledger lines written to the journal",
                journal.appended,
            ),
            (
                "journal_refused",
                "Ledger lines the journal had no room for",
                journal.unbilled,
            ),
            (
                "ledger_posted",
                "Ledger lines in the store",
                self.post.posted(),
            ),
            (
                "ledger_failures",
                "Times the ledger could not be written",
                self.post.failures(),
            ),
            (
                "task_panics",
                "Background parts and flights ended by a panic",
                self.tasks.panics(),
            ),
            ("tasks", "Tasks running", self.tasks.running() as u64),
        ]);
        read
    }
}

impl NodeGauges {
    /// What is measured of a node among others.
    fn company(&self) -> Vec<(&'static str, &'static str, u64)> {
        let cluster = &self.edge.gateway.cluster;
        let mut read = Vec::new();
        if let Some(peers) = cluster.peers() {
            read.extend([
                ("peer_calls", "Calls made to other nodes", peers.calls.get()),
                ("peer_heard", "Calls heard from them", peers.heard.get()),
                (
                    "peer_unreached",
                    "Dials that reached nobody",
                    peers.unreached.get(),
                ),
                (
                    "peer_refused",
                    "Connections of strangers refused",
                    peers.refused.all(),
                ),
                (
                    "peer_stalled",
                    "Calls reset: their caller stopped reading",
                    peers.stalled.get(),
                ),
                (
                    "peer_crowded",
                    "Calls that found every connection full",
                    peers.crowded.get(),
                ),
            ]);
        }
        if let Some(health) = cluster.health() {
            read.extend([
                (
                    "pings_missed",
                    "Pings without an answer in time",
                    health.missed.get(),
                ),
                (
                    "stalls",
                    "Times this process stood still",
                    health.stalls.get(),
                ),
            ]);
        }
        if let Some(gossip) = self.gossip.get() {
            read.extend([
                ("gossip_sent", "Datagrams of gossip sent", gossip.sent.get()),
                ("gossip_heard", "Datagrams heard", gossip.heard.get()),
                (
                    "gossip_wrong_key",
                    "Datagrams refused: sealed with another secret",
                    gossip.wrong_key.get(),
                ),
                (
                    "gossip_refused",
                    "Datagrams refused for any other reason",
                    gossip.old.get() + gossip.replayed.get() + gossip.malformed.get(),
                ),
            ]);
        }
        read
    }
}
