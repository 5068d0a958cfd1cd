//! An answer that another node owns: asked for there, heard frame by frame, recorded here for
//! whoever listens here. One such recording a key and node, however many listen. Before the first
//! byte every failure is met by asking the next one on the ring, and at last by acting as the owner;
//! after it nothing is ever spliced: the recording breaks. It never keeps an answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::fetch::{Part, Want};
use crate::fill::Copied;
use crate::flight::{Freshness, Landing};
use crate::mask::Event;
use crate::node::NodeId;
use crate::peer::{Hearing, PeerError, Room};
use crate::placement::Route;
use crate::tape::Recorder;
use crate::wire::{Frame, Heading, Mode};

/// How long a peer may take to say that it has heard: a dial, a handshake and a turn of its
/// runtime. A peer that is alive but has not been given the processor for so long is as good as
/// gone for a caller who waits.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(1_000);

/// How long a peer that has said so may be silent: three of its heartbeats.
pub(crate) const SILENCE_MAX: Duration = Duration::from_millis(1_500);

/// Other nodes that are asked before this one acts as the owner.
const PEERS_ASKED_MAX: usize = 3;

/// How the one who asked came by the answer, known once the first frame is there.
pub(crate) type Told = Arc<OnceLock<(Part, NodeId)>>;

/// What asking one peer came to.
enum Heard {
    /// The recording has ended, well or badly.
    Done,
    /// By its ring another node owns the key.
    Elsewhere(NodeId),
    /// Nothing was heard, and the recording has not begun.
    Nothing,
}

/// A flight whose answer comes from another node.
pub(crate) struct Away {
    pub(crate) want: Want,
    pub(crate) freshness: Freshness,
    pub(crate) recorder: Recorder,
    pub(crate) told: Told,
    /// Dropped last, after the recorder.
    pub(crate) _landing: Option<Landing>,
}

impl Away {
    /// Asks `owner`, then who comes after it, then acts as the owner.
    pub(crate) async fn fly(self, cluster: Arc<Cluster>, owner: NodeId) {
        let (mut to, mut mode) = (owner, Mode::Owner);
        for _ in 0..PEERS_ASKED_MAX {
            let next = match self.ask(&cluster, &to, mode).await {
                Heard::Done => return,
                Heard::Elsewhere(owner) => (owner, Mode::Force),
                Heard::Nothing => {
                    cluster.stats.rerouted.add();
                    match cluster.route(&self.want.key) {
                        Route::There(next) => (next, Mode::Owner),
                        Route::Here => break,
                    }
                }
            };
            // Nobody is asked the same twice; and who is sent back to itself is the owner.
            if (&next.0, next.1) == (&to, mode) || next.0 == *cluster.me() {
                break;
            }
            (to, mode) = next;
        }
        self.act_as_owner(&cluster).await;
    }

    /// One ask of one peer, heard to its end.
    async fn ask(&self, cluster: &Cluster, to: &NodeId, mode: Mode) -> Heard {
        let asked = cluster.call(
            to,
            Room::Fetch,
            self.frames(cluster, mode),
            ACKNOWLEDGED_WITHIN,
        );
        let mut hearing = match asked.await {
            Ok(hearing) => hearing,
            Err(error) => return self.note(cluster, to, error),
        };
        loop {
            let heard = tokio::select! {
                heard = hearing.next(SILENCE_MAX) => heard,
                // Nobody here listens any more; what the owner does about it is its own affair.
                () = self.recorder.deserted() => return Heard::Done,
            };
            match heard {
                Ok(Some(Frame::Accepted(_) | Frame::Heartbeat)) => {
                    cluster.found_out(to, Event::Answered)
                }
                Ok(Some(Frame::Elsewhere(elsewhere))) if mode == Mode::Owner => {
                    cluster.stats.elsewhere.add();
                    return Heard::Elsewhere(elsewhere.owner);
                }
                Ok(Some(Frame::Fault(fault))) => {
                    self.recorder.break_off(fault);
                    return Heard::Done;
                }
                Ok(Some(Frame::Head(heading))) => {
                    cluster.found_out(to, Event::Answered);
                    return self.record(cluster, to, heading, hearing).await;
                }
                Ok(_) => return self.note(cluster, to, PeerError::Protocol),
                Err(error) => return self.note(cluster, to, error),
            }
        }
    }

    fn frames(&self, cluster: &Cluster, mode: Mode) -> Vec<Frame> {
        let ask = cluster.fetch_frame(&self.want, self.freshness, mode);
        match self.want.secret.clone() {
            Some(secret) => vec![ask, Frame::Secret(secret)],
            None => vec![ask],
        }
    }

    fn note(&self, cluster: &Cluster, to: &NodeId, error: PeerError) -> Heard {
        cluster.found_out(to, error.event());
        tracing::debug!(peer = %to, %error, "a peer could not be asked");
        Heard::Nothing
    }

    /// From the first frame on: to the end, or to the break.
    async fn record(
        &self,
        cluster: &Cluster,
        from: &NodeId,
        heading: Heading,
        hearing: Hearing,
    ) -> Heard {
        let _first = self.told.set((heading.part, from.clone()));
        let (part, stamp) = (heading.part, heading.stamp.clone());
        match copy(heading, hearing, &self.recorder).await {
            Ok(false) => {}
            Ok(true) => {
                if part == Part::Kept && !stamp.is_empty() {
                    cluster.stats.copied.add();
                    let sealed = self.recorder.seal();
                    cluster
                        .fill
                        .keep(&self.want.key, &stamp, sealed, Copied::Near);
                }
                self.recorder.complete();
            }
            Err(error) => {
                cluster.stats.lost.add();
                let _nothing = self.note(cluster, from, error);
                self.recorder.break_off(Fault::OwnerLost);
            }
        }
        Heard::Done
    }

    /// Nobody else could be asked: the key's flight is this node's own, joined like any other.
    async fn act_as_owner(&self, cluster: &Arc<Cluster>) {
        let want = &self.want;
        match cluster.fetch_owned(want, self.freshness).await {
            Err(fault) => self.recorder.break_off(fault),
            Ok(mut fetched) => {
                let _first = self.told.set((fetched.part, cluster.me().clone()));
                let mut frame: Option<Bytes> = Some(fetched.head);
                while let Some(next) = frame {
                    if self.recorder.push(next).is_err() {
                        return;
                    }
                    frame = match fetched.player.next().await {
                        Ok(frame) => frame,
                        Err(fault) => return self.recorder.break_off(fault),
                    };
                }
                self.recorder.complete();
            }
        }
    }
}

/// Records what a peer plays, from its first frame on. True where all of it was heard, which is left
/// to the caller to declare; false where the recording has ended otherwise.
///
/// # Errors
/// The peer was lost on the way.
pub(crate) async fn copy(
    heading: Heading,
    mut hearing: Hearing,
    recorder: &Recorder,
) -> Result<bool, PeerError> {
    if recorder.push(heading.frame).is_err() {
        return Ok(false);
    }
    loop {
        let heard = tokio::select! {
            heard = hearing.next(SILENCE_MAX) => heard?,
            () = recorder.deserted() => return Ok(false),
        };
        match heard {
            Some(Frame::Chunk(frame)) => {
                if recorder.push(frame).is_err() {
                    return Ok(false);
                }
            }
            Some(Frame::Heartbeat) => {}
            Some(Frame::End) => return Ok(true),
            Some(Frame::Fault(fault)) => {
                recorder.break_off(fault);
                return Ok(false);
            }
            _ => return Err(PeerError::Protocol),
        }
    }
}
