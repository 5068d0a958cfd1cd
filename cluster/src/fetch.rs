//! The main path: is a copy here, who owns the key, is it in the air, and who leads. One
//! function read downward. It never looks inside an answer; whether one will do is the
//! application's word.

use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;

use crate::away::{Away, Told};
use crate::cluster::Cluster;
use crate::fault::{Credential, Fault};
use crate::fill::{Filling, Secret, Terms};
use crate::flight::{Flights, Freshness, Landing, Seat};
use crate::key::Key;
use crate::node::NodeId;
use crate::placement::Route;
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

/// Whose flights an ask may join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Where a caller came in: the key's owner is asked, whoever it is.
    Entry,
    /// Where a peer asked, or where nobody else could be: this node is the owner.
    Owner,
}

/// A place in a flight, and what became of it.
struct Boarded {
    player: Player,
    part: Part,
    /// What the owner says of the part, where another node is the owner and this caller leads here.
    told: Option<Told>,
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

    /// An answer, kept or made, here or at its owner. Returns once the first frame is in hand:
    /// until then nothing has been promised to anyone, and every second try is invisible.
    pub async fn fetch(self: &Arc<Self>, want: &Want) -> Result<Fetched, Fault> {
        self.fetch_at(At::Entry, want, Freshness::Any).await
    }

    /// The same with this node as the owner. It never asks another.
    pub(crate) async fn fetch_owned(
        self: &Arc<Self>,
        want: &Want,
        freshness: Freshness,
    ) -> Result<Fetched, Fault> {
        self.fetch_at(At::Owner, want, freshness).await
    }

    async fn fetch_at(
        self: &Arc<Self>,
        at: At,
        want: &Want,
        mut freshness: Freshness,
    ) -> Result<Fetched, Fault> {
        let mut abandoned = false;
        for _ in 0..ROUNDS_MAX {
            let mut boarded = self.board(at, want, freshness)?;
            let led = boarded.part == Part::Led;
            match first_frame(&mut boarded.player, want.patience).await {
                Ok(head) if led || self.fill.suits(&head, &want.terms) => {
                    return Ok(self.fetched(want, head, boarded));
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
        let mut boarded = self.fly_alone(at, want)?;
        let head = first_frame(&mut boarded.player, want.patience).await?;
        Ok(self.fetched(want, head, boarded))
    }

    fn fetched(&self, want: &Want, head: Frame, boarded: Boarded) -> Fetched {
        let told = boarded.told.as_deref().and_then(OnceLock::get).cloned();
        let (part, owner) = told.unwrap_or_else(|| (boarded.part, self.owner(&want.key)));
        Fetched {
            head,
            player: boarded.player,
            part,
            owner,
        }
    }

    /// Takes a seat, and sends the flight off where it is the lead.
    fn board(
        self: &Arc<Self>,
        at: At,
        want: &Want,
        freshness: Freshness,
    ) -> Result<Boarded, Fault> {
        match (want.join, self.owner_at(at, want)) {
            (Join::Alone, _) => self.fly_alone(at, want),
            (Join::Owned, None) => self.take_seat(&self.owned, want, freshness, None),
            (Join::Here, _) => self.take_seat(&self.asked, want, freshness, None),
            (Join::Owned, owner) => self.take_seat(&self.asked, want, freshness, owner),
        }
    }

    /// The other node that is to be asked; none where this one is the owner.
    fn owner_at(&self, at: At, want: &Want) -> Option<NodeId> {
        if at == At::Owner || want.join == Join::Here {
            return None;
        }
        match self.route(&want.key) {
            Route::There(owner) => Some(owner),
            Route::Here => None,
        }
    }

    fn take_seat(
        self: &Arc<Self>,
        flights: &Arc<Flights>,
        want: &Want,
        freshness: Freshness,
        owner: Option<NodeId>,
    ) -> Result<Boarded, Fault> {
        match flights.join(want.key, freshness, want.wish)? {
            Seat::Follow(player) => {
                self.stats.followed.add();
                Ok(Boarded {
                    player,
                    part: Part::Followed,
                    told: None,
                })
            }
            Seat::Lead(recorder, player, landing) => {
                self.stats.led.add();
                let told = self.fly(want, freshness, recorder, Some(landing), owner);
                Ok(Boarded {
                    player,
                    part: Part::Led,
                    told,
                })
            }
        }
    }

    fn fly_alone(self: &Arc<Self>, at: At, want: &Want) -> Result<Boarded, Fault> {
        let (recorder, player) = self.owned.alone(want.wish)?;
        self.stats.alone.add();
        let owner = self.owner_at(at, want);
        let told = self.fly(want, Freshness::Fresh, recorder, None, owner);
        Ok(Boarded {
            player,
            part: Part::Led,
            told,
        })
    }

    /// The flight belongs to the node: no caller's hanging up can end it. The landing is dropped
    /// after the recorder, so that whoever finds the row empty finds the answer kept.
    fn fly(
        self: &Arc<Self>,
        want: &Want,
        freshness: Freshness,
        recorder: Recorder,
        landing: Option<Landing>,
        owner: Option<NodeId>,
    ) -> Option<Told> {
        if let Some(owner) = owner {
            let told = Told::default();
            let away = Away {
                want: want.clone(),
                freshness,
                recorder,
                told: told.clone(),
                _landing: landing,
            };
            self.tasks.spawn("away", away.fly(self.clone(), owner));
            return Some(told);
        }
        let filling = Filling {
            key: want.key,
            terms: want.terms,
            freshness,
            job: want.job.clone(),
            secret: want.secret.clone(),
            credential: want.credential,
        };
        let (cluster, want) = (self.clone(), want.clone());
        self.tasks.spawn("flight", async move {
            let landing = landing;
            if !cluster.inherit(&want, freshness, &recorder).await {
                cluster.fill.fill(filling, recorder).await;
            }
            drop(landing);
        });
        None
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
