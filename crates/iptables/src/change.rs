//! Read, decide, change: under a lock, and again if somebody without the lock interfered.

use std::fs::File;

use crate::saved::Saved;
use crate::{Error, Family, Restore, Result, Table, Variant, program};

/// How often a change starts again because the table changed under it.
const ATTEMPTS: usize = 10;

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

/// Reads a table.
pub(crate) fn read(family: Family, variant: Variant, table: Table) -> Result<Saved> {
    Ok(Saved::new(program::save(family, variant, table)?))
}

/// Orders the changes of ferrocni's processes in one network namespace. The namespace's own file is the
/// lock: it needs no place on disk, and two namespaces do not wait for each other.
fn lock() -> Result<File> {
    let file = File::open("/proc/thread-self/ns/net").map_err(Error::Lock)?;
    file.lock().map_err(Error::Lock)?;
    Ok(file)
}
