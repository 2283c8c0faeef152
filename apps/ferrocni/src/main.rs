//! The command `ferrocni`.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: suite::Allocator = suite::Allocator;

fn main() -> ExitCode {
    ferrocni::main()
}
