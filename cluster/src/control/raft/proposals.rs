//! How a proposal reaches the log, from any node: it goes to whoever leads, again and again under
//! the same number until an answer comes or the patience ends. The number makes repeating safe.
//! What cannot be known is said to be unknown, never guessed.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::link::Unanswered;
use super::payload::{Heard, Kind, Refused};
use super::replica::Replica;
use super::types::{Answer, Order, Verdict, What};
use crate::control::carry::Uncarried;
use crate::control::{ControlError, State};
use crate::node::Member;

/// Proposals of this node under way at once; the next ones wait within their patience.
const PROPOSALS_COUNT_MAX: usize = 32;
/// A command has to travel in one payload; a larger one would stand in the log and never arrive.
const COMMAND_BYTES_MAX: usize = 4 << 20;
/// How long one attempt at a leader elsewhere may take before another is looked for.
const ATTEMPT_PATIENCE: Duration = Duration::from_secs(1);
/// Between two attempts.
const ATTEMPT_PAUSE: Duration = Duration::from_millis(50);

/// What is under way from this node.
pub(super) struct Proposals {
    seats: Semaphore,
    open: Mutex<Open>,
}

struct Open {
    next: u64,
    serials: BTreeSet<u64>,
}

impl Proposals {
    /// `life`: a number that no earlier start of this replica had.
    pub(super) fn new(life: u32) -> Proposals {
        Proposals {
            seats: Semaphore::new(PROPOSALS_COUNT_MAX),
            open: Mutex::new(Open {
                next: u64::from(life) << 32,
                serials: BTreeSet::new(),
            }),
        }
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn begin(&self) -> Serial<'_> {
        let mut open = self.open();
        open.next += 1;
        let number = open.next;
        open.serials.insert(number);
        Serial {
            proposals: self,
            number,
        }
    }
}

/// A number in use; given back when its proposer is done or gone.
struct Serial<'a> {
    proposals: &'a Proposals,
    number: u64,
}

impl Serial<'_> {
    fn order(&self, origin: u64, what: What) -> Order {
        let open = self.proposals.open();
        Order {
            origin,
            serial: self.number,
            floor: open.serials.first().copied().unwrap_or(self.number),
            what,
        }
    }
}

impl Drop for Serial<'_> {
    fn drop(&mut self) {
        self.proposals.open().serials.remove(&self.number);
    }
}

/// What a leader says to a proposal.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Said {
    Done(Answer),
    /// Surely not in the log: it does not lead.
    Elsewhere,
    /// Perhaps in the log.
    Unsure,
}

impl<S: State> Replica<S> {
    /// Proposes a command and waits for its outcome.
    pub(in crate::control) async fn propose(
        &self,
        command: S::Command,
    ) -> Result<(u64, S::Outcome), ControlError> {
        let command = serde_json::to_value(command).map_err(|e| self.refused(e))?;
        let bytes = command.to_string().len();
        if bytes > COMMAND_BYTES_MAX {
            return Err(ControlError::TooLarge {
                bytes,
                bytes_max: COMMAND_BYTES_MAX,
            });
        }
        let answer = self.agree(What::App(command)).await?;
        match answer.verdict {
            // An outcome that this program cannot read is one of a newer one: it is in force.
            Verdict::Done(outcome) => serde_json::from_value(outcome)
                .map(|outcome| (answer.index, outcome))
                .map_err(|_| ControlError::Unknown),
            Verdict::Panicked => Err(ControlError::Panicked),
            Verdict::Stale | Verdict::Blank => Err(ControlError::Unknown),
        }
    }

    pub(super) async fn set_ring(&self, members: Vec<Member>) -> Result<(), ControlError> {
        self.agree(What::Ring(members)).await.map(drop)
    }

    async fn agree(&self, what: What) -> Result<Answer, ControlError> {
        let deadline = Instant::now() + self.timers.propose_patience;
        let seat = tokio::time::timeout_at(deadline, self.proposals.seats.acquire()).await;
        let Ok(Ok(_seat)) = seat else {
            return Err(ControlError::Away);
        };
        let serial = self.proposals.begin();
        let order = serial.order(self.number, what);
        let mut may_be_in_force = false;
        loop {
            if let Some(why) = self.trouble() {
                return Err(match may_be_in_force {
                    true => ControlError::Unknown,
                    false => self.refused(why),
                });
            }
            match self.attempt(&order, deadline).await {
                Said::Done(answer) => {
                    // So that who proposed here finds it here; it is in force either way.
                    self.wait_applied(answer.index, deadline).await;
                    return Ok(answer);
                }
                Said::Elsewhere => {}
                Said::Unsure => may_be_in_force = true,
            }
            if Instant::now() + ATTEMPT_PAUSE >= deadline {
                return Err(match may_be_in_force {
                    true => ControlError::Unknown,
                    false => ControlError::Away,
                });
            }
            tokio::time::sleep(ATTEMPT_PAUSE).await;
        }
    }

    async fn attempt(&self, order: &Order, deadline: Instant) -> Said {
        let Some((leader, name)) = self.leader() else {
            return Said::Elsewhere;
        };
        if leader == self.number {
            return self.write(order.clone(), deadline).await;
        }
        let left = deadline.saturating_duration_since(Instant::now());
        let patience = left.min(ATTEMPT_PATIENCE);
        let asked = self
            .links
            .ask((leader, &name), Kind::Propose, order, &[], patience);
        match asked.await {
            Ok(said) => said,
            // Refused or never given to anybody: it is in no log.
            Err(Unanswered::Refused(refused)) if refused != Refused::Malformed => Said::Elsewhere,
            Err(Unanswered::Uncarried(Uncarried::Unreachable)) => Said::Elsewhere,
            Err(_) => Said::Unsure,
        }
    }

    /// As the leader, or as who believes to be it: what is written may wait for a majority for ever.
    async fn write(&self, order: Order, deadline: Instant) -> Said {
        let Ok(raft) = self.raft() else {
            return Said::Elsewhere;
        };
        match tokio::time::timeout_at(deadline, raft.client_write(order)).await {
            Ok(Ok(response)) => Said::Done(response.data),
            // Even an entry that was cut from this log may live on in another's.
            _ => Said::Unsure,
        }
    }

    pub(super) async fn serve_proposal(&self, heard: &Heard) -> Result<Said, Refused> {
        let order: Order = heard.body()?;
        if order.origin != heard.head.from {
            return Err(Refused::Sender);
        }
        if self.trouble().is_some() {
            return Err(Refused::Stopped);
        }
        match self.leader() {
            Some((leader, _)) if leader == self.number => {
                Ok(self.write(order, Instant::now() + ATTEMPT_PATIENCE).await)
            }
            _ => Ok(Said::Elsewhere),
        }
    }
}
