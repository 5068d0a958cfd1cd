//! An answer that another node owns: asked for there, heard frame by frame, recorded here for
//! whoever listens here. One such recording a key and node, however many listen. Before the first
//! byte every failure is met by asking the next one on the ring, and at last by doing it here, at
//! the next lower rank; after it nothing is ever spliced: the recording breaks. Copies are kept of
//! answers that are hot, and by the owner in a region of those that are at home in another.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;

use crate::cluster::Cluster;
use crate::fault::Fault;
use crate::fetch::{Coalesce, Part, Want};
use crate::fill::Copied;
use crate::flight::{Freshness, Landing};
use crate::key::Key;
use crate::mask::Event;
use crate::node::NodeId;
use crate::peer::{Hearing, PeerError, Room};
use crate::tape::Recorder;
use crate::wire::{Frame, Heading, Mode, Rank};

/// How long a peer may take to say that it has heard: a dial, a handshake and a turn of its
/// runtime. A peer that is alive but has not been given the processor for so long is as good as
/// gone for a caller who waits.
const ACKNOWLEDGED_WITHIN: Duration = Duration::from_millis(1_000);

/// The same of one in another region, where each of the round trips of a first dial takes a quarter
/// of a second and more.
const ACKNOWLEDGED_FAR_WITHIN: Duration = Duration::from_millis(2_000);

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
    /// It has ended well, and the answer is one that was made for it.
    Made,
    /// By its ring another node owns the key.
    Elsewhere(NodeId),
    /// Nothing was heard, and the recording has not begun.
    Nothing,
}

/// A flight whose answer comes from another node.
pub(crate) struct Away {
    pub(crate) want: Want,
    /// The rank at which this node answers.
    pub(crate) at: Rank,
    /// Whether the key's home is known to be out of reach.
    pub(crate) stands_in: bool,
    pub(crate) freshness: Freshness,
    pub(crate) recorder: Recorder,
    pub(crate) told: Told,
    /// Dropped last, after the recorder.
    pub(crate) landing: Option<Landing>,
}

impl Away {
    /// Asks the one named at the rank named, then who comes after it, then does it here.
    pub(crate) async fn fly(mut self, cluster: Arc<Cluster>, first: (NodeId, Rank)) {
        let ((mut to, mut rank), mut mode) = (first, Mode::Owner);
        for _ in 0..PEERS_ASKED_MAX {
            let next = match self.ask(&cluster, &to, (rank, mode)).await {
                Heard::Done => return,
                Heard::Made => return self.copy_too(&cluster, &to).await,
                Heard::Elsewhere(owner) => ((owner, rank), Mode::Force),
                Heard::Nothing => {
                    cluster.stats.rerouted.add();
                    match self.reroute(&cluster) {
                        Some(next) => (next, Mode::Owner),
                        None => break,
                    }
                }
            };
            // Nobody is asked the same twice; who is sent back to itself is the owner; and what keeps
            // to its region is sent to nobody outside.
            let ((next_to, next_rank), next_mode) = next;
            let bound = self.want.coalesce != Coalesce::World;
            if (&next_to, next_rank, next_mode) == (&to, rank, mode)
                || next_to == *cluster.me()
                || bound && cluster.is_far(&next_to)
            {
                break;
            }
            (to, rank, mode) = (next_to, next_rank, next_mode);
        }
        self.act(&cluster).await;
    }

    /// Who is asked next, at which rank; nobody where by now this node answers at a lower rank itself.
    fn reroute(&mut self, cluster: &Cluster) -> Option<(NodeId, Rank)> {
        let step = cluster.step_at(self.at, &self.want.key, self.want.coalesce);
        let next = step.to.filter(|_| step.at == self.at)?;
        if step.stands_in {
            self.stand_in(cluster);
        }
        Some(next)
    }

    /// Counted once a flight.
    fn stand_in(&mut self, cluster: &Cluster) {
        if !std::mem::replace(&mut self.stands_in, true) {
            cluster.stats.stood_in.add();
        }
    }

