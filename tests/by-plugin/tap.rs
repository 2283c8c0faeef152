//! tap: an interface whose other end is a program, here socat, which stands for a virtual machine.

use std::collections::BTreeSet;
use std::thread;

use serde_json::{Value, json};
use tests::{Background, Chain, Cni, Container, Finished, Host, Inside as _, address, every_plugin_rules, example};

/// A tap plugin with these keys beside.
fn config(keys: &Value) -> Value {
    let mut config = json!({"type": "tap"});
    config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
    config
}

/// A network of just that plugin.
fn network<'h>(host: &'h Host, keys: &Value) -> Chain<'h> {
    host.chain(&json!({"name": "net", "plugins": [config(keys)]}))
}

/// One call of the plugin that is not part of a [`Chain`].
fn call<'h>(host: &'h Host, verb: &str, container: &Container, config: &Value) -> Cni<'h> {
    host.cni("tap").command(verb).container(container).config(config)
}

fn addresses() -> Value {
    json!({"ipam": {"type": "host-local", "ranges": [[{"subnet": "10.1.0.0/24"}], [{"subnet": "fd00:1::/64"}]]}})
}

/// What only taps have.
fn options(container: &Container, name: &str) -> Value {
    container.link(name)["linkinfo"]["info_data"].clone()
}

/// A user or a group as `ip` tells of it: by its name, if this machine has one for it.
fn known_as(container: &Container, database: &str, id: u32) -> Value {
    let name = container.shell(&format!("getent {database} {id} | cut -d: -f1"));
    if name.is_empty() { json!(id) } else { json!(name.trim_end()) }
}

/// Connects a tap of one container with a tap of another, by a program in each that passes frames on.
fn wire(one: &Container, other: &Container, options: &str) -> [Background; 2] {
    let tap = format!("TUN,tun-name=eth0,tun-type=tap,iff-no-pi{options}");
    // Packets over a Unix socket are one frame each.
    let listens = one.spawn(["socat", &tap, "UNIX-LISTEN:/run/wire,type=5,unlink-early"]);
    one.shell("until [ -S /run/wire ]; do sleep 0.02; done");
    let connects = other.spawn(["socat", &tap, "UNIX-CONNECT:/run/wire,type=5"]);
    [listens, connects]
}

#[test]
fn the_rules_of_every_plugin_hold_for_each_key() {
    for keys in [
        json!({}),
        addresses(),
        json!({"multiQueue": true, "mtu": 1400, "mac": "02:00:00:00:00:07", "owner": 0, "group": 4711}),
        json!({"selinuxContext": "", "bridge": "", "mac": ""}),
    ] {
        let host = Host::new();
        every_plugin_rules(&network(&host, &keys), &host.container("c1"), "eth0");
    }
}

#[test]
fn the_interface_is_a_tap_that_lasts_and_says_whose_it_is() {
    let host = Host::new();
    // Of which the tap's may be another one of the same name.
    host.shell("ip link add eth0 type veth peer name eth1");
    let c1 = host.container("c1");
    let result = network(&host, &json!({})).add(&c1, "eth0").ok();
    let link = c1.link("eth0");
    let info = options(&c1, "eth0");
    assert_eq!((&info["type"], &info["persist"], &info["multi_queue"]), (&json!("tap"), &json!(true), &json!(false)));
    assert_eq!((info.get("user"), info.get("group")), (None, None));
    assert_eq!(link["ifalias"], "ferrocni:net/c1/eth0");
    assert!(c1.is_up("eth0"));
    let expected = json!([{"name": "eth0", "mac": link["address"], "mtu": 1500, "sandbox": c1.netns}]);
    assert_eq!(result, json!({"cniVersion": "1.1.0", "interfaces": expected}));
    assert_eq!(c1.links(), ["lo", "eth0"]);
}

