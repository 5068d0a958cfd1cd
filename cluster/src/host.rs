//! What this node answers its peers: whether it is there, what it keeps, and the answers of the
//! keys it owns. A peer's ask says at which rank it is answered: that of an owner at home is never
//! sent on, that of an owner in a region may be sent home. `fetch.rs` says why no two nodes wait for
//! each other.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::away::SILENCE_MAX;
use crate::cluster::{Cluster, Desk};
use crate::fault::Fault;
use crate::fetch::{Coalesce, Fetched, Join, Part, Want, flight_of};
use crate::fill::{BoxFuture, Secret};
use crate::flight::Freshness;
use crate::node::NodeId;
use crate::peer::{Answering, Gone, Host, Room};
use crate::tape::{Player, Tape};
use crate::wire::{Accepted, Elsewhere, FetchAsk, Frame, Heading, LookAsk, Mode, Pong, Rank};

/// How often a peer that waits is told that this node is alive: three fit into its patience.
const HEARTBEAT: Duration = Duration::from_millis(SILENCE_MAX.as_millis() as u64 / 3);

/// How long an ask may wait for a ring that its sender has already heard of.
const RING_AWAITED: Duration = Duration::from_millis(50);

/// Frames that leave in one write.
const FRAMES_PER_WRITE_MAX: usize = 64;

impl Host for Cluster {
    fn hear(
        self: Arc<Self>,
        from: NodeId,
        room: Room,
        ask: Vec<Frame>,
        reply: Answering,
    ) -> BoxFuture<'static, ()> {
        Box::pin(async move {
            // An error says that the peer has gone: there is nobody left to tell.
            let _gone = match room {
                Room::Ping => self.hear_ping(reply).await,
                Room::Fetch => self.hear_fetch(from, ask, reply).await,
                Room::Look => self.hear_look(ask, reply).await,
                Room::Control => self.hear_control(from, ask, reply).await,
                Room::Ask => self.hear_question(from, ask, reply).await,
                Room::Give => self.hear_copy(ask, reply).await,
            };
        })
    }
}

impl Cluster {
    async fn hear_ping(&self, reply: Answering) -> Result<(), Gone> {
        let pong = Pong {
            ring: self.ring_stamp(),
            phase: self.phase(),
        };
        reply.finish(vec![Frame::Pong(pong)]).await
    }

    /// Answers for a key this node owns, or says who does.
    async fn hear_fetch(
        self: &Arc<Self>,
        from: NodeId,
        ask: Vec<Frame>,
        mut reply: Answering,
    ) -> Result<(), Gone> {
        // No peer's ask is answered at the rank of its own callers: it would go round.
        let taken = taken_apart(ask).filter(|(ask, _)| ask.rank > Rank::Entry);
        let Some((ask, secret)) = taken else {
            reply.reset();
            return Ok(());
        };
        let far = self.is_far(&from);
        if !self.may_serve() {
            // As good as gone: the asker goes on to the next, and hears the same from a ping.
            reply.reset();
            return Ok(());
        }
        if let Some(elsewhere) = self.disowned(&ask, far).await {
            return reply.finish(vec![Frame::Elsewhere(elsewhere)]).await;
        }
        let accepted = Frame::Accepted(Accepted {
            ring: self.ring_stamp(),
        });
        let rate = self.rates.ask(&ask.key);
        if ask.freshness == Freshness::Any
            && !ask.alone
            && let Some(tape) = self.fill.peek(&ask.key, &ask.terms)
        {
            self.stats.kept.add();
            let mut frames = vec![accepted];
            frames.extend(whole(&tape, self.heading(&ask, rate, far)));
            return reply.finish(frames).await;
        }
        let mut made = None;
        if ask.mode == Mode::Peek {
            made = self.owned.overhear(&flight_of(ask.key, ask.since));
            if made.is_none() {
                return reply.finish(vec![accepted, Frame::Absent]).await;
            }
        }
        reply.send(accepted).await?;
        let want = ask.want(secret);
        let heading = self.heading(&ask, rate, far);
        let mut fetching = pin!(async {
            match made {
                Some(player) => self.listen_to(player, want.patience).await,
                None => self.fetch_at(ask.rank, &want, ask.freshness).await,
            }
        });
        let fetched = loop {
            tokio::select! {
                fetched = &mut fetching => break fetched,
                // The flight goes on, as after any caller's hanging up.
                () = reply.deserted() => return Err(Gone),
                () = tokio::time::sleep(HEARTBEAT) => reply.send(Frame::Heartbeat).await?,
            }
        };
        match fetched {
            Ok(fetched) => play(fetched, heading, reply).await,
            Err(fault) => reply.finish(vec![Frame::Fault(fault)]).await,
        }
    }

    /// Who owns the key at the rank asked, if by a newer ring than the asker's it is not this node. A
    /// newer ring of the asker's is waited for; whoever has the same has its reasons to ask here.
    ///
    /// One of this region takes the owner in it for the last, because it is at home here by its ring
    /// or because the ask keeps to its region: then it is told of no other region either.
    async fn disowned(&self, ask: &FetchAsk, far: bool) -> Option<Elsewhere> {
        if ask.mode != Mode::Owner {
            return None;
        }
        let here = self.ring_stamp();
        if here.epoch < ask.ring.epoch {
            self.await_ring(ask.ring.epoch, RING_AWAITED).await;
            return None;
        }
        let placement = self.placement.load();
        let owner = match ask.rank {
            Rank::Home if far => placement.home_owner(&ask.key)?,
            Rank::Entry | Rank::Region | Rank::Home => placement.owner(&ask.key, self.region())?,
        };
        (here.digest != ask.ring.digest && owner != self.me()).then(|| Elsewhere {
            ring: here,
            owner: owner.clone(),
        })
    }

