//! What an ADD gets and a DEL gives back.

use serde_json::{Value, json};
use tests::{Capture, Cni, Container, Host, Inside as _, address, dhcp, every_plugin_rules, reference_differs};

use super::{Scene, addresses, gateways, leased, network};

const BOTH: [&str; 2] = ["ipv4", "ipv6"];

/// The plugin itself, with an interface that somebody else has made.
fn call<'h>(host: &'h Host, verb: &str, container: &Container, ipam: &Value) -> Cni<'h> {
    let mut ipam = ipam.clone();
    ipam["type"] = json!("dhcp");
    host.cni("dhcp").command(verb).container(container).config(&json!({"type": "bridge", "ipam": ipam}))
}

/// A container with an interface on the link, which is down.
fn container(host: &Host, name: &str) -> Container {
    let container = host.container(name);
    host.shell(&format!("ip link add {name} up master lan type veth peer name eth0 netns {name}"));
    container
}

#[test]
fn the_rules_of_every_plugin_hold() {
    let scene = Scene::new(&[]);
    every_plugin_rules(&scene.network(&json!({})), &scene.host.container("c1"), "eth0");
    assert_eq!(dhcp::leases(&scene.host), [""; 0], "each address was given back");
    if !reference_differs("it has no IPv6") {
        every_plugin_rules(&scene.network(&json!({"families": BOTH})), &scene.host.container("c2"), "eth0");
        assert_eq!(dhcp::leases(&scene.host), [""; 0]);
    }
}

#[test]
fn an_add_reports_what_the_server_gave() {
    let scene = Scene::new(&[
        "--dhcp-option=option:router,10.5.0.254",
        "--dhcp-option=option:dns-server,10.5.0.53,10.5.0.54",
        "--domain=example.org",
        "--dhcp-option=option:domain-search,a.example,b.example",
    ]);
    let c1 = container(&scene.host, "c1");
    let result = call(&scene.host, "ADD", &c1, &json!({})).run().ok();
    assert!(leased(&result).starts_with("10.5.0.") && leased(&result).ends_with("/24"), "{result}");
    assert_eq!(result["ips"][0]["gateway"], "10.5.0.254");
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0", "gw": "10.5.0.254"}]));
    let dns = json!({
        "nameservers": ["10.5.0.53", "10.5.0.54"], "domain": "example.org", "search": ["a.example", "b.example"]
    });
    assert!(reference_differs("it returns none of it") || result["dns"] == dns, "{result}");
    assert!(result["interfaces"].is_null());
}

#[test]
fn a_container_talks_over_what_it_was_given() {
    let scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({})).add(&c1, "eth0").ok();
    let _server = c1.listen_tcp(80);
    scene.host.assert_reaches_tcp(&format!("{}:80", address(&result, 0)));
    assert_eq!(addresses(&c1, "-4"), [leased(&result)]);
    assert_eq!(gateways(&c1), ["10.5.0.1"]);
}

#[test]
fn dhcpv6_gives_an_address_and_names_and_a_router_the_rest() {
    let scene = Scene::new(&[
        "--enable-ra",
        "--dhcp-option=option6:dns-server,[fd00:5::53]",
        "--dhcp-option=option6:domain-search,a.example,b.example",
    ]);
    let c1 = scene.host.container("c1");
    let result = scene.network(&json!({"families": ["ipv6"]})).add(&c1, "eth0").ok();
    assert!(leased(&result).starts_with("fd00:5::1:") && leased(&result).ends_with("/128"), "{result}");
    assert_eq!((&result["ips"][0]["gateway"], &result["routes"]), (&json!(null), &json!(null)));
    assert_eq!(result["dns"], json!({"nameservers": ["fd00:5::53"], "search": ["a.example", "b.example"]}));
    assert!(addresses(&c1, "-6").contains(&leased(&result)));
    assert_eq!(addresses(&c1, "-4"), [""; 0]);
    // The kernel listens to the router by itself.
    dhcp::eventually("a router has advertised itself", || {
        c1.ip_json(["-6", "route", "show", "default"]).as_array().is_some_and(|routes| !routes.is_empty())
    });
    let _server = c1.listen_tcp(80);
    scene.host.assert_reaches_tcp(&format!("{}:80", address(&result, 0)));
}