#[test]
fn keys_are_what_the_kernel_says_of_the_tap() {
    let host = Host::new();
    let c1 = host.container("c1");
    let keys = json!({"multiQueue": true, "mtu": 1400, "mac": "02:00:00:00:00:07", "owner": 4711, "group": 0});
    let result = network(&host, &keys).add(&c1, "eth0").ok();
    let (link, info) = (c1.link("eth0"), options(&c1, "eth0"));
    assert_eq!((&link["mtu"], &link["address"]), (&json!(1400), &json!("02:00:00:00:00:07")));
    assert_eq!((&result["interfaces"][0]["mtu"], &result["interfaces"][0]["mac"]), (&link["mtu"], &link["address"]));
    assert_eq!((&info["user"], &info["group"]), (&known_as(&c1, "passwd", 4711), &known_as(&c1, "group", 0)));
    assert_eq!(info["multi_queue"], true);
}

#[test]
fn the_hardware_address_of_one_container_goes_before_the_network_s() {
    let host = Host::new();
    let c1 = host.container("c1");
    let (key, args, capability) = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03");
    let mac_of = |network: Chain<'_>| {
        let result = network.add(&c1, "eth0").ok();
        network.del(&c1, "eth0").ok();
        result["interfaces"][0]["mac"].as_str().unwrap().to_owned()
    };
    let keys = json!({"mac": key, "capabilities": {"mac": true}});
    assert_eq!(mac_of(network(&host, &keys)), key);
    let args = format!("IgnoreUnknown=1;MAC={args}");
    assert_eq!(mac_of(network(&host, &keys).args(&args)), "02:00:00:00:00:02");
    let both = network(&host, &keys).args(&args).capabilities(&json!({"mac": capability}));
    assert_eq!(mac_of(both), capability);
}

#[test]
fn frames_pass_between_the_container_and_the_program() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = network(&host, &addresses());
    let results = [&c1, &c2].map(|container| network.add(container, "eth0").ok());
    assert_eq!(
        results[1]["ips"],
        json!([
            {"address": "10.1.0.3/24", "gateway": "10.1.0.1", "interface": 0},
            {"address": "fd00:1::3/64", "gateway": "fd00:1::1", "interface": 0}
        ])
    );
    let _machines = wire(&c1, &c2, "");
    let _server = c2.listen_tcp(80);
    for family in [0, 1] {
        c1.assert_reaches_tcp(&format!("{}:80", address(&results[1], family)));
    }
    network.check(&c1, "eth0").ok();
}

/// Attaches to `eth0` as often as told, all at the same time, with more flags (include/uapi/linux/if_tun.h), by a Perl that
/// runs under `who`.
fn attach(container: &Container, who: &str, times: usize, flags: u16) -> Finished {
    let program = "for (1..$ARGV[0]) {
        open my $tun, '+<', '/run/tun' or die 'open: ', $!;
        ioctl $tun, 0x400454ca, pack('a16 S x22', 'eth0', 0x1002 | $ARGV[1]) or die 'attach: ', $!;
        push @attached, $tun;
    }";
    let line = format!("exec setpriv {who} --clear-groups perl -e \"$1\" {times} {flags}");
    container.try_run(["sh", "-c", &line, "sh", program])
}

/// `/dev/net/tun` for everybody, as distributions have it.
fn open_tun(host: &Host) {
    host.shell("mknod /run/tun c 10 200; chmod 666 /run/tun");
}

/// The whole point of a tap with an owner: a program without privileges.
#[test]
fn its_owner_and_its_group_may_attach_and_nobody_else() {
    for (keys, may, may_not) in [
        (json!({"owner": 4711}), "--reuid 4711 --regid 1", "--reuid 4712 --regid 4711"),
        (json!({"group": 4711}), "--reuid 1 --regid 4711", "--reuid 4711 --regid 1"),
        (json!({"owner": 0}), "--reuid 0 --regid 1 --bounding-set -all --inh-caps -all", "--reuid 1 --regid 0"),
    ] {
        let host = Host::new();
        open_tun(&host);
        let c1 = host.container("c1");
        network(&host, &keys).add(&c1, "eth0").ok();
        let allowed = attach(&c1, may, 1, 0);
        assert!(allowed.status.success(), "{keys}: {allowed}");
        let refused = attach(&c1, may_not, 1, 0);
        assert!(refused.stderr.contains("attach: Operation not permitted"), "{keys}: {refused}");
    }
}

