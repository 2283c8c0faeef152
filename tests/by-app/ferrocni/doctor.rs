//! What is wrong is found, and the command that comes with it mends it.

use serde_json::{Value, json};
use tests::{Container, Finished, Host, Inside as _, bin_dir, wire};

use super::attached::attach;

fn create(host: &Host, args: &[&str]) {
    let _id = host.ferrocni([&["network", "create"], args].concat()).ok();
}

fn doctor(host: &Host, args: &[&str]) -> (Finished, Vec<Value>) {
    let finished = host.ferrocni([&["doctor", "--format", "json"], args].concat());
    let findings = finished.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (finished, findings)
}

#[track_caller]
fn assert_healthy(host: &Host) {
    let said = host.ferrocni(["doctor"]);
    assert!(said.status.success() && said.stdout.starts_with("nothing is wrong") && said.stderr.is_empty(), "{said}");
}

/// The only finding, which is of that check and says that.
#[track_caller]
fn finds(host: &Host, check: &str, words: &str) -> String {
    let (said, findings) = doctor(host, &[]);
    assert_eq!(said.status.code(), Some(1), "{said}");
    let text = |finding: &Value, field: &str| finding[field].as_str().unwrap().to_owned();
    assert!(findings.iter().all(|finding| text(finding, "Check") == check), "{said}");
    let about =
        findings.iter().find(|finding| (text(finding, "Object") + ": " + &text(finding, "Problem")).contains(words));
    text(about.unwrap_or_else(|| panic!("{words:?} is not said: {said}")), "Command")
}

#[test]
fn who_may_not_look_is_not_told_that_nothing_is_wrong() {
    let host = Host::new();
    let program = bin_dir().join("ferrocni");
    let nobody = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", program.to_str().unwrap()];
    let said = host.try_run([&nobody[..], &["doctor"]].concat());
    assert!(said.status.code() == Some(1) && said.stdout.contains("not everything could"), "{said}");
}

/// As a person would type it.
#[track_caller]
fn type_in(host: &Host, command: &str) {
    assert!(!command.is_empty() && !command.contains('\n'), "{command:?}");
    let bin = bin_dir().display().to_string();
    let (path, plugins) = (format!("PATH={bin}:/usr/sbin:/usr/bin:/sbin:/bin"), format!("CNI_PATH={bin}"));
    host.run(["env", &path, &plugins, "bash", "-euc", command]);
}

/// Finds it, types the command, and finds nothing any more.
#[track_caller]
fn mends(host: &Host, check: &str, words: &str) -> String {
    let command = finds(host, check, words);
    type_in(host, &command);
    assert_healthy(host);
    command
}

fn port(host_port: u16) -> Value {
    json!([{"hostPort": host_port, "containerPort": 80, "protocol": "tcp"}])
}

/// A network of this command's with a container on it whose port 80 is published as 8080, and a machine outside.
fn scene() -> (Host, Host, Container) {
    let (host, outside) = wire();
    create(&host, &["--ipv6", "web"]);
    let c1 = host.container("c1");
    attach(&host, "web", &c1, &port(8080));
    (host, outside, c1)
}

/// A network without the plugin `firewall`.
fn plain(host: &Host, name: &str, keys: &Value) {
    let mut bridge = json!({"type": "bridge", "bridge": name, "isDefaultGateway": true, "ipMasq": true,
        "ipam": {"type": "host-local", "subnet": "10.77.0.0/24"}});
    for (key, value) in keys.as_object().unwrap() {
        bridge[key] = value.clone();
    }
    let list = json!({"cniVersion": "1.0.0", "name": name, "plugins": [bridge]});
    host.write(format!("/etc/cni/net.d/ferrocni-{name}.conflist"), list.to_string());
}

#[test]
fn a_healthy_host_has_no_finding() {
    assert_healthy(&Host::new());
    let (host, _outside, c1) = scene();
    let _server = c1.listen_tcp(80);
    create(&host, &["-o", "icc=false", "app"]);
    create(&host, &["--internal", "inner"]);
    create(&host, &["-d", "macvlan", "-o", "parent=uplink", "--subnet", "192.0.2.0/24", "lan"]);
    plain(&host, "plain", &json!({}));
    host.shell("ip route add default via 192.0.2.2");
    for (number, network) in ["app", "inner", "lan", "plain"].iter().enumerate() {
        let container = host.container(&format!("d{number}"));
        attach(&host, network, &container, &json!([]));
    }
    assert_healthy(&host);
    // What is forwarded is dropped now, and the plugin has seen to it.
    host.shell("iptables -P FORWARD DROP; iptables -I FORWARD -i plain -j ACCEPT; ip6tables -P FORWARD DROP");
    let c2 = host.container("c2");
    attach(&host, "web", &c2, &port(8081));
    let _said = host.ferrocni(["reload"]).ok();
    let (said, findings) = doctor(&host, &["c2"]);
    assert!(said.status.success() && findings.is_empty(), "{said}");
}

