use std::collections::BTreeMap;
use std::net::IpAddr;
use std::process::ExitCode;
use std::time::SystemTime;

use cni::NetworkName;
use cni_runtime::Network;
use ipnetwork::IpNetwork;
use netlink::Socket;

use crate::failure::Failure;
use crate::host::Host;
use crate::network::{
    Asked, DEFAULT, DNSNAME, Description, Driver, Exists, Options, Planned, Pools, Registry, Wanted, check_unreserved,
    cluster, conflist, of_name_servers, of_networks, of_routes,
};
use crate::output::print_line;

#[derive(Debug, Default, clap::Args)]
pub(crate) struct Args {
    /// bridge, macvlan, ipvlan, or overlay for a network over many hosts
    #[arg(short, long, default_value = "bridge")]
    driver: String,
    /// Subnet in CIDR form, such as 10.20.0.0/24 (one for each address family; may be repeated)
    #[arg(long, value_name = "SUBNET")]
    subnet: Vec<IpNetwork>,
    /// Address of the gateway of a subnet (may be repeated)
    #[arg(long, value_name = "ADDRESS")]
    gateway: Vec<IpAddr>,
    /// Part of a subnet that containers get addresses from (may be repeated)
    #[arg(long, value_name = "SUBNET")]
    ip_range: Vec<IpNetwork>,
    /// Address that no container gets, because something else has it (may be repeated)
    #[arg(long, value_name = "NAME=ADDRESS", value_parser = reserved)]
    aux_address: Vec<(String, IpAddr)>,
    /// Give the network an IPv6 subnet
    #[arg(long)]
    ipv6: bool,
    /// Containers reach each other, and nothing else
    #[arg(long)]
    internal: bool,
    /// Note something about the network (may be repeated)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    label: Vec<(String, String)>,
    /// Option of the driver, such as mtu=1400, parent=eth0.20, mode=l3; Docker's names are known too (may be repeated)
    #[arg(short, long = "opt", value_name = "KEY=VALUE", value_parser = pair)]
    opt: Vec<(String, String)>,
    /// host-local or dhcp
    #[arg(long, value_name = "DRIVER")]
    ipam_driver: Option<String>,
    /// Containers do not find each other by name
    #[arg(long)]
    disable_dns: bool,
    /// Succeed if there is a network of that name
    #[arg(long)]
    ignore: bool,
    /// Also if Kubernetes' runtimes would take the network for their pods, because its file comes first in the folder
    #[arg(long)]
    force: bool,
    /// Every network here is: for those who are used to typing it
    #[arg(long, hide = true)]
    attachable: bool,
    /// Name of the network
    name: String,
}

/// Files are named after a network, a container's id of 64 characters and an interface, in 255 bytes.
const LONGEST_NAME: usize = 170;

/// In bytes (RFC 8200).
const LEAST_IPV6_MTU: u32 = 1280;

/// A network that cannot be created.
#[derive(Debug, thiserror::Error)]
enum CreateError {
    #[error("network {0} is there on every host: choose another name")]
    BuiltIn(String),
    #[error(
        "the network's name has {0} characters, too many for its containers' records: choose one of {LONGEST_NAME} at most"
    )]
    LongName(usize),
    #[error("MTU {0} is too small for IPv6: choose {LEAST_IPV6_MTU} or more, or leave the IPv6 subnet out")]
    Ipv6Mtu(u32),
    #[error("bridge {bridge} is that of network {network}: choose another with -o bridge=NAME")]
    BridgeTaken { bridge: String, network: String },
    #[error(
        "{file} would come first in its folder, before {first}, and Kubernetes' runtimes would take it for their pods: \
         choose another name, or use --force"
    )]
    First { file: String, first: String },
    #[error("--ipam-driver {0} is not known: use host-local or dhcp")]
    Ipam(String),
    #[error(
        "addresses of a network with --ipam-driver dhcp are a server's to give: leave out --subnet, --gateway and --ip-range"
    )]
    DhcpWithSubnet,
    #[error("{0} has no effect on an overlay network, whose hosts get blocks of its subnets: leave it out")]
    Decided(&'static str),
    #[error("{0} has no DHCP servers in its networks: leave --ipam-driver dhcp out")]
    DhcpOn(Driver),
    #[error("-o intercept=true is about names, which the network is to have none of: leave --disable-dns out")]
    InterceptWithoutNames,
    #[error("-o intercept=true needs the plugin {DNSNAME}: install it beside the others")]
    InterceptWithoutPlugin,
}

