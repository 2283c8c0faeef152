use std::net::IpAddr;

use cni::NetworkName;
use ipnetwork::IpNetwork;

/// Why a network cannot be created.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CreateError {
    #[error("network already exists: {0}; choose another name")]
    Exists(NetworkName),
    #[error("network id {0:?} is not made of 64 hexadecimal digits")]
    Id(String),
    #[error("bridge name {0} already in use: choose another with --interface-name, or leave it out")]
    InterfaceUsed(String),
    #[error("parent interface {0} does not exist: create it first, or name another with --opt parent")]
    NoParent(String),
    #[error("no name is left for a bridge: choose one with --interface-name")]
    NoName,
    #[error(
        "there is no CNI plugin {0}, which the driver of that name stands for: install it, in /opt/cni/bin for instance"
    )]
    NoPlugin(String),
    #[error("driver {0} needs a subnet for the addresses of its containers: add --subnet")]
    NoSubnet(String),
    #[error("a DHCP server gives addresses, so that the network has no subnets: leave out --subnet, or --ipam-driver")]
    SubnetsOfDhcp,
    #[error(
        "--ipam-driver none gives no addresses, so that the network has no subnets: leave out --subnet, or --ipam-driver"
    )]
    SubnetsOfNobody,
    #[error("servers that the name server asks need names: leave out --dns, or --disable-dns")]
    ServersWithoutNames,
    #[error("subnet {0} is already used on the host or by another network: choose another with --subnet")]
    SubnetUsed(IpNetwork),
    #[error("no subnet is free in subnet_pools (containers.conf): choose one with --subnet")]
    NoFreeSubnet,
    #[error("gateway {gateway} is not in subnet {subnet}: choose another with --gateway")]
    Gateway { gateway: IpAddr, subnet: IpNetwork },
    #[error("subnet {0} has no room for a gateway and containers: choose a larger one with --subnet")]
    Small(IpNetwork),
    #[error("--ip-range of subnet {subnet}: {reason}")]
    Range { subnet: IpNetwork, reason: &'static str },
}
