//! Containers' names, by the plugin dnsname.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use ::names::{PORT, Records, Server};
use cni::{AddResult, NetworkName, Verb};
use cni_plugin::{Plugin as _, Undo};
use dnsname::Dnsname;

use crate::attachment::Attachment;
use crate::error::{Error, told};
use crate::records;

/// Has the container's names known, if the network has names; the result tells the container's resolver.
pub(crate) fn enter(attachment: &Attachment, result: AddResult, undo: &mut Undo) -> Result<AddResult, Error> {
    match attachment.call("dnsname", Verb::Add, Some(&result))? {
        Some(call) => {
            let call = call.netns(attachment.netns_for_all.to_string_lossy());
            Dnsname::add(&call.add::<Dnsname>()?, undo).map_err(told)
        }
        None => Ok(result),
    }
}

/// Has them forgotten.
pub(crate) fn leave(attachment: &Attachment, reported: &AddResult) -> Result<(), Error> {
    match attachment.call("dnsname", Verb::Del, Some(reported))? {
        Some(call) => Dnsname::del(&call.del::<Dnsname>()?).map_err(told),
        None => Ok(()),
    }
}

/// Has the name server ask these for the containers of a network, but for those that have servers of their own; the host's if there
/// are none.
pub(crate) fn set_servers(config: &Path, network: &NetworkName, servers: &[IpAddr]) -> Result<(), Error> {
    let (known, server) = (Records::default(), Server::default());
    for attached in records::of(config).of_network(network)?.attached.iter().filter(|attached| !has_own(attached)) {
        let attachment = attached.attachment();
        let Some(mut record) = known.read(&attachment)? else { continue };
        record.upstreams = servers.iter().map(|server| SocketAddr::new(*server, PORT)).collect();
        known.write(&attachment, &record)?;
        match server.serve(&attachment) {
            // It reads the record when it starts.
            Err(error) if error.is_absent() => {}
            served => served?,
        }
    }
    Ok(())
}

/// `--dns`.
fn has_own(attached: &cni_runtime::Attached) -> bool {
    let servers = attached.endpoint.capability_args.get("dns").and_then(|dns| dns.get("servers")?.as_array());
    servers.is_some_and(|servers| !servers.is_empty())
}
