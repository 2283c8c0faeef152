//! The host of a test: an attachment that is tested, and another one of the same network that has to live on.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};
use tests::scene::{BY_KERNEL_FEATURE, INTERFACES, Scene};
use tests::{Cni, Container, Inside as _, Outcome, Snapshot};

/// The plugins that work on the result of another one, which they do not call themselves.
const CHAINED: [&str; 6] = ["bandwidth", "dnsname", "firewall", "portmap", "sbr", "tuning"];

pub(crate) struct Attachments {
    scene: Scene,
    plugin: &'static str,
    config: Value,
    /// Whether this kernel has what the plugin makes.
    is_possible: bool,
    /// What the last ADD has replied.
    result: Option<Value>,
    /// The other attachments of the network, for GC.
    valid: Value,
}

impl Attachments {
    /// A host on which the other attachment has been made, and the tested one has not.
    #[track_caller]
    pub(crate) fn new(plugin: &'static str) -> Self {
        let scene = Scene::new();
        let config = scene.config(plugin);
        let mut this = Self { scene, plugin, config, is_possible: true, result: None, valid: json!([]) };
        match plugin {
            _ if CHAINED.contains(&plugin) => this.chain(),
            _ if INTERFACES.contains(&plugin) || matches!(plugin, "cluster" | "host-local" | "overlay") => {
                this.attach_another("eth1");
            }
            _ if BY_KERNEL_FEATURE.contains(&plugin) => this.lack(),
            "loopback" => this.attach_another("lo"),
            // These have nothing of their own in any container, or no second lease to be had.
            "dhcp" | "host" | "none" | "static" => {}
            other => panic!("which other attachment has to live on beside one of {other}?"),
        }
        this
    }

    /// The other attachment is that of the scene, and the tested one a second container's on the same bridge.
    #[track_caller]
    fn chain(&mut self) {
        self.scene.call(self.plugin, "ADD").run().ok();
        self.config["prevResult"] = self.scene.call("bridge", "ADD").run().ok();
        if self.plugin == "portmap" {
            self.config["runtimeConfig"]["portMappings"][0]["hostPort"] = json!(8081);
        }
        self.valid = json!([{"containerID": "attached", "ifname": "eth0"}]);
    }

    /// The other attachment is another interface of the scene's container.
    #[track_caller]
    fn attach_another(&mut self, ifname: &str) {
        let mut config = self.config.clone();
        if self.plugin == "host-device" {
            self.scene.host.shell("ip link add nic1 type veth peer name wire1");
            config["device"] = json!("nic1");
        }
        let add = self.scene.call_with(self.plugin, "ADD", &config).container(&self.scene.attached);
        add.ifname(ifname).run().ok();
        self.valid = json!(["eth0", ifname].map(|name| json!({"containerID": "attached", "ifname": name})));
    }

    fn lack(&mut self) {
        self.is_possible = self.call("STATUS").run().is_ok();
        self.valid = json!([{"containerID": "attached", "ifname": "eth0"}]);
    }

    fn container(&self) -> &Container {
        match self.plugin {
            "host" => &self.scene.sharing,
            "dhcp" => &self.scene.leasing,
            _ => &self.scene.fresh,
        }
    }

    /// A verb for the tested attachment.
    #[track_caller]
    pub(crate) fn call(&self, verb: &str) -> Cni<'_> {
        let mut config = self.config.clone();
        match verb {
            "CHECK" | "DEL" => config["prevResult"] = self.result.clone().unwrap_or(config["prevResult"].take()),
            "GC" => config["cni.dev/valid-attachments"] = self.valid.clone(),
            _ => {}
        }
        if ["GC", "STATUS"].contains(&verb) || config["prevResult"].is_null() {
            config.as_object_mut().unwrap().remove("prevResult");
        }
        self.scene.call_with(self.plugin, verb, &config).container(self.container())
    }

    /// ADD without a fault, where there can be one.
    #[track_caller]
    pub(crate) fn attach(&mut self) -> Result<(), Box<Outcome>> {
        if self.is_possible {
            self.forget_the_last_address();
            let outcome = self.call("ADD").run();
            if !outcome.is_ok() {
                return Err(Box::new(outcome));
            }
            self.result = outcome.json;
        }
        Ok(())
    }

    /// What an ADD has replied is what CHECK and DEL get to see.
    pub(crate) fn remember(&mut self, result: Value) {
        self.result = Some(result);
    }

    /// Gives the container a new interface to chain on: what is inside an old one is not GC's to take back.
    #[track_caller]
    pub(crate) fn renew_the_interface(&mut self) {
        if CHAINED.contains(&self.plugin) {
            self.scene.call("bridge", "DEL").run().ok();
            self.forget_the_last_address();
            self.config["prevResult"] = self.scene.call("bridge", "ADD").run().ok();
        }
    }

    /// So that every ADD gets the same one.
    pub(crate) fn forget_the_last_address(&self) {
        let stores = ["/var/lib/cni/networks", "/var/lib/cni/overlay"].map(Path::new);
        let files_in = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
        let forget = || {
            for file in stores.into_iter().flat_map(files_in).flat_map(|network| files_in(&network)) {
                if file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("last_reserved_ip.")) {
                    fs::remove_file(file).unwrap();
                }
            }
        };
        self.scene.host.namespaces().enter(forget);
    }

    /// Takes something away that CHECK misses, one of the last things that it looks at.
    pub(crate) fn damage(&self) {
        let damage = match self.plugin {
            _ if !self.is_possible => return,
            "bandwidth" => "tc qdisc del dev $(ip -br link show type ifb | tail -n 1 | cut -d' ' -f1) root",
            "bridge" | "firewall" | "overlay" | "portmap" | "ptp" => "nft flush ruleset",
            "dnsname" => "nft flush ruleset; rm -f /run/ferrocni/names/test:fresh:eth0",
            "host-device" | "macvlan" | "tap" => "ip -n fresh -6 addr flush dev eth0 scope global",
            "host-local" => "rm /var/lib/cni/networks/test/fd00:1::4",
            "cluster" => "rm /var/lib/cni/overlay/wide/fd00:9::7:*",
            "loopback" | "none" => "ip -n fresh link set lo down",
            "sbr" => "ip -n fresh rule flush",
            "tuning" => "ip -n fresh link set eth0 promisc off",
            "dummy" | "ipvlan" | "vlan" => "ip -n fresh addr flush dev eth0",
            "vrf" => "ip -n fresh link set eth0 nomaster",
            // Nothing of these can be damaged from outside.
            "dhcp" | "host" | "static" => return,
            other => panic!("what does {other} check?"),
        };
        self.scene.host.shell(damage);
    }

    pub(crate) fn snapshot(&self) -> Snapshot {
        self.scene.host.snapshot()
    }
}