/// Runtimes switch IPv6 off in namespaces without an IPv6 address.
#[test]
fn dhcpv6_works_where_ipv6_was_switched_off() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    c1.shell("for i in all default eth0; do echo 1 > /proc/sys/net/ipv6/conf/$i/disable_ipv6; done");
    let result = call(&scene.host, "ADD", &c1, &json!({"families": ["ipv6"]})).run().ok();
    assert!(leased(&result).starts_with("fd00:5::1:"), "{result}");
}

#[test]
fn both_families_are_given_at_once_or_not_at_all() {
    let mut scene = Scene::with(&dhcp::RANGES, &["-resendtimeout 3s"]);
    let c1 = scene.host.container("c1");
    let network = |scene: &Scene| scene.network(&json!({"families": BOTH})).add(&c1, "eth0");
    let result = network(&scene).ok();
    let versions: Vec<_> =
        result["ips"].as_array().unwrap().iter().map(|ip| ip["address"].as_str().unwrap().contains(':')).collect();
    assert_eq!(versions, [false, true], "IPv4 first: {result}");
    assert_eq!(dhcp::leases(&scene.host).len(), 2);
    scene.network(&json!({"families": BOTH})).del(&c1, "eth0").ok();

    scene.change_server(&dhcp::RANGES[..1]);
    let before = scene.host.snapshot();
    let error = network(&scene).error();
    assert_eq!(error.code, 11);
    assert!(error.msg.contains("no DHCPv6 server gave an address over eth0 within 3 s"), "{error:?}");
    scene.host.snapshot().assert_nothing_since(&before);
    assert_eq!(dhcp::leases(&scene.host), [""; 0], "the address of the other family was given back");
}

#[test]
fn the_configuration_says_what_to_send_and_what_to_ask_for() {
    let scene = Scene::new(&[
        "--dhcp-option=vendor:house,121,10.9.0.0/16,10.5.0.9",
        "--dhcp-option=121,10.9.0.0/16,10.5.0.9,10.8.0.0/16,0.0.0.0",
        "--dhcp-option=option:dns-server,10.5.0.53",
    ]);
    let c1 = container(&scene.host, "c1");
    let ipam = json!({
        "provide": [
            {"option": "host-name", "value": "nobody", "fromArg": "K8S_POD_NAME"},
            {"option": "60", "value": "house"},
            {"option": "user-class", "fromArg": "NOT_THERE"},
        ],
        "request": [{"skipDefault": true}, {"option": "subnet-mask"}, {"option": "121"}],
    });
    let add = call(&scene.host, "ADD", &c1, &ipam).args("IgnoreUnknown=1;K8S_POD_NAME=web;oddity");
    let result = add.run().ok();
    let lease = dhcp::leases(&scene.host).join("");
    assert_eq!(lease.split_whitespace().nth(3), Some("web"), "{lease}");
    let log = dhcp::server_log(&scene.host);
    assert!(log.contains("vendor class: house") && log.contains("client provides name: web"), "{log}");
    assert!(!log.contains("user class"), "{log}");
    assert!(log.contains("requested options: 1:netmask, 121:classless-static-route"), "{log}");
    let routes = json!([
        {"dst": "10.9.0.0/16", "gw": "10.5.0.9"}, {"dst": "10.8.0.0/16", "gw": "0.0.0.0", "scope": 253}
    ]);
    assert!(reference_differs("this version knows no scopes") || result["routes"] == routes, "{result}");
    assert!(result["dns"] == json!(null) || result["dns"] == json!({}), "nobody asked for it: {result}");
}

