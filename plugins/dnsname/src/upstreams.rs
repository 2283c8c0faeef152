//! The servers that are asked for what is not known here, if they are not the host's.

use std::net::{IpAddr, SocketAddr};

use cni_plugin::{AddResult, Network};
use names::{ADDRESS, PORT};

use crate::Config;
use crate::config::Upstream;

/// Those that the runtime names for this container, or those of the configuration, or those that the plugins before have named.
pub(crate) fn of(network: &Network<Config>, result: &AddResult) -> Vec<SocketAddr> {
    let (config, ours) = (&network.config, SocketAddr::new(IpAddr::V4(ADDRESS), PORT));
    let valid = |text: &String| {
        let server = text.parse::<Upstream>();
        server.map(|server| server.0).map_err(|problem| network.note(&format!("a server is left out: {problem}"))).ok()
    };
    let of_container = config.runtime_config.dns.servers.iter().filter_map(valid);
    let of_network = config.upstreams.iter().map(|server| server.0);
    let of_plugins = result.dns.nameservers.iter().filter_map(valid);
    let choices: [Vec<SocketAddr>; 3] = [of_container.collect(), of_network.collect(), of_plugins.collect()];
    let mut servers = choices.into_iter().find(|servers| !servers.is_empty()).unwrap_or_default();
    servers.retain(|server| *server != ours);
    servers
}