#[test]
fn a_tap_of_several_queues_takes_several_threads() {
    const IFF_MULTI_QUEUE: u16 = 0x100;
    for multi_queue in [false, true] {
        let host = Host::new();
        open_tun(&host);
        let c1 = host.container("c1");
        network(&host, &json!({"multiQueue": multi_queue})).add(&c1, "eth0").ok();
        let succeeds = |times, flags| attach(&c1, "", times, flags).status.success();
        assert_eq!([succeeds(1, 0), succeeds(2, 0)], [!multi_queue, false]);
        assert_eq!([succeeds(1, IFF_MULTI_QUEUE), succeeds(4, IFF_MULTI_QUEUE)], [multi_queue; 2]);
    }
}

/// What the machine behind the tap reaches through a bridge in the container.
#[test]
fn a_tap_is_a_port_of_the_bridge_in_the_container() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    c1.shell("ip link add lan up type bridge; ip addr add 10.1.0.1/24 dev lan; ip addr add fd00:1::1/64 dev lan nodad");
    let bridged = network(&host, &json!({"bridge": "lan"}));
    bridged.add(&c1, "eth0").ok();
    assert_eq!(c1.link("eth0")["master"], "lan");
    bridged.check(&c1, "eth0").ok();
    network(&host, &addresses()).add(&c2, "eth0").ok();
    let _machines = wire(&c1, &c2, "");
    let _server = c1.listen_tcp(80);
    c2.assert_reaches_tcp("10.1.0.1:80");
    c2.assert_reaches_tcp("[fd00:1::1]:80");
    bridged.del(&c1, "eth0").ok();
    assert_eq!(c1.links(), ["lo", "lan"]);
}

#[test]
fn what_cannot_be_made_is_refused_and_changes_nothing() {
    let host = Host::new();
    host.shell("ip link add lan type bridge");
    let c1 = host.container("c1");
    let cases = [
        (json!({"bridge": "lan"}), 999, "no link lan"),
        (json!({"bridge": "lo"}), 999, "eth0"),
        (json!({"mtu": 70000}), 999, "mtu"),
        (json!({"mtu": -1}), 7, "mtu"),
        (json!({"mac": "01:00:00:00:00:01"}), 7, "group address"),
        (json!({"owner": "root"}), 7, "owner"),
        (json!({"group": -1}), 7, "group"),
        (json!({"selinuxContext": "system_u:system_r:container_t:s0"}), 999, "SELinux is not enabled"),
        (json!({"ipam": {"type": "no-such"}}), 7, "no-such"),
    ];
    for (keys, code, words) in cases {
        let error = host.assert_leaves_nothing(|| network(&host, &keys).add(&c1, "eth0").error());
        assert_eq!(error.code, code, "{keys}: {error:?}");
        let text = format!("{} {}", error.msg, error.details);
        assert!(text.contains(words), "{keys}: {error:?}");
    }
    let args = call(&host, "ADD", &c1, &config(&json!({}))).args("MAC=x").run().error();
    assert!(args.code == 4 && args.msg.contains("CNI_ARGS"), "{args:?}");
}

#[test]
fn a_taken_name_is_told_whoever_has_it() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({}));
    network.add(&c1, "eth0").ok();
    c1.shell("ip link add eth1 type veth peer name other; ip tuntap add mode tap name eth2");
    for (ifname, words) in [("eth0", "run DEL first"), ("eth1", "eth1 already"), ("eth2", "eth2 already")] {
        let error = host.assert_leaves_nothing(|| network.add(&c1, ifname).error());
        assert!(error.msg.contains(words), "{error:?}");
    }
}