#[test]
fn routes_have_the_metric_that_the_configuration_says() {
    let scene = Scene::new(&[]);
    let (c1, c2) = (scene.host.container("c1"), scene.host.container("c2"));
    let result = scene.network(&json!({"priority": 300})).add(&c1, "eth0").ok();
    assert_eq!(result["routes"], json!([{"dst": "0.0.0.0/0", "gw": "10.5.0.1", "priority": 300}]));
    assert_eq!(c1.ip_json(["route", "show", "default"])[0]["metric"], 300);
    let result = scene.network(&json!({"suppress": ["gateway"]})).add(&c2, "eth0").ok();
    assert_eq!((&result["routes"], &result["ips"][0]["gateway"]), (&json!(null), &json!(null)));
    assert_eq!(gateways(&c2), [""; 0]);
}

#[test]
fn a_value_that_no_option_can_hold_is_a_bad_configuration() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    let long = "x".repeat(256);
    for (ipam, args) in [
        (json!({"provide": [{"option": "12", "value": long}]}), ""),
        (json!({"provide": [{"option": "12", "fromArg": "NAME"}]}), &format!("NAME={long}")[..]),
        (json!({"provide": [{"option": "hostname", "value": "x"}]}), ""),
        (json!({"request": [{"option": "300"}]}), ""),
    ] {
        let before = scene.host.snapshot();
        let error = call(&scene.host, "ADD", &c1, &ipam).args(args).run().error();
        assert!(reference_differs("one code for everything") || error.code == 7, "{error:?}");
        scene.host.snapshot().assert_nothing_since(&before);
    }
}

/// Live nodes change from the reference to this suite: the server knows a container by its client identifier.
#[test]
fn a_container_keeps_its_address_when_the_reference_is_replaced() {
    let host = Host::new();
    dhcp::make_lan(&host);
    let _server = dhcp::serve(&host, &dhcp::RANGES);
    // Its veth gets another hardware address in between, so only the identifier is the same.
    let c1 = container(&host, "c1");
    let reference = host.spawn(["/usr/lib/cni/dhcp", "daemon"]);
    host.shell("until [ -e /run/cni/dhcp.sock ]; do sleep 0.01; done");
    let mut config = json!({"cniVersion": "1.0.0", "type": "bridge", "ipam": {"type": "dhcp"}});
    let add = |binary: &str, config: &Value| host.cni(binary).command("ADD").container(&c1).config(config).run().ok();
    let theirs = add("/usr/lib/cni/dhcp", &config);
    drop(reference);
    c1.shell("ip link set eth0 down address 02:00:00:00:00:99");
    let _daemon = dhcp::daemon(&host, &[]);
    let ours = add("dhcp", &config);
    assert_eq!(ours["ips"], theirs["ips"]);
    config["prevResult"] = ours;
    assert_eq!(dhcp::leases(&host).len(), 1);
}

#[test]
fn a_release_comes_from_the_leased_address() {
    let scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let network = scene.network(&json!({}));
    let result = network.add(&c1, "eth0").ok();
    // Nobody knows the server's hardware address any more.
    c1.shell("ip neigh flush all");
    let capture = Capture::start(&scene.host, "release", "-i lan -v port 67");
    network.del(&c1, "eth0").ok();
    if reference_differs("it sends it from 0.0.0.0, which servers ignore") {
        return;
    }
    capture.assert_sees(&format!("{}.68 > 10.5.0.1.67", address(&result, 0)));
    scene.wait_for_server_log("DHCPRELEASE(lan)");
    assert_eq!(dhcp::leases(&scene.host), [""; 0]);
    assert!(!dhcp::server_log(&scene.host).contains("unknown lease"));
}

/// An ADD that fails after the lease was got: the interface does not have the address yet.
#[test]
fn a_failed_add_gives_the_address_back() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    let before = scene.host.snapshot();
    assert!(!call(&scene.host, "ADD", &c1, &json!({"families": BOTH})).run_unheard().is_ok());
    scene.wait_for_server_log("DHCPRELEASE(lan) 10.5.0.");
    assert_eq!(dhcp::leases(&scene.host), [""; 0]);
    c1.shell("ip link set eth0 down");
    scene.host.snapshot().assert_nothing_since(&before);
}

