//! `ferrocni run`.

mod detach;
mod first_process;
mod init;
mod mounts;
mod names;
mod network;
mod plan;
mod signals;
mod supervisor;
mod wishes;

use std::ffi::OsString;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use ::names::Name;
use ip::Protocol;
use netlink::Mac;

use crate::container::{Ports, Publish, exposed, sweep};
use crate::failure::Failure;
use crate::host::Host;
use crate::links::LinkTo;
use network::Attach;
use supervisor::Supervisor;

pub(crate) use init::run as as_first_process;

/// What a container that could not be started ends with, as Docker's and Podman's do.
const NOT_RUN: u8 = 125;

/// The kernel refuses what a container needs.
#[derive(Debug, thiserror::Error)]
#[error("cannot {0}")]
struct StepError(&'static str, #[source] io::Error);

fn step<E: Into<io::Error>>(what: &'static str) -> impl FnOnce(E) -> StepError {
    move |error| StepError(what, error.into())
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Network, with options: NAME[:ip=,ip6=,mac=,alias=,gw-priority=,interface=] (may be repeated; host and none are there on every
    /// host) [default: bridge, which is created if it is missing]
    #[arg(long = "network", visible_alias = "net", value_name = "NETWORK")]
    networks: Vec<Attach>,
    /// Name of the container
    #[arg(long)]
    name: Option<String>,
    /// IPv4 address (of an only network)
    #[arg(long, value_name = "ADDRESS")]
    ip: Option<std::net::Ipv4Addr>,
    /// IPv6 address (of an only network)
    #[arg(long, value_name = "ADDRESS")]
    ip6: Option<std::net::Ipv6Addr>,
    /// Hardware address (of an only network)
    #[arg(long, value_name = "ADDRESS")]
    mac_address: Option<Mac>,
    /// Another name on every network (may be repeated)
    #[arg(long = "alias", visible_alias = "network-alias", value_name = "NAME")]
    aliases: Vec<Name>,
    /// Hostname [default: the container's name, or its short id if the name cannot be one]
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Name server instead of the networks' and the host's (may be repeated); where containers find each other by name, it is asked
    /// for everything else
    #[arg(long, value_name = "ADDRESS")]
    dns: Vec<IpAddr>,
    /// Domain to look names up in (may be repeated)
    #[arg(long, value_name = "DOMAIN", value_parser = names::search_domain)]
    dns_search: Vec<String>,
    /// Option of resolv.conf (may be repeated)
    #[arg(long, visible_alias = "dns-option", value_name = "OPTION", value_parser = names::resolver_option)]
    dns_opt: Vec<String>,
    /// Name with its address, or with host-gateway, which is this host as the container sees it (may be repeated)
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = names::extra_host)]
    add_host: Vec<names::ExtraHost>,
    /// Another container that is found by that name as well (may be repeated)
    #[arg(long, value_name = "CONTAINER[:NAME]")]
    link: Vec<LinkTo>,
    /// Publish ports: [ADDRESS:][HOST PORTS:]PORTS[/PROTOCOL]; without host ports, free ones; with ",mode=ingress" behind it, every host of an
    /// overlay network's cluster answers (may be repeated)
    #[arg(short, long, value_name = "PORTS")]
    publish: Vec<Publish>,
    /// Publish all ports of --expose, on free ports of the host
    #[arg(short = 'P', long)]
    publish_all: bool,
    /// Ports that --publish-all publishes, such as 80 or 53/udp (may be repeated)
    #[arg(long, value_name = "PORTS", value_parser = exposed)]
    expose: Vec<(Ports, Protocol)>,
    /// Variable of the program's environment (may be repeated)
    #[arg(short, long, value_name = "NAME=VALUE")]
    env: Vec<String>,
    /// Working directory of the program
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<PathBuf>,
    /// User (and group) that the program runs as: names or numbers
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// Folder that is the program's root; mount points that it lacks are created in it
    #[arg(long, value_name = "DIR")]
    rootfs: Option<PathBuf>,
    /// Note something about the container (may be repeated)
    #[arg(short, long, value_name = "KEY=VALUE")]
    label: Vec<String>,
    /// Print the container's id and leave the program running; `ferrocni logs` shows what it says
    #[arg(short, long)]
    detach: bool,
    /// The terminal is the program's own: also what is typed to stop programs
    #[arg(short, long)]
    tty: bool,
    /// The program always has the standard input: for those who are used to typing it
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// Everything always goes: for those who are used to typing it
    #[arg(long, hide = true)]
    rm: bool,
    /// The program and its arguments
    #[arg(required = true, trailing_var_arg = true, value_name = "PROGRAM")]
    program: Vec<OsString>,
}

/// `is_supervisor`: this is the process in the background that another one has started.
pub(super) fn run(host: &Host, args: &Args, is_supervisor: bool) -> Result<ExitCode, Failure> {
    if args.detach && !is_supervisor {
        return detach::start().map_err(|failure| failure.with_status(NOT_RUN));
    }
    sweep(host);
    supervise(host, args, is_supervisor).map_err(|failure| failure.or_status(NOT_RUN))
}

fn supervise(host: &Host, args: &Args, detached: bool) -> Result<ExitCode, Failure> {
    if detached {
        detach::leave_session()?;
    }
    Supervisor::new(host, args, detached)?.run()
}
