//! A container's names, from ADD to DEL: the record, the way to the server from within the container, and the server's word that
//! it answers.

use std::fs::File;
use std::io;
use std::net::{IpAddr, UdpSocket};
use std::os::fd::AsFd as _;
use std::path::Path;

use cni_plugin::{AddResult, Attachment, IfName, IpConfig, Undo};
use names::{Listen, Record, Records, Server, ServerError, redirect, start};
use netlink::{Namespace, Netns, if_found};

use crate::identity::Identity;
use crate::{Config, Error, loopback};

/// What there is to know of an attachment with that result.
pub(crate) fn record(
    config: &Config,
    ifname: &IfName,
    result: &AddResult,
    identity: Identity,
    netns: &Netns,
) -> Result<Record, Error> {
    let ips: Vec<_> = result.ips_of(ifname.as_str()).collect();
    let mut record = Record::new(Namespace::of(netns)?);
    record.addresses = ips.iter().map(|ip| ip.address.ip()).collect();
    record.gateways = gateways_of_host(&ips)?;
    if config.listen == Listen::Gateway && record.gateways.is_empty() {
        return Err(Error::NoGateway);
    }
    // An internal network's containers have no routes.
    record.forward = config.forward.unwrap_or(!result.routes.is_empty());
    record.domain.clone_from(&config.domain_name);
    (record.listen, record.ttl, record.intercept) = (config.listen, config.ttl, config.intercept);
    record.links.clone_from(&config.links);
    record.hosts = config.hosts.iter().map(|host| host.resolved(&record.gateways)).collect();
    (record.name, record.aliases, record.pod_namespace) = (identity.name, identity.aliases, identity.pod_namespace);
    Ok(record)
}

/// A router elsewhere is no gateway to the host, nor is one that an internal network leaves out. Who has an address can bind to it.
fn gateways_of_host(ips: &[&IpConfig]) -> Result<Vec<IpAddr>, Error> {
    let mut gateways = Vec::new();
    for gateway in ips.iter().filter_map(|ip| ip.gateway) {
        match UdpSocket::bind((gateway, 0)) {
            Ok(_) => gateways.push(gateway),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {}
            Err(source) => return Err(Error::Gateway { gateway, source }),
        }
    }
    Ok(gateways)
}

/// Has the container's names known. When this returns, they are.
pub(crate) fn enter(attachment: &Attachment, netns: &Netns, record: &Record, undo: &mut Undo) -> Result<(), Error> {
    let records = Records::default();
    let (key, earlier) = (attachment.clone(), read(&records, attachment)?);
    undo.push("take the container's names back", move || match &earlier {
        Some(earlier) => put_back(&key, earlier),
        None => leave(&key, None),
    });
    prepare(&records, attachment, netns, record, undo)?;
    Ok(start::serve(&Server::default(), attachment)?)
}

fn prepare(
    records: &Records,
    attachment: &Attachment,
    netns: &Netns,
    record: &Record,
    undo: &mut Undo,
) -> Result<(), Error> {
    // Nobody who has another attachment of the same container removed may take the rules away meanwhile.
    let _lock = lock(netns)?;
    // First, for it says in which namespace everything else is.
    records.write(attachment, record)?;
    if record.listen != Listen::Gateway {
        loopback::set_up(netns, attachment, undo)?;
    }
    Ok(redirect::install(netns, record)?)
}

fn put_back(attachment: &Attachment, earlier: &Record) -> Result<(), Error> {
    Records::default().write(attachment, earlier)?;
    unless_absent(Server::default().serve(attachment))?;
    Ok(())
}

/// Has the container's names forgotten. What is missing is forgotten already. `netns`: where the container is, if that is known.
pub(crate) fn leave(attachment: &Attachment, netns: Option<&Path>) -> Result<(), Error> {
    let records = Records::default();
    let record = read(&records, attachment)?;
    let inside = match (&record, netns) {
        (Some(record), _) => record.namespace.open()?,
        // Of a container whose record is broken, lo says by its label whether it has to be set down.
        (None, path) => path.map_or(Ok(None), |path| if_found(Netns::open(path)))?,
    };
    if let Some(netns) = inside {
        let _lock = lock(&netns)?;
        if !has_another(&records, attachment, &Namespace::of(&netns)?)? {
            if record.is_some() {
                redirect::remove(&netns)?;
            }
            loopback::set_down(&netns, attachment)?;
        }
        // The record says where the rules are, so it goes last.
        records.remove(attachment)?;
    }
    records.remove(attachment)?;
    if let Err(error) = unless_absent(Server::default().forget(attachment)) {
        // It watches the folder as well: nobody has to wait for a server that does not answer.
        eprintln!("dnsname: {}", cni_plugin::Error::from(Error::from(error)));
    }
    Ok(())
}

/// A broken record says nothing, and is replaced or removed like any other.
fn read(records: &Records, attachment: &Attachment) -> Result<Option<Record>, Error> {
    match records.read(attachment) {
        Err(names::Error::Broken { .. }) => Ok(None),
        record => Ok(record?),
    }
}

/// Whether another attachment of the same container needs what is inside.
fn has_another(records: &Records, attachment: &Attachment, namespace: &Namespace) -> Result<bool, Error> {
    let is_another = |other: &Attachment| other.container == attachment.container && other != attachment;
    for other in records.attachments()?.into_iter().filter(is_another) {
        let other = read(records, &other)?;
        if other.is_some_and(|other| other.listen != Listen::Gateway && other.namespace.is_same(namespace)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn unless_absent(outcome: Result<(), ServerError>) -> Result<(), ServerError> {
    outcome.or_else(|error| if error.is_absent() { Ok(()) } else { Err(error) })
}

fn lock(netns: &Netns) -> Result<Turn, Error> {
    let failed = |source| Error::Lock { path: netns.path().display().to_string(), source };
    let file = File::from(netns.as_fd().try_clone_to_owned().map_err(failed)?);
    file.lock().map_err(failed)?;
    Ok(Turn(file))
}

/// The namespace is locked for as long as this lives. Closing a copy of its descriptor would not unlock it while the other is open.
struct Turn(File);

impl Drop for Turn {
    fn drop(&mut self) {
        // It fails only for what is not locked.
        let _ = self.0.unlock();
    }
}
