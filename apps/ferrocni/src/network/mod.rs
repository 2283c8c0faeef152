//! Networks, as people know them from `docker network`, and the configuration lists that they are.

pub(crate) mod cluster;
mod create;
mod default_route;
mod description;
mod driver;
mod endpoint_options;
mod file;
mod list;
mod names;
mod options;
pub(crate) mod podman;
mod pool;
mod removal;
mod subnet;

pub(crate) use create::{Wanted, bridge_name, conflist};
pub(crate) use default_route::{DefaultRoute, with_default_routes, with_later_default_routes};
pub(crate) use description::{Description, Subnet};
pub(crate) use driver::Driver;
pub(crate) use endpoint_options::EndpointOptions;
pub(crate) use file::{Exists, Registry};
pub(crate) use names::{DNSNAME, HOST_GATEWAY, KnownHost, NameOptions};
pub(crate) use options::Options;
pub(crate) use pool::{Pools, of_name_servers, of_networks, of_routes};
pub(crate) use removal::{Removal, is_in_use};
pub(crate) use subnet::{Asked, Planned, check_unreserved};

use cni::NetworkName;
use cni_runtime::{Cache, Network};
use serde_json::json;

/// The networks that are there without a file, unless there is one: the host's own, none, and the one that Podman makes up, once it
/// has a container.
pub(crate) fn without_file(cache: &Cache, has_file: impl Fn(&NetworkName) -> bool) -> impl Iterator<Item = Network> {
    let names = [HOST, NONE, PODMAN].into_iter().filter_map(|name| NetworkName::new(name).ok());
    names.filter(move |name| !has_file(name)).filter_map(|name| match name.as_str() {
        PODMAN => podmans_default(cache, &name),
        kind => Network::from_json(json!({"cniVersion": "1.0.0", "name": kind, "plugins": [{"type": kind}]})).ok(),
    })
}

/// As Podman has told the plugins of its containers: the first that can be read says it.
fn podmans_default(cache: &Cache, name: &NetworkName) -> Option<Network> {
    cache.each_of_network(name).ok()?.flatten().find_map(|attached| attached.configured().ok().flatten())
}

/// The network of programs that share the host's interfaces.
pub(crate) const HOST: &str = "host";
/// The network of programs that have no interface but `lo`.
pub(crate) const NONE: &str = "none";
/// The network of Podman's containers that name none. It has a file only if somebody writes one.
pub(crate) const PODMAN: &str = "podman";
/// The network of programs that name none.
pub(crate) const DEFAULT: &str = "bridge";
