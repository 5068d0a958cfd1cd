//! The binary: reads the command line, does what it says, ends with a status. Everything it does
//! is written elsewhere.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    small_pages();
    fgy::cli::main()
}

/// Asks for memory in pages of 4 KiB. The system clears a page of 2 MiB in one go when it is first
/// touched: some milliseconds in which the thread that touched it answers nobody.
fn small_pages() {
    // Where it cannot be had, memory comes as it comes.
    #[cfg(target_os = "linux")]
    let _as_it_comes = rustix::thread::disable_transparent_huge_pages(true);
}
