//! The main path: is a copy here, who owns the key, is it in the air, and who leads. One
//! function read downward. It never looks inside an answer; whether one will do is the
//! application's word.
//!
//! Why nothing waits in a circle, whatever the nodes believe of the ring: every wait is for a flight
//! in one of four sets, and only ever for one in a later set than the waiter's own. They are, in
//! order: flights led where an ask came in (`asked`), flights led by an owner in a region towards
//! the key's home (`relayed`), flights of answers made here that first peek at the owner before
//! (`owned`, not yet `making`), and flights that are being made (`owned` and `making`), which wait
//! for no node at all. A node that asks another names the rank at which that one answers, always
//! lower than its own ([`Placement::step`](crate::placement::Placement::step)); who is asked at rank
//! region joins `relayed` or `owned`, at rank home `owned` alone, and who is peeked at lets only a
//! flight be overheard that is being made. What a node does in another's stead, where nobody else
//! could be asked, it does at the next lower rank of its own. Nobody's ring, mask or region enters
//! into it: they say only who is asked, and at most waste a call.

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
use crate::placement::Step;
use crate::sync::Arc;
use crate::tape::{Frame, Player, Recorder};
use crate::wire::Rank;

/// How often a caller may find that the flight it followed was not for it. Far above what any
/// real mixture of callers needs; past it the caller flies alone.
const ROUNDS_MAX: usize = 8;

/// What is wanted.
#[derive(Debug, Clone)]
pub struct Want {
    /// What is asked.
    pub key: Key,
    /// Since when, by the application's count, an answer to it must have been begun: who asks since
    /// something else joins no flight of an earlier time. What is kept is judged by its stamp.
    pub since: u64,
    /// On what conditions an existing answer will do.
    pub terms: Terms,
    /// With whom the answer may be shared while it is in the air.
    pub join: Join,
    /// How far an ask may go to be one flight with others.
    pub coalesce: Coalesce,
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

impl Want {
    /// By which flights are told apart.
    pub(crate) fn flight(&self) -> Key {
        flight_of(self.key, self.since)
    }
}

/// By which flights are told apart: the key, and since when.
pub(crate) fn flight_of(key: Key, since: u64) -> Key {
    let mut flight = key;
    for (byte, since) in flight.0[8..16].iter_mut().zip(since.to_le_bytes()) {
        *byte ^= since;
    }
    flight
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

/// How far an ask may go: who is the last that may be asked for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Coalesce {
    /// The key's home, in whichever region: one flight in the world.
    #[default]
    World,
    /// The owner in this node's region: one flight in each region, and nothing leaves it.
    Region,
    /// This node: the ask and what pays for it do not leave it.
    Node,
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
        self.fetch_at(Rank::Entry, want, Freshness::Any).await
    }

    /// Beside a flight that somebody is making here, or nothing: it never leads.
    pub(crate) async fn listen_to(
        &self,
        mut player: Player,
        patience: Duration,
    ) -> Result<Fetched, Fault> {
        let head = first_frame(&mut player, patience).await?;
        Ok(Fetched {
            head,
            player,
            part: Part::Followed,
            owner: self.me().clone(),
        })
    }

    /// The same with this node answering at a rank: at rank region it is the owner in its region and
    /// asks the key's home at most, at rank home it asks nobody.
    pub(crate) async fn fetch_at(
        self: &Arc<Self>,
        at: Rank,
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
        at: Rank,
        want: &Want,
        freshness: Freshness,
    ) -> Result<Boarded, Fault> {
        match want.join {
            Join::Alone => self.fly_alone(at, want),
            Join::Here => self.take_seat(&self.asked, want, freshness, None),
            Join::Owned => {
                let step = self.step_at(at, &want.key, want.coalesce);
                let flights = match (step.at, &step.to) {
                    (_, None) => &self.owned,
                    (Rank::Entry, _) => &self.asked,
                    (Rank::Region | Rank::Home, _) => &self.relayed,
                };
                self.take_seat(flights, want, freshness, Some(step))
            }
        }
    }

    fn take_seat(
        self: &Arc<Self>,
        flights: &Arc<Flights>,
        want: &Want,
        freshness: Freshness,
        step: Option<Step>,
    ) -> Result<Boarded, Fault> {
        match flights.join(want.flight(), freshness, want.wish)? {
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
                let told = self.fly(want, freshness, recorder, Some(landing), step);
                Ok(Boarded {
                    player,
                    part: Part::Led,
                    told,
                })
            }
        }
    }

    fn fly_alone(self: &Arc<Self>, at: Rank, want: &Want) -> Result<Boarded, Fault> {
        let (recorder, player) = self.owned.alone(want.wish)?;
        self.stats.alone.add();
        let step = (want.join != Join::Here).then(|| self.step_at(at, &want.key, want.coalesce));
        let told = self.fly(want, Freshness::Fresh, recorder, None, step);
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
        step: Option<Step>,
    ) -> Option<Told> {
        if step.as_ref().is_some_and(|step| step.stands_in) {
            self.stats.stood_in.add();
        }
        if let Some(Step {
            at,
            to: Some(to),
            stands_in,
        }) = step
        {
            let told = Told::default();
            let away = Away {
                want: want.clone(),
                at,
                stands_in,
                freshness,
                recorder,
                told: told.clone(),
                landing,
            };
            self.tasks.spawn("away", away.fly(self.clone(), to));
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
        // The one who leads hears whether it was really made for it.
        let told = Told::default();
        let telling = told.clone();
        self.tasks.spawn("flight", async move {
            let landing = landing;
            if !cluster.inherit(&want, freshness, &recorder, &telling).await {
                if let Some(landing) = &landing {
                    landing.making();
                }
                cluster.fill.fill(filling, recorder).await;
            }
            drop(landing);
            // The ring may have changed under the flight.
            if want.join == Join::Owned {
                cluster.give(&[want.key]);
            }
        });
        Some(told)
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
