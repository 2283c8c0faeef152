use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::ExitCode;

use ::names::{ADDRESS, Name};
use cni::IfName;
use cni_runtime::{Endpoint, Network};
use netlink::{Mac, Netns, Socket};
use serde_json::json;

use crate::attachments::{Connection, Connections};
use crate::failure::Failure;
use crate::host::Host;
use crate::links::LinkTo;
use crate::live::{Live, aliases_on};
use crate::network::{
    DefaultRoute, Description, EndpointOptions, HOST, NONE, NameOptions, with_default_routes, with_later_default_routes,
};
use crate::output::complain;
use crate::target::{Engine, Target, name_servers};

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<Ipv6Addr>,
    /// Hardware address of the interface
    #[arg(long, value_name = "MAC", value_parser = unicast)]
    mac_address: Option<Mac>,
    /// Another name for the container on this network (may be repeated); those that it had here before are kept
    #[arg(long, value_name = "NAME")]
    alias: Vec<Name>,
    /// Another container of the network that this one finds by that name as well (may be repeated)
    #[arg(long, value_name = "CONTAINER[:NAME]")]
    link: Vec<LinkTo>,
    /// Answer the container whichever name server it asks, until it is disconnected: one that was started without names asks
    /// others, which go on answering everything else
    #[arg(long)]
    intercept: bool,
    /// Name of the interface in the container, instead of the first free one of eth0, eth1, ...
    #[arg(long, value_name = "NAME")]
    interface: Option<IfName>,
    /// Above 0, the container's way to everywhere is this network, that of the highest number if there are several; else that is
    /// so only if it has no other, or none any more
    #[arg(long, value_name = "NUMBER", default_value_t = 0, allow_negative_numbers = true,
          value_parser = clap::value_parser!(i32).range(-65535..=65535))]
    gw_priority: i32,
    /// Option of the connection: com.docker.network.endpoint.ifname=NAME, com.docker.network.endpoint.sysctls=KEY=VALUE,...
    /// (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = super::create::pair)]
    driver_opt: Vec<(String, String)>,
    /// Name, id or beginning of an id
    network: String,
    /// Container: name, id, beginning of an id, PID (pid:1234), or network namespace (/run/netns/NAME)
    target: String,
}

/// Why a container is not connected.
#[derive(Debug, thiserror::Error)]
enum ConnectError {
    #[error("network {0} is no network to connect to: containers have it from their start, or not at all")]
    BuiltIn(String),
    #[error("{0} does not run: start it first")]
    NotRunning(String),
    #[error("{0} shares the host's network, and what was connected there would be connected to the host")]
    OnHost(String),
    #[error("{container} is connected to network {network} already, as {interface}: disconnect it first")]
    Connected { container: String, network: String, interface: String },
    #[error("{container} has an interface {interface} already: choose another --interface, or leave it out")]
    InterfaceTaken { container: String, interface: IfName },
    #[error(
        "network {network} has no plugin with the capability {capability:?}, so {option} would have no effect: leave it out"
    )]
    Incapable { network: String, capability: &'static str, option: &'static str },
    #[error(
        "containers of network {network} do not find each other by name, so {option} would have no effect: leave it out"
    )]
    NoNames { network: String, option: &'static str },
}

