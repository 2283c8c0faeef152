//! What is known of the names of an attachment.

use std::net::{IpAddr, SocketAddr};

use ip::Protocol;
use netlink::Namespace;
use serde::{Deserialize, Serialize};

use crate::Name;

/// Under which names a container is found on a network, and what is answered to it.
///
/// Of the id of the container, which the record's file is named by, the first twelve characters are a name as well. A record that
/// a later version has written may have more keys; one that an earlier version has written lacks some.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Record {
    /// The container's network namespace, in which it is answered.
    pub namespace: Namespace,
    /// The name that reverse questions are answered with.
    #[serde(default)]
    pub name: Option<Name>,
    /// Other names.
    #[serde(default)]
    pub aliases: Vec<Name>,
    /// The container's addresses on the network.
    #[serde(default)]
    pub addresses: Vec<IpAddr>,
    /// The network's gateways, by which the container reaches the host.
    #[serde(default)]
    pub gateways: Vec<IpAddr>,
    /// Below it each name is found as well. What is asked below it is never forwarded.
    #[serde(default)]
    pub domain: Option<Name>,
    /// The Kubernetes namespace of the pod: names are found as `name.namespace` as well, and by their bare names in the asker's
    /// own namespace before those of others.
    #[serde(default)]
    pub pod_namespace: Option<Name>,
    /// Names that this container alone knows others by.
    #[serde(default)]
    pub links: Vec<Link>,
    /// Names and their addresses that this container alone knows.
    #[serde(default)]
    pub hosts: Vec<Host>,
    /// The servers that are asked, from the container's namespace, for what is not known here, instead of those of the host.
    #[serde(default)]
    pub upstreams: Vec<SocketAddr>,
    /// Whether other servers may be asked: not on an internal network.
    #[serde(default = "yes")]
    pub forward: bool,
    /// How long an answer may be kept, in seconds.
    #[serde(default)]
    pub ttl: u32,
    /// Where the container is answered.
    #[serde(default)]
    pub listen: Listen,
    /// Whether the container is answered whichever server it asks.
    #[serde(default)]
    pub intercept: bool,
    /// The ports that it publishes, found as `_<port>._<protocol>.name` (RFC 2782).
    #[serde(default)]
    pub ports: Vec<Port>,
}

fn yes() -> bool {
    true
}

impl Record {
    /// A record of a container in that namespace with nothing but the defaults: no names, no addresses, and forwarding.
    #[must_use]
    pub fn new(namespace: Namespace) -> Self {
        Self {
            namespace,
            name: None,
            aliases: Vec::new(),
            addresses: Vec::new(),
            gateways: Vec::new(),
            domain: None,
            pod_namespace: None,
            links: Vec::new(),
            hosts: Vec::new(),
            upstreams: Vec::new(),
            forward: true,
            ttl: 0,
            listen: Listen::default(),
            intercept: false,
            ports: Vec::new(),
        }
    }
}

/// Where a container is answered, on UDP and TCP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Listen {
    /// On 127.0.0.11 in its namespace, where port 53 is led to another one, and stays free for the container
    /// ([`crate::redirect`]).
    #[default]
    Rewrite,
    /// On 127.0.0.11 in its namespace, on port 53 itself.
    Direct,
    /// On the network's gateways, which are the host's, for containers in virtual machines, that do not see their namespace's
    /// loopback.
    Gateway,
}

/// A name by which a container knows another one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Link {
    /// The name.
    pub alias: Name,
    /// The other's id, or a name of it, on the same network.
    pub container: String,
}

/// A name that one container knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Host {
    /// The name.
    pub name: Name,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
}

/// A port of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// Its protocol.
    pub protocol: Protocol,
    /// Its number inside the container.
    pub port: u16,
}