#[test]
fn forwarding_that_is_off_is_switched_on() {
    let (host, outside, c1) = scene();
    host.shell("sysctl -qw net.ipv4.ip_forward=0");
    let command = mends(&host, "forwarding", "does not forward IPv4, which network web needs");
    assert_eq!(command, "sysctl -w net.ipv4.ip_forward=1");
    let _server = outside.listen_tcp(90);
    c1.assert_reaches_tcp("192.0.2.2:90");
    host.shell("sysctl -qw net.ipv6.conf.all.forwarding=0");
    mends(&host, "forwarding", "does not forward IPv6");
}

#[test]
fn who_drops_what_is_forwarded_is_named_and_let_through() {
    let (host, outside, c1) = scene();
    let _server = (outside.listen_tcp(90), c1.listen_tcp(80));
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=0 net.bridge.bridge-nf-call-ip6tables=0");
    host.shell(
        "nft add table inet mine; nft 'add chain inet mine way { type filter hook forward priority 5; policy drop; }'
         nft add rule inet mine way ct state invalid drop",
    );
    c1.assert_blocked_tcp("192.0.2.2:90");
    let command = finds(&host, "forward-drop", "network web: chain inet mine way drops the IPv4");
    assert!(command.contains("nft insert rule inet mine way ip saddr"), "{command}");
    type_in(&host, &command);
    let command = finds(&host, "forward-drop", "network web: chain inet mine way drops the IPv6");
    type_in(&host, &command);
    c1.assert_reaches_tcp("192.0.2.2:90");
    outside.assert_reaches_tcp("192.0.2.1:8080");
    assert_healthy(&host);
}

#[test]
fn iptables_and_docker_are_told_apart_and_let_through() {
    let (host, outside) = wire();
    let _server = outside.listen_tcp(90);
    plain(&host, "plain", &json!({}));
    let c1 = host.container("c1");
    attach(&host, "plain", &c1, &json!([]));
    // A rule about some packets is none about all.
    host.shell(
        "sysctl -qw net.bridge.bridge-nf-call-iptables=0; iptables -A FORWARD -m conntrack --ctstate INVALID -j DROP",
    );
    assert_healthy(&host);
    for (drop, name, undo) in [
        ("iptables -P FORWARD DROP", "(iptables)", "iptables -F; iptables -P FORWARD ACCEPT"),
        ("iptables -A FORWARD -j REJECT", "(iptables)", "iptables -F"),
        (
            "iptables -P FORWARD DROP; iptables -N DOCKER-USER; iptables -A FORWARD -j DOCKER-USER",
            "(Docker's)",
            "iptables -F; iptables -X; iptables -P FORWARD ACCEPT",
        ),
    ] {
        host.shell(drop);
        c1.assert_blocked_tcp("192.0.2.2:90");
        let command = mends(&host, "forward-drop", name);
        assert!(command.contains("-s 10.77.0.0/24"), "{command}");
        c1.assert_reaches_tcp("192.0.2.2:90");
        host.shell(undo);
        assert_healthy(&host);
    }
}

#[test]
fn a_firewall_that_came_after_the_container_is_passed_after_a_reload() {
    let (host, outside, c1) = scene();
    let _server = outside.listen_tcp(90);
    host.shell("iptables -P FORWARD DROP");
    c1.assert_blocked_tcp("192.0.2.2:90");
    assert_eq!(mends(&host, "intact", "plugin firewall: CHECK failed"), "ferrocni reload");
    c1.assert_reaches_tcp("192.0.2.2:90");
}

#[test]
fn a_bridge_whose_frames_are_filtered_is_found() {
    let host = Host::new();
    plain(&host, "plain", &json!({"isDefaultGateway": false, "ipMasq": false}));
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    for container in [&c1, &c2] {
        attach(&host, "plain", container, &json!([]));
    }
    host.shell("sysctl -qw net.bridge.bridge-nf-call-iptables=1; iptables -P FORWARD DROP");
    let address = c2.addresses("eth0")[0].split('/').next().unwrap().to_owned();
    let _server = c2.listen_tcp(80);
    c1.assert_blocked_tcp(&format!("{address}:80"));
    let command = mends(&host, "bridge-netfilter", "over plain through chain ip filter FORWARD");
    assert_eq!(command, "sysctl -w net.bridge.bridge-nf-call-iptables=0");
    c1.assert_reaches_tcp(&format!("{address}:80"));
}