#[test]
fn del_deletes_its_own_tap_and_no_other_link() {
    let host = Host::new();
    let c1 = host.container("c1");
    c1.shell(
        "ip tuntap add mode tap name others; ip link set others alias ferrocni:net/c2/others
         ip link add veth0 type veth peer name veth1
         ip tuntap add mode tap name reference",
    );
    let network = network(&host, &json!({}));
    for ifname in ["others", "veth0", "reference", "missing"] {
        network.del(&c1, ifname).ok();
    }
    let mut left = c1.links();
    left.sort();
    assert_eq!(left, ["lo", "others", "veth0", "veth1"]);
}

#[test]
fn del_releases_the_addresses_of_a_container_that_is_gone() {
    let host = Host::new();
    let before = host.snapshot();
    let c1 = host.container("c1");
    let network = network(&host, &addresses());
    network.add(&c1, "eth0").ok();
    let c1 = host.lose(c1);
    network.del(&c1, "eth0").ok();
    host.snapshot().assert_nothing_since(&before);
}

#[test]
fn gc_releases_addresses_and_leaves_taps_alone() {
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &addresses());
    network.add(&c1, "eth0").ok();
    let before = host.snapshot();
    let c2 = host.container("c2");
    network.add(&c2, "eth0").ok();
    let _ = host.lose(c2);
    network.gc(&[("c1", "eth0")]).ok();
    host.snapshot().assert_nothing_since(&before);
    network.check(&c1, "eth0").ok();
}

/// Not even DEL is needed: an ADD that did not get to its end leaves no tap.
#[test]
fn an_add_killed_anywhere_leaves_no_tap() {
    let host = Host::new();
    let c1 = host.container("c1");
    let config = config(&addresses());
    let (mut runs, mut with_tap) = (0, 0);
    let before = host.snapshot();
    let kills = call(&host, "ADD", &c1, &config).killed_at_every_change(|_| {
        runs += 1;
        with_tap += usize::from(c1.links().len() > 1);
        call(&host, "DEL", &c1, &config).run().ok();
        host.snapshot().assert_nothing_since(&before);
    });
    assert!(kills > 10, "ADD was killed {kills} times only");
    // Those that ran to their end, and the one that was killed as it was about to print its reply.
    assert_eq!(with_tap, runs - kills + 1);
}

#[test]
fn check_names_what_differs() {
    let cases = [
        ("ip link set eth0 down", "state of interface eth0"),
        ("ip link set eth0 address 02:00:00:00:00:99", "02:00:00:00:00:99"),
        ("ip addr del 10.1.0.2/24 dev eth0", "10.1.0.2/24"),
        ("ip link set eth0 nomaster", "expected lan, found none"),
        ("ip link add wan type bridge; ip link set eth0 master wan", "expected lan, found another"),
        ("ip link del eth0", "link of interface eth0"),
    ];
    for (damage, words) in cases {
        let host = Host::new();
        let c1 = host.container("c1");
        c1.shell("ip link add lan up type bridge");
        let mut keys = addresses();
        keys["bridge"] = json!("lan");
        keys["mac"] = json!("02:00:00:00:00:07");
        let network = network(&host, &keys);
        network.add(&c1, "eth0").ok();
        network.check(&c1, "eth0").ok();
        c1.shell(damage);
        let error = network.check(&c1, "eth0").error();
        assert!(error.msg.contains(words), "{damage}: {error:?}");
    }
    let host = Host::new();
    let c1 = host.container("c1");
    let network = network(&host, &json!({"mac": "02:00:00:00:00:07"}));
    network.add(&c1, "eth0").ok();
    c1.shell(
        "ip link del eth0; ip link add eth0 address 02:00:00:00:00:07 type veth peer name other; ip link set eth0 up",
    );
    let error = network.check(&c1, "eth0").error();
    assert!(error.msg.contains("expected a tap, found veth"), "{error:?}");
}

