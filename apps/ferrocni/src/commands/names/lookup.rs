use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;

use ::names::Server;
use ::names::wire::{Answered, Lookup};
use cni::ContainerId;
use serde_json::{Value, json};

use super::{Named, all};
use crate::attachments::Connections;
use crate::failure::Failure;
use crate::host::Host;
use crate::output::{Form, List};
use crate::target::Target;

/// Show what containers are answered when they look up a name
///
/// By the server that answers them: for a name that none of their networks knows, the servers that it asks for them. Exit status: 1 if
/// nobody gets an answer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// This container only: name, id, beginning of an id, PID (pid:1234), or network namespace (/run/netns/NAME)
    #[arg(long, value_name = "CONTAINER")]
    container: Option<String>,
    /// The containers of this network only
    #[arg(long, value_name = "NETWORK", conflicts_with = "container")]
    network: Option<String>,
    /// Type of the record that is asked for, such as MX [default: A and AAAA; PTR for an address]
    #[arg(long = "type", value_name = "TYPE")]
    kind: Option<String>,
    /// table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Name, or address
    name: String,
}

const LIST: List = List {
    columns: &[
        ("Name", "NAME"),
        ("TTL", "TTL"),
        ("Type", "TYPE"),
        ("Answer", "ANSWER"),
        ("From", "FROM"),
        ("Askers", "ASKED BY"),
    ],
    key: "Answer",
};

/// Nobody is answered.
const NOT_FOUND: u8 = 1;

/// There is nobody to ask for.
#[derive(Debug, thiserror::Error)]
enum LookupError {
    #[error("{0} is on no network with names: `ferrocni names ls` lists the containers that are")]
    Unnamed(String),
    #[error("no container is on a network with names")]
    Nobody,
    #[error("no container is on network {0} with names: `ferrocni names ls` lists those that are")]
    Nowhere(String),
}

/// Containers that are answered alike, because they are on the same networks and have no names of their own.
#[derive(Debug)]
struct Askers {
    /// One of them, to ask for.
    id: ContainerId,
    names: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let (name, kinds) = question(args);
    let (server, mut is_found, mut rows) = (Server::default(), false, Vec::new());
    for askers in askers(host, args)? {
        let answers = kinds.iter().map(|kind| server.lookup(&askers.id, &name, kind)).collect::<Result<Vec<_>, _>>()?;
        is_found |= answers.iter().any(|answer| !answer.records.is_empty());
        rows.extend(askers.rows(&name, &answers));
    }
    LIST.print(&Form::new(args.format.as_deref(), false), &rows)?;
    Ok(if is_found { ExitCode::SUCCESS } else { ExitCode::from(NOT_FOUND) })
}

/// The name in question, and the types of record.
fn question(args: &Args) -> (String, Vec<&str>) {
    let address = args.name.parse::<IpAddr>().ok();
    let kinds: &[&str] = if address.is_some() { &["PTR"] } else { &["A", "AAAA"] };
    let name = address.map_or_else(|| args.name.clone(), reverse);
    (name, args.kind.as_deref().map_or_else(|| kinds.to_vec(), |kind| vec![kind]))
}

/// The name that an address has its names under (RFC 1035, section 3.5; RFC 3596, section 2.5).
fn reverse(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => {
            let [a, b, c, d] = address.octets();
            format!("{d}.{c}.{b}.{a}.in-addr.arpa")
        }
        IpAddr::V6(address) => {
            let nibbles = address.octets().into_iter().rev().flat_map(|octet| [octet & 0xf, octet >> 4]);
            nibbles.map(|nibble| format!("{nibble:x}.")).collect::<String>() + "ip6.arpa"
        }
    }
}

fn askers(host: &Host, args: &Args) -> Result<Vec<Askers>, Failure> {
    let mut named = all(host)?;
    if let Some(wanted) = &args.container {
        let target = Target::find(&Connections::of_host(host)?.all, wanted)?;
        named.retain(|named| named.attachment.container == target.container);
        return match named.first() {
            Some(first) => Ok(vec![Askers { id: target.container, names: vec![first.container.clone()] }]),
            None => Err(LookupError::Unnamed(target.name).into()),
        };
    }
    let mut alike: Vec<(Vec<Value>, Askers)> = Vec::new();
    for its in by_container(&named) {
        if args.network.as_ref().is_some_and(|wanted| !its.iter().any(|named| named.is_on(wanted))) {
            continue;
        }
        let (seen, name) = (its.iter().map(|named| seen_by(named)).collect(), its[0].container.clone());
        match alike.iter_mut().find(|(known, _)| *known == seen) {
            Some((_, askers)) => askers.names.push(name),
            None => alike.push((seen, Askers { id: its[0].attachment.container.clone(), names: vec![name] })),
        }
    }
    match &args.network {
        _ if !alike.is_empty() => Ok(alike.into_iter().map(|(_, askers)| askers).collect()),
        Some(network) => Err(LookupError::Nowhere(network.clone()).into()),
        None => Err(LookupError::Nobody.into()),
    }
}

/// By name, each with its networks in the order of its interfaces.
fn by_container(all: &[Named]) -> Vec<Vec<&Named>> {
    let mut containers: BTreeMap<_, Vec<&Named>> = BTreeMap::new();
    for named in all {
        containers.entry((&named.container, &named.attachment.container)).or_default().push(named);
    }
    let mut containers: Vec<_> = containers.into_values().collect();
    containers.iter_mut().for_each(|its| its.sort_by(|one, other| one.attachment.ifname.cmp(&other.attachment.ifname)));
    containers
}

/// What the server goes by when the container asks: everything but what it answers others with.
fn seen_by(named: &Named) -> Value {
    let mut seen = json!(named.record);
    if let Some(keys) = seen.as_object_mut() {
        keys.retain(|key, _| !["namespace", "name", "aliases", "addresses", "ports"].contains(&key.as_str()));
    }
    json!([named.attachment.network, seen])
}

impl Askers {
    /// A row for each record, or one that says that there is none.
    fn rows(&self, name: &str, answers: &[Lookup]) -> Vec<Value> {
        let rows = answers.iter().flat_map(|answer| answer.records.iter().map(|record| self.row(answer, record)));
        let rows: Vec<_> = rows.collect();
        match answers.first() {
            Some(answer) if rows.is_empty() => vec![self.row(answer, &nothing(name, answer))],
            _ => rows,
        }
    }

    fn row(&self, answer: &Lookup, record: &Answered) -> Value {
        json!({
            "Answer": record.data,
            "Askers": self.names.join(", "),
            "Code": answer.code,
            "From": answer.server.map_or_else(|| "here".to_owned(), |server| server.to_string()),
            "Name": record.name,
            "Reason": answer.reason.as_deref().unwrap_or_default(),
            "TTL": if record.kind.is_empty() { String::new() } else { record.ttl.to_string() },
            "Type": record.kind,
        })
    }
}

/// In place of a record.
fn nothing(name: &str, answer: &Lookup) -> Answered {
    let code = if answer.code == "NOERROR" { "no such record" } else { &answer.code };
    let data = answer.reason.iter().fold(code.to_owned(), |code, reason| format!("{code}: {reason}"));
    Answered { name: name.to_owned(), kind: String::new(), ttl: 0, data }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_looked_up_under_its_reverse_name() {
        for (address, name) in [
            ("10.1.0.2", "2.0.1.10.in-addr.arpa"),
            ("fd00::12", "2.1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa"),
        ] {
            assert_eq!(reverse(address.parse().unwrap()), name);
        }
    }
}
