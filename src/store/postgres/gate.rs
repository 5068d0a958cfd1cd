//! The one way to the server for one kind of calls: a breaker, so many places, a deadline. Whoever
//! calls hears within the deadline, whatever the server does; while the breaker is open, at once.
//!
//! The places are fewer than the pool's connections, and a call that does not end well takes its
//! connection with it: one that was given up half-way would otherwise come back to the pool with
//! somebody else's answer still on the wire, or not at all until the server thaws.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fgy_cluster::{BoxFuture, Tasks};
use sqlx::pool::PoolConnection;
use sqlx::{PgConnection, PgPool, Postgres as Driver};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::time::Instant;

use super::breaker::{Admission, Breaker, Change, Ticket};
use super::fault;
use crate::store::Error;

/// What a call does with its connection.
pub(super) trait Work<T>:
    for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send
{
}

impl<T, F> Work<T> for F where
    F: for<'c> FnOnce(&'c mut PgConnection) -> BoxFuture<'c, Result<T, sqlx::Error>> + Send
{
}

/// How a gate is built.
pub(super) struct Terms {
    /// What its calls do, as the log says it.
    pub(super) name: &'static str,
    /// Where the server is, as errors say it.
    pub(super) shown: Arc<str>,
    /// Calls at a time; fewer than the pool has connections, where it has more than one.
    pub(super) places: u32,
    /// A call that takes longer has failed.
    pub(super) wait_max: Duration,
    /// By what the pauses of this breaker differ from another's.
    pub(super) seed: u64,
}

/// See the module.
pub(super) struct Gate {
    terms: Terms,
    pool: PgPool,
    places: Arc<Semaphore>,
    breaker: Mutex<Breaker>,
    began: Instant,
    /// Whether calls are refused: the breaker's state, for those who only look.
    shut: Arc<AtomicBool>,
    tasks: Tasks,
}

impl Gate {
    pub(super) fn new(pool: PgPool, terms: Terms) -> Arc<Gate> {
        Arc::new(Gate {
            places: Arc::new(Semaphore::new(terms.places as usize)),
            breaker: Mutex::new(Breaker::new(terms.seed)),
            began: Instant::now(),
            shut: Arc::default(),
            tasks: Tasks::new(),
            terms,
            pool,
        })
    }

    /// Whether calls are refused for now.
    pub(super) fn shut(&self) -> Arc<AtomicBool> {
        self.shut.clone()
    }

    /// Does `work` on a connection, or says why not.
    pub(super) async fn call<T>(self: &Arc<Self>, work: impl Work<T>) -> Result<T, Error> {
        let attempt = self.enter(self.admit())?;
        self.through(attempt, work).await
    }

    /// As [`Gate::call`] for those whose callers must not pay for finding out: once a probe is due,
    /// `probe` is asked behind their back, and they are refused until it has succeeded.
    pub(super) async fn call_if_well<T>(
        self: &Arc<Self>,
        probe: impl FnOnce() -> BoxFuture<'static, bool>,
        work: impl Work<T>,
    ) -> Result<T, Error> {
        let attempt = self.enter(self.admit())?;
        if !attempt.probe {
            return self.through(attempt, work).await;
        }
        self.ask_behind(attempt, probe());
        Err(self.away())
    }

    /// Asks the probe if one is due, though nobody calls just now.
    pub(super) fn nudge(self: &Arc<Self>, probe: impl FnOnce() -> BoxFuture<'static, bool>) {
        if !self.shut.load(Ordering::Relaxed) {
            return;
        }
        if let Ok(attempt) = self.enter(self.admit())
            && attempt.probe
        {
            self.ask_behind(attempt, probe());
        }
    }

    fn ask_behind(&self, attempt: Attempt, probe: BoxFuture<'static, bool>) {
        self.tasks.spawn("store-probe", async move {
            let well = probe.await;
            attempt.settle(well);
        });
    }

    /// Refuses calls from now on until a probe has succeeded.
    pub(super) fn trip(&self) {
        let change = self.breaker().trip(self.now());
        self.tell(change);
    }

    /// A connection, within the gate's own patience for a statement but not for connecting: how a
    /// probe asks.
    pub(super) async fn ask<T>(self: &Arc<Self>, work: impl Work<T>) -> Result<T, sqlx::Error> {
        let mut seat = self.seat().await?;
        let asked = tokio::time::timeout(self.terms.wait_max, work(seat.connection())).await;
        let result = asked.unwrap_or(Err(sqlx::Error::PoolTimedOut));
        self.leave(seat, &result);
        result
    }

    fn enter(self: &Arc<Self>, admission: Admission) -> Result<Attempt, Error> {
        let (ticket, probe) = match admission {
            Admission::Pass(ticket) => (ticket, false),
            Admission::Probe(ticket) => (ticket, true),
            Admission::Refused => return Err(self.away()),
        };
        Ok(Attempt {
            gate: self.clone(),
            ticket: Some(ticket),
            probe,
            began: Instant::now(),
        })
    }

