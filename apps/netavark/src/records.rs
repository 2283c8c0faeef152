//! Records of what is attached, for who wants to know it until the host restarts: `ferrocni ps`, `inspect`, `reload` and others.

use std::path::Path;

use cni::{AddResult, Attachment, SpecVersion};
use cni_plugin::Undo;
use cni_runtime::{Attached, Cache, CacheError};

use crate::error::Error;

/// The records, in a folder of Podman's own that does not survive a restart of the host.
pub(crate) fn of(config: &Path) -> Cache {
    Cache::new(config.join("ferrocni"))
}

/// What was reported of an attachment; `None` if it is not recorded. A record that cannot be read is none, and is replaced or removed
/// like any other.
pub(crate) fn result(cache: &Cache, names: &Attachment) -> Result<Option<AddResult>, Error> {
    match cache.read(names) {
        Ok(Some(attached)) => Ok(attached.parsed_result().ok()),
        Ok(None) | Err(CacheError::Broken { .. } | CacheError::Taken { .. }) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Records that a container is attached.
pub(crate) fn write(
    cache: &Cache,
    attachment: &crate::attachment::Attachment,
    result: &AddResult,
    undo: &mut Undo,
) -> Result<(), Error> {
    let attached = Attached::new(&attachment.list, attachment.endpoint.clone(), result.to_json(SpecVersion::LATEST)?);
    undo.push("remove the record", {
        let (cache, names) = (cache.clone(), attachment.names.clone());
        move || cache.remove(&names)
    });
    Ok(cache.write(&attached)?)
}
