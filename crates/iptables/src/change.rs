//! Read, decide, change: under a lock, and again if a program without the lock interfered.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;

use crate::saved::Saved;
use crate::{Error, Family, Restore, Result, Table, Variant, program};

/// How often a change starts again because the table changed under it.
const ATTEMPTS: usize = 10;
const LOCK: &str = "/run/ferrocni-iptables.lock";

/// Brings a table to where `edit` wants it.
pub(crate) fn change(
    family: Family,
    variant: Variant,
    table: Table,
    edit: impl Fn(&Saved, &mut Restore),
) -> Result<()> {
    let _lock = lock()?;
    let mut before = read(family, variant, table)?;
    for attempt in 1.. {
        let mut restore = Restore::new(table);
        edit(&before, &mut restore);
        if restore.is_empty() {
            break;
        }
        let Err(error) = program::restore(family, variant, &restore.input()) else { break };
        let now = read(family, variant, table)?;
        if attempt == ATTEMPTS || now == before {
            return Err(error);
        }
        before = now;
    }
    Ok(())
}

/// Reads a table as `iptables-save` prints it.
pub(crate) fn read(family: Family, variant: Variant, table: Table) -> Result<Saved> {
    Ok(Saved::new(program::save(family, variant, table)?))
}

/// Orders the changes of ferrocni's processes, like iptables-legacy's own `/run/xtables.lock`, which the program takes for
/// itself. Only root may open the file: any other user could keep every container from starting and stopping. In a user
/// namespace root cannot either; there the network namespace belongs to the user, and its own file does.
fn lock() -> Result<File> {
    let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(LOCK);
    let file = file.or_else(|_| File::open("/proc/thread-self/ns/net")).map_err(Error::Lock)?;
    file.lock().map_err(Error::Lock)?;
    Ok(file)
}