#[test]
fn a_published_port_without_its_rule_gets_it_back() {
    let (host, outside, c1) = scene();
    let _server = c1.listen_tcp(80);
    host.shell("nft delete table inet ferrocni");
    assert_eq!(mends(&host, "intact", "container c1-name"), "ferrocni reload");
    outside.assert_reaches_tcp("192.0.2.1:8080");
    // What lets the host itself use it at 127.0.0.1.
    host.shell("for key in /proc/sys/net/ipv4/conf/*/route_localnet; do echo 0 > $key; done");
    host.assert_blocked_tcp("127.0.0.1:8080");
    mends(&host, "localnet", "has no route_localnet");
    host.assert_reaches_tcp("127.0.0.1:8080");
}

#[test]
fn a_program_that_listens_in_vain_is_named_and_ended() {
    let (host, _outside, c1) = scene();
    let _server = c1.listen_tcp(80);
    let _program = host.spawn(["busybox", "httpd", "-f", "-p", "8080"]);
    host.shell("until grep -q :1F90 /proc/net/tcp /proc/net/tcp6; do sleep 0.01; done");
    let command = mends(&host, "listening", "port 8080/tcp is published, and busybox (process ");
    assert!(command.starts_with("kill "), "{command}");
}

#[test]
fn a_program_on_the_container_s_loopback_is_found() {
    let (host, _outside, c1) = scene();
    c1.shell("ip link set lo up");
    let program = c1.spawn(["busybox", "httpd", "-f", "-p", "127.0.0.1:80"]);
    c1.shell("until grep -q 0100007F:0050 /proc/net/tcp; do sleep 0.01; done");
    assert_eq!(finds(&host, "listening", "its program listens on 127.0.0.1 only"), "");
    drop(program);
    c1.shell("while grep -q 0100007F:0050 /proc/net/tcp; do sleep 0.01; done");
    assert_healthy(&host);
}

#[test]
fn a_network_that_is_not_ready_says_what_it_needs() {
    let host = Host::new();
    // An older version, in which a runtime could not ask.
    let mut list = json!({"cniVersion": "0.4.0", "name": "old", "plugins": [
        {"type": "bridge", "ipam": {"type": "host-local", "subnet": "10.3.0.0/24"}}, {"type": "firewall", "backend": "firewalld"}]});
    host.write("/etc/cni/net.d/old.conflist", list.to_string());
    assert_eq!(finds(&host, "ready", "network old: plugin firewall: STATUS failed"), "");
    list["plugins"][1]["backend"] = json!("nftables");
    host.write("/etc/cni/net.d/old.conflist", list.to_string());
    assert_healthy(&host);
}

#[test]
fn a_plugin_that_is_missing_or_not_executable_is_installed() {
    let host = Host::new();
    create(&host, &["--disable-dns", "web"]);
    let bin = bin_dir().display().to_string();
    host.shell(&format!(
        "mkdir -p /opt/cni/bin; cp {bin}/bridge {bin}/host-local {bin}/firewall {bin}/tuning /opt/cni/bin/"
    ));
    let args = ["--plugin-dir", "/opt/cni/bin"];
    let found = |words: &str| {
        let (said, findings) = doctor(&host, &args);
        assert_eq!(said.status.code(), Some(1), "{said}");
        let [finding] = &findings[..] else { panic!("{said}") };
        assert!(finding["Check"] == "plugins" && said.stdout.contains(words), "{said}");
        finding["Command"].as_str().unwrap().to_owned()
    };
    type_in(&host, &found("plugin portmap is not in /opt/cni/bin"));
    assert!(doctor(&host, &args).0.status.success());
    host.shell("chmod a-x /opt/cni/bin/host-local");
    type_in(&host, &found("run plugin host-local"));
    assert!(doctor(&host, &args).0.status.success());
    host.write(
        "/opt/cni/bin/firewall",
        "#!/bin/sh\ncat >/dev/null\necho '{\"cniVersion\": \"0.4.0\", \"supportedVersions\": [\"0.3.0\", \"0.4.0\"]}'\n",
    );
    host.shell("chmod a+x /opt/cni/bin/firewall");
    assert_eq!(found("its plugin firewall does not speak CNI version"), "");
}

