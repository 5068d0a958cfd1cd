//! The agreed value: the carried state, the rings, and what was lately answered to whom, so that an
//! order that reaches the log twice is carried out once. Pure: entries in, answers out, the same on
//! every replica.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::types::{Answer, Order, Verdict, What};
use crate::control::State;
use crate::rings::Rings;

/// Answers kept for one proposer; beyond it the oldest is forgotten and a repetition refused.
const ANSWERS_COUNT_MAX: usize = 256;
/// Proposers whose answers are kept; beyond it the one heard of longest ago is forgotten.
const ORIGINS_COUNT_MAX: usize = 256;

/// What was answered to one proposer.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Recent {
    /// Nothing below is waited for any more, or known.
    below: u64,
    /// The index of the last order.
    last: u64,
    answers: BTreeMap<u64, (u64, Verdict)>,
}

/// Read first, alone: the rest of a newer state may look like nothing this program knows.
#[derive(Deserialize)]
struct Format {
    format: u32,
}

/// The agreed value.
#[derive(Serialize, Deserialize)]
#[serde(bound = "")]
pub(super) struct Agreed<S: State> {
    format: u32,
    pub(super) app: Arc<S>,
    pub(super) rings: Rings,
    recent: BTreeMap<u64, Recent>,
}

impl<S: State> Clone for Agreed<S> {
    fn clone(&self) -> Self {
        Self {
            format: self.format,
            app: Arc::clone(&self.app),
            rings: self.rings.clone(),
            recent: self.recent.clone(),
        }
    }
}

impl<S: State> Default for Agreed<S> {
    fn default() -> Self {
        Self {
            format: S::FORMAT,
            app: Arc::default(),
            rings: Rings::default(),
            recent: BTreeMap::new(),
        }
    }
}

impl<S: State> Agreed<S> {
    /// What a lone node had.
    pub(super) fn of(app: Arc<S>) -> Self {
        Self {
            app,
            ..Self::default()
        }
    }

    pub(super) fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        let Format { format } = serde_json::from_slice(bytes).map_err(Unread::Json)?;
        if format > S::FORMAT {
            return Err(Unread::Newer(format));
        }
        let mut agreed: Self = serde_json::from_slice(bytes).map_err(Unread::Json)?;
        agreed.format = S::FORMAT;
        Ok(agreed)
    }

    /// Carries out one order, once. An error: this program does not know the command, and going on
    /// without it would come to another state than the others have.
    pub(super) fn carry_out(
        &mut self,
        index: u64,
        order: Order,
    ) -> Result<Answer, serde_json::Error> {
        let recent = self.recent.entry(order.origin).or_default();
        if let Some((index, verdict)) = recent.answers.get(&order.serial) {
            return Ok(Answer {
                index: *index,
                verdict: verdict.clone(),
            });
        }
        if order.serial < recent.below {
            return Ok(Answer {
                index,
                verdict: Verdict::Stale,
            });
        }
        let verdict = self.apply(index, order.what)?;
        self.remember(
            index,
            order.origin,
            order.serial,
            order.floor,
            verdict.clone(),
        );
        Ok(Answer { index, verdict })
    }

    fn apply(&mut self, index: u64, what: What) -> Result<Verdict, serde_json::Error> {
        match what {
            What::Ring(members) => {
                self.rings = self.rings.next(index, members);
                Ok(Verdict::Done(serde_json::Value::Null))
            }
            What::App(command) => {
                let command: S::Command = serde_json::from_value(command)?;
                let mut app = S::clone(&self.app);
                // A panic is as pure as an outcome: every replica meets it at the same place.
                let applied = std::panic::catch_unwind(AssertUnwindSafe(move || {
                    let outcome = app.apply(index, command);
                    (app, outcome)
                }));
                match applied {
                    Err(_) => Ok(Verdict::Panicked),
                    Ok((app, outcome)) => {
                        self.app = Arc::new(app);
                        Ok(Verdict::Done(serde_json::to_value(outcome)?))
                    }
                }
            }
        }
    }

    fn remember(&mut self, index: u64, origin: u64, serial: u64, floor: u64, verdict: Verdict) {
        let recent = self.recent.entry(origin).or_default();
        recent.last = index;
        recent.answers.insert(serial, (index, verdict));
        recent.below = recent.below.max(floor.min(serial));
        recent.answers = recent.answers.split_off(&recent.below);
        while recent.answers.len() > ANSWERS_COUNT_MAX {
            if let Some((oldest, _)) = recent.answers.pop_first() {
                recent.below = oldest + 1;
            }
        }
        if self.recent.len() > ORIGINS_COUNT_MAX {
            let oldest = self.recent.iter().min_by_key(|(_, recent)| recent.last);
            if let Some(oldest) = oldest.map(|(origin, _)| *origin) {
                self.recent.remove(&oldest);
            }
        }
    }
}

/// Why bytes are no agreed value.
pub(super) enum Unread {
    Json(serde_json::Error),
    Newer(u32),
}

#[cfg(test)]
mod tests {
    use super::super::tests::Tally;
    use super::*;

    fn order(serial: u64, floor: u64, add: u64) -> Order {
        Order {
            origin: 7,
            serial,
            floor,
            what: What::App(add.into()),
        }
    }

    fn said(agreed: &mut Agreed<Tally>, index: u64, order: Order) -> (u64, String) {
        let answer = agreed.carry_out(index, order).unwrap();
        let verdict = serde_json::to_string(&answer.verdict).unwrap();
        (answer.index, verdict)
    }

    #[test]
    fn an_order_is_carried_out_once_and_answered_as_often_as_it_comes() {
        let mut agreed = Agreed::default();
        let first = said(&mut agreed, 1, order(1, 1, 5));
        assert_eq!(first, (1, r#"{"done":5}"#.to_owned()));
        assert_eq!(said(&mut agreed, 2, order(2, 1, 5)).1, r#"{"done":10}"#);
        assert_eq!(said(&mut agreed, 3, order(1, 1, 5)), first);

        let bytes = serde_json::to_vec(&agreed).unwrap();
        let mut again = Agreed::<Tally>::parse(&bytes).unwrap_or_else(|_| panic!("whole"));
        assert_eq!(
            said(&mut again, 4, order(2, 1, 5)),
            (2, r#"{"done":10}"#.to_owned())
        );

        // Its proposer has given it up: whether it was done is no longer known.
        said(&mut again, 5, order(9, 9, 1));
        assert_eq!(said(&mut again, 6, order(2, 1, 5)).1, r#""stale""#);
        assert_eq!(said(&mut again, 7, order(13, 9, 13)).1, r#""panicked""#);
        assert_eq!(again.app.sum, 11);
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut agreed = Agreed::<Tally>::default();
        for serial in 1..2000 {
            said(&mut agreed, serial, order(serial, 1, 1));
        }
        assert_eq!(agreed.recent[&7].answers.len(), ANSWERS_COUNT_MAX);
        assert_eq!(said(&mut agreed, 2000, order(1, 1, 1)).1, r#""stale""#);
        for origin in 0..2000 {
            let order = Order {
                origin,
                ..order(1, 1, 1)
            };
            agreed.carry_out(3000 + origin, order).unwrap();
        }
        assert_eq!(agreed.recent.len(), ORIGINS_COUNT_MAX);
    }

    #[test]
    fn a_command_of_a_newer_program_stops_this_one() {
        let mut agreed = Agreed::<Tally>::default();
        let unknown = Order {
            what: What::App("no number".into()),
            ..order(1, 1, 1)
        };
        assert!(agreed.carry_out(1, unknown).is_err());
    }
}
