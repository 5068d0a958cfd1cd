//! Panics on order, for tests: points in the walk and in the background that a test arms by name.
//! Without the feature `faults` a point is nothing at all, and there is nothing to arm it with;
//! it never does anything but panic.

#[cfg(feature = "faults")]
use std::sync::{
    OnceLock,
    atomic::{AtomicU32, Ordering},
};

/// The points that were armed, each with how often it has yet to panic.
#[cfg(feature = "faults")]
static ARMED: OnceLock<Vec<(String, AtomicU32)>> = OnceLock::new();

/// Arms points: `handler=1,keep=2` panics at the first hit of one and the first two of the other.
#[cfg(feature = "faults")]
pub fn arm(points: &str) {
    let read = |point: &str| {
        let (name, times) = point.split_once('=')?;
        Some((name.to_owned(), AtomicU32::new(times.parse().ok()?)))
    };
    // Armed once in the life of a process.
    let _armed = ARMED.set(points.split(',').filter_map(read).collect());
}

/// A point. Armed, it panics with what was being handled in its message, as a careless `expect`
/// would.
#[cfg(feature = "faults")]
#[track_caller]
pub fn hit(point: &'static str, handled: &[u8]) {
    let armed = ARMED.get().into_iter().flatten();
    for (_, times) in armed.filter(|(name, _)| name == point) {
        let less = times.try_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1));
        if less.is_ok() {
            let handled = String::from_utf8_lossy(handled);
            std::panic::panic_any(format!("ordered at {point}, handling {handled}"));
        }
    }
}

/// Nothing.
#[cfg(not(feature = "faults"))]
#[inline(always)]
pub fn hit(_point: &'static str, _handled: &[u8]) {}
