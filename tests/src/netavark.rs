//! `netavark` as Podman 5 calls it, and Debian 13's programs, among which are Podman and the netavark to compare with.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::Inside as _;
use crate::binaries::{bin_dir, client, is_reference};
use crate::command::{Finished, command, finish};
use crate::host::{Container, Host};
use crate::kill;

/// Where Debian has netavark and aardvark-dns.
pub const OF_DEBIAN: &str = "/usr/lib/podman";

/// Where Podman has netavark keep what it has to remember.
const STATE: &str = "/run/containers/networks";

/// The folder with the `netavark` under test, for Podman's `helper_binaries_dir`. If the reference is tested, it is Debian
/// 13's, and the host needs [`install_debian_13`].
#[must_use]
pub fn folder() -> PathBuf {
    if is_reference() { OF_DEBIAN.into() } else { bin_dir() }
}

/// Lays Debian 13's programs and libraries over the host's own: of what both have, it has Debian 13's from now on.
///
/// # Panics
/// If `scripts/test.sh` has not unpacked them.
#[track_caller]
pub fn install_debian_13(host: &Host) {
    let usr = client("debian-13").join("usr");
    // An overlay's option could not have every path in it.
    host.run(["mkdir", "/run/debian-13"]);
    host.run([Path::new("mount"), "--bind".as_ref(), &usr, "/run/debian-13".as_ref()]);
    host.run(["mount", "-t", "overlay", "-o", "lowerdir=/run/debian-13:/usr", "overlay", "/usr"]);
}

/// A host with the `netavark` under test, and the folder that Podman makes for it.
///
/// # Panics
/// As [`Host::new`] and [`install_debian_13`].
#[must_use]
#[track_caller]
pub fn host() -> Host {
    let host = Host::new();
    if is_reference() {
        install_debian_13(&host);
    }
    host.run(["mkdir", "-p", STATE]);
    host
}

/// A bridge network as `podman network create` makes it, without names: its bridge is named after it, and the gateways are
/// the first addresses of the subnets.
///
/// # Panics
/// If a subnet has no prefix length.
#[must_use]
pub fn bridge(name: &str, subnets: &[&str]) -> Value {
    let subnets: Vec<_> = subnets.iter().map(|subnet| with_gateway(subnet)).collect();
    let ipv6 = subnets.iter().any(|subnet| subnet["subnet"].as_str().is_some_and(|subnet| subnet.contains(':')));
    json!({
        "name": name,
        "id": id_of(name),
        "driver": "bridge",
        "network_interface": name,
        "created": "2026-11-26T16:54:27.040181097Z",
        "subnets": subnets,
        "ipv6_enabled": ipv6,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": {"driver": "host-local"},
    })
}

/// A network on `parent`, which other machines are on too: containers get addresses of [`wire`](crate::wire), and the machine
/// outside is their gateway.
#[must_use]
pub fn on_the_wire(driver: &str, name: &str) -> Value {
    json!({
        "name": name,
        "id": id_of(name),
        "driver": driver,
        "network_interface": "uplink",
        "created": "2026-11-26T16:54:27.040181097Z",
        "subnets": [
            {"subnet": "192.0.2.0/24", "gateway": "192.0.2.2"},
            {"subnet": "2001:db8::/64", "gateway": "2001:db8::2"},
        ],
        "ipv6_enabled": true,
        "internal": false,
        "dns_enabled": false,
        "ipam_options": {"driver": "host-local"},
    })
}

/// The network with these options (`podman network create -o`).
#[must_use]
pub fn with_options(mut network: Value, options: &Value) -> Value {
    network["options"] = options.clone();
    network
}

fn with_gateway(subnet: &str) -> Value {
    let (address, _) = subnet.split_once('/').expect("a subnet has a prefix length");
    let gateway = address.strip_suffix('0').unwrap_or(address);
    json!({"subnet": subnet, "gateway": format!("{gateway}1")})
}

/// What Podman has as ids: 64 hexadecimal digits, of which the first twelve tell one from another.
fn id_of(name: &str) -> String {
    let digits: String = name.bytes().rev().map(|byte| format!("{byte:02x}")).collect();
    format!("{digits:0<64}")
}

/// A container as Podman describes it, for calls of `netavark`.
#[derive(Clone, Debug)]
pub struct Netavark<'h> {
    host: &'h Host,
    netns: PathBuf,
    options: Value,
}

impl Host {
    /// A container that is on no network yet. Its name is the container's id here, and Podman's id is made from it.
    #[must_use]
    pub fn netavark(&self, container: &Container) -> Netavark<'_> {
        let id = id_of(&container.id);
        let options = json!({
            "container_id": id,
            "container_name": container.id,
            "container_hostname": &id[..12],
            "networks": {},
            "network_info": {},
        });
        Netavark { host: self, netns: container.netns.clone(), options }
    }
}

