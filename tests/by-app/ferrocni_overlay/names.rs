//! Containers on different hosts find each other by name.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use tests::cluster::{Cluster, Node, eventually};
use tests::names::{addresses, try_addresses};
use tests::{Cni, Container, Inside as _, address};

/// In the design, a name is known on every host so long after the container's ADD.
const SOON: Duration = Duration::from_millis(200);

fn names<'a>(node: &'a Node, container: &Container, list: &str, result: &serde_json::Value) -> Cni<'a> {
    let config =
        json!({"name": list, "type": "dnsname", "domainName": "dns.podman", "prevResult": result, "forward": false});
    node.host.cni("dnsname").container(container).config(&config)
}

/// A container with a name on a network, by a list of plugins that is called `list`.
fn attach_by(node: &Node, list: &str, name: &str) -> (Container, IpAddr) {
    let container = node.host.container(&format!("{name}-container"));
    let config = json!({"name": list, "type": "overlay", "network": "net"});
    let result = node.host.cni("overlay").container(&container).config(&config).command("ADD").run().ok();
    let named = names(node, &container, list, &result).args(&format!("IgnoreUnknown=1;K8S_POD_NAME={name}"));
    named.command("ADD").run().ok();
    (container, address(&result, 0).parse().unwrap())
}

fn attach(node: &Node, name: &str) -> (Container, IpAddr) {
    attach_by(node, "net", name)
}

#[test]
fn a_name_is_known_on_every_host_at_once_and_no_longer_when_its_container_goes() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let [here, there] = [&cluster.nodes[0], &cluster.nodes[1]];
    let (asker, own) = attach(here, "asker");
    assert!(addresses(&asker, "web").is_empty());
    let (web, address) = attach(there, "web");
    let since = Instant::now();
    for name in ["web", "WEB.dns.podman", "web.net", "web-containe"] {
        eventually(name, || try_addresses(&asker, name).is_some_and(|found| found == [address]));
    }
    // Not asserted, for a machine may be busy.
    if since.elapsed() > SOON {
        eprintln!("the names took {:?}", since.elapsed());
    }
    eventually("the other way round", || try_addresses(&web, "asker").is_some_and(|found| found == [own]));
    // The same name on both hosts is both.
    let (_, second) = attach(here, "web");
    let mut both = [address, second];
    both.sort();
    assert_eq!(addresses(&asker, "web"), both);
    names(there, &web, "net", &json!(null)).command("DEL").run().ok();
    there.detach(&web, "net");
    eventually("its own name is left", || addresses(&asker, "web") == [second]);
}

#[test]
fn lists_of_other_names_have_the_names_of_their_network() {
    let cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let (asker, own) = attach_by(&cluster.nodes[0], "wide", "asker");
    let (web, address) = attach_by(&cluster.nodes[1], "broad", "web");
    eventually("there", || addresses(&asker, "web") == [address]);
    eventually("and back", || addresses(&web, "asker") == [own]);
}

#[test]
fn a_dead_host_s_names_go_with_its_lease_and_an_etcd_that_is_away_takes_none() {
    let mut cluster = Cluster::new(2, 3);
    cluster.create(&["net"]);
    let (asker, _) = attach(&cluster.nodes[0], "asker");
    let (_web, address) = attach(&cluster.nodes[1], "web");
    eventually("it is known", || addresses(&asker, "web") == [address]);
    cluster.stop_etcd();
    let away = || cluster.nodes.iter().all(|node| node.agent()["connected"] == json!(false));
    eventually("the agents know", away);
    // Longer than every lease; what etcd has forgotten meanwhile is told again before anybody counts as dead.
    std::thread::sleep(Duration::from_secs(4));
    assert_eq!(addresses(&asker, "web"), [address]);
    cluster.switch.shell("rm -r /run/etcd");
    cluster.start_etcd();
    eventually("they are back", || {
        assert_eq!(addresses(&asker, "web"), [address], "never gone");
        cluster.keys("nets/net/names/").len() == 2
    });
    // The same for an agent that begins with the files that the last one has left.
    cluster.nodes[0].kill_agent();
    assert_eq!(addresses(&asker, "web"), [address]);
    cluster.nodes[0].start_agent();
    cluster.nodes[0].wait_until_connected();
    assert_eq!(addresses(&asker, "web"), [address]);
    cluster.nodes[1].kill_agent();
    eventually("it is dead", || addresses(&asker, "web").is_empty());
}

#[test]
fn what_a_host_tells_of_addresses_that_are_not_its_own_is_not_believed() {
    let mut cluster = Cluster::new(2, 60);
    cluster.create(&["net"]);
    let (asker, own) = attach(&cluster.nodes[0], "asker");
    let (_web, address) = attach(&cluster.nodes[1], "web");
    // It would take back what it has not told itself.
    cluster.nodes[1].kill_agent();
    let id = cluster.nodes[1].id();
    let tell = |key: &str, value: serde_json::Value| cluster.put(&format!("nets/net/names/{id}/{key}"), &value);
    tell("c:eth0", json!({"name": "liar", "addresses": [own, "192.0.2.254", address]}));
    tell("d:eth0", json!({"name": "google.com", "addresses": ["192.0.2.254"]}));
    tell("e:eth0", json!({"name": "not a name", "addresses": [address]}));
    tell("f:eth0", json!({"name": "honest", "addresses": [address]}));
    eventually("it is heard", || addresses(&asker, "honest") == [address]);
    assert_eq!(addresses(&asker, "liar"), [address]);
    assert!(addresses(&asker, "google.com").is_empty());
    assert_eq!(cluster.nodes[0].agent()["nonsense"], json!(1));
}
