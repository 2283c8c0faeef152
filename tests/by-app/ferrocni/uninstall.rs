//! Nothing stays of the suite but files.

use serde_json::json;
use tests::{Host, Inside as _, bin_dir};

use super::attached::attach;

#[test]
fn what_the_suite_has_left_goes_once_no_container_needs_it() {
    let host = Host::new();
    let before =
        host.shell("nft list ruleset; ip -br link; grep -l 1 /proc/sys/net/ipv4/conf/*/route_localnet || true");
    let _id = host.ferrocni(["network", "create", "-o", "bridge=br1", "web"]).ok();
    let c1 = host.container("c1");
    attach(&host, "web", &c1, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let refused = host.ferrocni(["uninstall"]);
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("container c1 on network web"), "{refused}");
    assert_eq!(host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"]), "1\n");
    let _lost = host.lose(c1);
    let said = host.ferrocni(["uninstall"]).ok();
    for words in ["through br1", "table inet ferrocni is removed", "bridge br1 is removed"] {
        assert!(said.contains(words), "{said}");
    }
    let after = host.shell("nft list ruleset; ip -br link; grep -l 1 /proc/sys/net/ipv4/conf/*/route_localnet || true");
    assert_eq!(after, before);
    assert_eq!(host.ferrocni(["uninstall"]).ok(), "", "twice");
}

/// systemd is a folder and a script here, which notes what it is asked for.
const SYSTEMD: &str = "mkdir -p /run/systemd/system /run/bin /run/units
    mount --bind /run/units UNITS
    printf '#!/bin/sh\\necho \"$@\" >>/run/asked\\n' >/run/bin/systemctl; chmod +x /run/bin/systemctl";

#[test]
fn units_are_installed_and_removed_and_none_is_enabled() {
    let host = Host::new();
    let units = "/usr/local/lib/systemd/system";
    // Overlaid, so that the machine's own stays as it is.
    host.shell("mkdir /run/local && mount --bind /run/local /usr/local/lib && mkdir -p /usr/local/lib/systemd/system");
    host.shell(&SYSTEMD.replace("UNITS", units));
    let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
    let run = |line: &str| host.shell(&format!("export PATH=/run/bin:$PATH CNI_PATH={}; {line}", bin_dir().display()));
    let asked = || host.shell("cat /run/asked; rm /run/asked");
    let names = "cni-dhcp.service cni-dhcp.socket ferrocni-dns.service ferrocni-dns.socket ferrocni-overlay.service \
                 ferrocni-reload-watch.service ferrocni-reload.service";
    let installed = host.shell(&format!("ls {scripts}/../conf/systemd | xargs"));
    assert_eq!(installed.trim(), names);
    for uninstall in [format!("{scripts}/uninstall.sh"), format!("{}/ferrocni uninstall", bin_dir().display())] {
        run(&format!("{scripts}/units.sh install; echo >{units}/other.service"));
        assert_eq!(asked(), "daemon-reload\n");
        assert_eq!(host.run(["ls", units]).lines().count(), 8);
        run(&uninstall);
        assert_eq!(asked(), format!("--quiet disable --now {names}\ndaemon-reload\n"));
        assert_eq!(host.run(["ls", units]), "other.service\n");
        run(&uninstall);
        assert!(host.read("/run/asked").is_err(), "twice");
    }
}
