//! A host on which each plugin has something good to do.

use serde_json::{Value, json};

use crate::{Background, Cni, CniError, Container, Host, Inside as _, Outcome, dhcp, is_reference, newest_version};

/// The plugins that work on any kernel.
pub const PLUGINS: [&str; 19] = [
    "bandwidth",
    "bridge",
    "cluster",
    "dhcp",
    "dnsname",
    "firewall",
    "host",
    "host-device",
    "host-local",
    "loopback",
    "macvlan",
    "none",
    "overlay",
    "portmap",
    "ptp",
    "sbr",
    "static",
    "tap",
    "tuning",
];

/// The others. What they make is tested with the kernel's feature that they need, in `by-kernel-feature`; what the
/// specification demands of every plugin whatever it makes, is tested with [`every_plugin`].
pub const BY_KERNEL_FEATURE: [&str; 4] = ["dummy", "ipvlan", "vlan", "vrf"];

/// All of the suite.
pub fn every_plugin() -> impl Iterator<Item = &'static str> {
    PLUGINS.into_iter().chain(BY_KERNEL_FEATURE)
}

/// Those of [`PLUGINS`] that put an interface into the container, for which an IPAM plugin gives addresses.
pub const INTERFACES: [&str; 5] = ["bridge", "host-device", "macvlan", "ptp", "tap"];

/// What these have done is undone with the container's namespace, or inside it.
pub const INSIDE_ONLY: [&str; 7] = ["host-device", "loopback", "macvlan", "none", "sbr", "tap", "tuning"];

/// Every released version of the specification.
pub const VERSIONS: [&str; 7] = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// Those of [`VERSIONS`] that the tested binaries speak.
pub fn versions() -> impl Iterator<Item = &'static str> {
    VERSIONS.into_iter().filter(|version| !(is_reference() && *version == "1.1.0"))
}

/// The versions that a plugin promises.
pub fn versions_of(plugin: &str) -> impl Iterator<Item = &'static str> {
    let first = match plugin {
        "bandwidth" | "vrf" => "0.3.0",
        "firewall" => "0.4.0",
        _ => "0.1.0",
    };
    versions().skip_while(move |version| *version != first)
}

/// A network on a bridge, with `ipam` of host-local.
pub fn bridge_config() -> Value {
    json!({
        "type": "bridge", "bridge": "br0", "isGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]},
    })
}

/// Links without a bridge, with `ipam` of host-local.
fn ptp_config() -> Value {
    json!({
        "type": "ptp", "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.7.0.0/24"}], [{"subnet": "fd00:7::/64"}]]},
    })
}

/// What the agent of networks over many hosts leaves for plugins about one, called `wide`.
pub const WIDE: &str = r#"{
    "host": "00000000-0000-4000-8000-000000000000",
    "network": {"vni": 4097, "subnets": [
        {"subnet": "10.9.0.0/16", "blockLength": 24}, {"subnet": "fd00:9::/64", "blockLength": 112}
    ]},
    "mtu": 1450, "blocks": ["10.9.3.0/24", "fd00:9::7:0/112"], "claimed": [], "excluded": [], "conflicts": []
}"#;

/// A host with four containers: `attached` has been connected to a network, `fresh` has not, `sharing` has the host's own
/// namespace, and `leasing` has an interface on a link with a DHCP server.
#[derive(Debug)]
pub struct Scene {
    _dhcp: [Background; 2],
    /// The host.
    pub host: Host,
    /// With an interface on a link with a DHCP server.
    pub leasing: Container,
    /// Connected to [`bridge_config`]'s network by `eth0`.
    pub attached: Container,
    /// Not connected to anything.
    pub fresh: Container,
    /// In the host's own namespace.
    pub sharing: Container,
    /// What the bridge reported for `attached`.
    pub result: Value,
}

impl Scene {
    /// A scene whose network speaks the newest version.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "starting a machine is not a default value")]
    pub fn new() -> Self {
        Self::at(newest_version())
    }

    /// A scene whose network speaks that version.
    ///
    /// # Panics
    /// If it cannot be made.
    #[must_use]
    pub fn at(version: &str) -> Self {
        let host = Host::new();
        let (attached, fresh) = (host.container("attached"), host.container("fresh"));
        let sharing = host.container_at("sharing", "/proc/1/ns/net".as_ref());
        let (leasing, dhcp) =
            (leasing(&host), [dhcp::start_server(&host, &dhcp::RANGES), dhcp::start_daemon(&host, &["-timeout 3s"])]);
        host.write("/run/ferrocni/overlay/networks/wide", WIDE);
        let mut config = bridge_config();
        config["cniVersion"] = json!(version);
        let result = host.cni("bridge").command("ADD").container(&attached).config(&config).run().ok();
        // A device to give away.
        host.shell("ip link add nic0 type veth peer name wire");
        // The reference lets the kernel look for duplicates of the bridge's address; its routes come after that.
        host.shell("while ip -6 addr show scope global tentative | grep -q inet6; do sleep 0.05; done");
        Self { _dhcp: dhcp, host, leasing, attached, fresh, sharing, result }
    }

