use std::process::ExitCode;

use ::names::Name;
use serde_json::{Value, json};

use super::{Named, all};
use crate::commands::network::Filters;
use crate::failure::Failure;
use crate::host::Host;
use crate::output::{Form, List};

/// List the names of all containers, with their networks and addresses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only those of this network (may be repeated)
    #[arg(long, value_name = "NETWORK")]
    network: Vec<String>,
    /// Only those with this property: address, container, name, network (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    filter: Vec<String>,
    /// table, json, or a Go template
    #[arg(long, value_name = "FORMAT")]
    format: Option<String>,
    /// Show whole ids
    #[arg(long)]
    no_trunc: bool,
    /// Show names only
    #[arg(short, long)]
    quiet: bool,
}

const LIST: List = List {
    columns: &[
        ("Network", "NETWORK"),
        ("Name", "NAME"),
        ("Aliases", "ALIASES"),
        ("Addresses", "ADDRESSES"),
        ("Container", "CONTAINER"),
        ("ID", "CONTAINER ID"),
    ],
    key: "Name",
};
const KEYS: [&str; 4] = ["address", "container", "name", "network"];
/// How many digits of an id are shown, and are a name as well.
const SHORT_ID: usize = 12;

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let mut filters = Filters::parse(&args.filter, &KEYS)?;
    args.network.iter().for_each(|network| filters.require("network", network));
    let mut shown = all(host)?;
    shown.retain(|named| KEYS.iter().all(|key| filters.fits(key, |wanted| named.has(key, wanted))));
    let objects: Vec<_> = shown.iter().map(|named| named.object(args.no_trunc)).collect();
    LIST.print(&Form::new(args.format.as_deref(), args.quiet), &objects)?;
    Ok(ExitCode::SUCCESS)
}

impl Named {
    fn has(&self, key: &str, wanted: &str) -> bool {
        let id = self.attachment.container.as_str();
        match key {
            "address" => self.record.addresses.iter().any(|address| address.to_string() == wanted),
            "container" => self.container == wanted || id.starts_with(wanted),
            "name" => self.names().any(|name| name.as_str().contains(wanted)),
            _ => self.is_on(wanted),
        }
    }

    fn names(&self) -> impl Iterator<Item = &Name> {
        self.record.name.iter().chain(&self.record.aliases)
    }

    /// Every value is a text, as in other lists. The short id is a name of every container.
    fn object(&self, whole_id: bool) -> Value {
        let (record, id) = (&self.record, self.attachment.container.as_str());
        let short = id.get(..SHORT_ID).unwrap_or(id);
        let aliases = record.aliases.iter().map(Name::as_str).filter(|alias| *alias != short);
        let links = record.links.iter().map(|link| format!("{}:{}", link.container, link.alias));
        let hosts = record.hosts.iter().flat_map(|host| {
            host.addresses.iter().map(|address| format!("{}:{address}", host.name)).collect::<Vec<_>>()
        });
        json!({
            "Addresses": joined(&record.addresses),
            "Aliases": joined(aliases),
            "Container": self.container,
            "Domain": record.domain.as_ref().map(Name::as_str).unwrap_or_default(),
            "Forward": record.forward.to_string(),
            "Hosts": joined(hosts),
            "ID": if whole_id { id } else { short },
            "Intercept": record.intercept.to_string(),
            "Interface": self.attachment.ifname,
            "Links": joined(links),
            "Name": record.name.as_ref().map(Name::as_str).unwrap_or_default(),
            "Network": self.attachment.network,
            "Servers": joined(&record.upstreams),
        })
    }
}

fn joined(words: impl IntoIterator<Item = impl ToString>) -> String {
    words.into_iter().map(|word| word.to_string()).collect::<Vec<_>>().join(", ")
}
