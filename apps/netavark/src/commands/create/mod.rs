//! Completing the description of a network that Podman 6 is about to create; as a driver, the same for earlier ones.
//!
//! What is not said is chosen, what cannot be right is refused, and what is known to nobody here stays as it is.

mod error;
mod interface;
mod subnets;

use std::collections::BTreeMap;
use std::time::SystemTime;

use ipnetwork::IpNetwork;
use podman_network::{Bridge, Driver, Ipam, Mode, Network};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Role;
use crate::arguments::Arguments;
use crate::error::Error;
use crate::places;
use crate::program::Program;

pub(crate) use error::CreateError;

/// What is in use on the host.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Used {
    interfaces: Vec<String>,
    /// Names of networks, with their ids.
    names: BTreeMap<String, String>,
    #[serde(deserialize_with = "subnets::list")]
    subnets: Vec<IpNetwork>,
}

/// What Podman wants.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Wishes {
    subnet_pools: Vec<subnets::Pool>,
    default_interface_name: String,
    check_used_subnets: bool,
}

/// A description under way.
struct Draft {
    written: Map<String, Value>,
    network: Network,
}

impl Draft {
    fn new(written: &Value) -> Result<Self, Error> {
        Ok(Self { network: Network::from_json(written)?, written: written.as_object().cloned().unwrap_or_default() })
    }

    /// Writes a key, and reads the whole again.
    fn set(&mut self, key: &str, value: Value) -> Result<(), Error> {
        self.written.insert(key.to_owned(), value);
        self.network = Network::from_json(&Value::Object(self.written.clone()))?;
        Ok(())
    }

    /// Writes an option, or takes it away.
    fn set_option(&mut self, key: &str, value: Option<&str>) -> Result<(), Error> {
        let mut options = self.written.get("options").and_then(Value::as_object).cloned().unwrap_or_default();
        match value {
            Some(value) => drop(options.insert(key.to_owned(), json!(value))),
            None => drop(options.remove(key)),
        }
        self.set("options", options.into())
    }

    fn set_ipam(&mut self, driver: &str) -> Result<(), Error> {
        let mut options = self.written.get("ipam_options").and_then(Value::as_object).cloned().unwrap_or_default();
        options.insert("driver".to_owned(), json!(driver));
        self.set("ipam_options", options.into())
    }

    /// Nobody has said who gives addresses.
    fn has_no_ipam(&self) -> bool {
        self.network.ipam_options.get("driver").is_none_or(String::is_empty)
    }
}

pub(super) fn run(arguments: &Arguments, request: &Value) -> Result<Value, Error> {
    let Some(written) = request.get("network") else {
        return complete(arguments, Role::Driver, Draft::new(request)?, &Used::default(), &Wishes::default());
    };
    let read = |key: &str| request.get(key).cloned().unwrap_or_else(|| json!({}));
    complete(arguments, Role::NetworkProgram, Draft::new(written)?, &part(&read("used"))?, &part(&read("options"))?)
}

fn part<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, Error> {
    cni::json::from_value(value)
        .map_err(|misfit| Error::Request { from: "the request".to_owned(), reason: misfit.to_string() })
}

fn complete(arguments: &Arguments, role: Role, mut draft: Draft, used: &Used, wishes: &Wishes) -> Result<Value, Error> {
    name(&draft.network, used)?;
    options(&draft.network)?;
    let mut check_used = false;
    match draft.network.driver.as_str() {
        "" | "bridge" => check_used = bridge(&mut draft, used, wishes)?,
        "macvlan" | "ipvlan" => {
            interface::parent_exists(&draft.network)?;
            layer2(&mut draft)?;
        }
        Driver::MACVLAN_TRUNK | Driver::IPVLAN_TRUNK => layer2(&mut draft)?,
        Driver::PTP => ptp(&mut draft)?,
        _ if role == Role::Driver => plugin(&mut draft)?,
        program => {
            let program = Program::find(&draft.network.name, program, &arguments.plugin_directory)?;
            draft = Draft::new(&program.create(&Value::Object(draft.written))?)?;
        }
    }
    if draft.network.ipam()? == Ipam::None {
        draft.set("dns_enabled", json!(false))?;
    }
    if !draft.network.network_dns_servers.is_empty() && !draft.network.dns_enabled {
        return Err(CreateError::ServersWithoutNames.into());
    }
    subnets::complete(&mut draft, if check_used { &used.subnets } else { &[] })?;
    draft.network.driver()?;
    draft.set("created", json!(humantime::format_rfc3339_nanos(SystemTime::now()).to_string()))?;
    Ok(draft.written.into())
}

