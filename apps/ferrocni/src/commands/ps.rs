use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};

use crate::attachments::{Connection, Connections, PortMapping};
use crate::container::{Living, Store, sweep};
use crate::failure::{Failure, line};
use crate::host::Host;
use crate::network::Description;
use crate::output::{List, Listing, complain};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those of other runtimes: everything that is attached to a network
    #[arg(short, long)]
    all_runtimes: bool,
    #[command(flatten)]
    listing: Listing,
}

const LIST: List = List {
    columns: &[
        ("ID", "CONTAINER ID"),
        ("Command", "COMMAND"),
        ("RunningFor", "CREATED"),
        ("Status", "STATUS"),
        ("Ports", "PORTS"),
        ("Networks", "NETWORKS"),
        ("PID", "PID"),
        ("Names", "NAMES"),
    ],
    key: "ID",
};
const KEYS: [&str; 4] = ["id", "label", "name", "network"];
/// How many digits of an id, and characters of a command, are shown.
const SHORT_ID: usize = 12;
const SHORT_COMMAND: usize = 20;

/// A filter that means nothing.
#[derive(Debug, thiserror::Error)]
#[error("filter {filter:?} is not KEY=VALUE with one of the keys {}", KEYS.join(", "))]
struct UnknownFilter {
    filter: String,
}

/// A container of this command, or what is known of another runtime's.
#[derive(Debug, Default)]
struct Row {
    id: String,
    name: String,
    command: String,
    created: Option<SystemTime>,
    pid: Option<i32>,
    labels: Vec<String>,
    networks: Vec<String>,
    ports: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let filters = args.listing.filter.iter().map(|filter| parse(filter)).collect::<Result<Vec<_>, _>>()?;
    sweep(host);
    let connections = Connections::of_host(host)?;
    for broken in &connections.broken {
        complain(line(broken));
    }
    let living = Store::of(host).living()?;
    let mut rows: Vec<_> = living.iter().map(|container| Row::of(container, &connections.all)).collect();
    if args.all_runtimes {
        rows.extend(others(&connections.all, &living)?);
    }
    rows.retain(|row| KEYS.iter().all(|key| row.fits(key, &filters)));
    let objects: Vec<_> = rows.iter().map(|row| row.object(args.listing.no_trunc)).collect();
    LIST.print(&args.listing.form(), &objects)?;
    Ok(ExitCode::SUCCESS)
}

fn parse(filter: &str) -> Result<(&str, &str), UnknownFilter> {
    let pair = filter.split_once('=').filter(|(key, _)| KEYS.contains(key));
    pair.ok_or_else(|| UnknownFilter { filter: filter.to_owned() })
}

/// What other runtimes have attached, and what is alive of it.
fn others(connections: &[Connection], own: &[Living]) -> Result<Vec<Row>, Failure> {
    let mut rows: Vec<Row> = Vec::new();
    for connection in connections {
        let id = connection.recorded.endpoint.container.as_str();
        if own.iter().any(|known| known.record.id == id) || !connection.is_alive()? {
            continue;
        }
        let network = connection.recorded.network.to_string();
        match rows.iter_mut().find(|row| row.id == id) {
            Some(row) => row.networks.push(network),
            None => rows.push(Row {
                id: id.to_owned(),
                name: connection.name.clone(),
                networks: vec![network],
                ports: ports(connection),
                ..Row::default()
            }),
        }
    }
    Ok(rows)
}