    /// A configuration with which the plugin succeeds.
    pub fn config(&self, plugin: &str) -> Value {
        match plugin {
            "bandwidth" => json!({
                "type": "bandwidth",
                "prevResult": self.result,
                "ingressRate": 20_000_000, "ingressBurst": 4_000_000,
                "egressRate": 40_000_000, "egressBurst": 8_000_000,
            }),
            "bridge" => bridge_config(),
            "dhcp" => {
                dhcp::wait_for_server(&self.host);
                dhcp::wait_for_daemon(&self.host);
                json!({"type": "dhcp", "ipam": {"type": "dhcp"}})
            }
            "dnsname" => json!({
                "type": "dnsname", "prevResult": self.result, "domainName": "dns.podman",
                "runtimeConfig": {"aliases": {"test": ["www"]}},
            }),
            "host-device" => json!({"type": "host-device", "device": "nic0", "ipam": bridge_config()["ipam"]}),
            "host-local" => json!({"type": "host-local", "ipam": bridge_config()["ipam"]}),
            "static" => json!({"type": "static", "ipam": {"type": "static", "addresses": [
                {"address": "10.1.0.9/24", "gateway": "10.1.0.1"}, {"address": "fd00:1::9/64"},
            ]}}),
            "macvlan" => json!({
                "type": "macvlan", "master": "br0", "enabledad": false, "ipam": bridge_config()["ipam"],
            }),
            "portmap" => json!({
                "type": "portmap",
                "prevResult": self.result,
                "runtimeConfig": {"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]},
            }),
            "ptp" => ptp_config(),
            "overlay" => json!({"type": "overlay", "network": "wide"}),
            "cluster" => json!({"type": "cluster", "ipam": {"type": "cluster", "network": "wide"}}),
            "dummy" => json!({"type": "dummy", "ipam": bridge_config()["ipam"]}),
            "ipvlan" => json!({"type": "ipvlan", "master": "br0", "ipam": bridge_config()["ipam"]}),
            "vlan" => json!({"type": "vlan", "master": "br0", "vlanId": 5, "ipam": bridge_config()["ipam"]}),
            "vrf" => json!({"type": "vrf", "prevResult": self.result, "vrfname": "red"}),
            "firewall" | "sbr" => json!({"type": plugin, "prevResult": self.result}),
            "tap" => json!({"type": "tap", "ipam": bridge_config()["ipam"]}),
            "tuning" => json!({
                "type": "tuning",
                "prevResult": self.result,
                "sysctl": {"net.ipv4.conf.IFNAME.arp_ignore": "1"},
                "promisc": true,
            }),
            other => json!({"type": other}),
        }
    }

    /// The container that the plugin has something to do for: chained plugins come after a bridge.
    pub fn container(&self, plugin: &str) -> &Container {
        match plugin {
            "bandwidth" | "dnsname" | "portmap" | "firewall" | "sbr" | "tuning" | "vrf" => &self.attached,
            "host" => &self.sharing,
            "dhcp" => &self.leasing,
            _ => &self.fresh,
        }
    }

    /// A call that succeeds: ADD always, CHECK and DEL after it.
    pub fn call(&self, plugin: &str, verb: &str) -> Cni<'_> {
        self.call_with(plugin, verb, &self.config(plugin))
    }

    /// The same with another configuration.
    pub fn call_with(&self, plugin: &str, verb: &str, config: &Value) -> Cni<'_> {
        let ifname = if plugin == "loopback" { "lo" } else { "eth0" };
        self.host.cni(plugin).command(verb).ifname(ifname).container(self.container(plugin)).config(config)
    }

    /// DEL by somebody who knows no more than the specification demands: no result of ADD, no namespace.
    pub fn blind_del(&self, plugin: &str) -> Outcome {
        let mut config = self.config(plugin);
        config.as_object_mut().expect("an object").remove("prevResult");
        let call = self.call_with(plugin, "DEL", &config);
        // Of a namespace that is gone they have nothing to take back; of one that is there they have.
        if INSIDE_ONLY.contains(&plugin) { call.run() } else { call.netns("").run() }
    }

    /// GC of everything but what the scene began with: the bridge's attachment, to which a chained plugin has not
    /// added anything yet.
    pub fn gc(&self, plugin: &str) -> Outcome {
        let mut config = self.config(plugin);
        config.as_object_mut().expect("an object").remove("prevResult");
        let began_with = json!([{"containerID": "attached", "ifname": "eth0"}]);
        let with_addresses = matches!(plugin, "cluster" | "host-local" | "overlay") || INTERFACES.contains(&plugin);
        config["cni.dev/valid-attachments"] = if with_addresses { began_with } else { json!([]) };
        self.host.cni(plugin).command("GC").config(&config).run()
    }
}

/// A container with an interface on a link on which there will be a DHCP server.
fn leasing(host: &Host) -> Container {
    dhcp::make_lan(host);
    let container = host.container("leasing");
    host.shell("ip link add leasing up master lan type veth peer name eth0 netns leasing");
    container.shell("ip link set eth0 up");
    container
}

/// The error of a plugin that says it as it has to: exit status 1 and one JSON object on stdout, with nothing in it
/// but what the specification names.
#[track_caller]
pub fn error(outcome: Outcome) -> CniError {
    let finished = &outcome.finished;
    assert_eq!(finished.status.code(), Some(1), "{finished}");
    let reply = outcome.json.as_ref().unwrap_or_else(|| panic!("no JSON, or more than that: {finished}"));
    for key in reply.as_object().unwrap_or_else(|| panic!("no object: {finished}")).keys() {
        assert!(["cniVersion", "code", "msg", "details"].contains(&key.as_str()), "{key}: {finished}");
    }
    let error = outcome.error();
    assert!(!error.msg.is_empty());
    error
}

/// [`error`] with that code. The reference says most of its failures with 999.
#[track_caller]
pub fn error_with(code: u64, outcome: Outcome) -> CniError {
    let error = error(outcome);
    assert!(error.code == code || is_reference(), "code {code} expected: {error:?}");
    error
}
