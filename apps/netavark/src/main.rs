//! The network program of Podman 5 and later.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: suite::Allocator = suite::Allocator;

fn main() -> ExitCode {
    netavark::main()
}
