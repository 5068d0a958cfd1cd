//! The priority of a thread nobody waits for, or that must not stand in the way of replies. The
//! one place that lowers it; nothing raises it again.

use std::io;

/// How far below the others: beside a busy thread, such a one gets about a tenth of a processor.
pub const NICE: i32 = 10;

/// Lowers the calling thread's priority; threads it makes inherit it. Where a system knows
/// priorities of whole processes alone, nothing changes.
pub fn give_way() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    rustix::process::nice(NICE)?;
    Ok(())
}
