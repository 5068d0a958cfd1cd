//! The binary: reads the command line, does what it says, ends with a status. Everything it does
//! is written elsewhere.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    fgy::cli::main()
}
