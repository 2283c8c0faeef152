//! A record of the cache as libcni writes it.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use cni::{Attachment, InvalidName, json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::endpoint::{Attached, Endpoint};

const KIND: &str = "cniCacheV1";

#[derive(Serialize, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
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
    let record: Record = serde_json::from_slice(bytes)?;
    if record.kind != KIND {
        return Err(Unreadable::Legacy);
    }
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
    let config = config.map(text);
    Ok(Attached { network: names.network, endpoint, config, result })
}

/// What is not UTF-8 becomes replacement characters, as in Go.
pub(crate) fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    /// Written by libcni 1.1.2, in cnitool.
    const LIBCNI: &[u8] = include_bytes!("fixtures/web-cnitool-20b4ff582526573bbe7d-eth0");

    #[test]
    fn libcnis_record_says_all_of_an_attachment() {
        let attached = read(LIBCNI).unwrap();
        let names = Attachment::new("web", "cnitool-20b4ff582526573bbe7d", "eth0").unwrap();
        assert_eq!(attached.attachment(), names);
        assert_eq!(attached.endpoint.netns.as_deref(), Some("/run/netns/c1".as_ref()), "by the result");
        let args = [("IgnoreUnknown", "1"), ("K8S_POD_NAME", "p")];
        assert_eq!(attached.endpoint.args, args.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(attached.endpoint.capability_args["portMappings"][0]["hostPort"], 8080);
        let network = attached.configured().unwrap().unwrap();
        assert_eq!((network.name(), network.list.plugins.len()), (&names.network, 2));
        assert!(network.text().starts_with("{\n  \"cniVersion\""), "byte by byte");
        assert_eq!(attached.parsed_result().unwrap().ips[0].address.to_string(), "10.1.0.2/24");
    }

    #[test]
    fn a_record_is_written_as_libcni_does_and_with_the_namespace() {
        let attached = read(LIBCNI).unwrap();
        let written = write(&attached).unwrap();
        let text = String::from_utf8(written.clone()).unwrap();
        assert_eq!(text.replace(r#""netns":"/run/netns/c1","#, ""), String::from_utf8(LIBCNI.to_vec()).unwrap());
        assert_eq!(read(&written).unwrap(), attached);
    }

    /// That is what libcni records for a runtime that has no lists.
    #[test]
    fn the_configuration_may_be_a_single_plugins() {
        let mut record: Value = serde_json::from_slice(LIBCNI).unwrap();
        record["config"] = json!(BASE64_STANDARD.encode(r#"{"name": "web", "cniVersion": "0.4.0", "type": "bridge"}"#));
        let network = read(record.to_string().as_bytes()).unwrap().configured().unwrap().unwrap();
        assert_eq!((network.name().as_str(), network.list.plugins[0].kind.as_str()), ("web", "bridge"));
    }

    #[test]
    fn an_empty_namespace_is_none() {
        let mut record: Value = serde_json::from_slice(LIBCNI).unwrap();
        record["netns"] = json!("");
        let netns = read(record.to_string().as_bytes()).unwrap().endpoint.netns;
        assert_eq!(netns.as_deref(), Some("/run/netns/c1".as_ref()), "by the result");
    }

    #[test]
    fn what_is_absent_is_not_written() {
        let record = json!({
            "kind": "cniCacheV1", "containerId": "c", "config": null, "ifName": "eth0", "networkName": "n",
            "cniArgs": null, "result": {}
        });
        let attached = read(record.to_string().as_bytes()).unwrap();
        assert_eq!((attached.config.as_ref(), attached.endpoint.netns.as_ref()), (None, None));
        let written: Value = serde_json::from_slice(&write(&attached).unwrap()).unwrap();
        let keys: Vec<_> = written.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(keys, ["kind", "containerId", "config", "ifName", "networkName", "result"]);
    }

    #[test]
    fn what_is_no_record_is_told_apart() {
        let record = |key: &str, value: Value| {
            let mut record: Value = serde_json::from_slice(LIBCNI).unwrap();
            record[key] = value;
            read(record.to_string().as_bytes()).unwrap_err()
        };
        assert!(matches!(record("kind", json!("other")), Unreadable::Legacy));
        assert!(matches!(record("containerId", json!("../../etc")), Unreadable::Name(_)));
        assert!(matches!(record("networkName", json!("a/b")), Unreadable::Name(_)));
        assert!(matches!(record("ifName", json!("..")), Unreadable::Name(_)));
        assert!(matches!(record("config", json!("%")), Unreadable::Base64(_)));
        assert!(matches!(record("result", json!(null)), Unreadable::NoResult));
        assert!(matches!(record("cniArgs", json!([["a"]])), Unreadable::Json(_)));
        assert!(matches!(read(&LIBCNI[..500]).unwrap_err(), Unreadable::Json(_)));
    }
}