impl Netavark<'_> {
    /// The container is on this network as well, as `interface`, with these addresses.
    #[must_use]
    pub fn on(self, network: &Value, interface: &str, addresses: &[&str]) -> Self {
        self.on_with(network, &json!({"interface_name": interface, "static_ips": addresses}))
    }

    /// The same with everything that Podman says about this.
    #[must_use]
    pub fn on_with(mut self, network: &Value, attachment: &Value) -> Self {
        let name = network["name"].as_str().expect("a network has a name");
        self.options["networks"][name] = attachment.clone();
        self.options["network_info"][name] = network.clone();
        self
    }

    /// Publishes a port of the container (`podman run -p`).
    #[must_use]
    pub fn port(self, protocol: &str, host: u16, container: u16) -> Self {
        self.mapping(&json!({
            "host_ip": "", "container_port": container, "host_port": host, "range": 1, "protocol": protocol,
        }))
    }

    /// The same with everything that Podman says about this.
    #[must_use]
    pub fn mapping(mut self, mapping: &Value) -> Self {
        match self.options["port_mappings"].as_array_mut() {
            Some(mappings) => mappings.push(mapping.clone()),
            None => self.options["port_mappings"] = json!([mapping]),
        }
        self
    }

    /// Sets any key of what Podman says.
    #[must_use]
    pub fn with(mut self, key: &str, value: &Value) -> Self {
        self.options[key] = value.clone();
        self
    }

    /// Connects the container to its networks.
    #[must_use]
    #[track_caller]
    pub fn setup(&self) -> Answer {
        self.call("setup")
    }

    /// Disconnects it.
    #[must_use]
    #[track_caller]
    pub fn teardown(&self) -> Answer {
        self.call("teardown")
    }

    /// Either of both by its name.
    #[must_use]
    #[track_caller]
    pub fn call(&self, verb: &str) -> Answer {
        self.call_under(&[], verb)
    }

    /// Runs a verb again and again, killed at every change that it makes: see
    /// [`Cni::killed_at_every_change`](crate::Cni::killed_at_every_change).
    ///
    /// # Panics
    /// If strace is missing.
    #[track_caller]
    pub fn killed_at_every_change(&self, verb: &str, after: impl FnMut(&str)) -> usize {
        kill::at_every_change(|wrapper| self.call_under(wrapper, verb).finished, after)
    }

    fn call_under(&self, wrapper: &[&str], verb: &str) -> Answer {
        run_under(wrapper, self.host, &[verb.as_ref(), self.netns.as_ref()], self.options.to_string().as_bytes())
    }
}

/// One run of `netavark` with Podman's options before these arguments.
#[must_use]
#[track_caller]
pub fn run(host: &Host, arguments: &[&Path], stdin: &[u8]) -> Answer {
    run_under(&[], host, arguments, stdin)
}

fn run_under(wrapper: &[&str], host: &Host, arguments: &[&Path], stdin: &[u8]) -> Answer {
    let folder = folder();
    let aardvark = format!("--aardvark-binary={}", folder.join("aardvark-dns").display());
    let program = folder.join("netavark");
    let options = ["--config".as_ref(), Path::new(STATE), "--rootless=false".as_ref(), aardvark.as_ref()];
    let program = wrapper.iter().map(Path::new).chain([program.as_path()]);
    let mut command = command(program.chain(options).chain(arguments.iter().copied()));
    command.env("NETAVARK_FW", "nftables");
    Answer { finished: finish(host.namespaces(), command, stdin) }
}

/// What came of a call.
#[derive(Debug)]
pub struct Answer {
    /// The program's end.
    pub finished: Finished,
}

impl Answer {
    /// The answer of a call that has succeeded: null if there is none.
    ///
    /// # Panics
    /// If it has not, with everything it said.
    #[track_caller]
    pub fn ok(self) -> Value {
        let finished = &self.finished;
        assert!(finished.status.success(), "{finished}");
        match finished.stdout.trim() {
            "" => Value::Null,
            text => serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {finished}")),
        }
    }

    /// The words of a call that has failed as Podman wants it.
    ///
    /// # Panics
    /// If it has not.
    #[track_caller]
    pub fn error(self) -> String {
        let finished = &self.finished;
        assert_eq!(finished.status.code(), Some(1), "{finished}");
        let answer: Value =
            serde_json::from_str(&finished.stdout).unwrap_or_else(|error| panic!("{error}: {finished}"));
        let words = answer["error"].as_str().unwrap_or_else(|| panic!("no error: {finished}"));
        assert_eq!(answer.as_object().map(serde_json::Map::len), Some(1), "{finished}");
        words.to_owned()
    }
}
