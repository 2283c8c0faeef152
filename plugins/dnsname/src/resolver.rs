//! What a container's resolver is told.

use cni_plugin::Dns;
use names::{ADDRESS, Listen, Record};

/// What the plugins before have said, with the server and the domain of the names before all others: a name of another container
/// has to win over one in a search domain of the host.
pub(crate) fn with_ours(before: &Dns, record: &Record) -> Dns {
    let mut dns = before.clone();
    let servers = match record.listen {
        Listen::Rewrite | Listen::Direct => vec![ADDRESS.to_string()],
        Listen::Gateway => record.gateways.iter().map(ToString::to_string).collect(),
    };
    put_first(&mut dns.nameservers, servers);
    put_first(&mut dns.search, record.domain.iter().map(ToString::to_string).collect());
    dns
}

fn put_first(list: &mut Vec<String>, first: Vec<String>) {
    list.retain(|word| !first.contains(word));
    list.splice(..0, first);
}
