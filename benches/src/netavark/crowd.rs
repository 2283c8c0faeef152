//! Many containers on one host.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::error::{Error, Result};

use super::{Container, Network, Program, Side, bench, call};

/// What a new link says to its neighbours goes to all ports of a bridge: with a thousand, the kernel is busy with it for minutes.
const PER_BRIDGE: u16 = 50;

/// Above those of the containers that are measured.
const FIRST_PORT: u16 = 10_000;

/// How long to wait for each container that was added: the kernel goes on about new links for a while (duplicate addresses, groups,
/// carriers), and that must not fall into what is measured.
const AFTER_EACH: Duration = Duration::from_millis(6);

/// The neighbour's address and ports, in the rules that are repeated.
const NEIGHBOUR: (&str, [&str; 2]) = ("10.88.0.2", ["7000", "7001"]);

/// Adds `others` containers to a host. Ours connects each of them. Debian's would take hours: the rules that it has made for
/// the neighbour are repeated for each of them, and of links there are none, which is to its advantage.
pub(super) fn fill(side: &Side, others: u16) -> Result<()> {
    match side.program {
        Program::Ours(_) => connect(side, others)?,
        Program::Debian(_) => side.host.run(|| repeat(others))?,
    }
    thread::sleep(AFTER_EACH * others.into());
    Ok(())
}

/// The host ports of a container by its number.
fn ports(number: u16) -> [u16; 2] {
    [FIRST_PORT + 2 * number, FIRST_PORT + 2 * number + 1]
}

/// A container of a number on the network that is measured.
pub(super) fn member(namespace: &Path, number: u16) -> Container<'_> {
    bench().container(&format!("member-{number}"), namespace, number + 3, ports(number))
}

/// All in one namespace, which takes less time to make than thousands.
fn connect(side: &Side, others: u16) -> Result<()> {
    let namespace = side.host.add_namespace("others")?;
    side.host.run(|| {
        for number in 0..others {
            let bridge = number / PER_BRIDGE;
            let network = Network { name: format!("crowd{bridge}"), number: 100 + bridge.to_be_bytes()[1] };
            let (interface, id) = (format!("eth{number}"), format!("other-{number}"));
            let address = number % PER_BRIDGE + 2;
            let container = network.container_by(&interface, &id, &namespace, address, ports(number));
            call(&side.program, "setup", &container)?;
        }
        Ok(())
    })
}

fn repeat(others: u16) -> Result<()> {
    let output = Command::new("nft").args(["list", "ruleset"]).output().map_err(Error::file("nft"))?;
    let rules = of_the_neighbour(&String::from_utf8_lossy(&output.stdout));
    if rules.is_empty() {
        return Err(Error::NothingMeasured);
    }
    let added: String = (0..others).map(|number| written_for(&rules, number)).collect();
    let mut nft = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().map_err(Error::file("nft"))?;
    if let Some(mut stdin) = nft.stdin.take() {
        stdin.write_all(added.as_bytes()).map_err(Error::file("nft"))?;
    }
    let status = nft.wait().map_err(Error::file("nft"))?;
    if status.success() { Ok(()) } else { Err(Error::Tool { program: "nft", status }) }
}

/// The chain and the text of each rule about a port of the neighbour's.
fn of_the_neighbour(ruleset: &str) -> Vec<(String, String)> {
    let (mut chain, mut rules) = ("", Vec::new());
    for line in ruleset.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("chain ").and_then(|rest| rest.strip_suffix(" {")) {
            chain = name;
        } else if NEIGHBOUR.1.iter().any(|port| line.contains(&format!("dport {port} "))) {
            rules.push((chain.to_owned(), line.to_owned()));
        }
    }
    rules
}

/// They, for nft, about another container.
fn written_for(rules: &[(String, String)], number: u16) -> String {
    let [high, low] = (number + 3).to_be_bytes();
    let address = format!("10.88.{high}.{low}:");
    let ours = ports(number).map(|port| port.to_string());
    let renamed = |rule: &str| {
        let rule = rule.replace(&format!("{}:", NEIGHBOUR.0), &address);
        NEIGHBOUR
            .1
            .iter()
            .zip(&ours)
            .fold(rule, |rule, (theirs, ours)| rule.replace(&format!("dport {theirs} "), &format!("dport {ours} ")))
    };
    rules.iter().map(|(chain, rule)| format!("add rule inet netavark {chain} {}\n", renamed(rule))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_neighbour_s_rules_are_repeated_with_other_addresses_and_ports() {
        let ruleset = "table inet netavark {\n\tchain A {\n\t\ttcp dport 7000 jump B\n\t\tct state invalid drop\n\t}\n\
                       \tchain B {\n\t\ttcp dport 7001 dnat ip to 10.88.0.2:443\n\t}\n}\n";
        let rules = of_the_neighbour(ruleset);
        assert_eq!(
            written_for(&rules, 300),
            "add rule inet netavark A tcp dport 10600 jump B\n\
             add rule inet netavark B tcp dport 10601 dnat ip to 10.88.1.47:443\n"
        );
    }
}
