//! What is in the air: at most one recorder per key and terms in one table. The first caller
//! leads, the others follow. It decides who flies and forgets the rest: it never makes an
//! answer, never waits, and never holds a row while anything else is locked.

use std::hash::{BuildHasherDefault, Hasher};
use std::sync::atomic::{AtomicUsize, Ordering as Order};

use dashmap::{DashMap, Entry};

use crate::budget::Budget;
use crate::fault::Fault;
use crate::key::Key;
use crate::sync::{Arc, AtomicU64, Ordering};
use crate::tape::{Player, Recorder, Tape};

/// Bounds of a flight table.
#[derive(Debug, Clone, Copy)]
pub struct FlightLimits {
    /// Flights in the air at once; above it a miss is not recorded.
    pub flights_max: usize,
    /// Listeners of one flight.
    pub listeners_per_flight_max: usize,
    /// Bytes of one recording.
    pub tape_bytes_max: usize,
}

/// Which answers a caller may share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Freshness {
    /// Whatever the flight comes home with, a kept answer too.
    Any,
    /// Only an answer made anew.
    Fresh,
}

/// A table of flights.
pub struct Flights {
    rows: DashMap<Slot, Row, BuildHasherDefault<Prefix>>,
    limits: FlightLimits,
    budget: Budget,
    count: AtomicUsize,
    numbers: AtomicU64,
}

/// At most two rows a key: one for whoever takes any answer, one beside it for fresh ones.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Slot {
    key: Key,
    freshness: Freshness,
}

impl std::hash::Hash for Slot {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.key.prefix() ^ self.freshness as u64);
    }
}

/// Keys are digests already: their prefix is the hash.
#[derive(Default)]
struct Prefix(u64);

impl Hasher for Prefix {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, prefix: u64) {
        self.0 = prefix;
    }
}

struct Row {
    tape: Tape,
    number: u64,
    /// Whether it waits for no other node any more.
    making: bool,
}

/// A caller's place in a flight.
pub enum Seat {
    /// Nobody was flying: this caller's ask is the one that flies. The recorder and the landing
    /// go to the task that makes the answer; the player is the caller's own.
    Lead(Recorder, Player, Landing),
    /// Somebody flies already: listen.
    Follow(Player),
}

/// The row of a flight in the air. Dropping it clears the row, and only its own.
pub struct Landing {
    flights: Arc<Flights>,
    slot: Slot,
    number: u64,
}

impl Landing {
    /// From now on the flight waits for no other node: others may wait for it.
    pub(crate) fn making(&self) {
        if let Some(mut row) = self.flights.rows.get_mut(&self.slot)
            && row.number == self.number
        {
            row.making = true;
        }
    }
}

impl Drop for Landing {
    fn drop(&mut self) {
        let cleared = self
            .flights
            .rows
            .remove_if(&self.slot, |_, row| row.number == self.number);
        drop(cleared);
        self.flights.count.fetch_sub(1, Order::Relaxed);
    }
}

impl Flights {
    /// An empty table whose recordings draw on `budget`.
    pub fn new(limits: FlightLimits, budget: Budget) -> Flights {
        Flights {
            rows: DashMap::default(),
            limits,
            budget,
            count: AtomicUsize::new(0),
            numbers: AtomicU64::new(0),
        }
    }

    /// How many flights are in the air.
    pub fn count(&self) -> usize {
        self.count.load(Order::Relaxed)
    }

    /// Beside whoever is making an answer that any caller may share; `None` where nobody is, or one
    /// who leads still looks elsewhere whether it has to be made.
    pub(crate) fn overhear(&self, key: &Key) -> Option<Player> {
        let freshness = Freshness::Any;
        let slot = Slot {
            key: *key,
            freshness,
        };
        let row = self.rows.get(&slot)?;
        let tape = row.making.then(|| row.tape.clone());
        drop(row);
        let tape = tape.filter(|tape| !tape.broken())?;
        (tape.listeners() < self.limits.listeners_per_flight_max).then(|| tape.play())
    }

    /// Takes a seat: a place beside the one who flies, or the lead. `wish` is how long this
    /// caller would keep the answer.
    pub fn join(
        self: &Arc<Flights>,
        key: Key,
        freshness: Freshness,
        wish: u64,
    ) -> Result<Seat, Fault> {
        if freshness == Freshness::Any
            && let Some(player) = self.beside(
                Slot {
                    key,
                    freshness: Freshness::Fresh,
                },
                wish,
            )?
        {
            return Ok(Seat::Follow(player));
        }
        self.lead_or_follow(Slot { key, freshness }, wish)
    }

    /// A recording outside the table, for a caller who must not share.
    pub fn alone(&self, wish: u64) -> Result<(Recorder, Player), Fault> {
        let (recorder, tape) = self.tape(wish)?;
        Ok((recorder, tape.play()))
    }

    fn lead_or_follow(self: &Arc<Flights>, slot: Slot, wish: u64) -> Result<Seat, Fault> {
        loop {
            let row = self
                .rows
                .get(&slot)
                .map(|row| (row.tape.clone(), row.number));
            let broken = match row {
                Some((tape, _)) if !tape.broken() => {
                    return self.follow(&tape, wish).map(Seat::Follow);
                }
                // A broken tape is still in its row for the moment before its landing clears it;
                // whoever asks in that moment takes the row over.
                Some((_, number)) => Some(number),
                None => None,
            };
            if let Some(seat) = self.lead(slot, wish, broken)? {
                return Ok(seat);
            }
        }
    }

    /// Fills the row if it is still empty, or still holds the broken flight; `None` where another
    /// caller was quicker. The recording is made before the row is taken and what it replaces is
    /// dropped after, so that nothing is locked or freed while the row is held.
    fn lead(
        self: &Arc<Flights>,
        slot: Slot,
        wish: u64,
        broken: Option<u64>,
    ) -> Result<Option<Seat>, Fault> {
        let (recorder, tape) = self.tape(wish)?;
        let (player, number) = (tape.play(), self.numbers.fetch_add(1, Ordering::Relaxed));
        let row = Row {
            tape,
            number,
            making: false,
        };
        let replaced = match self.rows.entry(slot) {
            Entry::Occupied(held) if Some(held.get().number) != broken => return Ok(None),
            Entry::Occupied(mut held) => Some(held.insert(row)),
            Entry::Vacant(free) => {
                free.insert(row);
                None
            }
        };
        drop(replaced);
        self.count.fetch_add(1, Order::Relaxed);
        let landing = Landing {
            flights: self.clone(),
            slot,
            number,
        };
        Ok(Some(Seat::Lead(recorder, player, landing)))
    }

    /// A player of the flight in this row, if a good one is there.
    fn beside(&self, slot: Slot, wish: u64) -> Result<Option<Player>, Fault> {
        let tape = self.rows.get(&slot).map(|row| row.tape.clone());
        match tape {
            Some(tape) if !tape.broken() => self.follow(&tape, wish).map(Some),
            _ => Ok(None),
        }
    }

    fn follow(&self, tape: &Tape, wish: u64) -> Result<Player, Fault> {
        if tape.listeners() >= self.limits.listeners_per_flight_max {
            return Err(Fault::NoRoom);
        }
        tape.wish(wish);
        Ok(tape.play())
    }

    fn tape(&self, wish: u64) -> Result<(Recorder, Tape), Fault> {
        if self.count() >= self.limits.flights_max || self.budget.spent() {
            return Err(Fault::NoRoom);
        }
        let (recorder, tape) = Tape::record(self.limits.tape_bytes_max, &self.budget);
        tape.wish(wish);
        Ok((recorder, tape))
    }
}
