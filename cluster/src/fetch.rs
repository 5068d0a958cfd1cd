//! The main path: is a copy here, who owns the key, is it in the air, and who leads. One
//! function read downward. It never looks inside an answer; whether one will do is the
//! application's word.

use std::time::Duration;

use bytes::Bytes;

use crate::cluster::Cluster;
use crate::fault::{Credential, Fault};
use crate::fill::{Filling, Secret, Terms};
use crate::flight::{Flights, Freshness, Landing, Seat};
use crate::key::Key;
use crate::node::NodeId;
use crate::sync::Arc;
use crate::tape::{Frame, Player, Recorder};

/// How often a caller may find that the flight it followed was not for it. Far above what any
/// real mixture of callers needs; past it the caller flies alone.
const ROUNDS_MAX: usize = 8;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Want {
    /// What is asked.
    pub key: Key,
    /// On what conditions an existing answer will do.
    pub terms: Terms,
    /// With whom the answer may be shared while it is in the air.
    pub join: Join,
    /// How to make the answer; see [`Filling::job`].
    pub job: Bytes,
    /// What pays for it, where the caller has something to pay with.
    pub secret: Option<Secret>,
    /// The digest of the secret.
    pub credential: Credential,
    /// How long this caller would keep the answer, in the application's unit; zero: not at all.
    pub wish: u64,
    /// How long to wait for the first frame.
    pub patience: Duration,
}

/// With whom an answer in the air may be shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Join {
    /// With every caller of the same key, at the key's owner.
    Owned,
    /// With callers of the same key who reached this node: for work that belongs to no owner.
    Here,
    /// With nobody: the answer is made anew for this caller.
    Alone,
}

/// An answer, or its beginning.
pub struct Fetched {
    /// The first frame.
    pub head: Frame,
    /// Everything after the first frame.
    pub player: Player,
    /// How this caller came by it.
    pub part: Part,
    /// The node that owns the key.
    pub owner: NodeId,
}

/// How a caller came by its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// It was in memory.
    Kept,
    /// This caller's ask was the one that flew.
    Led,
    /// Another's was.
    Followed,
}

impl Cluster {
    /// A kept answer, now or not at all.
    pub fn peek(&self, key: &Key, terms: &Terms) -> Option<Fetched> {
        let mut player = self.fill.peek(key, terms)?.play();
        let head = player.ready()?;
        self.stats.kept.add();
        Some(Fetched {
            head,
            player,
            part: Part::Kept,
            owner: self.owner(key),
        })
    }

    /// An answer, kept or made. Returns once the first frame is in hand: until then nothing has
    /// been promised to anyone, and every second try is invisible.
    pub async fn fetch(&self, want: &Want) -> Result<Fetched, Fault> {
        let mut freshness = Freshness::Any;
        let mut abandoned = false;
        for _ in 0..ROUNDS_MAX {
            let (mut player, part) = self.board(want, freshness)?;
            let led = part == Part::Led;
            match first_frame(&mut player, want.patience).await {
                Ok(head) if led || self.fill.suits(&head, &want.terms) => {
                    return Ok(Fetched {
                        head,
                        player,
                        part,
                        owner: self.owner(&want.key),
                    });
                }
                // Good enough for the one who flew, too old or too far for this caller.
                Ok(_) => freshness = Freshness::Fresh,
                // About the leader's account and not about the question: one of us leads anew.
                Err(fault) if !led && !fault.concerns(want.credential) => {}
                Err(Fault::Abandoned) if !led && !abandoned => abandoned = true,
                Err(fault) => return Err(if led { fault } else { fault.overheard() }),
            }
            self.stats.again.add();
        }
        self.fetch_alone(want).await
    }

    async fn fetch_alone(&self, want: &Want) -> Result<Fetched, Fault> {
        let (mut player, part) = self.fly_alone(want)?;
        let head = first_frame(&mut player, want.patience).await?;
        Ok(Fetched {
            head,
            player,
            part,
            owner: self.owner(&want.key),
        })
    }

    /// Takes a seat, and sends the flight off where it is the lead.
    fn board(&self, want: &Want, freshness: Freshness) -> Result<(Player, Part), Fault> {
        match want.join {
            Join::Owned => self.take_seat(&self.owned, want, freshness),
            Join::Here => self.take_seat(&self.asked, want, freshness),
            Join::Alone => self.fly_alone(want),
        }
    }

    fn take_seat(
        &self,
        flights: &Arc<Flights>,
        want: &Want,
        freshness: Freshness,
    ) -> Result<(Player, Part), Fault> {
        match flights.join(want.key, freshness, want.wish)? {
            Seat::Follow(player) => {
                self.stats.followed.add();
                Ok((player, Part::Followed))
            }
            Seat::Lead(recorder, player, landing) => {
                self.stats.led.add();
                self.fly(want, freshness, recorder, Some(landing));
                Ok((player, Part::Led))
            }
        }
    }

    fn fly_alone(&self, want: &Want) -> Result<(Player, Part), Fault> {
        let (recorder, player) = self.owned.alone(want.wish)?;
        self.stats.alone.add();
        self.fly(want, Freshness::Fresh, recorder, None);
        Ok((player, Part::Led))
    }

    /// The flight belongs to the node: no caller's hanging up can end it. The landing is dropped
    /// after the recorder, so that whoever finds the row empty finds the answer kept.
    fn fly(&self, want: &Want, freshness: Freshness, recorder: Recorder, landing: Option<Landing>) {
        let filling = Filling {
            key: want.key,
            terms: want.terms,
            freshness,
            job: want.job.clone(),
            secret: want.secret.clone(),
            credential: want.credential,
        };
        let fill = self.fill.clone();
        self.tasks.spawn("flight", async move {
            let landing = landing;
            fill.fill(filling, recorder).await;
            drop(landing);
        });
    }
}

async fn first_frame(player: &mut Player, patience: Duration) -> Result<Frame, Fault> {
    match tokio::time::timeout(patience, player.next()).await {
        Ok(Ok(Some(frame))) => Ok(frame),
        // An answer without a first frame is not one.
        Ok(Ok(None)) => Err(Fault::Abandoned),
        Ok(Err(fault)) => Err(fault),
        Err(_) => Err(Fault::TooSlow),
    }
}
