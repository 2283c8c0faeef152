//! iptables rules, of both kinds and both families.

use std::fs;

use serde_json::Value;

use crate::command::Inside;

/// The programs that print them, each with the family of its tables in nftables, or the kernel's list of them.
const SAVE_NFT: [(&str, &str); 2] = [("iptables-nft-save", "ip"), ("ip6tables-nft-save", "ip6")];
const SAVE_LEGACY: [(&str, &str); 2] =
    [("iptables-legacy-save", "ip_tables_names"), ("ip6tables-legacy-save", "ip6_tables_names")];

/// The reference's chains that stay when the last container has gone.
const CONSTANT: [&str; 7] = [
    "CNI-HOSTPORT-DNAT",
    "CNI-HOSTPORT-SETMARK",
    "CNI-HOSTPORT-MASQ",
    "CNI-FORWARD",
    "CNI-ADMIN",
    "CNI-ISOLATION-STAGE-1",
    "CNI-ISOLATION-STAGE-2",
];

/// Those of the programs that have anything to print. Most places have no iptables rules at all, and a snapshot costs
/// what the start of programs costs.
pub(super) fn with_tables(place: &impl Inside, ruleset: &Value) -> impl Iterator<Item = &'static str> {
    let tables: Vec<_> = ruleset["nftables"].as_array().into_iter().flatten().map(|object| &object["table"]).collect();
    let nft = SAVE_NFT.into_iter().filter(move |(_, family)| tables.iter().any(|table| table["family"] == **family));
    // Of the thread's own namespace. Without the kernel's module there is no such file.
    let names = |file| fs::read_to_string(format!("/proc/thread-self/net/{file}"));
    let has_names =
        move |file| place.namespaces().enter_network_only(|| names(file)).is_ok_and(|names| !names.is_empty());
    let legacy = SAVE_LEGACY.into_iter().filter(move |(_, file)| has_names(*file));
    nft.chain(legacy).map(|(tool, _)| tool)
}

/// A line for each chain and each rule that belongs to somebody.
pub(super) fn lines(tool: &str, saved: &str) -> Vec<String> {
    let mut table = "";
    let mut lines = Vec::new();
    for line in saved.lines() {
        match line.split_at_checked(1) {
            Some(("*", name)) => table = name,
            Some((":", chain)) if is_own_chain(chain) => lines.push(format!("{tool} {table} chain {chain}")),
            Some(("-", _)) if !is_constant(line) => lines.push(format!("{tool} {table} {line}")),
            _ => {}
        }
    }
    lines
}

/// A chain of the user's has no policy; those of the kernel are always there.
fn is_own_chain(chain: &str) -> bool {
    let (name, rest) = chain.split_once(' ').unwrap_or((chain, ""));
    rest.starts_with('-') && !CONSTANT.contains(&name)
}

/// A rule that leads to a constant chain, or stands in one whatever containers there are.
fn is_constant(rule: &str) -> bool {
    let words: Vec<_> = rule.split(' ').collect();
    let target = words.iter().position(|word| *word == "-j").and_then(|at| words.get(at + 1));
    let leads_to_constant = target.is_some_and(|target| CONSTANT.contains(target));
    leads_to_constant || matches!(words[1], "CNI-HOSTPORT-SETMARK" | "CNI-HOSTPORT-MASQ")
}

#[cfg(test)]
mod tests {
    use super::lines;

    #[test]
    fn constant_chains_and_policies_do_not_count() {
        let saved = "*nat\n:PREROUTING ACCEPT [0:0]\n:CNI-HOSTPORT-DNAT - [0:0]\n:CNI-12 - [0:0]\n\
                     -A PREROUTING -m addrtype --dst-type LOCAL -j CNI-HOSTPORT-DNAT\n\
                     -A POSTROUTING -s 10.1.0.2/32 -j CNI-12\nCOMMIT\n";
        let expected = ["t nat chain CNI-12 - [0:0]", "t nat -A POSTROUTING -s 10.1.0.2/32 -j CNI-12"];
        assert_eq!(lines("t", saved), expected);
    }
}
