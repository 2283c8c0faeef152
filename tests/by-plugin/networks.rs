//! Networks that the tests of several plugins use.

use serde_json::{Value, json};
use tests::{Host, Inside as _};

/// Bridge `br<number>` with 10.`number`.0.0/24 and fd00:`number`::/64, followed by `chained`. Its ports are in hairpin mode,
/// without which a container does not reach itself where bridged packets pass iptables (br_netfilter).
pub(crate) fn bridged(number: u8, chained: &[Value]) -> Value {
    let mut plugins = vec![bridge(number)];
    plugins.extend_from_slice(chained);
    json!({"name": format!("net{number}"), "plugins": plugins})
}

fn bridge(number: u8) -> Value {
    let subnets = json!([[{"subnet": format!("10.{number}.0.0/24")}], [{"subnet": format!("fd00:{number}::/64")}]]);
    json!({
        "type": "bridge", "bridge": format!("br{number}"), "isDefaultGateway": true, "ipMasq": true, "hairpinMode": true,
        "ipam": {"type": "host-local", "ranges": subnets}
    })
}

/// The same without a bridge: each container is behind a link of its own.
pub(crate) fn point_to_point(number: u8, chained: &[Value]) -> Value {
    let subnets = json!([[{"subnet": format!("10.{number}.0.0/24")}], [{"subnet": format!("fd00:{number}::/64")}]]);
    let routes = json!([{"dst": "0.0.0.0/0"}, {"dst": "::/0"}]);
    let ptp =
        json!({"type": "ptp", "ipMasq": true, "ipam": {"type": "host-local", "ranges": subnets, "routes": routes}});
    let mut plugins = vec![ptp];
    plugins.extend_from_slice(chained);
    json!({"name": format!("net{number}"), "plugins": plugins})
}

/// What today's table has more than that of the layout before.
const SINCE_LAYOUT_4: &str = "
    delete chain inet ferrocni layout-5
    flush chain inet ferrocni member
    add rule inet ferrocni member jump admin
    add rule inet ferrocni member ip daddr @closed4 jump unpublished
    add rule inet ferrocni member ip6 daddr @closed6 jump unpublished
    add rule inet ferrocni member iifname @isolated_bridges jump isolation
    delete set inet ferrocni confined4
    delete set inet ferrocni confined6
";

/// What that has more than the one before.
const SINCE_LAYOUT_3: &str = "
    flush chain inet ferrocni answers
    delete chain inet ferrocni answers
";

/// What that has more than those before.
const SINCE_LAYOUT_2: &str = "
    flush chain inet ferrocni member
    add rule inet ferrocni member jump admin
    add rule inet ferrocni member iifname @isolated_bridges jump isolation
    flush chain inet ferrocni unpublished
    delete chain inet ferrocni unpublished
    delete set inet ferrocni closed4
    delete set inet ferrocni closed6
    delete set inet ferrocni own_link4
    delete set inet ferrocni own_link6
    delete set inet ferrocni senders4
    delete set inet ferrocni senders6
";

/// For each earlier layout, what nft has to do to today's table to make it of that.
pub(crate) fn earlier_layouts() -> [String; 4] {
    let layout = |number: u8| format!("add chain inet ferrocni layout-{number}\n");
    let of_3 = format!("{SINCE_LAYOUT_4}{SINCE_LAYOUT_3}");
    let unnumbered = format!("{of_3}{SINCE_LAYOUT_2}");
    [
        unnumbered.clone(),
        format!("{unnumbered}{}", layout(2)),
        format!("{of_3}{}", layout(3)),
        format!("{SINCE_LAYOUT_4}{}", layout(4)),
    ]
}

/// Makes today's table one of an earlier layout.
pub(crate) fn go_back_to(host: &Host, layout: &str) {
    host.write("/run/earlier.nft", layout);
    host.run(["nft", "-f", "/run/earlier.nft"]);
}

/// The plugin `portmap` with more keys.
pub(crate) fn portmap(keys: &Value) -> Value {
    with(json!({"type": "portmap", "capabilities": {"portMappings": true}}), keys)
}

/// The plugin `firewall` with more keys.
pub(crate) fn firewall(keys: &Value) -> Value {
    with(json!({"type": "firewall"}), keys)
}

fn with(mut plugin: Value, keys: &Value) -> Value {
    for (key, value) in keys.as_object().into_iter().flatten() {
        plugin[key] = value.clone();
    }
    plugin
}

/// The capability arguments for these `(protocol, port of the host, port of the container)`.
pub(crate) fn ports(mappings: &[(&str, u16, u16)]) -> Value {
    let mapping = |(protocol, host, container): &(&str, u16, u16)| json!({"protocol": protocol, "hostPort": host, "containerPort": container});
    json!({"portMappings": mappings.iter().map(mapping).collect::<Vec<_>>()})
}

/// Lets bridged packets pass by iptables, if the kernel has br_netfilter loaded.
pub(crate) fn without_br_netfilter(host: &Host) {
    host.shell("for i in /proc/sys/net/bridge/bridge-nf-call-ip*tables; do [ ! -e $i ] || echo 0 > $i; done");
}