    /// One ask of one peer, heard to its end.
    async fn ask(&self, cluster: &Cluster, to: &NodeId, (rank, mode): (Rank, Mode)) -> Heard {
        let patience = match cluster.is_far(to) {
            true => ACKNOWLEDGED_FAR_WITHIN,
            false => ACKNOWLEDGED_WITHIN,
        };
        let frames = self.frames(cluster, (rank, mode));
        let asked = cluster.call(to, Room::Fetch, frames, patience);
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

    fn frames(&self, cluster: &Cluster, ranked: (Rank, Mode)) -> Vec<Frame> {
        let ask = cluster.fetch_frame(&self.want, self.freshness, ranked);
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
        // The owner in the region answers for what it has from home.
        let owner = match self.at {
            Rank::Entry => from,
            Rank::Region | Rank::Home => cluster.me(),
        };
        let _first = self.told.set((heading.part, owner.clone()));
        let (part, stamp) = (heading.part, heading.stamp.clone());
        match copy(heading, hearing, &self.recorder).await {
            Ok(false) => {}
            Ok(true) => {
                let copy = (part, &stamp, self.half());
                if cluster.land(&self.want.key, copy, &self.recorder) {
                    cluster.stats.copied.add();
                }
                if part != Part::Kept {
                    return Heard::Made;
                }
            }
            Err(error) => {
                cluster.stats.lost.add();
                let _nothing = self.note(cluster, from, error);
                self.recorder.break_off(Fault::OwnerLost);
            }
        }
        Heard::Done
    }

    /// Where copies are kept: what the owner in a region keeps is its own, for it is asked for it.
    fn half(&self) -> Copied {
        match self.at {
            Rank::Entry => Copied::Near,
            Rank::Region | Rank::Home => Copied::Moved,
        }
    }

    /// An answer that was just made at home is kept in this region as well: asked for once more, as
    /// it is kept there, since only then is it known for how long and what would make it void. The
    /// callers have gone by then, and whoever asks in between has it from home.
    async fn copy_too(mut self, cluster: &Cluster, home: &NodeId) {
        if self.at != Rank::Region || self.want.wish == 0 {
            return;
        }
        drop(self.landing.take());
        let copied = self.copy_from(cluster, home).await;
        if let Err(error) = copied {
            tracing::debug!(peer = %home, %error, "what was made at home could not be copied");
        }
    }

    async fn copy_from(&self, cluster: &Cluster, home: &NodeId) -> Result<(), PeerError> {
        let Some((heading, hearing)) = cluster.peeked(home, &self.want).await? else {
            return Ok(());
        };
        let (part, stamp) = (heading.part, heading.stamp.clone());
        if !may_be_kept(part, &stamp) {
            return Ok(());
        }
        // No room: then it is not copied.
        let Ok((recorder, _listener)) = cluster.relayed.alone(0) else {
            return Ok(());
        };
        if copy(heading, hearing, &recorder).await? {
            let copy = (part, &stamp, Copied::Moved);
            if cluster.land(&self.want.key, copy, &recorder) {
                cluster.stats.copied.add();
            }
        }
        Ok(())
    }

    /// Nobody else could be asked: it is done here, at the next lower rank and joined like any other.
    async fn act(mut self, cluster: &Arc<Cluster>) {
        let lower = match self.at {
            Rank::Entry => Rank::Region,
            Rank::Region | Rank::Home => {
                self.stand_in(cluster);
                Rank::Home
            }
        };
        let want = &self.want;
        match cluster.fetch_at(lower, want, self.freshness).await {
            Err(fault) => self.recorder.break_off(fault),
            Ok(mut fetched) => {
                let _first = self.told.set((fetched.part, fetched.owner.clone()));
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

/// Whether a copy of what a peer played may be kept: it was kept there, and says what would void it.
fn may_be_kept(part: Part, stamp: &Bytes) -> bool {
    part == Part::Kept && !stamp.is_empty()
}

impl Cluster {
    /// The good end of a recording that was copied whole. What may be kept is kept before anyone can
    /// see that it is finished: who asks in between must find it. True where it was such.
    pub(crate) fn land(
        &self,
        key: &Key,
        (part, stamp, copied): (Part, &Bytes, Copied),
        recorder: &Recorder,
    ) -> bool {
        let kept = may_be_kept(part, stamp);
        if kept {
            self.fill.keep(key, stamp, recorder.seal(), copied);
        }
        recorder.complete();
        kept
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
