//! The command line, as Podman writes it.

use std::net::IpAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use podman_network::Firewall;

use crate::error::Error;

/// The release of netavark that this program stands for. `podman info` shows it; Podman decides nothing by it.
pub(crate) const RELEASE: &str = "2.1.0";

/// Podman's network program, from ferrocni's plugins
#[derive(Debug, Parser)]
#[command(name = "netavark", version = RELEASE, max_term_width = 120)]
pub(crate) struct Arguments {
    /// Read the request from this file (`-`: standard input)
    #[arg(short, long, global = true, value_name = "FILE", default_value = "-")]
    pub(crate) file: PathBuf,
    /// Folder of what is to be known until the host restarts
    #[arg(short, long, global = true, value_name = "DIR", default_value = "/run/containers/networks")]
    pub(crate) config: PathBuf,
    /// Whether Podman runs without root's privileges
    #[arg(short, long, global = true, value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    pub(crate) rootless: Option<bool>,
    /// Accepted, and without effect: names are ferrocni-dns's
    #[arg(short, long, value_name = "FILE")]
    pub(crate) aardvark_binary: Option<PathBuf>,
    /// nftables, iptables, firewalld or none; without, what fits the host
    #[arg(long, global = true, env = "NETAVARK_FW", value_name = "DRIVER", default_value = "", hide_env_values = true)]
    firewall_driver: String,
    /// Folder with programs that are drivers (may be repeated)
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) plugin_directory: Vec<PathBuf>,
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Connect a container to its networks
    Setup {
        /// The container's network namespace
        netns: PathBuf,
    },
    /// Disconnect a container from its networks
    Teardown {
        /// The container's network namespace, which may be gone
        netns: PathBuf,
    },
    /// Complete the description of a network that is to be created
    Create,
    /// Change the name servers of a network
    Update {
        /// The network's name
        network: String,
        /// They are asked for what is no container's name; empty for those of the host
        #[arg(long, value_name = "ADDRESSES", value_delimiter = ',', value_parser = server, required = true)]
        network_dns_servers: Vec<Option<IpAddr>>,
    },
    /// Put back the packet filter's rules of all containers
    FirewallReload,
    /// Do that whenever firewalld reloads
    FirewalldReload,
    /// Keep the leases of DHCP servers
    DhcpProxy {
        /// Accepted, and without effect
        #[arg(short, long, value_name = "DIR")]
        dir: Option<PathBuf>,
        /// Accepted, and without effect
        #[arg(short, long, value_name = "PATH")]
        uds: Option<PathBuf>,
        /// Accepted, and without effect
        #[arg(short, long, value_name = "SECONDS")]
        timeout: Option<u64>,
        /// Accepted, and without effect
        #[arg(short, long, value_name = "SECONDS")]
        activity_timeout: Option<u64>,
    },
    /// Say what this program is
    Version,
    /// As a driver: say what it is
    #[command(hide = true)]
    Info,
}

/// An empty text stands for none.
fn server(text: &str) -> Result<Option<IpAddr>, String> {
    if text.is_empty() { Ok(None) } else { cni::ip::parse(text).map(Some) }
}

impl Arguments {
    pub(crate) fn read() -> Result<Self, Error> {
        Self::try_parse().map_err(|error| {
            if error.use_stderr() {
                return Error::Usage(error.to_string());
            }
            // There is nothing left to say it to.
            let _ = error.print();
            Error::Shown(ExitCode::SUCCESS)
        })
    }

    pub(crate) fn firewall(&self) -> Result<Firewall, Error> {
        match self.firewall_driver.as_str() {
            "" => Ok(Firewall::Default),
            "nftables" => Ok(Firewall::Nftables),
            "iptables" => Ok(Firewall::Iptables),
            "firewalld" => Ok(Firewall::Firewalld),
            "none" => Ok(Firewall::None),
            other => Err(Error::Firewall(other.to_owned())),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn parse(words: &str) -> Arguments {
        Arguments::try_parse_from(words.split_whitespace()).unwrap()
    }

    #[test]
    fn options_do_not_contradict_each_other() {
        <Arguments as clap::CommandFactory>::command().debug_assert();
    }

    #[test]
    fn podmans_call_is_read() {
        let arguments = parse(
            "netavark --config /run/x --rootless=false --aardvark-binary=/usr/lib/podman/aardvark-dns setup /run/netns/netns-1",
        );
        assert_eq!((arguments.config.to_str(), arguments.rootless), (Some("/run/x"), Some(false)));
        assert!(matches!(arguments.command, Command::Setup { netns } if netns.ends_with("netns-1")));
        assert_eq!(parse("netavark -r true version").rootless, Some(true));
    }

    #[test]
    fn servers_can_be_several_or_none() {
        let servers = |words: &str| match Arguments::try_parse_from(words.split(' ')).unwrap().command {
            Command::Update { network_dns_servers, .. } => network_dns_servers.into_iter().flatten().count(),
            other => panic!("{other:?}"),
        };
        assert_eq!(servers("netavark update n --network-dns-servers 192.0.2.1,2001:db8::1"), 2);
        assert_eq!(servers("netavark update n --network-dns-servers "), 0);
    }

    #[test]
    fn a_firewall_driver_is_known_or_an_error() {
        assert_eq!(parse("netavark --firewall-driver iptables version").firewall().unwrap(), Firewall::Iptables);
        assert!(
            parse("netavark --firewall-driver pf version").firewall().unwrap_err().to_string().contains("nftables")
        );
    }
}