#[test]
fn a_second_add_gets_the_lease_that_is_there() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    let add = || call(&scene.host, "ADD", &c1, &json!({}));
    let first = add().run().ok();
    assert_eq!(add().run().ok(), first);
    assert_eq!(dhcp::leases(&scene.host).len(), 1);
    if !reference_differs("it does not notice") {
        // What was there before stays when the reply of the second one is lost.
        assert!(!add().run_unheard().is_ok());
        assert_eq!(dhcp::leases(&scene.host).len(), 1);
    }
}

/// The runtime has made a new sandbox under the old name and never asked for the DEL of the first.
#[test]
fn an_add_for_another_namespace_replaces_the_lease() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    let first = call(&scene.host, "ADD", &c1, &json!({})).run().ok();
    let c1 = scene.host.lose(c1);
    drop(c1);
    let c1 = container(&scene.host, "c1");
    let second = call(&scene.host, "ADD", &c1, &json!({})).run().ok();
    assert_eq!(first["ips"], second["ips"], "the server knows the client");
    let asked = dhcp::server_log(&scene.host).matches("DHCPACK").count();
    assert_eq!(asked, 2, "and was asked again");
}

#[test]
fn many_containers_are_added_and_deleted_at_once() {
    let scene = Scene::new(&[]);
    let containers: Vec<_> = (0..24).map(|i| scene.host.container(&format!("c{i}"))).collect();
    let network = scene.network(&json!({}));
    scene.host.assert_leaves_nothing(|| {
        let mut given: Vec<String> = std::thread::scope(|scope| {
            let adds: Vec<_> = containers
                .iter()
                .map(|container| scope.spawn(|| leased(&network.add(container, "eth0").ok())))
                .collect();
            adds.into_iter().map(|add| add.join().unwrap()).collect()
        });
        given.sort();
        given.dedup();
        assert_eq!(given.len(), containers.len());
        std::thread::scope(|scope| {
            for container in &containers {
                scope.spawn(|| network.del(container, "eth0").ok());
            }
        });
    });
    assert!(reference_differs("servers ignore its releases") || dhcp::leases(&scene.host).is_empty());
}

#[test]
fn check_says_what_it_expected_and_what_it_found() {
    let mut scene = Scene::new(&[]);
    let c1 = scene.host.container("c1");
    let ipam = json!({"families": BOTH});
    let result = scene.network(&ipam).add(&c1, "eth0").ok();
    let check = |scene: &Scene, result: &Value| {
        let config =
            json!({"type": "bridge", "ipam": {"type": "dhcp", "families": BOTH}, "name": "net", "prevResult": result});
        scene.host.cni("dhcp").command("CHECK").container(&c1).config(&config).run()
    };
    check(&scene, &result).ok();
    let mut other = result.clone();
    other["ips"][0]["address"] = json!("10.5.0.9/24");
    let error = check(&scene, &other).error();
    assert!(error.msg.contains("that its ADD reported (ipv4)") && error.msg.contains(&leased(&result)), "{error:?}");
    scene.daemon = None;
    scene.host.shell("rm /run/ferrocni/dhcp/*/net:c1:eth0:ipv6");
    scene.daemon = Some(dhcp::daemon(&scene.host, &[]));
    let error = check(&scene, &result).error();
    assert!(error.msg.contains("to have a lease (ipv6), found none"), "{error:?}");
}

