//! Podman in a throw-away host: what every release of it needs there, and Debian 13's Podman 5 on the tested netavark.

use std::path::Path;

use serde_json::Value;

use crate::command::Inside as _;
use crate::host::{Container, Host};
use crate::netavark;

/// The program with its configuration, for a shell.
pub const PODMAN: &str = "CONTAINERS_CONF=/run/podman/containers.conf \
    CONTAINERS_STORAGE_CONF=/run/podman/storage.conf podman --log-level=error";

/// A root file system that consists of a static busybox.
pub const ROOT: &str = "/run/root-file-system";

const STORAGE_CONF: &str = r#"
[storage]
driver = "vfs"
graphroot = "/run/podman/storage"
runroot = "/run/podman/state"
"#;

/// crun does not run on hybrid cgroups; the limits are within what any machine allows.
const CONTAINERS_CONF_5: &str = r#"
[containers]
default_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
runtime = "runc"
helper_binaries_dir = ["HELPERS", "/usr/lib/podman", "/usr/libexec/podman"]
[network]
network_backend = "netavark"
network_config_dir = "/run/podman/networks"
firewall_driver = "nftables"
netavark_plugin_dirs = ["/run/podman/drivers"]
default_subnet = "10.210.88.0/24"
"#;

/// A host with Podman 5, the tested netavark as its helper, and an image `box`.
///
/// # Panics
/// As [`Host::new`] and [`netavark::install_debian_13`].
#[must_use]
#[track_caller]
pub fn host_with_podman_5() -> Host {
    let host = Host::new();
    netavark::install_debian_13(&host);
    use_netavark_in(&host, &netavark::folder());
    make_image(&host);
    host
}

/// From now on Podman 5 calls the `netavark` of that folder.
///
/// # Panics
/// If the folder's path is no text.
pub fn use_netavark_in(host: &Host, folder: &Path) {
    let conf = CONTAINERS_CONF_5.replace("HELPERS", folder.to_str().expect("a path that is text"));
    host.write("/run/podman/containers.conf", conf);
}

/// Makes an image `box` of [`ROOT`]. The host has a containers.conf.
#[track_caller]
pub fn make_image(host: &Host) {
    host.write("/run/podman/storage.conf", STORAGE_CONF);
    make_root_file_system(host);
    host.shell(&format!("tar -C {ROOT} -c . > /run/box.tar"));
    podman(host, "import /run/box.tar box");
}

/// Makes [`ROOT`].
#[track_caller]
pub fn make_root_file_system(host: &Host) {
    host.shell(&format!(
        "mkdir -p {ROOT}/bin {ROOT}/proc {ROOT}/sys {ROOT}/dev {ROOT}/etc {ROOT}/run {ROOT}/tmp
         cp $(command -v busybox) {ROOT}/bin/busybox
         ln -s busybox {ROOT}/bin/sh"
    ));
}

/// What Podman says to these arguments, which a shell reads.
#[track_caller]
pub fn podman(host: &Host, arguments: &str) -> String {
    host.shell(&format!("{PODMAN} {arguments}"))
}

/// Starts a container with these options, in which nothing happens.
#[track_caller]
pub fn run(host: &Host, name: &str, options: &str) -> (Container, Addresses) {
    podman(host, &format!("run -d --name {name} {options} box /bin/busybox sleep 1000"));
    inspect(host, name)
}

/// A running container, with its addresses on its only network.
#[track_caller]
pub fn inspect(host: &Host, name: &str) -> (Container, Addresses) {
    inspect_on(host, name, None)
}

/// With the addresses that it has on that network, or on its only one.
///
/// # Panics
/// If Podman does not know of such a container on that network.
#[track_caller]
pub fn inspect_on(host: &Host, name: &str, network: Option<&str>) -> (Container, Addresses) {
    let inspected: Value = serde_json::from_str(&podman(host, &format!("inspect {name}"))).expect("JSON");
    let settings = &inspected[0]["NetworkSettings"];
    let text = |value: &Value| value.as_str().unwrap_or_else(|| panic!("{name}: {settings}")).to_owned();
    let networks = settings["Networks"].as_object().unwrap_or_else(|| panic!("{name}: {settings}"));
    let network = network.map_or_else(|| networks.values().next(), |name| networks.get(name));
    let network = network.unwrap_or_else(|| panic!("{name} is not on that network: {settings}"));
    let addresses =
        Addresses { v4: text(&network["IPAddress"]), v6: format!("[{}]", text(&network["GlobalIPv6Address"])) };
    (host.container_at(name, text(&settings["SandboxKey"]).as_ref()), addresses)
}

/// The two addresses of a container, ready to have a port appended.
#[derive(Debug)]
pub struct Addresses {
    /// `10.1.0.2`
    pub v4: String,
    /// `[fd00:1::2]`
    pub v6: String,
}
