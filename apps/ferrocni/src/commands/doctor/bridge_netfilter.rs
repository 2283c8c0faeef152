//! Do bridges pass their containers' frames through the packet filter, which drops them?

use ip::Family;

use super::finding::Finding;
use super::forward_drop::Drop;
use super::survey::Survey;
use crate::failure::Failure;

/// The switches, under /proc/sys/net/bridge.
fn switch(family: Family) -> &'static str {
    match family {
        Family::V4 => "bridge-nf-call-iptables",
        Family::V6 => "bridge-nf-call-ip6tables",
    }
}

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings: Vec<Finding> = Vec::new();
    for drop in Drop::all(survey)? {
        let Some(bridge) = drop.known.bridge() else { continue };
        let switch = switch(drop.family);
        if !is_on(switch)? {
            continue;
        }
        let problem = format!(
            "net.bridge.{switch} sends what its containers say to each other over {bridge} through chain {}, which drops it",
            drop.chain()
        );
        let finding = Finding::new(format!("network {}", drop.known.about.name), problem);
        findings.push(finding.mended_by(format!("sysctl -w net.bridge.{switch}=0")));
    }
    findings.dedup();
    Ok(findings)
}

fn is_on(switch: &str) -> Result<bool, Failure> {
    match sysctl::read(&["bridge", switch]) {
        // The module is not loaded.
        Err(error) if error.is_not_found() => Ok(false),
        value => Ok(value?.trim() == "1"),
    }
}