#[test]
fn garbage_collection_releases_what_is_not_listed_and_nothing_else() {
    let scene = Scene::new(&[]);
    let containers = ["stays", "goes"].map(|name| container(&scene.host, name));
    for container in &containers {
        call(&scene.host, "ADD", container, &json!({"families": BOTH})).run().ok();
    }
    let mut other = json!({"type": "bridge", "name": "other", "ipam": {"type": "dhcp"}});
    scene.host.cni("dhcp").command("ADD").container(&containers[1]).config(&other).run().ok();
    let gc = |config: &Value, valid: Value| {
        let mut config = config.clone();
        config["cni.dev/valid-attachments"] = valid;
        scene.host.cni("dhcp").command("GC").config(&config).run().ok();
    };
    let ours = json!({"type": "bridge", "ipam": {"type": "dhcp"}});
    gc(&ours, json!([{"containerID": "stays", "ifname": "eth0"}]));
    let files = || scene.host.shell("cd /run/ferrocni/dhcp/*; ls | grep : | tr '\\n' ' '");
    assert_eq!(files(), "other:goes:eth0:ipv4 test:stays:eth0:ipv4 test:stays:eth0:ipv6 ");
    assert_eq!(dhcp::leases(&scene.host).len(), 3);
    other["ipam"]["families"] = json!(BOTH);
    gc(&other, json!([]));
    gc(&ours, json!([]));
    assert_eq!(files(), "");
    assert_eq!(dhcp::leases(&scene.host), [""; 0]);
}

/// `-timeout` is for one request alone. The server comes late, and a bridge with the spanning tree protocol lets nothing
/// through for twice its forward delay after the container's port has come.
#[test]
fn a_server_is_asked_until_the_resend_timeout_whatever_the_timeout_of_a_request() {
    let mut scene = Scene::without_server(&["-timeout 1s", "-resendmax 1s"]);
    scene.host.shell("ip link set lan type bridge stp_state 1 forward_delay 200");
    let c1 = scene.host.container("c1");
    let (host, server) = (&scene.host, &mut scene.server);
    let result = std::thread::scope(|scope| {
        let adding = scope.spawn(|| network(host, &json!({})).add(&c1, "eth0").ok());
        // Longer than one request may take.
        std::thread::sleep(std::time::Duration::from_millis(2500));
        assert!(!adding.is_finished());
        *server = Some(dhcp::serve(host, &dhcp::RANGES));
        adding.join().unwrap()
    });
    assert!(leased(&result).starts_with("10.5.0."), "{result}");
}

#[test]
fn no_server_is_an_error_within_the_resend_timeout() {
    let scene = Scene::without_server(&["-resendtimeout 1s", "-resendmax 1s"]);
    let c1 = scene.host.container("c1");
    let before = scene.host.snapshot();
    let error = scene.network(&json!({})).add(&c1, "eth0").error();
    assert_eq!(error.code, 11, "{error:?}");
    assert!(error.msg.contains("no DHCPv4 server gave an address over eth0 within 1 s"), "{error:?}");
    assert!(error.details.contains("-resendtimeout"), "{error:?}");
    scene.host.snapshot().assert_nothing_since(&before);
}

#[test]
fn an_exhausted_server_is_quoted() {
    let range = ["--dhcp-range=10.5.0.10,10.5.0.10,255.255.255.0,1h", "--dhcp-range=fd00:5::5,fd00:5::5,64,1h"];
    let scene = Scene::with(&range, &["-resendtimeout 2s"]);
    let (c1, c2) = (container(&scene.host, "c1"), container(&scene.host, "c2"));
    let ipam = json!({"families": ["ipv6"]});
    call(&scene.host, "ADD", &c1, &ipam).run().ok();
    let error = call(&scene.host, "ADD", &c2, &ipam).run().error();
    assert!(error.code == 11 && error.details.contains("NoAddrsAvail"), "{error:?}");
}

#[test]
fn an_interface_that_cannot_speak_is_named() {
    let scene = Scene::with(&dhcp::RANGES, &["-resendtimeout 1s"]);
    let c1 = container(&scene.host, "c1");
    let add = || call(&scene.host, "ADD", &c1, &json!({})).run().error();
    scene.host.shell("ip link set c1 down");
    let error = add();
    assert!(error.code == 11 && error.msg.contains("interface eth0 had no carrier within 1 s"), "{error:?}");
    c1.shell("ip link set eth0 name eth7");
    let error = add();
    assert!(error.code == 4 && error.msg.contains("eth0") && error.details.contains("interface plugin"), "{error:?}");
    let error = call(&scene.host, "ADD", &c1, &json!({})).netns("/run/netns/none").run().error();
    assert!(error.code == 4 && error.msg.contains("/run/netns/none does not exist"), "{error:?}");
    c1.shell("ip tuntap add eth0 mode tun");
    let error = add();
    assert!(error.msg.contains("eth0 has no Ethernet address"), "{error:?}");
}