fn name(network: &Network, used: &Used) -> Result<(), Error> {
    if used.names.contains_key(network.name.as_str()) {
        return Err(CreateError::Exists(network.name.clone()).into());
    }
    let is_id = network.id.len() == 64 && network.id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(()) } else { Err(CreateError::Id(network.id.clone()).into()) }
}

fn options(network: &Network) -> Result<(), Error> {
    let Some(known) = network.known_options() else { return Ok(()) };
    match network.options.iter().find(|(key, _)| !known.contains(key)) {
        None => Ok(()),
        Some((key, _)) => Err(podman_network::Error::UnknownOption {
            network: network.name.clone(),
            driver: network.driver.clone(),
            key: key.to_owned(),
            known: known.join(", "),
        }
        .into()),
    }
}

/// True if its subnets must not be used by others.
fn bridge(draft: &mut Draft, used: &Used, wishes: &Wishes) -> Result<bool, Error> {
    if let Some(mtu) = draft.network.options.get(Bridge::DOCKER_MTU).map(str::to_owned) {
        draft.set_option("mtu", Some(&mtu))?;
        draft.set_option(Bridge::DOCKER_MTU, None)?;
    }
    if let Some(name) = draft.network.options.get(Bridge::DOCKER_NAME).map(str::to_owned) {
        draft.set("network_interface", json!(name))?;
        draft.set_option(Bridge::DOCKER_NAME, None)?;
    }
    if draft.network.network_interface.as_deref().is_none_or(str::is_empty) {
        let name = interface::free_name(&wishes.default_interface_name, used)?;
        draft.set("network_interface", json!(name))?;
    } else {
        // Options that cannot be right are told below.
        let is_shared = matches!(draft.network.driver(), Ok(Driver::Bridge(bridge)) if bridge.vlan != 0 || bridge.mode == Mode::Unmanaged);
        interface::is_free(&draft.network, used, is_shared)?;
    }
    if draft.network.options.get("isolate").is_none() {
        draft.set_option("isolate", Some("strict"))?;
    }
    let Driver::Bridge(bridge) = draft.network.driver()? else { return Ok(false) };
    let check_used = wishes.check_used_subnets && bridge.vlan == 0 && bridge.mode == Mode::Managed;
    if draft.network.ipam()? == Ipam::HostLocal {
        subnets::choose(draft, &wishes.subnet_pools, if check_used { &used.subnets } else { &[] })?;
        draft.set_ipam("host-local")?;
    }
    Ok(check_used)
}

/// Names are not for containers that the host does not reach.
fn layer2(draft: &mut Draft) -> Result<(), Error> {
    draft.set("dns_enabled", json!(false))?;
    let has_subnets = !draft.network.subnets.is_empty();
    match draft.network.ipam()? {
        Ipam::HostLocal if draft.has_no_ipam() => draft.set_ipam(if has_subnets { "host-local" } else { "dhcp" }),
        Ipam::HostLocal if !has_subnets => Err(CreateError::NoSubnet(draft.network.driver.clone()).into()),
        Ipam::Dhcp if has_subnets => Err(CreateError::SubnetsOfDhcp.into()),
        _ => Ok(()),
    }
}

/// Without subnets the plugin knows its addresses itself.
fn plugin(draft: &mut Draft) -> Result<(), Error> {
    let kind = &draft.network.driver;
    places::find_plugin(kind).ok_or_else(|| CreateError::NoPlugin(kind.clone()))?;
    let has_subnets = !draft.network.subnets.is_empty();
    if draft.has_no_ipam() { draft.set_ipam(if has_subnets { "host-local" } else { "none" }) } else { Ok(()) }
}

fn ptp(draft: &mut Draft) -> Result<(), Error> {
    match draft.network.ipam()? {
        Ipam::HostLocal if !draft.network.subnets.is_empty() => draft.set_ipam("host-local"),
        _ => Err(CreateError::NoSubnet(draft.network.driver.clone()).into()),
    }
}

#[cfg(test)]
mod tests;
