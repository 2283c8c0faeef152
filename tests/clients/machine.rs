//! What the clients need on a host, and the traffic that each of them has to get through.

use std::path::Path;

use serde_json::json;
pub(crate) use tests::podman::{Addresses, ROOT, make_root_file_system};
use tests::{Container, Host, Inside as _, bin_dir, example, reference_differs};

/// Where the clients look for plugins.
pub(crate) const PLUGINS: &str = "/opt/cni/bin";

/// The plugins that are tested here. All others are missing, so nothing else can have done the work.
const TESTED: [&str; 9] =
    ["bandwidth", "bridge", "firewall", "host-local", "loopback", "macvlan", "portmap", "sbr", "tuning"];

/// Puts the tested plugins, and nothing else, where the clients look for them.
pub(crate) fn install_plugins(host: &Host) {
    for plugin in TESTED {
        link(host, &bin_dir().join(plugin));
    }
}

/// Puts names beside them, the plugin and its server: from then on Podman has them in new networks, as `ferrocni` has.
pub(crate) fn install_names(host: &Host) {
    install(host, &["dnsname", "ferrocni-dns"]);
}

/// Puts these programs there as well.
pub(crate) fn install(host: &Host, programs: &[&str]) {
    for program in programs {
        link(host, &bin_dir().join(program));
    }
}

fn link(host: &Host, program: &Path) {
    assert!(program.exists(), "{} is missing: run scripts/test.sh", program.display());
    host.run(["ln", "-sf", "-t", PLUGINS, "--", program.to_str().unwrap()]);
}

/// A host with the tested plugins in place and nothing in /opt/cni but them.
pub(crate) fn host_with_plugins() -> Host {
    let host = Host::new();
    make_folder_of_plugins(&host);
    host
}

/// The same on a host that is there.
pub(crate) fn make_folder_of_plugins(host: &Host) {
    host.run(["mkdir", PLUGINS]);
    install_plugins(host);
}

/// A host with the reference suite's plugins there, as Debian has them.
pub(crate) fn host_with_reference() -> Host {
    let host = Host::new();
    host.shell(&format!("mkdir {PLUGINS}; cd /usr/lib/cni; cp {} {PLUGINS}", TESTED.join(" ")));
    host
}

/// Servers on ports 80 (TCP) and 53 (UDP) of `web`, whose host publishes them as 8080 and 5353, are reached
/// from `peer`, a container on the same network, from the host and from `outside`, a machine next to it.
#[track_caller]
pub(crate) fn assert_served(host: &Host, outside: &Host, web: (&Container, &Addresses), peer: &Container) {
    let (web, Addresses { v4, v6 }) = web;
    let (_tcp, _udp) = (web.listen_tcp(80), web.listen_udp(53));
    for address in [v4, v6] {
        peer.assert_reaches_tcp(&format!("{address}:80"));
        peer.assert_reaches_udp(&format!("{address}:53"));
        host.assert_reaches_tcp(&format!("{address}:80"));
    }
    for address in ["192.0.2.1", "[2001:db8::1]"] {
        outside.assert_reaches_tcp(&format!("{address}:8080"));
        outside.assert_reaches_udp(&format!("{address}:5353"));
        host.assert_reaches_tcp(&format!("{address}:8080"));
        peer.assert_reaches_tcp(&format!("{address}:8080"));
        web.assert_reaches_tcp(&format!("{address}:8080"));
    }
    host.assert_reaches_tcp("127.0.0.1:8080");
    host.assert_reaches_udp("127.0.0.1:5353");
    outside.assert_blocked_tcp("192.0.2.1:80");
}

/// The longest list, conf/whole-chain.conflist, as the network `whole`, and a network `first` for the container to have another
/// way out. Which networks there are in `folder` the client finds out by itself.
pub(crate) fn write_whole_chain(host: &Host, folder: &str) {
    let mut whole = example("whole-chain");
    whole["name"] = json!("whole");
    host.write(format!("{folder}/20-whole.conflist"), whole.to_string());
    let ranges = json!([[{"subnet": "10.3.0.0/24"}], [{"subnet": "fd00:3::/64"}]]);
    let bridge = json!({
        "type": "bridge", "bridge": "cni-first", "isDefaultGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "ranges": ranges},
    });
    let first = json!({"cniVersion": "1.0.0", "name": "first", "plugins": [bridge]});
    host.write(format!("{folder}/10-first.conflist"), first.to_string());
}

/// `web`, whose `eth1` is on the network `whole`, is reached at its address there and at the host's port 8080, and reaches others
/// through its first network; and each plugin of the list has done its part.
#[track_caller]
pub(crate) fn assert_whole_chain(host: &Host, outside: &Host, web: (&Container, &Addresses)) {
    let (web, Addresses { v4, v6 }) = web;
    let (_server, _elsewhere) = (web.listen_tcp(80), outside.listen_tcp(80));
    for address in [v4, v6] {
        host.assert_reaches_tcp(&format!("{address}:80"));
    }
    for (published, elsewhere) in [("192.0.2.1", "192.0.2.2"), ("[2001:db8::1]", "[2001:db8::2]")] {
        outside.assert_reaches_tcp(&format!("{published}:8080"));
        web.assert_reaches_tcp(&format!("{elsewhere}:80"));
    }
    assert_eq!(web.link("eth1")["mtu"], 1400);
    let limits = host.run(["tc", "qdisc", "show"]);
    assert!(limits.contains("rate 50Mbit") && limits.contains("rate 20Mbit"), "{limits}");
    assert!(web.run(["ip", "rule"]).contains(&format!("from {v4} lookup 100")));
}

/// Its DEL has to look into the namespace to know which masquerading was for it.
pub(crate) const REFERENCE_KEEPS_MASQUERADE: &[&str] =
    &["save nat -A CNI-", "save nat chain CNI-", "save nat -A POSTROUTING -s "];

/// Its firewall never removes a network's isolation.
pub(crate) const REFERENCE_KEEPS_ISOLATION: &[&str] = &["save filter -A CNI-ISOLATION-STAGE-"];

/// Requires that nothing is left; of the reference, nothing but what it is known to leave.
#[track_caller]
pub(crate) fn assert_nothing_left(host: &Host, before: &tests::Snapshot, reference_leaves: &[&str]) {
    let after = host.snapshot();
    let leftovers = after.leftovers(before);
    let known = |line: &String| reference_leaves.iter().any(|known| line.contains(known));
    if leftovers.iter().all(known) && reference_differs(&format!("it leaves {leftovers:#?}")) {
        return;
    }
    after.assert_nothing_since(before);
}