    /// The first frame as it is told, but for the frame itself. What the asker may keep a copy of
    /// carries the application's stamp: what has moved, what is hot, and what another region asks for.
    fn heading(&self, ask: &FetchAsk, rate: u32, far: bool) -> Heading {
        let hot = rate >= crate::rates::HOT_ASKS_PER_SECOND;
        let copied = ask.mode == Mode::Peek || hot || far;
        let stamp = copied.then(|| self.fill.stamp(&ask.key)).flatten();
        Heading {
            rate,
            stamp: stamp.unwrap_or_default(),
            ..Heading::of(Part::Kept)
        }
    }

    async fn hear_look(&self, ask: Vec<Frame>, mut reply: Answering) -> Result<(), Gone> {
        let Some(Frame::Look(LookAsk { keys, terms, .. })) = ask.into_iter().next() else {
            reply.reset();
            return Ok(());
        };
        if !self.may_serve() {
            reply.reset();
            return Ok(());
        }
        let looked = self.fill.look(&keys, &terms).await;
        for tape in looked {
            let frames = match tape {
                Some(tape) => whole(&tape, Heading::of(Part::Kept)),
                None => vec![Frame::Absent],
            };
            reply.send_all(frames).await?;
        }
        Ok(())
    }

    async fn hear_control(
        &self,
        from: NodeId,
        ask: Vec<Frame>,
        reply: Answering,
    ) -> Result<(), Gone> {
        hear_payload(self.desks.control.as_deref(), from, ask, reply).await
    }

    async fn hear_question(
        &self,
        from: NodeId,
        ask: Vec<Frame>,
        reply: Answering,
    ) -> Result<(), Gone> {
        hear_payload(self.desks.application.as_deref(), from, ask, reply).await
    }
}

/// Opaque to this crate, both ways.
async fn hear_payload(
    desk: Option<&dyn Desk>,
    from: NodeId,
    ask: Vec<Frame>,
    reply: Answering,
) -> Result<(), Gone> {
    let answer = match (desk, ask.into_iter().next()) {
        (Some(desk), Some(Frame::Payload(payload))) => desk.hear(from, payload).await,
        _ => None,
    };
    match answer {
        Some(payload) => reply.finish(vec![Frame::Payload(payload)]).await,
        None => {
            reply.reset();
            Ok(())
        }
    }
}

fn taken_apart(ask: Vec<Frame>) -> Option<(FetchAsk, Option<Secret>)> {
    let mut frames = ask.into_iter();
    match (frames.next()?, frames.next()) {
        (Frame::Fetch(ask), None) => Some((ask, None)),
        (Frame::Fetch(ask), Some(Frame::Secret(secret))) => Some((ask, Some(secret))),
        _ => None,
    }
}

impl FetchAsk {
    /// The ask as this node's own.
    fn want(&self, secret: Option<Secret>) -> Want {
        Want {
            key: self.key,
            since: self.since,
            terms: self.terms,
            join: if self.alone { Join::Alone } else { Join::Owned },
            // What keeps to its region is asked of the owner there at rank home, and goes no further.
            coalesce: Coalesce::World,
            job: self.job.clone(),
            secret,
            credential: self.credential,
            wish: self.wish,
            patience: Duration::from_millis(self.patience_millis),
        }
    }
}

/// A kept answer as frames.
fn whole(tape: &Tape, heading: Heading) -> Vec<Frame> {
    let Some(sealed) = tape.sealed().filter(|sealed| !sealed.is_empty()) else {
        return vec![Frame::Absent];
    };
    let mut frames = Vec::with_capacity(sealed.len() + 1);
    frames.push(Frame::Head(Heading {
        frame: sealed.frame(0),
        ..heading
    }));
    frames.extend((1..sealed.len()).map(|i| Frame::Chunk(sealed.frame(i))));
    frames.push(Frame::End);
    frames
}

/// Plays an answer to a peer at the peer's own pace, which holds up nobody else. Silence of the
/// maker is filled with heartbeats.
async fn play(fetched: Fetched, heading: Heading, mut reply: Answering) -> Result<(), Gone> {
    let mut player = fetched.player;
    let mut frames = vec![Frame::Head(Heading {
        part: fetched.part,
        frame: fetched.head,
        ..heading
    })];
    // The first frame does not wait for the second.
    let mut ended = take_ready(&mut player, &mut frames);
    while !ended {
        reply.send_all(std::mem::take(&mut frames)).await?;
        ended = gather(&mut player, &mut frames).await;
    }
    reply.finish(frames).await
}

/// The next frame, and what is there behind it; true where it was the last.
async fn gather(player: &mut Player, frames: &mut Vec<Frame>) -> bool {
    match tokio::time::timeout(HEARTBEAT, player.next()).await {
        Ok(heard) => take(heard, frames) || take_ready(player, frames),
        Err(_) => {
            frames.push(Frame::Heartbeat);
            false
        }
    }
}

/// What is there already; true where it was the last.
fn take_ready(player: &mut Player, frames: &mut Vec<Frame>) -> bool {
    while frames.len() < FRAMES_PER_WRITE_MAX {
        let Some(heard) = player.try_next() else {
            return false;
        };
        if take(heard, frames) {
            return true;
        }
    }
    false
}

/// One thing heard, as a frame; true where it was the last.
fn take(heard: Result<Option<Bytes>, Fault>, frames: &mut Vec<Frame>) -> bool {
    let (frame, last) = match heard {
        Ok(Some(frame)) => (Frame::Chunk(frame), false),
        Ok(None) => (Frame::End, true),
        Err(fault) => (Frame::Fault(fault), true),
    };
    frames.push(frame);
    last
}