fn unicast(text: &str) -> Result<Mac, String> {
    let mac: Mac = text.parse().map_err(|error: netlink::InvalidMac| error.to_string())?;
    if mac.is_unicast() { Ok(mac) } else { Err("it is the address of a group, or of nobody".to_owned()) }
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let network = host.network_to_change(&args.network, "network connect")?;
    if [HOST, NONE].contains(&network.name().as_str()) && network.path.is_none() {
        return Err(ConnectError::BuiltIn(network.name().to_string()).into());
    }
    let target = Target::find(&Connections::of_host(host)?.all, &args.target)?;
    let netns = open(&target)?;
    let live = Live::of(host);
    let _turn = live.take_turn(Some(netns.path()))?;
    clear(host, &live, &network, &target)?;
    let connections = connections(host, &netns)?;
    refuse_second(&connections, &network, &target)?;
    let aliases = aliases(args, &network, live.former_aliases(network.name(), &netns)?)?;
    let options = EndpointOptions::read(&args.driver_opt)?;
    let asked = args.interface.as_ref().or(options.interface.as_ref());
    let ifname = interface(asked, &target, &connections, &netns)?;
    let endpoint = endpoint(args, &aliases, &target, &ifname, &network)?;
    let asked = name_servers::of_container(&netns);
    let configured = options.apply(default_route(args, &network, &netns)?, &endpoint.ifname)?;
    let configured = names(host, args, &network, &asked)?.apply(configured)?;
    live.connect(&configured, &endpoint, &netns)?;
    hint(&target, &network);
    warn_of_other_servers(args, &target, &network, &asked);
    Ok(ExitCode::SUCCESS)
}

fn open(target: &Target) -> Result<Netns, Failure> {
    let path = target.netns.as_deref().ok_or_else(|| ConnectError::NotRunning(target.name.clone()))?;
    let netns = Netns::open(path)?;
    if netns == Netns::current()? {
        return Err(ConnectError::OnHost(target.name.clone()).into());
    }
    Ok(netns)
}

/// An interface that somebody has deleted has left an address, which would be in the way.
fn clear(host: &Host, live: &Live<'_>, network: &Network, target: &Target) -> Result<(), Failure> {
    for connection in Connections::of_network(host, network.name())? {
        let is_its = connection.is_live() && connection.recorded.endpoint.container == target.container;
        if is_its && !connection.is_alive()? {
            live.disconnect(&connection, Some(network))?;
        }
    }
    Ok(())
}

/// What the namespace has, whatever id it was attached under.
fn connections(host: &Host, netns: &Netns) -> Result<Vec<Connection>, Failure> {
    let mut its = Vec::new();
    for connection in Connections::of_host(host)?.all {
        if connection.is_alive_in(netns)? {
            its.push(connection);
        }
    }
    Ok(its)
}

fn refuse_second(connections: &[Connection], network: &Network, target: &Target) -> Result<(), ConnectError> {
    match connections.iter().find(|connection| connection.recorded.network == *network.name()) {
        None => Ok(()),
        Some(connection) => Err(ConnectError::Connected {
            container: target.name.clone(),
            network: network.name().to_string(),
            interface: connection.recorded.endpoint.ifname.to_string(),
        }),
    }
}

/// Those that were asked for, and those of before.
fn aliases(args: &Args, network: &Network, former: Vec<Name>) -> Result<Vec<Name>, ConnectError> {
    if !args.alias.is_empty() {
        require(network, "aliases", "--alias")?;
    }
    let mut aliases = args.alias.clone();
    aliases.extend(former.into_iter().filter(|name| !args.alias.contains(name)));
    Ok(aliases)
}

/// What the container is to find on the network besides the others' names. Whom it asked for everything else it goes on asking.
fn names(host: &Host, args: &Args, network: &Network, servers: &[IpAddr]) -> Result<NameOptions, Failure> {
    for (is_given, option) in [(!args.link.is_empty(), "--link"), (args.intercept, "--intercept")] {
        if is_given && !Description::of(network).names {
            return Err(ConnectError::NoNames { network: network.name().to_string(), option }.into());
        }
    }
    let mut options = NameOptions { intercept: args.intercept, ..NameOptions::default() };
    let connections = Connections::of_network(host, network.name())?;
    for link in &args.link {
        let found = link.find(&connections, &[network.name().clone()])?;
        options.links.extend(found.into_iter().map(|other| link.to(other)));
    }
    if args.intercept {
        options.upstreams = servers.iter().copied().filter(|server| !server.is_loopback()).collect();
    }
    Ok(options)
}

