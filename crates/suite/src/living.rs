//! Attachments that no runtime lists, because `ferrocni network connect` made them.

use cni_plugin::{Attachment, Code, Error, NetworkName};
use connected::Records;

/// Those of the network that GC has to keep. Where nothing was ever connected like that, it costs one open(2).
pub(crate) fn of(network: &NetworkName) -> Result<Vec<Attachment>, Error> {
    Records::default().living(network).map_err(|error| Error::from_chain(Code::Io, &error))
}