#[test]
fn a_full_range_is_found_and_emptied_of_the_dead() {
    let host = Host::new();
    create(&host, &["--subnet", "10.8.0.0/29", "small"]);
    let mut containers: Vec<_> = (0..5).map(|number| host.container(&format!("c{number}"))).collect();
    for container in &containers {
        attach(&host, "small", container, &json!([]));
    }
    assert_eq!(finds(&host, "ranges", "network small: 5 of the 5 addresses 10.8.0."), "");
    let _lost = host.lose(containers.remove(0));
    let (said, findings) = doctor(&host, &[]);
    let ranges: Vec<_> = findings.iter().filter(|finding| finding["Check"] == "ranges").collect();
    assert!(ranges.len() == 1 && ranges[0]["Command"] == "ferrocni doctor --sweep small", "{said}");
    type_in(&host, "ferrocni doctor --sweep small");
    assert_healthy(&host);
}

#[test]
fn what_the_dead_have_left_is_found_and_swept() {
    let (host, _outside, c1) = scene();
    let c2 = host.container("c2");
    attach(&host, "web", &c2, &json!([]));
    let _lost = host.lose(c1);
    // A link that has no other end, as for shaping, says nothing of the container.
    host.shell("ip link add left type bridge; ip link set left alias ferrocni:web/c1/eth0");
    assert_eq!(
        finds(&host, "leftovers", "container c1-name (eth0 on network web): it is gone"),
        "ferrocni doctor --sweep web"
    );
    host.shell("ip link delete left");
    mends(&host, "leftovers", "c1-name");
    assert!(!host.shell("nft list ruleset").contains("web/c1/eth0"));
    for (file, content) in [("172.18.9.9", "gone\r\neth0"), ("172.18.9.8", "old"), ("172.18.9.7", "")] {
        host.write(format!("/var/lib/cni/networks/web/{file}"), content);
    }
    finds(&host, "leftovers", "address 172.18.9.8 of network web");
    mends(&host, "leftovers", "address 172.18.9.9 of network web: it is reserved for container gone");
    // Of a network that has no file any more.
    host.write("/var/lib/cni/networks/former/10.0.0.7", "gone\r\neth0");
    mends(&host, "leftovers", "address 10.0.0.7 of network former");
    let c3 = host.container("c3");
    attach(&host, "web", &c3, &json!([]));
    host.shell("rm /var/lib/cni/results/web-c3-eth0");
    let command = finds(&host, "leftovers", "it was made for container c3 (eth0 on network web)");
    assert!(command.starts_with("ip link delete veth"), "{command}");
    assert_eq!(doctor(&host, &[]).1.len(), 1, "whose link is there has its address by right");
    type_in(&host, &command);
    mends(&host, "leftovers", "reserved for container c3");
    assert!(c2.link("eth0")["ifname"] == "eth0");
}

#[test]
fn packets_too_large_for_the_way_out_are_made_smaller() {
    let (host, _outside, c1) = scene();
    host.shell("ip link set uplink mtu 1400; ip route add default via 192.0.2.2");
    mends(&host, "mtu", "its MTU is 1500, and uplink, which its packets pass, has 1400");
    assert_eq!(c1.link("eth0")["mtu"], 1400);
}

#[test]
fn name_servers_that_containers_cannot_reach_are_found() {
    let host = Host::new();
    host.write("/run/resolv.conf", "search example\nnameserver 127.0.0.53\n");
    host.write("/run/systemd/resolve/resolv.conf", "nameserver 192.0.2.53\n");
    plain(
        &host,
        "plain",
        &json!({"ipam": {"type": "host-local", "subnet": "10.77.0.0/24", "resolvConf": "/run/resolv.conf"}}),
    );
    mends(&host, "names", "127.0.0.53 there is the host's own");
    plain(&host, "plain", &json!({"dns": {"nameservers": ["::1"]}}));
    assert_eq!(finds(&host, "names", "it names ::1 as name server"), "");
    plain(&host, "plain", &json!({"dns": {"nameservers": ["::1", "192.0.2.53"]}}));
    assert_healthy(&host);
}