pub(super) fn pair(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() { Err("it is not KEY=VALUE".to_owned()) } else { Ok((key.to_owned(), value.to_owned())) }
}

fn reserved(text: &str) -> Result<(String, IpAddr), String> {
    let (name, address) = text.split_once('=').ok_or("it is not NAME=ADDRESS")?;
    address.parse().map(|address| (name.to_owned(), address)).map_err(|error| format!("{address}: {error}"))
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    print_line(create(host, args)?)?;
    Ok(ExitCode::SUCCESS)
}

/// The network of programs that name none, as `network create` makes it, unless it is there.
pub(crate) fn create_default(host: &Host) -> Result<(), Failure> {
    let args = Args { driver: Driver::Bridge.to_string(), name: DEFAULT.to_owned(), ignore: true, ..Args::default() };
    create(host, &args).map(drop)
}

/// The id of the new network.
fn create(host: &Host, args: &Args) -> Result<String, Failure> {
    let name = NetworkName::new(args.name.as_str())?;
    let driver: Driver = args.driver.parse()?;
    let written_options: BTreeMap<_, _> = args.opt.iter().cloned().collect();
    let options = Options::read(driver, &written_options)?;
    let names = has_names(host, args, &options)?;
    let registry = Registry::lock(host.folder(), &host.state(""))?;
    let networks = host.networks()?;
    let described: Vec<_> = networks.networks.iter().map(Description::of).collect();
    if let Some(known) = described.iter().find(|known| known.name == args.name) {
        return existing(args, known);
    }
    check(args, &options)?;
    let created = SystemTime::now();
    let subnets = match driver {
        Driver::Overlay => in_cluster(args, &name, &options, created)?,
        _ => subnets(args, driver, &described)?,
    };
    let wanted = Wanted {
        id: Description::id_of_name(&name),
        subnets,
        name,
        driver,
        internal: args.internal,
        options,
        written_options,
        labels: args.label.iter().cloned().collect(),
        names,
        created,
    };
    let list = conflist(&wanted);
    check_bridge(&Description::of(&Network::from_json(list.clone())?), &described)?;
    if !args.force {
        check_order(&registry, &wanted.name, host, &networks.networks)?;
    }
    registry.write(&wanted.name, &format!("{}\n", serde_json::to_string_pretty(&list)?))?;
    Ok(wanted.id)
}

/// What only a new network has to keep to.
fn check(args: &Args, options: &Options) -> Result<(), Failure> {
    if args.name.len() > LONGEST_NAME {
        return Err(CreateError::LongName(args.name.len()).into());
    }
    let has_ipv6 = args.ipv6 || args.subnet.iter().any(IpNetwork::is_ipv6);
    match options.mtu {
        Some(mtu) if has_ipv6 && mtu < LEAST_IPV6_MTU => return Err(CreateError::Ipv6Mtu(mtu).into()),
        _ => {}
    }
    Ok(args.subnet.iter().copied().try_for_each(check_unreserved)?)
}

/// Whether containers find each other by name.
fn has_names(host: &Host, args: &Args, options: &Options) -> Result<bool, CreateError> {
    let is_installed = host.has_plugin(DNSNAME);
    match options.intercept {
        true if args.disable_dns => Err(CreateError::InterceptWithoutNames),
        true if !is_installed => Err(CreateError::InterceptWithoutPlugin),
        _ => Ok(is_installed && !args.disable_dns),
    }
}

fn existing(args: &Args, known: &Description) -> Result<String, Failure> {
    if known.is_builtin() {
        return Err(CreateError::BuiltIn(args.name.clone()).into());
    }
    if !args.ignore {
        return Err(Exists(args.name.clone()).into());
    }
    Ok(known.id.clone())
}