/// It was started with other name servers, which know nothing of the network.
fn warn_of_other_servers(args: &Args, target: &Target, network: &Network, asked: &[IpAddr]) {
    if !Description::of(network).names || args.intercept || asked.is_empty() || asked.contains(&ADDRESS.into()) {
        return;
    }
    let servers: Vec<_> = asked.iter().map(ToString::to_string).collect();
    complain(format_args!(
        "{name} is found by name on {network}, but finds none there itself, because it asks {servers}: --intercept would answer it",
        name = target.name,
        network = network.name(),
        servers = servers.join(", "),
    ));
}

fn interface(
    asked: Option<&IfName>,
    target: &Target,
    connections: &[Connection],
    netns: &Netns,
) -> Result<IfName, Failure> {
    let mut taken: Vec<_> = Socket::open_in(netns)?.links()?.into_iter().map(|link| link.name).collect();
    taken.extend(connections.iter().map(|connection| connection.recorded.endpoint.ifname.to_string()));
    match asked {
        Some(name) if taken.iter().any(|taken| taken == name.as_str()) => {
            Err(ConnectError::InterfaceTaken { container: target.name.clone(), interface: name.clone() }.into())
        }
        Some(name) => Ok(name.clone()),
        None => {
            let free = (0..=taken.len()).map(|i| format!("eth{i}")).find(|name| !taken.contains(name));
            Ok(IfName::new(free.unwrap_or_default())?)
        }
    }
}

/// Under the container's own id, so that what the plugins label with it is the container's.
fn endpoint(
    args: &Args,
    aliases: &[Name],
    target: &Target,
    ifname: &IfName,
    network: &Network,
) -> Result<Endpoint, Failure> {
    let mut endpoint = Endpoint::new(target.container.as_str(), ifname.as_str())?;
    endpoint.netns.clone_from(&target.netns);
    endpoint.args.clone_from(&target.args);
    let addresses: Vec<IpAddr> = args.ip.map(IpAddr::V4).into_iter().chain(args.ip6.map(IpAddr::V6)).collect();
    if !addresses.is_empty() {
        require(network, "ips", if args.ip.is_some() { "--ip" } else { "--ip6" })?;
        endpoint = endpoint.with_capability_arg("ips", json!(addresses));
    }
    if let Some(mac) = args.mac_address {
        require(network, "mac", "--mac-address")?;
        endpoint = endpoint.with_capability_arg("mac", json!(mac.to_string()));
    }
    if !aliases.is_empty() {
        let (name, names) = aliases_on(network.name(), aliases);
        endpoint = endpoint.with_capability_arg(name, names);
    }
    Ok(endpoint)
}

fn require(network: &Network, capability: &'static str, option: &'static str) -> Result<(), ConnectError> {
    if network.list.plugins.iter().any(|plugin| plugin.declares(capability)) {
        return Ok(());
    }
    Err(ConnectError::Incapable { network: network.name().to_string(), capability, option })
}

/// Of several with a priority, the highest number has the lowest metric.
fn default_route(args: &Args, network: &Network, netns: &Netns) -> Result<Network, Failure> {
    if let Ok(priority @ 1..) = u32::try_from(args.gw_priority) {
        let metric = u32::from(u16::MAX).saturating_sub(priority).max(1);
        return Ok(with_default_routes(network, |_| DefaultRoute::Precede { metric })?);
    }
    with_later_default_routes(network, netns)
}

/// Podman knows the lists of its folder.
fn hint(target: &Target, network: &Network) {
    let file = Description::of(network).file;
    let is_podmans = file.and_then(|file| file.extension().map(|kind| kind == "conflist")).unwrap_or_default();
    if target.engine == Engine::Podman && is_podmans {
        complain(format_args!(
            "{name} is connected until it stops; `podman network connect {network} {name}` would last",
            name = target.name,
            network = network.name(),
        ));
    }
}
