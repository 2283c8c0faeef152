//! Tunnels, of which each module puts one, down, into every new namespace.

use serde_json::json;
use tests::{Host, Inside as _};

/// One of each module, which loads it.
const TUNNELS: &str = "
    ip link add t0 type ipip local 192.0.2.1 remote 192.0.2.2
    ip link add t1 type gre local 192.0.2.1 remote 192.0.2.2
    ip link add t2 type sit local 192.0.2.1 remote 192.0.2.2
    ip link add t3 type vti local 192.0.2.1 remote 192.0.2.2
    ip link add t4 type ip6tnl local 2001:db8::1 remote 2001:db8::2
    ip link add t5 type ip6gre local 2001:db8::1 remote 2001:db8::2
    ip link add t6 type vti6 local 2001:db8::1 remote 2001:db8::2";

#[test]
fn the_kernel_has_it() {
    Host::new().shell(TUNNELS);
}

/// They count as another network only once somebody has set them up.
#[test]
fn a_container_on_no_network_may_have_the_kernels_tunnels() {
    let host = Host::new();
    host.shell(TUNNELS);
    let c1 = host.container("c1");
    let links = c1.ip_json(["link", "show"]);
    let names: Vec<_> = links.as_array().unwrap().iter().map(|link| link["ifname"].as_str().unwrap()).collect();
    for name in ["tunl0", "gre0", "gretap0", "erspan0", "sit0", "ip_vti0", "ip6tnl0", "ip6gre0", "ip6_vti0"] {
        assert!(names.contains(&name), "{name} is no longer in new namespaces: {names:?}");
    }
    let network = host.chain(&json!({"name": "net", "plugins": [{"type": "none"}]}));
    network.add(&c1, "eth0").ok();
    network.check(&c1, "eth0").ok();
    c1.shell("ip link set tunl0 up");
    let error = network.check(&c1, "eth0").error();
    assert!(error.msg.contains("also found tunl0"), "{error:?}");
    c1.shell("ip link set tunl0 down; ip link set sit0 name sit1");
    assert!(network.check(&c1, "eth0").error().msg.contains("also found sit1"));
}

/// Any test may load a module while another one runs.
#[test]
fn the_kernels_tunnels_are_no_leftovers_until_somebody_sets_them_up() {
    let host = Host::new();
    let before = host.snapshot();
    host.shell(TUNNELS);
    let c1 = host.container("c1");
    let of_c1 = || host.snapshot().leftovers(&before).into_iter().filter(|line| line.starts_with("+ c1 link"));
    assert_eq!(of_c1().collect::<Vec<_>>(), ["+ c1 link dev lo "]);
    c1.shell("ip link set tunl0 up; ip link set sit0 alias used");
    assert_eq!(of_c1().count(), 3, "{:?}", of_c1().collect::<Vec<_>>());
}
