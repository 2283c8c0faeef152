//! What is left of a container.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use super::netns::unpin;
use super::record::{Planned, Record};
use super::store::{self, StoreError};
use crate::failure::{Failure, line};
use crate::host::Host;
use crate::live::Live;

/// How long a plugin may go on after its supervisor was killed, or a child that it was just starting.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether it has ended: a lock that is let go tells nobody.
const INTERVAL: Duration = Duration::from_millis(2);

/// A container whose supervisor was killed.
#[derive(Debug)]
pub(super) struct Remains {
    pub(super) folder: PathBuf,
    /// As long as this is locked, nobody else clears it away.
    pub(super) alive: Option<File>,
}

/// Not everything could be undone.
#[derive(Debug, thiserror::Error)]
#[error("not all of container {container} could be undone, which the next command tries again: {}", failures.join("; and "))]
struct Left {
    container: String,
    failures: Vec<String>,
}

impl Remains {
    pub(super) fn clear(self, host: &Host) -> Result<(), Failure> {
        wait_for_plugins(&self.folder)?;
        if let Some(record) = store::read(&self.folder)? {
            undo(host, &self.folder, &record, &record.attachments)?;
        }
        store::remove(&self.folder)?;
        drop(self.alive);
        Ok(())
    }
}

/// A plugin that the supervisor had started would attach what is detached here.
fn wait_for_plugins(folder: &Path) -> Result<(), StoreError> {
    let lock = folder.join("lock");
    let file = match File::open(&lock) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(StoreError::io("open", &lock))?,
    };
    lock_in_time(&file);
    Ok(())
}

/// Locks a file that somebody has who should not have it for long, or gives up: what keeps it all the same keeps nobody else waiting.
/// Whether it is locked.
pub(super) fn lock_in_time(file: &File) -> bool {
    let start = Instant::now();
    while file.try_lock().is_err() {
        if start.elapsed() >= PATIENCE {
            return false;
        }
        thread::sleep(INTERVAL);
    }
    true
}

/// Detaches the container, the last network first, and removes its namespace and its folder. What fails does not keep the rest from
/// being done, but the folder stays then, so that the next command tries again.
pub(crate) fn undo(host: &Host, folder: &Path, record: &Record, attached: &[Planned]) -> Result<(), Failure> {
    let mut failures = Vec::new();
    for planned in attached.iter().rev() {
        failures.extend(detach(host, record, planned).err().map(|failure| failure.to_string()));
    }
    if let Some(netns) = &record.netns {
        failures.extend(unpin(netns).err().map(|error| line(&error)));
    }
    if failures.is_empty() {
        return Ok(store::remove(folder)?);
    }
    Err(Left { container: record.name.clone(), failures }.into())
}

fn detach(host: &Host, record: &Record, planned: &Planned) -> Result<(), Failure> {
    let (network, endpoint) = record.endpoint(planned)?;
    Live::of(host).release(&network, &endpoint)
}
