//! Links, addresses, routes and policy rules.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::command::Inside;

/// The flags of a link that are set by configuration, as opposed to those that the kernel reports.
const SET_FLAGS: [&str; 4] = ["UP", "PROMISC", "ALLMULTI", "NOARP"];

/// The tunnels, with their kinds, that the kernel puts into every namespace as soon as somebody, somewhere, has
/// loaded their modules: into those that are there as well.
const TUNNELS: [(&str, &str); 9] = [
    ("tunl0", "ipip"),
    ("gre0", "gre"),
    ("gretap0", "gretap"),
    ("erspan0", "erspan"),
    ("sit0", "sit"),
    ("ip_vti0", "vti"),
    ("ip6tnl0", "ip6tnl"),
    ("ip6gre0", "ip6gre"),
    ("ip6_vti0", "vti6"),
];

/// The lines, each naming its link as `dev <name> `, and the bridges that have no port.
pub(super) fn lines(place: &impl Inside) -> (Vec<String>, BTreeSet<String>) {
    let commands = ["address show", "route show table all", "rule show"];
    let [links, routes, rules] = place.ip_json_batch(&["-d"], commands);
    let rules_of_ipv6 = place.ip_json(["-d", "-6", "rule", "show"]);
    let mut lines = Vec::new();
    for link in array(&links) {
        lines.extend(link_line(link));
        lines.extend(array(&link["addr_info"]).iter().filter_map(|address| address_line(link, address)));
    }
    lines.extend(array(&routes).iter().filter_map(route_line));
    for (family, rules) in [("-4", rules), ("-6", rules_of_ipv6)] {
        // That for VRFs the kernel makes with the first of them, and keeps.
        let rules = array(&rules).iter().filter(|rule| rule.get("l3mdev").is_none());
        lines.extend(rules.map(|rule| format!("rule {family} {rule}")));
    }
    (lines, empty_bridges(&links))
}

/// Whether a link, as `ip -d -j link` describes it, is one of the kernel's tunnels that nobody uses.
pub(crate) fn is_unused_tunnel(link: &Value) -> bool {
    let (name, kind) = (text(&link["ifname"]), text(&link["linkinfo"]["info_kind"]));
    let is_free = link["master"].is_null() && link["ifalias"].is_null();
    TUNNELS.contains(&(&name, &kind)) && is_free && !array(&link["flags"]).contains(&"UP".into())
}

/// Nothing for the kernel's tunnels, as long as nobody uses them.
fn link_line(link: &Value) -> Option<String> {
    let flags: Vec<_> = SET_FLAGS.into_iter().filter(|flag| array(&link["flags"]).contains(&(*flag).into())).collect();
    let words = [("kind", &link["linkinfo"]["info_kind"]), ("master", &link["master"]), ("alias", &link["ifalias"])];
    let name = text(&link["ifname"]);
    (!is_unused_tunnel(link)).then(|| format!("link dev {name} {}{}", described(&words), flags.join(",")))
}

/// Nothing for the addresses that the kernel gives by itself: link-local ones, and those of `lo`.
fn address_line(link: &Value, address: &Value) -> Option<String> {
    let (local, dev) = (text(&address["local"]), text(&link["ifname"]));
    let made_by_kernel = local.starts_with("fe80:") || is_loopback(&local);
    (!made_by_kernel).then(|| format!("address {local}/{} dev {dev} ", address["prefixlen"]))
}

/// Nothing for the routes that belong to such addresses, and for multicast: they come and go with carrier
/// and address verification.
fn route_line(route: &Value) -> Option<String> {
    let (kind, dst) = (text(&route["type"]), text(&route["dst"]));
    let made_by_kernel = kind == "multicast" || kind == "anycast" || dst.starts_with("fe80:") || is_loopback(&dst);
    let keys = ["gateway", "table", "prefsrc", "scope", "metric"];
    let words: Vec<_> = keys.iter().map(|key| (*key, &route[*key])).collect();
    (!made_by_kernel).then(|| format!("route {kind} {dst} dev {} {}", text(&route["dev"]), described(&words)))
}

fn is_loopback(address: &str) -> bool {
    ["127.0.0.0/8", "127.0.0.1", "127.255.255.255", "::1"].contains(&address)
}

fn empty_bridges(links: &Value) -> BTreeSet<String> {
    let masters: BTreeSet<_> = array(links).iter().map(|link| text(&link["master"])).collect();
    let bridges = array(links).iter().filter(|link| link["linkinfo"]["info_kind"] == "bridge");
    bridges.map(|link| text(&link["ifname"])).filter(|name| !masters.contains(name)).collect()
}

/// The words that have a value, each followed by a space.
fn described(words: &[(&str, &Value)]) -> String {
    let there = words.iter().filter(|(_, value)| !value.is_null());
    there.map(|(key, value)| format!("{key} {} ", text(value))).collect()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