#[test]
fn names_without_a_program_that_answers_are_found() {
    let host = Host::new();
    host.shell("mount --bind /dev/null /usr/sbin/dnsmasq");
    host.write(
        "/run/plugins/dnsname",
        "#!/bin/sh\ncat >/dev/null\necho '{\"cniVersion\": \"1.0.0\", \"supportedVersions\": [\"1.0.0\"]}'\n",
    );
    host.shell("chmod +x /run/plugins/dnsname");
    let list = json!({"cniVersion": "1.0.0", "name": "names", "plugins": [{"type": "dnsname", "domainName": "x"}]});
    host.write("/etc/cni/net.d/names.conflist", list.to_string());
    let (said, findings) = doctor(&host, &["--plugin-dir", "/run/plugins"]);
    assert!(
        findings.len() == 1 && findings[0]["Check"] == "names" && said.stdout.contains("no ferrocni-dns"),
        "{said}"
    );
    host.write("/run/plugins/ferrocni-dns", "");
    assert!(doctor(&host, &["--plugin-dir", "/run/plugins"]).0.status.success());
}

#[test]
fn networks_that_share_what_they_should_not_are_found() {
    let host = Host::new();
    plain(&host, "one", &json!({}));
    plain(&host, "two", &json!({"bridge": "one", "ipam": {"type": "host-local", "subnet": "10.78.0.0/24"}}));
    mends(&host, "overlap", "network two: it has bridge one, and so has network one");
    plain(&host, "two", &json!({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.128/25"}]]}}));
    mends(&host, "overlap", "network two: it has subnet 10.77.0.128/25");
    host.shell("ip link add vpn up type veth peer name far; ip link set far up; ip route add 10.0.0.0/8 dev vpn");
    assert_eq!(mends(&host, "overlap", "a route to through vpn"), "ferrocni network rm one");
}

#[test]
fn files_that_cannot_be_read_are_put_out_of_the_way_whatever_they_are_called() {
    let host = Host::new();
    let hostile = "/etc/cni/net.d/a'b\n$(touch \u{1b}[2Jhit) c.conflist";
    host.write(hostile, "{");
    host.write("/var/lib/cni/results/x-$(reboot)-eth0", "{");
    let (said, findings) = doctor(&host, &[]);
    assert!(findings.len() == 2 && !said.stdout.contains('\u{1b}'), "{said}");
    let table = host.ferrocni(["doctor"]);
    assert!(!table.stdout.contains('\u{1b}') && table.stdout.lines().count() == 4, "{table}");
    for finding in &findings {
        type_in(&host, finding["Command"].as_str().unwrap());
    }
    assert_healthy(&host);
    assert!(host.read(hostile).is_err());
    // Two of one name.
    plain(&host, "one", &json!({}));
    host.shell("cp /etc/cni/net.d/ferrocni-one.conflist /etc/cni/net.d/z.conflist");
    mends(&host, "configuration", "several files have a network of that name");
    assert!(host.read("/etc/cni/net.d/ferrocni-one.conflist").is_ok());
}

/// Whether it lives cannot be told, so that nothing of it is swept, and the others are looked at all the same.
#[test]
fn a_record_that_points_elsewhere_hides_nothing() {
    let (host, _outside, _c1) = scene();
    host.shell("ln -s loop /run/loop");
    let record = json!({"kind": "cniCacheV1", "containerId": "odd", "ifName": "eth0", "networkName": "web",
        "netns": "/run/loop", "result": {"cniVersion": "1.0.0"}});
    host.write("/var/lib/cni/results/web-odd-eth0", record.to_string());
    assert_eq!(finds(&host, "configuration", "container odd (eth0 on network web): "), "");
    host.shell("sysctl -qw net.ipv4.ip_forward=0");
    let (said, findings) = doctor(&host, &[]);
    assert!(findings.len() == 2 && said.stderr.is_empty(), "{said}");
    assert!(host.ferrocni(["metrics"]).status.success());
    assert_eq!(host.ferrocni(["doctor", "--sweep"]).ok(), "");
}

#[test]
fn one_network_or_container_can_be_looked_at_alone() {
    let (host, _outside, _c1) = scene();
    create(&host, &["app"]);
    let c2 = host.container("c2");
    attach(&host, "app", &c2, &port(8081));
    host.shell("nft delete table inet ferrocni");
    for (target, count) in [(&["web"][..], 1), (&["c2"], 1), (&["c1-name", "app"], 2), (&[], 2)] {
        let (said, findings) = doctor(&host, target);
        assert!(findings.len() == count && said.status.code() == Some(1), "{target:?}: {said}");
    }
    for usage in [&["doctor", "nope"][..], &["doctor", "--nope"], &["doctor", "--sweep", "--format", "json"]] {
        assert_eq!(host.ferrocni(usage).status.code(), Some(125), "{usage:?}");
    }
}
