//! What the agent tells others: plugins in files, other hosts in etcd.

use std::collections::BTreeMap;

use cni::{Attachment, NetworkName};
use etcd_client::{PutOptions, Txn, TxnOp};
use overlay::{AgentState, Endpoint, HostId, IngressState, Key, Places, State};

use crate::Error;
use crate::etcd::Etcd;

/// As many keys are changed in one transaction: etcd takes 128.
const CHUNK: usize = 100;

/// Tells plugins what this host has of a network.
pub(crate) fn write_state(places: &Places, network: &NetworkName, state: &State) -> Result<(), Error> {
    let folder = places.networks();
    let text = serde_json::to_vec_pretty(state).unwrap_or_default();
    folder
        .write(network.as_str(), &text)
        .map_err(|source| Error::Write { path: folder.path_of(network.as_str()), source })
}

/// Tells them that it is no longer in the network.
pub(crate) fn remove_state(places: &Places, network: &NetworkName) -> Result<(), Error> {
    let folder = places.networks();
    folder.remove(network.as_str()).map_err(|source| Error::Write { path: folder.path_of(network.as_str()), source })
}

/// Tells whoever wants to know how the agent is.
pub(crate) fn write_agent(places: &Places, state: &AgentState) -> Result<(), Error> {
    let (path, unfinished) = (places.agent(), places.folder().join(".agent.json"));
    let text = serde_json::to_vec_pretty(state).unwrap_or_default();
    files::replace(&path, &unfinished, &text).map_err(|source| Error::Write { path, source })
}

/// Leaves what is known of ports that every host answers, if there are any.
pub(crate) fn write_ingress(places: &Places, state: &IngressState) -> Result<(), Error> {
    let (path, unfinished) = (places.ingress(), places.folder().join(".ingress.json"));
    if *state == IngressState::default() {
        return files::remove(&path).map_err(|source| Error::Write { path, source });
    }
    let text = serde_json::to_vec_pretty(state).unwrap_or_default();
    files::replace(&path, &unfinished, &text).map_err(|source| Error::Write { path, source })
}

/// Tells other hosts which containers are here; what they are told ends with the lease.
pub(crate) async fn publish(
    etcd: &mut Etcd,
    lease: i64,
    host: &HostId,
    published: &BTreeMap<Attachment, Endpoint>,
    wanted: &BTreeMap<Attachment, Endpoint>,
) -> Result<(), Error> {
    let key = |attachment: &Attachment| Key::Endpoint(host.clone(), attachment.clone()).to_string();
    let gone = published.keys().filter(|attachment| !wanted.contains_key(attachment));
    let mut operations: Vec<_> = gone.map(|attachment| TxnOp::delete(key(attachment), None)).collect();
    for (attachment, endpoint) in
        wanted.iter().filter(|(attachment, endpoint)| published.get(attachment) != Some(endpoint))
    {
        let value = serde_json::to_vec(endpoint).unwrap_or_default();
        operations.push(TxnOp::put(key(attachment), value, Some(PutOptions::new().with_lease(lease))));
    }
    for chunk in operations.chunks(CHUNK) {
        etcd.transaction("publish containers", Txn::new().and_then(chunk)).await?;
    }
    Ok(())
}
