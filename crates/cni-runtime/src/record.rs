//! A record of the cache as libcni writes it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cni::{Attachment, InvalidName, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::{Attached, Endpoint};

const KIND: &str = "cniCacheV1";

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Record {
    kind: String,
    container_id: String,
    /// In base64.
    config: Option<String>,
    if_name: String,
    network_name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    netns: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cni_args: Option<Vec<(String, String)>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    capability_args: Option<Map<String, Value>>,
    result: Option<Value>,
}

/// What is recorded is none.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("it is no JSON as libcni writes it: {0}")]
    Json(#[from] serde_json::Error),
    #[error("it is of an older kind, which does not say whose it is")]
    Legacy,
    #[error(transparent)]
    Name(#[from] InvalidName),
    #[error("its \"config\" is no base64: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error("it has no \"result\"")]
    NoResult,
}

pub(crate) fn write(attached: &Attached) -> Result<Vec<u8>, serde_json::Error> {
    let Endpoint { container, ifname, netns, args, capability_args } = &attached.endpoint;
    serde_json::to_vec(&Record {
        kind: KIND.to_owned(),
        container_id: container.to_string(),
        config: attached.config.as_ref().map(|config| BASE64_STANDARD.encode(config)),
        if_name: ifname.to_string(),
        network_name: attached.network.to_string(),
        netns: netns.as_ref().map(|netns| netns.to_string_lossy().into_owned()),
        cni_args: (!args.is_empty()).then(|| args.clone()),
        capability_args: (!capability_args.is_empty()).then(|| capability_args.clone()),
        result: Some(attached.result.clone()),
    })
}

pub(crate) fn read(bytes: &[u8]) -> Result<Attached, Unreadable> {
    let value: Value = serde_json::from_slice(bytes)?;
    if json::get(&value, "kind").is_none_or(|kind| kind != KIND) {
        return Err(Unreadable::Legacy);
    }
    let record: Record = serde_json::from_value(value)?;
    let names = Attachment::new(&record.network_name, &record.container_id, &record.if_name)?;
    let result = record.result.filter(Value::is_object).ok_or(Unreadable::NoResult)?;
    let mut endpoint = Endpoint::of(names.container, names.ifname);
    endpoint.netns = record
        .netns
        .filter(|path| !path.is_empty())
        .or_else(|| sandbox(&result, endpoint.ifname.as_str()))
        .map(Into::into);
    endpoint.args = record.cni_args.unwrap_or_default();
    endpoint.capability_args = record.capability_args.unwrap_or_default();
    let config = record.config.map(|config| BASE64_STANDARD.decode(config)).transpose()?;
    Ok(Attached { network: names.network, endpoint, config, result })
}

/// What libcni before 0.8 recorded: the result, and nothing else.
pub(crate) fn read_legacy(bytes: &[u8], attachment: &Attachment) -> Result<Attached, Unreadable> {
    let result: Value = serde_json::from_slice(bytes)?;
    if !result.is_object() {
        return Err(Unreadable::NoResult);
    }
    let mut endpoint = Endpoint::of(attachment.container.clone(), attachment.ifname.clone());
    endpoint.netns = sandbox(&result, endpoint.ifname.as_str()).map(Into::into);
    Ok(Attached { network: attachment.network.clone(), endpoint, config: None, result })
}

/// The namespace that the container's interface is in, by the result.
fn sandbox(result: &Value, ifname: &str) -> Option<String> {
    let interfaces = json::get(result, "interfaces")?.as_array()?;
    let sandboxes =
        interfaces.iter().filter(|interface| json::get(interface, "name").is_some_and(|name| name == ifname));
    let mut paths = sandboxes.filter_map(|interface| json::get(interface, "sandbox")?.as_str());
    paths.find(|path| !path.is_empty()).map(str::to_owned)
}
