//! One timer for a connection, however many requests it carries. The wait for each head has a limit;
//! a timer of its own for each would be made, queued and taken back a hundred thousand times for
//! every time that one rings. Here the deadline moves, and the timer is only looked at when it
//! rings: too early, as a rule, and then it is set again.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use hyper::rt::{Sleep, Timer};

/// The timer of one connection, as hyper wants to be given it.
#[derive(Clone)]
pub(super) struct Alarm(Arc<Mutex<Pin<Box<tokio::time::Sleep>>>>);

impl Alarm {
    /// Rings at the earliest after `first`; the deadlines it is given should not be sooner.
    pub(super) fn new(first: Duration) -> Alarm {
        Alarm(Arc::new(Mutex::new(Box::pin(tokio::time::sleep(first)))))
    }
}

impl Timer for Alarm {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        self.sleep_until(self.now() + duration)
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Box::pin(Until {
            deadline: deadline.into(),
            alarm: self.clone(),
        })
    }

    fn now(&self) -> Instant {
        tokio::time::Instant::now().into_std()
    }
}

/// One wait.
struct Until {
    deadline: tokio::time::Instant,
    alarm: Alarm,
}

impl Sleep for Until {}

impl Future for Until {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // Nothing under the lock can leave it half done.
        let mut timer = self.alarm.0.lock().unwrap_or_else(PoisonError::into_inner);
        if timer.deadline() > self.deadline {
            timer.as_mut().reset(self.deadline);
        }
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= self.deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(self.deadline);
        timer.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test(start_paused = true)]
    async fn it_rings_at_the_deadline_however_often_that_has_moved() {
        let alarm = Alarm::new(SECOND * 10);
        for _ in 0..25 {
            // Given up before its time, like the wait for a head that came.
            let waited = tokio::time::timeout(SECOND, alarm.sleep(SECOND * 10)).await;
            assert!(waited.is_err());
        }
        let began = tokio::time::Instant::now();
        alarm.sleep(SECOND * 10).await;
        assert_eq!(began.elapsed().as_secs(), 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_is_kept_too() {
        let alarm = Alarm::new(SECOND * 3600);
        let began = tokio::time::Instant::now();
        alarm.sleep(SECOND).await;
        assert_eq!(began.elapsed().as_secs(), 1);
        // Long past is past.
        alarm.sleep_until(began.into_std()).await;
        assert_eq!(began.elapsed().as_secs(), 1);
    }
}