impl Row {
    fn of(container: &Living, connections: &[Connection]) -> Self {
        let record = &container.record;
        let is_its = |connection: &&Connection| connection.recorded.endpoint.container.as_str() == record.id;
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            command: record.command_line(),
            created: Some(record.created),
            pid: container.pid,
            labels: record.labels.iter().map(|(key, value)| format!("{key}={value}")).collect(),
            networks: record.attachments.iter().map(|planned| planned.network_name().to_owned()).collect(),
            ports: connections.iter().find(is_its).map(ports).unwrap_or_default(),
        }
    }

    fn fits(&self, key: &str, filters: &[(&str, &str)]) -> bool {
        let mut values = filters.iter().filter(|(wanted, _)| *wanted == key).map(|(_, value)| *value).peekable();
        values.peek().is_none()
            || values.any(|value| match key {
                "id" => self.id.starts_with(value),
                "label" => self.labels.iter().any(|label| label == value || label.split('=').next() == Some(value)),
                "name" => self.name.contains(value),
                _ => self.networks.iter().any(|network| is_called(network, value)),
            })
    }

    fn object(&self, whole: bool) -> Value {
        let cut = |text: &str, length: usize| -> String {
            if whole || text.chars().count() <= length { text.to_owned() } else { text.chars().take(length).collect() }
        };
        let ago = self.created.and_then(|created| created.elapsed().ok()).map(in_words);
        let status = match (&ago, self.pid) {
            (Some(ago), Some(_)) => format!("Up {ago}"),
            (Some(_), None) => "Created".to_owned(),
            (None, _) => "Up".to_owned(),
        };
        json!({
            "Command": if self.command.is_empty() { String::new() } else { format!("{:?}", cut(&self.command, SHORT_COMMAND)) },
            "CreatedAt": self.created.map(|time| humantime::format_rfc3339_seconds(time).to_string()).unwrap_or_default(),
            "ID": cut(&self.id, SHORT_ID),
            "Labels": self.labels.join(","),
            "Names": self.name,
            "Networks": self.networks.join(","),
            "PID": self.pid.map(|pid| pid.to_string()).unwrap_or_default(),
            "Ports": self.ports.join(", "),
            "RunningFor": ago.map(|ago| format!("{ago} ago")).unwrap_or_default(),
            "State": if self.created.is_some() && self.pid.is_none() { "created" } else { "running" },
            "Status": status,
        })
    }
}

/// By its name, or by its id or the beginning of it.
pub(super) fn is_called(network: &str, wanted: &str) -> bool {
    let id = || cni::NetworkName::new(network).map(|name| Description::id_of_name(&name)).unwrap_or_default();
    network == wanted || (wanted.len() >= SHORT_ID && id().starts_with(wanted))
}

/// As Docker writes them: `0.0.0.0:8080->80/tcp`, and `*:8080->80/tcp` if every host answers.
fn ports(connection: &Connection) -> Vec<String> {
    let write = |port: &PortMapping| {
        let to = format!("{}/{}", port.container_port, port.protocol);
        sockets(connection, port).into_iter().map(move |socket| format!("{socket}->{to}")).collect::<Vec<_>>()
    };
    connection.ports.iter().flat_map(write).collect()
}

/// Where a port is published: on every host, on this one's address, or on all addresses of those families that the container has.
pub(super) fn sockets(connection: &Connection, port: &PortMapping) -> Vec<String> {
    if port.ingress {
        return vec![format!("*:{}", port.host_port)];
    }
    on_this_host(connection, port).iter().map(SocketAddr::to_string).collect()
}

fn on_this_host(connection: &Connection, port: &PortMapping) -> Vec<SocketAddr> {
    if let Ok(address) = port.host_ip.parse::<IpAddr>() {
        return vec![SocketAddr::new(address, port.host_port)];
    }
    let all: [IpAddr; 2] = [Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()];
    let served = |any: &IpAddr| connection.addresses.iter().any(|address| address.is_ipv4() == any.is_ipv4());
    all.into_iter().filter(served).map(|any| SocketAddr::new(any, port.host_port)).collect()
}

/// About how long that is, as people say it.
fn in_words(duration: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    let seconds = duration.as_secs();
    match seconds {
        0 => "Less than a second".to_owned(),
        1 => "1 second".to_owned(),
        2..MINUTE => format!("{seconds} seconds"),
        MINUTE..120 => "About a minute".to_owned(),
        120..HOUR => format!("{} minutes", seconds / MINUTE),
        HOUR..7200 => "About an hour".to_owned(),
        7200..172_800 => format!("{} hours", seconds / HOUR),
        _ => format!("{} days", seconds / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_words() {
        for (seconds, words) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (119, "About a minute"),
            (3599, "59 minutes"),
            (7199, "About an hour"),
            (172_799, "47 hours"),
            (172_800, "2 days"),
        ] {
            assert_eq!(in_words(Duration::from_secs(seconds)), words);
        }
    }
}
