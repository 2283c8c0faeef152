//! Do containers find names?

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use ::names::{Records, Server};
use cni::json;
use serde_json::Value;

use super::finding::{Finding, quote};
use super::survey::{Known, Survey};
use crate::failure::{Failure, line};

/// What answers for the containers of a network with names.
const SERVERS: [&str; 2] = ["dnsmasq", "ferrocni-dns"];
/// Where systemd-resolved writes the servers behind its own loopback address.
const BEHIND_RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
/// The most that a resolv.conf may have, in bytes.
const LIMIT: usize = 64 << 10;

pub(super) fn check(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut findings = server(survey)?;
    for known in survey.wanted() {
        findings.extend(without_server(survey, known));
        findings.extend(known.network.list.plugins.iter().filter_map(|plugin| of_the_host(known, &plugin.keys)));
    }
    Ok(findings)
}

/// Is there one that answers those who have names now, and has it nothing to complain of?
fn server(survey: &Survey<'_>) -> Result<Vec<Finding>, Failure> {
    let mut living = 0;
    for (attachment, record) in Records::default().list()? {
        let is_wanted = survey.wanted().any(|known| *known.network.name() == attachment.network);
        living += usize::from(is_wanted && record.namespace.exists()?);
    }
    if living == 0 {
        return Ok(Vec::new());
    }
    let finding = |problem: &str| Finding::new("DNS server", problem);
    Ok(match Server::default().status() {
        Ok(status) => status.problems.iter().map(|problem| finding(problem)).collect(),
        Err(error) if error.is_absent() => {
            let problem = format!("ferrocni-dns does not run, so {living} interfaces with names are not answered");
            vec![finding(&problem).mended_by("ferrocni reload")]
        }
        Err(error) => vec![finding(&line(&error))],
    })
}

fn without_server(survey: &Survey<'_>, known: &Known) -> Option<Finding> {
    let folders = survey.host.plugin_folders().iter().cloned().chain(search_path());
    let is_there = folders.into_iter().any(|folder| SERVERS.iter().any(|name| folder.join(name).is_file()));
    // Without the plugin itself there are others to say so.
    if !known.about.names || is_there || !survey.host.has_plugin("dnsname") {
        return None;
    }
    let problem = "its containers are to be found by name, and there is no ferrocni-dns to answer for them: install it beside the plugins";
    Some(Finding::new(format!("network {}", known.about.name), problem))
}

fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(["/usr/sbin".into(), "/sbin".into()]).collect()
}

/// In a container, a loopback address is the container's own.
fn of_the_host(known: &Known, keys: &Value) -> Option<Finding> {
    let object = format!("network {}", known.about.name);
    let ipam = json::get(keys, "ipam");
    let path = ipam.and_then(|ipam| json::get(ipam, "resolvConf")).and_then(Value::as_str).unwrap_or_default();
    if let Some(server) = only_loopback(&servers_of(path)) {
        let problem = format!(
            "it gives its containers the name servers of {path}, and {server} there is the host's own, which containers cannot reach"
        );
        let finding = Finding::new(object, problem);
        let mendable = Path::new(BEHIND_RESOLVED).exists() && path != BEHIND_RESOLVED;
        return Some(if mendable { finding.mended_by(replace(path, BEHIND_RESOLVED, &known.file())) } else { finding });
    }
    let listed =
        [Some(keys), ipam].into_iter().flatten().filter_map(|of| json::get(json::get(of, "dns")?, "nameservers"));
    let listed: Vec<String> =
        listed.filter_map(|list| serde_json::from_value::<Vec<String>>(list.clone()).ok()).flatten().collect();
    let server = only_loopback(&listed)?;
    let problem =
        format!("it names {server} as name server, which containers cannot reach: name another in {}", known.file());
    Some(Finding::new(object, problem))
}

fn servers_of(resolv_conf: &str) -> Vec<String> {
    let text = files::read_through_links(Path::new(resolv_conf), LIMIT).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let servers = text.lines().filter_map(|line| line.trim().strip_prefix("nameserver"));
    servers.map(|server| server.trim().to_owned()).collect()
}

/// The first one, if there is none that a container could reach.
fn only_loopback(servers: &[String]) -> Option<&String> {
    let is_loopback = |server: &String| server.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    servers.first().filter(|_| servers.iter().all(is_loopback))
}

fn replace(old: &str, new: &str, file: &str) -> String {
    let escaped: String = old
        .chars()
        .flat_map(|character| {
            let needs = ".*[]^$\\|".contains(character);
            needs.then_some('\\').into_iter().chain([character])
        })
        .collect();
    format!("sed -i {} {}", quote(&format!("s|\"{escaped}\"|\"{new}\"|")), quote(file))
}
