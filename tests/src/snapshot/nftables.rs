//! The nftables ruleset.

use serde_json::Value;

/// The tables that iptables-nft keeps; iptables itself tells better what is in them.
const IPTABLES: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// The chains of our tables that stay. All others are there for a subnet or a bridge, and go with its last
/// container.
const SKELETON: [&str; 13] = [
    "layout-5",
    "localnet",
    "prerouting",
    "answers",
    "output",
    "publish",
    "postrouting",
    "masquerade-published",
    "forward",
    "member",
    "admin",
    "unpublished",
    "isolation",
];

/// A line for each object of `nft -j list ruleset` that belongs to somebody. Of our own tables, which stay
/// when the last container has gone, that is every element, and what is not part of their skeleton.
pub(super) fn lines(ruleset: &Value) -> Vec<String> {
    let objects = ruleset["nftables"].as_array().map_or(&[][..], Vec::as_slice);
    objects.iter().filter_map(Value::as_object).flat_map(|object| object.iter().flat_map(object_lines)).collect()
}

fn object_lines((kind, object): (&String, &Value)) -> Vec<String> {
    let word = |key: &str| object[key].as_str().unwrap_or_default();
    let (family, name) = (word("family"), word("name"));
    let table = if kind == "table" { name } else { word("table") };
    if kind == "metainfo" || is_iptables(family, table) {
        return Vec::new();
    }
    let place = words(&[family, word("table"), word("chain"), name]);
    let elements = object["elem"].as_array().map_or(&[][..], Vec::as_slice);
    let mut lines: Vec<_> = elements.iter().map(|element| format!("nft element {place}: {}", bare(element))).collect();
    let expression = object.get("expr").map(|expression| bare(expression).to_string()).unwrap_or_default();
    let is_constant = match table {
        "ferrocni" => is_skeleton(kind, object),
        "netavark" => is_netavark_s_skeleton(kind, &place, &expression),
        _ => false,
    };
    if !is_constant {
        lines.push(words(&["nft", kind, &place, &expression, word("comment")]));
    }
    lines
}

fn words(words: &[&str]) -> String {
    let there: Vec<_> = words.iter().copied().filter(|word| !word.is_empty()).collect();
    there.join(" ")
}

fn is_iptables(family: &str, table: &str) -> bool {
    matches!(family, "ip" | "ip6") && IPTABLES.contains(&table)
}

/// Tables, sets and maps always are; a rule of the skeleton stands in one of its chains, and not in `admin`,
/// whose rules are the administrator's.
fn is_skeleton(kind: &str, object: &Value) -> bool {
    let word = |key: &str| object[key].as_str().unwrap_or_default();
    match kind {
        "chain" => SKELETON.contains(&word("name")),
        "rule" => SKELETON.contains(&word("chain")) && word("chain") != "admin",
        _ => true,
    }
}

/// Of Debian's netavark these stay: its table, the chains that have no network in their names, and the rules that are about no
/// address, port or link.
fn is_netavark_s_skeleton(kind: &str, place: &str, expression: &str) -> bool {
    match kind {
        "chain" => !place.contains(" nv_"),
        "rule" => !["payload", "ifname"].iter().any(|word| expression.contains(word)),
        _ => kind == "table",
    }
}

/// Without what changes by itself: counters, and the time that an element has left.
fn bare(value: &Value) -> Value {
    match value {
        Value::Array(items) => Value::Array(items.iter().map(bare).collect()),
        Value::Object(fields) => {
            let constant = fields.iter().filter(|(key, _)| !matches!(key.as_str(), "packets" | "bytes" | "expires"));
            Value::Object(constant.map(|(key, value)| (key.clone(), bare(value))).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::lines;

    #[test]
    fn of_our_tables_only_elements_and_strangers_count() {
        let ruleset = json!({"nftables": [
            {"metainfo": {"version": "1.0.6"}},
            {"table": {"family": "inet", "name": "ferrocni"}},
            {"chain": {"family": "inet", "table": "ferrocni", "name": "prerouting"}},
            {"chain": {"family": "inet", "table": "ferrocni", "name": "web-12"}},
            {"map": {"family": "inet", "table": "ferrocni", "name": "ports", "elem": [["tcp", 80]]}},
            {"rule": {"family": "inet", "table": "ferrocni", "chain": "admin"}},
            {"rule": {"family": "inet", "table": "ferrocni", "chain": "publish"}},
            {"table": {"family": "inet", "name": "other"}},
            {"chain": {"family": "ip", "table": "nat", "name": "CNI-1"}},
            {"table": {"family": "inet", "name": "netavark"}},
            {"chain": {"family": "inet", "table": "netavark", "name": "FORWARD"}},
            {"chain": {"family": "inet", "table": "netavark", "name": "nv_1"}},
            {"rule": {"family": "inet", "table": "netavark", "chain": "FORWARD", "expr": [{"jump": {"target": "X"}}]}},
            {"rule": {"family": "inet", "table": "netavark", "chain": "FORWARD", "expr": ["payload"]}},
        ]});
        let expected = [
            "nft chain inet ferrocni web-12",
            "nft chain inet netavark nv_1",
            "nft element inet ferrocni ports: [\"tcp\",80]",
            "nft rule inet ferrocni admin",
            "nft rule inet netavark FORWARD [\"payload\"]",
            "nft table inet other",
        ];
        let mut found = lines(&ruleset);
        found.sort();
        assert_eq!(found, expected);
    }
}
