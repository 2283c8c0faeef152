//! Links that a CNI plugin makes which is not linked here: it is executed, as any runtime does it. What follows it in the list is ours.

use cni::AddResult;
use cni_plugin::Undo;
use cni_runtime::{Cache, Network, Runtime};
use serde_json::json;

use crate::attachment::Attachment;
use crate::error::Error;
use crate::places;

/// Has it make the container's link, and records that.
pub(crate) fn make(cache: &Cache, attachment: &Attachment, undo: &mut Undo) -> Result<AddResult, Error> {
    undo.push(format!("have plugin {} remove its link", attachment.kind()), {
        let (runtime, list, endpoint) = (runtime(cache)?, alone(attachment)?, attachment.endpoint.clone());
        move || runtime.del(&list, &endpoint)
    });
    let attached = runtime(cache)?.add(&alone(attachment)?, &attachment.endpoint)?;
    Ok(attached.parsed_result()?)
}

/// Has it remove the link, and removes the record.
pub(crate) fn remove(cache: &Cache, attachment: &Attachment) -> Result<(), Error> {
    Ok(runtime(cache)?.del(&alone(attachment)?, &attachment.endpoint)?)
}

/// The list that ends with it.
fn alone(attachment: &Attachment) -> Result<Network, Error> {
    let mut list = attachment.list.json();
    list["plugins"] = json!([list["plugins"][0]]);
    Ok(Network::from_json(list)?)
}

fn runtime(cache: &Cache) -> Result<Runtime, Error> {
    Ok(Runtime::new(places::plugin_folders())?.with_cache(cache.clone()))
}
