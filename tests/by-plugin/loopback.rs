//! loopback: `lo` up, down, and what is said of it.

use serde_json::{Value, json};
use tests::{Chain, Cni, Container, Host, Inside as _, every_plugin_rules, reference_differs};

fn network(host: &Host) -> Chain<'_> {
    host.chain(&json!({"name": "net", "plugins": [{"type": "loopback"}]}))
}

fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    let mut config = config.clone();
    config["type"] = json!("loopback");
    host.cni("loopback").command(verb).container(container).ifname("lo").config(&config)
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let host = Host::new();
    every_plugin_rules(&network(&host), &host.container("c1"), "lo");
}

#[test]
fn add_brings_lo_up_and_reports_its_addresses() {
    let host = Host::new();
    let c1 = host.container("c1");
    assert!(!c1.is_up("lo"));
    let result = network(&host).add(&c1, "lo").ok();
    assert!(c1.is_up("lo"));
    let _server = c1.listen_tcp(80);
    c1.connect_tcp("127.0.0.1:80").unwrap();
    c1.connect_tcp("[::1]:80").unwrap();
    let lo = &result["interfaces"][0];
    assert_eq!((&lo["name"], &lo["mac"]), (&json!("lo"), &json!("00:00:00:00:00:00")));
    assert_eq!(lo["sandbox"], json!(c1.netns));
    assert!(reference_differs("it reports no MTU") || lo["mtu"] == 65536, "{result}");
    let ips: Vec<_> = result["ips"].as_array().unwrap().iter().map(|ip| (&ip["address"], &ip["interface"])).collect();
    assert_eq!(ips, [(&json!("127.0.0.1/8"), &json!(0)), (&json!("::1/128"), &json!(0))]);
}

#[test]
fn the_interface_name_does_not_matter() {
    let host = Host::new();
    let c1 = host.container("c1");
    call(&host, "ADD", &c1, &json!({})).ifname("eth0").run().ok();
    assert!(c1.is_up("lo"));
    call(&host, "DEL", &c1, &json!({})).ifname("eth0").run().ok();
    assert!(!c1.is_up("lo"));
}

#[test]
fn a_second_add_succeeds() {
    let host = Host::new();
    let c1 = host.container("c1");
    network(&host).add(&c1, "lo").ok();
    network(&host).add(&c1, "lo").ok();
    assert!(c1.is_up("lo"));
}

#[test]
fn an_add_that_nobody_heard_leaves_a_lo_up_that_was_up() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link set lo up");
    assert!(!call(&host, "ADD", &c1, &json!({})).run_unheard().is_ok() || reference_differs("it does not notice"));
    assert!(c1.is_up("lo"));
}

#[test]
fn in_a_chain_it_passes_the_result_on() {
    let host = Host::new();
    let c1 = host.container("c1");
    let previous = json!({
        "cniVersion": "1.0.0", "interfaces": [{"name": "eth0", "mac": "02:00:00:00:00:01", "sandbox": c1.netns}],
        "ips": [{"address": "10.1.0.2/24", "gateway": "10.1.0.1", "interface": 0}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.1.0.1"}], "dns": {"nameservers": ["10.1.0.1"]}
    });
    let config = json!({"cniVersion": "1.0.0", "prevResult": previous});
    let result = call(&host, "ADD", &c1, &config).run().ok();
    assert_eq!(result, previous);
    assert!(c1.is_up("lo"));
}

#[test]
fn check_notices_a_lo_that_is_down() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host);
    network.add(&c1, "lo").ok();
    network.check(&c1, "lo").ok();
    c1.shell("ip link set lo down");
    let error = network.check(&c1, "lo").error();
    let told = error.msg.contains("expected up") && error.msg.contains("found down");
    assert!(told || reference_differs("other words"), "{error:?}");
}

#[test]
fn del_succeeds_whatever_became_of_the_namespace() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host);
    network.add(&c1, "lo").ok();
    call(&host, "DEL", &c1, &json!({})).netns("").run().ok();
    assert!(c1.is_up("lo"));
    let c1 = host.lose(c1);
    network.del(&c1, "lo").ok();
    if !reference_differs("it takes the file for a namespace") {
        host.write(&c1.netns, "");
        network.del(&c1, "lo").ok();
    }
}

/// Runtimes give the paths of containers that are gone to the next ones.
#[test]
fn del_leaves_the_container_alone_that_has_the_path_by_now() {
    let host = Host::new();
    let c2 = host.container("c2");
    let c1 = host.container_at("c1", &c2.netns);
    network(&host).add(&c2, "lo").ok();
    call(&host, "DEL", &c1, &json!({})).run().ok();
    assert!(c2.is_up("lo"));
    call(&host, "DEL", &c2, &json!({"name": "another"})).ifname("eth1").run().ok();
    assert!(!c2.is_up("lo"), "it is one, whatever the attachment");
    assert!(c2.ip_json(["link", "show", "lo"])[0].get("ifalias").is_none());
}

#[test]
fn an_alias_that_lo_has_stays() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("ip link set lo alias mine");
    network(&host).add(&c1, "lo").ok();
    network(&host).del(&c1, "lo").ok();
    assert!(!c1.is_up("lo"));
    assert_eq!(c1.ip_json(["link", "show", "lo"])[0]["ifalias"], "mine");
}

/// Root of a user namespace may enter the network namespaces that it made, but not come back to the host's.
#[test]
fn a_namespace_of_a_user_namespace_below_is_set_up() {
    const ADD_AND_LOOK: &str = r#"
        mkfifo /run/made
        unshare --net sh -c 'echo > /run/made; exec sleep 60' > /dev/null 2>&1 &
        trap "kill $!" EXIT
        read -r _ < /run/made
        CNI_NETNS=/proc/$!/ns/net "$0"
        nsenter --net=/proc/$!/ns/net ip link show lo up >&2"#;
    let host = Host::new();
    let c1 = host.container("c1");
    let in_user_namespace = ["unshare", "--user", "--map-root-user", "sh", "-euc", ADD_AND_LOOK];
    let outcome = call(&host, "ADD", &c1, &json!({})).run_under(&in_user_namespace);
    assert!(outcome.finished.stderr.contains("lo:"), "{}", outcome.finished);
    assert_eq!(outcome.ok()["interfaces"][0]["name"], "lo");
}

#[test]
fn add_and_check_name_a_namespace_that_is_none() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = json!({});
    config["prevResult"] = call(&host, "ADD", &c1, &config).run().ok();
    for (path, words) in
        [("/run/netns/none", "does not exist"), ("/etc/hostname", "a regular file"), ("/run", "a directory")]
    {
        for verb in ["ADD", "CHECK"] {
            let error = call(&host, verb, &c1, &config).netns(path).run().error();
            assert_eq!(error.code, 4, "{error:?}");
            assert!(format!("{} {}", error.msg, error.details).contains(words), "{error:?}");
        }
    }
}

#[test]
fn ipv6_that_is_off_is_no_obstacle() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
    let network = network(&host);
    let result = network.add(&c1, "lo").ok();
    assert_eq!(result["ips"].as_array().unwrap().len(), 1, "{result}");
    network.check(&c1, "lo").ok();
}

#[test]
fn gc_and_status_have_nothing_to_say() {
    let host = Host::new();
    let c1 = host.container("c1");
    network(&host).add(&c1, "lo").ok();
    host.assert_leaves_nothing(|| {
        network(&host).gc(&[]).ok();
        network(&host).status().ok();
    });
    assert!(c1.is_up("lo"));
}
