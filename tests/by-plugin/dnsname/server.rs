//! Who starts the server, and what happens without one.

use serde_json::json;
use tests::{Host, Inside as _, at_once, bin_dir, names};

use super::{assert_finds, attach, call, container, dnsname, with_names};

/// The process ids of the servers of this host.
fn servers(host: &Host) -> Vec<String> {
    let found = host.shell("pgrep -x ferrocni-dns || true");
    found.lines().map(str::to_owned).collect()
}

fn kill(host: &Host) {
    host.shell("kill -9 $(pgrep -x ferrocni-dns); while pgrep -x ferrocni-dns; do sleep 0.01; done");
}

#[test]
fn the_first_add_starts_it_once_however_many_there_are() {
    let host = Host::new();
    let network = with_names(1);
    let containers: Vec<_> = (0..10).map(|i| host.container(&format!("c{i}"))).collect();
    at_once(&containers, |container| {
        attach(&host, &network, container, "eth0", &container.id);
        assert_eq!(names::addresses(container, &container.id).len(), 2);
    });
    assert_eq!(servers(&host).len(), 1);
}

/// Who has started a container may log out, and the runtime be restarted.
#[test]
fn it_belongs_to_no_session_and_holds_nothing_of_who_has_started_it() {
    let host = Host::new();
    let _web = container(&host, &with_names(1), "web");
    let pid = servers(&host).remove(0);
    assert_eq!(host.run(["ps", "-o", "sid=", "-p", &pid]).trim(), pid);
    assert_eq!(host.run(["ps", "-o", "ppid=", "-p", &pid]).trim(), "1");
    let open = host.run(["ls", "-l", &format!("/proc/{pid}/fd")]);
    let strange: Vec<_> = open.lines().filter(|line| line.contains("pipe:")).collect();
    assert!(strange.is_empty(), "{strange:#?}");
    assert_eq!(host.read(format!("/proc/{pid}/environ")).unwrap().replace('\0', " ").matches("CNI_").count(), 0);
    assert_eq!(host.run(["stat", "-c", "%a %F", "/run/ferrocni/dns.sock"]).trim(), "600 socket");
}

#[test]
fn the_next_add_starts_another_one_that_knows_everybody() {
    let host = Host::new();
    let network = with_names(1);
    let web = container(&host, &network, "web");
    kill(&host);
    assert!(!names::is_answered(&web));
    let peer = container(&host, &network, "peer");
    assert_finds(&web, &["peer"], &["10.1.0.3", "fd00:1::3"]);
    assert_finds(&peer, &["web"], &["10.1.0.2", "fd00:1::2"]);
    assert_eq!(servers(&host).len(), 1);
}

#[test]
fn del_and_gc_work_without_it_and_the_next_one_knows_nothing_of_who_is_gone() {
    let host = Host::new();
    let network = with_names(1);
    let (web, lost) = (container(&host, &network, "web"), container(&host, &network, "lost"));
    kill(&host);
    call(&host, &network, "web").del(&web, "eth0").ok();
    let _ = host.lose(lost);
    call(&host, &network, "").gc(&[]).ok();
    assert!(servers(&host).is_empty());
    let peer = container(&host, &network, "peer");
    assert_finds(&peer, &["web", "lost"], &[]);
}

/// Whoever has written a record and was killed before ringing, or has removed one.
#[test]
fn it_hears_of_records_without_being_told() {
    let host = Host::new();
    let network = with_names(1);
    let (web, peer) = (container(&host, &network, "web"), container(&host, &network, "peer"));
    host.run(["rm", "/run/ferrocni/names/net1:web:eth0"]);
    tests::dhcp::eventually("the name is gone", || names::addresses(&peer, "web").is_empty());
    drop(web);
}

#[test]
fn without_its_program_add_says_what_to_install_and_leaves_nothing() {
    let host = Host::new();
    let plugins = bin_dir();
    let plugins = plugins.display();
    host.shell(&format!(
        "mkdir -p /opt/cni/bin; cp {plugins}/dnsname {plugins}/bridge {plugins}/host-local /opt/cni/bin"
    ));
    let web = host.container("web");
    let mut config = dnsname(&json!({}));
    config["cniVersion"] = json!("1.0.0");
    config["name"] = json!("net1");
    config["prevResult"] = json!({"cniVersion": "1.0.0", "ips": [{"address": "10.1.0.2/24"}]});
    host.write("/run/config", config.to_string());
    let call = |verb: &str| {
        host.try_run([
            "sh",
            "-c",
            &format!(
                "CNI_COMMAND={verb} CNI_CONTAINERID=web CNI_NETNS={} CNI_IFNAME=eth0 CNI_PATH=/opt/cni/bin \
                 /opt/cni/bin/dnsname </run/config",
                web.netns.display()
            ),
        ])
    };
    host.assert_leaves_nothing(|| {
        let added = call("ADD");
        assert!(!added.status.success());
        for word in ["ferrocni-dns", "ferrocni-dns.socket", "/opt/cni/bin"] {
            assert!(added.stdout.contains(word), "{word}: {added}");
        }
    });
    assert!(call("DEL").status.success());
    host.shell(&format!("cp {plugins}/ferrocni-dns /opt/cni/bin"));
    assert!(call("ADD").status.success());
    assert_finds(&web, &["127.0.0.11.in-addr.arpa"], &[]);
    assert!(host.run(["readlink", &format!("/proc/{}/exe", servers(&host)[0])]).starts_with("/opt/cni/bin"));
}

/// As systemd's socket unit does: it listens, and starts the server when somebody rings.
#[test]
fn systemd_s_socket_starts_it() {
    let host = Host::new();
    let program = bin_dir().join("ferrocni-dns");
    host.run(["mkdir", "-p", "/run/ferrocni"]);
    let socket = "--listen=/run/ferrocni/dns.sock";
    let _activator = host.spawn(["systemd-socket-activate".as_ref(), socket.as_ref(), program.as_os_str()]);
    host.shell("until [ -S /run/ferrocni/dns.sock ]; do sleep 0.01; done");
    assert!(servers(&host).is_empty());
    let network = with_names(1);
    let (web, _peer) = (container(&host, &network, "web"), container(&host, &network, "peer"));
    assert_finds(&web, &["peer"], &["10.1.0.3", "fd00:1::3"]);
    assert_eq!(servers(&host).len(), 1);
    host.shell("test ! -e /run/ferrocni/dns.start");
}

/// A service that is restarted whenever it ends, with the same socket: nobody who rings meanwhile is turned away, and all names are
/// back.
#[test]
fn it_can_be_killed_at_any_time_where_it_is_a_service() {
    let host = Host::new();
    let again = format!("while :; do sh -c 'LISTEN_PID=$$ exec {}'; done", bin_dir().join("ferrocni-dns").display());
    host.run(["mkdir", "-p", "/run/ferrocni"]);
    let _service = host.spawn(["systemd-socket-activate", "--listen=/run/ferrocni/dns.sock", "sh", "-c", &again]);
    host.shell("until [ -S /run/ferrocni/dns.sock ]; do sleep 0.01; done");
    let network = with_names(1);
    let web = container(&host, &network, "web");
    for round in 0..10 {
        host.shell("kill -9 $(pgrep -x ferrocni-dns)");
        let name = format!("c{round}");
        let peer = container(&host, &network, &name);
        assert_finds(&peer, &["web"], &["10.1.0.2", "fd00:1::2"]);
        assert_eq!(names::addresses(&web, &name).len(), 2);
        call(&host, &network, &name).del(&peer, "eth0").ok();
        assert_finds(&web, &[&name], &[]);
    }
}
