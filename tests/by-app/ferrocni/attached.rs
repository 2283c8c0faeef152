//! Containers as a runtime attaches them: by the network's plugins, with a record in libcni's cache.

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _};

/// Attaches the container to a network of the host's folder, as `eth0`, and records it. `ports` are its port mappings.
#[track_caller]
pub(crate) fn attach(host: &Host, network: &str, container: &Container, ports: &Value) -> Value {
    let file = format!("/etc/cni/net.d/ferrocni-{network}.conflist");
    let list: Value = serde_json::from_str(&host.read(&file).unwrap()).unwrap();
    let capabilities = json!({"portMappings": ports});
    let result = host.chain(&list).capabilities(&capabilities).add(container, "eth0").ok();
    let record = json!({
        "kind": "cniCacheV1", "containerId": container.id, "ifName": "eth0", "networkName": network,
        "config": host.run(["base64", "-w0", &file]), "netns": container.netns, "capabilityArgs": capabilities,
        "cniArgs": [["IgnoreUnknown", "1"], ["K8S_POD_NAME", format!("{}-name", container.id)]], "result": result,
    });
    host.write(format!("/var/lib/cni/results/{network}-{}-eth0", container.id), record.to_string());
    result
}
