//! The locks of tape and flights, so that their schedules can be explored: with the `shuttle`
//! feature every lock and every atomic below is one that the explorer can stop at. Nothing else
//! differs, and nothing outside this crate sees which it is.

#[cfg(not(feature = "shuttle"))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

#[cfg(feature = "shuttle")]
pub(crate) use shuttle::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};

/// Takes the lock even where a holder panicked: every critical section in this crate leaves its
/// data whole at each step, so a poisoned lock says nothing that matters here.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner())
}