/// strace plays a connection that breaks when the daemon has answered, for which it is given some time.
#[test]
fn an_add_that_does_not_hear_the_answer_gives_the_address_back() {
    let scene = Scene::new(&[]);
    let c1 = container(&scene.host, "c1");
    for nth in 1..=2 {
        let inject = format!("inject=recvfrom:error=EIO:delay_enter=500ms:when={nth}");
        let strace = ["strace", "-f", "-qqq", "-o", "/dev/null", "-e", "trace=recvfrom", "-e", &inject];
        assert!(!call(&scene.host, "ADD", &c1, &json!({})).run_under(&strace).is_ok(), "{nth}");
        dhcp::eventually("nothing is left", || scene.host.shell("ls /run/ferrocni/dhcp/*") == "lock\n");
        dhcp::eventually("the address is given back", || dhcp::leases(&scene.host).is_empty());
    }
}

/// In each of the three ways in which a runtime can request one. A server gives another address if the requested one is in
/// use or in none of its ranges; that does not count.
#[test]
fn an_address_that_was_asked_for_is_given_or_the_add_fails() {
    let scene = Scene::with(&dhcp::RANGES, &["-timeout 1s"]);
    let families = json!({"families": ["ipv4", "ipv6"]});
    let add = |name: &str, args: &str, more: &Value| {
        let container = container(&scene.host, name);
        let mut config = json!({"type": "bridge", "name": "net", "ipam": families});
        config["ipam"]["type"] = json!("dhcp");
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        scene.host.cni("dhcp").command("ADD").container(&container).args(args).config(&config).run()
    };
    let of_keys = json!({"args": {"cni": {"ips": ["10.5.0.99"]}}});
    let of_runtime = json!({"runtimeConfig": {"ips": ["10.5.0.111/24", "fd00:5::1:77/64"]}});
    assert_eq!(leased(&add("c1", "IgnoreUnknown=1;IP=10.5.0.88", &json!({})).ok()), "10.5.0.88/24");
    assert_eq!(leased(&add("c2", "", &of_keys).ok()), "10.5.0.99/24");
    let both = add("c3", "", &of_runtime).ok();
    assert_eq!((leased(&both).as_str(), &both["ips"][1]["address"]), ("10.5.0.111/24", &json!("fd00:5::1:77/128")));
    let before = dhcp::leases(&scene.host);
    for (name, wanted) in [("c4", "10.5.0.88"), ("c5", "10.9.9.9")] {
        let error = add(name, &format!("IP={wanted}"), &json!({"ipam": {"type": "dhcp"}})).error();
        assert!(error.code == 11 && error.details.contains(&format!("{wanted} was asked for")), "{error:?}");
    }
    assert_eq!(dhcp::leases(&scene.host), before);
    for (wanted, words) in [("10.5.0.88;x;IP=nine", "nine"), ("fd00:5::1:5", "families")] {
        let error = add(&format!("of-{words}"), &format!("IP={wanted}"), &json!({"ipam": {"type": "dhcp"}})).error();
        assert!(error.code == 7 && error.msg.contains(words), "{error:?}");
    }
}

/// What was made of bytes from the network must not make two lines of a resolv.conf.
#[test]
fn names_that_are_none_are_not_reported() {
    let scene =
        Scene::new(&["--dhcp-option-force=15,evil nameserver 6.6.6.6", "--dhcp-option=option:dns-server,10.5.0.53"]);
    let c1 = container(&scene.host, "c1");
    let result = call(&scene.host, "ADD", &c1, &json!({})).run().ok();
    assert!(reference_differs("none at all") || result["dns"] == json!({"nameservers": ["10.5.0.53"]}), "{result}");
}
