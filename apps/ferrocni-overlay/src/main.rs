//! The agent `ferrocni-overlay`.

use std::process::ExitCode;

fn main() -> ExitCode {
    ferrocni_overlay::main()
}
