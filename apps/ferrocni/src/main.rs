//! The command `ferrocni`.

use std::process::ExitCode;

use mimalloc::MiMalloc;

/// The command reads the records of thousands of attachments on all processors: with the plugins' allocator, threads wait for each other.
/// This one costs half a millisecond when a program starts, which a plugin does not have. It asks for no huge pages, because the kernel
/// clears each, and few of our processes fill one.
#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

fn main() -> ExitCode {
    ferrocni::main()
}
