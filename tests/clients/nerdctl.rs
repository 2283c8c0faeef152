//! Containers as nerdctl has them. Debian has no nerdctl, so its part is played with containerd's own client and libcni's files: what
//! stands here about names, files, arguments and the order of calls was read in the source of nerdctl 2.

use std::path::PathBuf;
use std::process;

use cni_runtime::{Endpoint, Network};
use serde_json::{Value, json};
use tests::{Host, Inside as _};

use crate::containerd;
use crate::machine::{ROOT, assert_nothing_left, host_with_plugins, make_root_file_system};
use crate::runtime::inside;

/// The network `front` of containerd's namespace `default`, as `nerdctl network create` writes it.
const FRONT: &str = r#"{
  "cniVersion": "1.0.0", "name": "front",
  "nerdctlID": "WHOLE", "nerdctlLabels": {"team": "a"},
  "plugins": [
    {"type": "bridge", "bridge": "br-BRIDGE", "isGateway": true, "ipMasq": true, "hairpinMode": true,
     "ipam": {"ranges": [[{"gateway": "10.4.1.1", "subnet": "10.4.1.0/24"}]], "routes": [{"dst": "0.0.0.0/0"}], "type": "host-local"}},
    {"type": "portmap", "capabilities": {"portMappings": true}},
    {"type": "firewall", "ingressPolicy": "same-bridge"},
    {"type": "tuning"}
  ]
}"#;
const FILE: &str = "/etc/cni/net.d/default/nerdctl-front.conflist";
const NAMES: &str = "/var/lib/nerdctl/1935db59/names/default";

/// A container called `shop`. The machine's cgroups are shared by all test hosts, so the id has to be unique.
struct Shop {
    id: String,
    netns: PathBuf,
}

impl Shop {
    /// Each start has a new namespace. What an earlier one has left is taken away first, without a namespace.
    fn start(host: &Host) -> Self {
        let id = format!("5b0c{}", process::id());
        host.run(["ctr", "run", "-d", "--rootfs", ROOT, &id, "/bin/busybox", "sleep", "1000"]);
        host.write(format!("{NAMES}/shop"), &id);
        let pid = host.shell(&format!("ctr task ls | awk '$1 == \"{id}\" {{print $2}}'"));
        let shop = Self { id, netns: format!("/proc/{}/ns/net", pid.trim()).into() };
        shop.delete(host);
        let (network, endpoint) = (front(host), shop.endpoint().in_netns(&shop.netns));
        inside(host, |runtime| runtime.add(&network, &endpoint).map(drop)).unwrap();
        shop
    }

    fn endpoint(&self) -> Endpoint {
        Endpoint::new(&format!("default-{}", self.id), "eth0")
            .unwrap()
            .with_arg("IgnoreUnknown", "1")
            .with_arg("NERDCTL_CNI_DHCP_HOSTNAME", "shop.example.org")
            .with_capability_arg(
                "portMappings",
                json!([{"HostPort": 8080, "ContainerPort": 80, "Protocol": "tcp", "HostIP": "0.0.0.0"}]),
            )
    }

    /// The hook after the end of a container does not know its namespace any more.
    fn delete(&self, host: &Host) {
        let (network, endpoint) = (front(host), self.endpoint());
        inside(host, |runtime| runtime.del(&network, &endpoint)).unwrap();
    }

    fn stop(self, host: &Host) {
        host.run(["ctr", "task", "rm", "-f", &self.id]);
        host.run(["ctr", "container", "rm", &self.id]);
        self.delete(host);
    }
}

fn front(host: &Host) -> Network {
    Network::from_json(serde_json::from_str(&host.read(FILE).unwrap()).unwrap()).unwrap()
}

fn inspect(host: &Host, network: &str) -> Value {
    serde_json::from_str::<Value>(&host.ferrocni(["network", "inspect", network]).ok()).unwrap()[0].take()
}

#[test]
fn a_container_is_shown_connected_and_let_go() {
    let host = host_with_plugins();
    let outside = host.neighbour();
    make_root_file_system(&host);
    let id = host.shell("printf front | sha256sum | cut -c -64");
    host.write(FILE, FRONT.replace("BRIDGE", &id[..12]).replace("WHOLE", id.trim()));
    let _ = host.ferrocni(["network", "create", "--subnet", "10.9.0.0/24", "both"]).ok();
    let _containerd = containerd::start_containerd(&host);
    let before = host.snapshot();
    let shop = Shop::start(&host);

    let listed = host.ferrocni(["network", "ls", "--filter", "label=team=a", "--format", "{{.Name}} {{.ID}}"]).ok();
    assert_eq!(listed, format!("front {}\n", &id[..12]));
    let front = inspect(&host, "front");
    let containers: Vec<_> = front["Containers"].as_object().unwrap().values().collect();
    assert_eq!((&front["Id"], containers.len()), (&json!(id.trim()), 1));
    assert_eq!((&containers[0]["Name"], &containers[0]["Runtime"]), (&json!("shop"), &json!("nerdctl")));
    let row = host.ferrocni(["ps", "-a", "--format", "{{.Names}} {{.Networks}} {{.Ports}}"]).ok();
    assert_eq!(row, "shop front 0.0.0.0:8080->80/tcp\n");
    assert_eq!(host.ferrocni(["port", "shop"]).ok(), "80/tcp -> 0.0.0.0:8080\n");
    let tree = host.ferrocni(["topology", "front"]).ok();
    assert!(tree.contains("shop  eth0") && tree.contains("nerdctl"), "{tree}");

    for name in ["shop", &shop.id, &shop.id[..6]] {
        let _ = host.ferrocni(["network", "connect", "--ip", "10.9.0.77", "both", name]).ok();
        let _ = host.ferrocni(["run", "--network", "both", "ping", "-c1", "-W5", "10.9.0.77"]).ok();
        let _ = host.ferrocni(["network", "disconnect", "both", name]).ok();
    }
    let refused = host.ferrocni(["network", "disconnect", "front", "shop"]);
    assert!(refused.stderr.contains("nerdctl has no command to disconnect it"), "{refused}");
    let refused = host.ferrocni(["network", "rm", "front"]);
    assert!(refused.stderr.contains("in use by shop"), "{refused}");
    let web = host.container_at("shop", &shop.netns);
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    host.run(["nft", "flush", "ruleset"]);
    let _ = host.ferrocni(["reload"]).ok();
    outside.assert_reaches_tcp("192.0.2.1:8080");
    drop((server, web));

    // A restart is a new namespace, which is not on the other network.
    let _ = host.ferrocni(["network", "connect", "both", "shop"]).ok();
    shop.stop(&host);
    let shop = Shop::start(&host);
    assert_eq!(inspect(&host, "both")["Containers"], json!({}));
    assert_eq!(inspect(&host, "front")["Containers"].as_object().unwrap().len(), 1);
    shop.stop(&host);
    host.shell(&format!("rm {NAMES}/shop"));
    let _ = host.ferrocni(["network", "ls"]).ok();
    assert_nothing_left(&host, &before, &[]);
    let _ = host.ferrocni(["network", "rm", "front", "both"]).ok();
    assert!(host.read(FILE).is_err());
}
