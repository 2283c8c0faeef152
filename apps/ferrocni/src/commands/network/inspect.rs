use std::process::ExitCode;

use ip::Family;
use serde_json::{Map, Value, json};

use super::ls::time;
use crate::attachments::{Connection, Connections};
use crate::failure::{Failure, Outcomes};
use crate::host::Host;
use crate::network::{Description, Subnet, cluster};
use crate::output::{complain, print_line};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Go template instead of JSON
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Name, id or beginning of an id
    #[arg(required = true)]
    networks: Vec<String>,
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let template = args.format.as_deref().filter(|format| *format != "json").map(go_template::Template::parse);
    let template = template.transpose()?;
    let (mut outcomes, mut found) = (Outcomes::default(), Vec::new());
    for name in &args.networks {
        found.extend(outcomes.note(inspect(host, name)));
    }
    match template {
        Some(template) => {
            for network in &found {
                print_line(template.render(network)?)?;
            }
        }
        None => print_line(serde_json::to_string_pretty(&Value::Array(found))?)?,
    }
    Ok(outcomes.status())
}

fn inspect(host: &Host, name: &str) -> Result<Value, Failure> {
    let network = host.network(name)?;
    let described = Description::of(&network);
    let mut containers = Map::new();
    for connection in Connections::of_network(host, network.name())? {
        if connection.is_alive()? {
            containers.insert(connection.recorded.endpoint.container.to_string(), container(&connection));
        }
    }
    let mut object = object(&described, &containers);
    if described.is_overlay() {
        add_cluster(&mut object, &network);
    }
    Ok(object)
}

/// What etcd has of it. What cannot be known now is no reason not to show the rest.
fn add_cluster(object: &mut Value, network: &cni_runtime::Network) {
    match (cluster::describe(network), object.as_object_mut()) {
        (Ok(described), Some(object)) => object.extend(described),
        (Err(failure), _) => complain(failure),
        _ => {}
    }
}

/// The keys are Docker's, which has some for swarms.
fn object(network: &Description, containers: &Map<String, Value>) -> Value {
    json!({
        "Name": network.name,
        "Id": network.id,
        "Created": network.created.map(time).unwrap_or_default(),
        "Scope": network.scope(),
        "Driver": network.driver,
        "EnableIPv4": network.has_family(Family::V4),
        "EnableIPv6": network.has_family(Family::V6),
        "IPAM": {
            "Driver": if network.ipam.is_empty() { "none" } else { &network.ipam },
            "Options": {},
            "Config": network.subnets.iter().map(subnet).collect::<Vec<_>>(),
        },
        "Internal": network.internal,
        "Attachable": true,
        "Ingress": false,
        "ConfigFrom": {"Network": ""},
        "ConfigOnly": false,
        "Containers": containers,
        "Options": network.options,
        "Labels": network.labels,
        "Interface": network.interface.as_deref().unwrap_or_default(),
        "Names": network.names,
        "File": network.file.as_ref().map(|file| file.display().to_string()).unwrap_or_default(),
    })
}

fn subnet(subnet: &Subnet) -> Value {
    let range = subnet.range.map(|(first, last)| format!("{first}-{last}"));
    json!({
        "Subnet": subnet.subnet.to_string(),
        "IPRange": range.unwrap_or_default(),
        "Gateway": subnet.gateway.map(|gateway| gateway.to_string()).unwrap_or_default(),
    })
}

fn container(connection: &Connection) -> Value {
    let address = |is_ipv4| connection.addresses.iter().find(|address| address.is_ipv4() == is_ipv4);
    let text = |is_ipv4| address(is_ipv4).map(ToString::to_string).unwrap_or_default();
    json!({
        "Name": connection.name,
        "Aliases": connection.aliases(),
        "EndpointID": suite::Labelled::label(&connection.attachment()),
        "Runtime": connection.engine.to_string(),
        "Interface": connection.recorded.endpoint.ifname,
        "MacAddress": connection.mac.as_deref().unwrap_or_default(),
        "IPv4Address": text(true),
        "IPv6Address": text(false),
    })
}