    async fn through<T>(
        self: &Arc<Self>,
        attempt: Attempt,
        work: impl Work<T>,
    ) -> Result<T, Error> {
        let whole = async {
            let mut seat = self.seat().await?;
            let result = work(seat.connection()).await;
            self.leave(seat, &result);
            result
        };
        let Ok(result) = tokio::time::timeout(self.terms.wait_max, whole).await else {
            attempt.settle(false);
            let (shown, waited) = (&self.terms.shown, self.terms.wait_max);
            let text = format!("{shown} did not answer within {waited:?}");
            return Err(Error::Unavailable(text));
        };
        attempt.settle(result.as_ref().map_or_else(fault::is_of_a_row, |_| true));
        result.map_err(|error| fault::of(&self.terms.shown, &error))
    }

    /// A place and a connection. One that has to be made is made behind the caller's back, so that
    /// it is finished, and there for the next, even where the caller cannot wait so long: a new
    /// connection takes four round trips, and the server may be a continent away.
    async fn seat(self: &Arc<Self>) -> Result<Seat, sqlx::Error> {
        let closed = |_| sqlx::Error::PoolClosed;
        let place = self.places.clone().acquire_owned().await.map_err(closed)?;
        if let Some(connection) = self.pool.try_acquire() {
            return Ok(Seat::new(connection, place));
        }
        let (give, take) = oneshot::channel();
        let pool = self.pool.clone();
        self.tasks.spawn("store-connect", async move {
            let made = pool.acquire().await;
            if let Err(Ok(unwanted)) = give.send(made.map(|it| Seat::new(it, place))) {
                unwanted.give_back();
            }
        });
        take.await.unwrap_or(Err(sqlx::Error::WorkerCrashed))
    }

    /// Gives the connection back where it is sound. Where it broke, those that lie idle are of the
    /// same server and the same moment: they go too, instead of failing one caller each.
    fn leave<T>(&self, seat: Seat, result: &Result<T, sqlx::Error>) {
        match result {
            Ok(_) | Err(sqlx::Error::Database(_)) => seat.give_back(),
            Err(error) if fault::is_of_a_row(error) => seat.give_back(),
            Err(_) => {
                drop(seat);
                while let Some(idle) = self.pool.try_acquire() {
                    drop(idle.detach());
                }
            }
        }
    }

    fn away(&self) -> Error {
        let (shown, name) = (&self.terms.shown, self.terms.name);
        Error::Unavailable(format!("{shown} did not answer lately: {name} pauses"))
    }

    fn settled(&self, ticket: Ticket, well: bool) {
        let change = self.breaker().settle(self.now(), ticket, well);
        self.tell(change);
    }

    /// The one line that a change of state is worth.
    fn tell(&self, change: Option<Change>) {
        self.shut
            .store(!self.breaker().is_closed(), Ordering::Relaxed);
        let (store, what) = (&*self.terms.shown, self.terms.name);
        match change {
            Some(Change::Opened { pause }) => {
                tracing::warn!(
                    store,
                    what,
                    ?pause,
                    "the store does not answer: not asked for now"
                );
            }
            Some(Change::Closed { after }) => {
                tracing::info!(store, what, ?after, "the store answers again");
            }
            None => {}
        }
    }

    fn admit(&self) -> Admission {
        self.breaker().admit(self.now())
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Every change under the lock leaves the breaker whole, so a panic elsewhere spoils nothing.
    fn breaker(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An admitted call; the breaker hears of its end however it ends.
struct Attempt {
    gate: Arc<Gate>,
    ticket: Option<Ticket>,
    probe: bool,
    began: Instant,
}

impl Attempt {
    fn settle(mut self, well: bool) {
        if let Some(ticket) = self.ticket.take() {
            self.gate.settled(ticket, well);
        }
    }
}

/// A call whose caller went away. If that was out of impatience the server is to blame: failures
/// that nobody reports are those that keep a breaker closed for ever. A caller who left at once
/// says nothing of the server, unless all others wait for what it finds.
impl Drop for Attempt {
    fn drop(&mut self) {
        let impatient = self.began.elapsed() >= self.gate.terms.wait_max / 2;
        if let Some(ticket) = self.ticket.take()
            && (impatient || self.probe)
        {
            self.gate.settled(ticket, false);
        }
    }
}

/// A connection in use, with its place. Dropped, the connection is closed and the place free.
struct Seat {
    connection: Option<PoolConnection<Driver>>,
    _place: OwnedSemaphorePermit,
}

impl Seat {
    fn new(connection: PoolConnection<Driver>, place: OwnedSemaphorePermit) -> Seat {
        Seat {
            connection: Some(connection),
            _place: place,
        }
    }

    #[expect(
        clippy::expect_used,
        reason = "taken by `give_back`, which consumes the seat, and by its end"
    )]
    fn connection(&mut self) -> &mut PgConnection {
        self.connection.as_mut().expect("a seat in use")
    }

    fn give_back(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