/// Those of a network in etcd, which is created there unless it is there: each of its hosts has a list of plugins.
fn in_cluster(
    args: &Args,
    name: &NetworkName,
    options: &Options,
    created: SystemTime,
) -> Result<Vec<Planned>, Failure> {
    let decided = [
        ("--gateway", args.gateway.is_empty()),
        ("--ip-range", args.ip_range.is_empty()),
        ("--aux-address", args.aux_address.is_empty()),
        ("--ipam-driver", args.ipam_driver.is_none()),
    ];
    if let Some((flag, _)) = decided.iter().find(|(_, is_absent)| !is_absent) {
        return Err(CreateError::Decided(flag).into());
    }
    let asked = cluster::Asked {
        name,
        subnets: &args.subnet,
        ipv6: args.ipv6,
        internal: args.internal,
        labels: args.label.iter().cloned().collect(),
        options: args.opt.iter().cloned().collect(),
        created,
    };
    let subnets = asked.create_or_join(options)?;
    Ok(subnets.into_iter().map(Planned::whole).collect())
}

/// None where a DHCP server has them: macvlan's containers are on the wire, as those of Podman's networks without a subnet.
fn subnets(args: &Args, driver: Driver, networks: &[Description]) -> Result<Vec<Planned>, Failure> {
    let asked = Asked {
        subnets: args.subnet.clone(),
        gateways: args.gateway.clone(),
        ranges: args.ip_range.clone(),
        reserved: args.aux_address.clone(),
        ipv6: args.ipv6,
    };
    if by_dhcp(args, driver)? {
        return Ok(Vec::new());
    }
    let taken: Vec<_> = of_networks(networks).collect();
    let mut avoided = of_routes(&mut Socket::open()?)?;
    avoided.extend(of_name_servers());
    Ok(asked.plan(&Pools::of_host()?, &taken, &avoided)?)
}

fn by_dhcp(args: &Args, driver: Driver) -> Result<bool, CreateError> {
    let names_addresses = !(args.subnet.is_empty() && args.gateway.is_empty() && args.ip_range.is_empty());
    match args.ipam_driver.as_deref() {
        Some("dhcp") if names_addresses => Err(CreateError::DhcpWithSubnet),
        Some("dhcp") if driver == Driver::Ipvlan => Err(CreateError::DhcpOn(driver)),
        Some("dhcp") => Ok(true),
        // "default" is Docker's word for its own.
        Some("host-local" | "default") => Ok(false),
        Some(other) => Err(CreateError::Ipam(other.to_owned())),
        None => Ok(driver == Driver::Macvlan && !names_addresses && !args.internal),
    }
}

/// Two networks on one bridge are one, unless VLANs keep them apart.
fn check_bridge(new: &Description, networks: &[Description]) -> Result<(), CreateError> {
    let is_same =
        |known: &&Description| known.driver == "bridge" && new.driver == "bridge" && known.interface == new.interface;
    match networks.iter().find(is_same) {
        Some(known) if !new.options.contains_key("vlan") => Err(CreateError::BridgeTaken {
            bridge: new.interface.clone().unwrap_or_default(),
            network: known.name.clone(),
        }),
        _ => Ok(()),
    }
}

/// A runtime of Kubernetes takes the file that sorts first. If that is one of ours, there is none on this host.
fn check_order(registry: &Registry, name: &NetworkName, host: &Host, networks: &[Network]) -> Result<(), CreateError> {
    let file = registry.path_of(name);
    let is_pods = |network: &&Network| network.path.as_deref().is_some_and(|path| path.parent() == Some(host.folder()));
    let Some(first) = networks.iter().find(is_pods).map(Description::of) else { return Ok(()) };
    match first.file {
        Some(path) if file < path && !first.created_by_command => {
            Err(CreateError::First { file: file.display().to_string(), first: path.display().to_string() })
        }
        _ => Ok(()),
    }
}
