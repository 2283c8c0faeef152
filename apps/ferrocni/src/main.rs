//! The command `ferrocni`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The command reads the records of thousands of attachments on all processors: with the plugins' allocator, threads wait for each other.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ferrocni::main()
}