#[test]
fn status_tells_whether_taps_can_be_made() {
    let host = Host::new();
    let status = |keys: &Value| host.cni("tap").command("STATUS").config(&config(keys)).run();
    status(&json!({"multiQueue": true})).ok();
    status(&addresses()).ok();
    let unavailable = |keys: &Value, words: &str| {
        let error = status(keys).error();
        assert!(error.code == 50 && error.msg.contains(words), "{keys}: {error:?}");
    };
    unavailable(&json!({"selinuxContext": "system_u:system_r:container_t:s0"}), "SELinux is not enabled");
    unavailable(&json!({"ipam": {"type": "no-such"}}), "no-such");
    let c1 = host.container("c1");
    for instead in ["mount --bind /dev/null /dev/net/tun", "mount -t tmpfs empty /dev/net"] {
        host.shell(instead);
        unavailable(&json!({}), "cannot use /dev/net/tun");
        let error = host.assert_leaves_nothing(|| network(&host, &json!({})).add(&c1, "eth0").error());
        assert!(error.msg.contains("cannot use /dev/net/tun"), "{error:?}");
    }
}

#[test]
fn many_taps_at_once() {
    let host = Host::new();
    let containers: Vec<Container> = (0..50).map(|i| host.container(&format!("c{i}"))).collect();
    let network = network(&host, &addresses());
    let before = host.snapshot();
    let at_once = |verb: &(dyn Fn(&Container) -> Value + Sync)| -> Vec<Value> {
        thread::scope(|scope| {
            let threads: Vec<_> = containers.iter().map(|container| scope.spawn(move || verb(container))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    };
    let results = at_once(&|container| network.add(container, "eth0").ok());
    let given: BTreeSet<_> = results.iter().map(|result| address(result, 0)).collect();
    assert_eq!(given.len(), 50);
    at_once(&|container| network.del(container, "eth0").ok());
    host.snapshot().assert_nothing_since(&before);
}

/// Nor a copy of itself, unless a context has to be entered, or the kernel frees what DEL or GC have removed.
#[test]
fn no_verb_starts_another_program() {
    let host = Host::new();
    let c1 = host.container("c1");
    let mut config = config(&addresses());
    config["cni.dev/valid-attachments"] = json!([]);
    for verb in ["STATUS", "ADD", "CHECK", "DEL", "GC"] {
        let strace = ["strace", "-f", "-qqq", "-e", "trace=execve,fork,vfork,clone,clone3", "-o", "/run/trace"];
        let result = call(&host, verb, &c1, &config).run_under(&strace).ok();
        let trace = host.read("/run/trace").unwrap();
        let waits = usize::from(["DEL", "GC"].contains(&verb));
        assert_eq!(trace.matches("execve(").count(), 1, "{verb}: {trace}");
        assert!(trace.matches('(').count() <= 1 + waits, "{verb}: {trace}");
        if verb == "ADD" {
            config["prevResult"] = result;
        }
    }
}

#[test]
fn the_example_gives_a_machine_s_monitor_a_tap_of_its_own() {
    let host = Host::new();
    let (c1, c2) = (host.container("c1"), host.container("c2"));
    let network = host.chain(&example("tap"));
    let results = [&c1, &c2].map(|container| network.add(container, "eth0").ok());
    let (info, user, group) = (options(&c1, "eth0"), known_as(&c1, "passwd", 107), known_as(&c1, "group", 107));
    assert_eq!((&info["user"], &info["group"]), (&user, &group));
    let _machines = wire(&c1, &c2, "");
    let _server = c2.listen_tcp(80);
    for family in [0, 1] {
        c1.assert_reaches_tcp(&format!("{}:80", address(&results[1], family)));
    }
}
