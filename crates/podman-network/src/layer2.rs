use cni::LinkName;
use serde_json::{Value, json};

use crate::list::{METRIC, interface};
use crate::{Endpoint, Error, Ipam, Network};

/// A network of links on one of the host's.
#[derive(Debug, Clone)]
pub struct Layer2 {
    kind: Kind,
    /// The link that they are on; that of the default route without.
    pub parent: Option<LinkName>,
    mode: Option<String>,
    mtu: Option<u32>,
    pub(crate) metric: u32,
    pub(crate) no_default_route: bool,
    broadcast_cutoff: Option<i32>,
}

/// Which links they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// With a hardware address of their own.
    Macvlan,
    /// With the parent's.
    Ipvlan,
}

impl Kind {
    pub(crate) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Macvlan => &["parent", "mode", "mtu", "metric", "no_default_route", "bclim", "vlan"],
            Self::Ipvlan => &["parent", "mode", "mtu", "metric", "no_default_route", "vlan"],
        }
    }

    fn modes(self) -> &'static [(&'static str, ())] {
        match self {
            Self::Macvlan => &[("bridge", ()), ("private", ()), ("vepa", ()), ("passthru", ())],
            Self::Ipvlan => &[("l2", ()), ("l3", ()), ("l3s", ())],
        }
    }

    fn plugin(self) -> &'static str {
        match self {
            Self::Macvlan => "macvlan",
            Self::Ipvlan => "ipvlan",
        }
    }
}

impl Layer2 {
    pub(crate) fn of(network: &Network, kind: Kind) -> Result<Self, Error> {
        let (options, of) = (&network.options, &network.name);
        options.one_of(of, "mode", kind.modes())?;
        if kind == Kind::Ipvlan && network.ipam()? == Ipam::Dhcp {
            let reason =
                "ipam driver dhcp does not know containers that share a hardware address: use macvlan, or subnets";
            return Err(Error::Option { network: of.clone(), key: "driver".to_owned(), reason: reason.to_owned() });
        }
        Ok(Self {
            kind,
            parent: parent(network)?,
            mode: options.get("mode").map(str::to_owned),
            mtu: options.parse(of, "mtu")?.filter(|mtu| *mtu != 0),
            metric: options.parse(of, "metric")?.unwrap_or(METRIC),
            no_default_route: options.parse(of, "no_default_route")?.unwrap_or(false),
            broadcast_cutoff: options.parse(of, "bclim")?,
        })
    }

    pub(crate) fn plugin(&self, endpoint: &Endpoint) -> Value {
        let mut keys = if self.kind == Kind::Macvlan { json!({"ipamDns": true}) } else { json!({}) };
        if let Some(parent) = &self.parent {
            keys["master"] = json!(parent);
        }
        if let Some(mode) = &self.mode {
            keys["mode"] = json!(mode);
        }
        if let Some(cutoff) = self.broadcast_cutoff {
            keys["broadcastCutoff"] = json!(cutoff);
        }
        interface(self.kind.plugin(), keys, self.mtu, endpoint)
    }
}

/// The link that containers' links are on: with the option `vlan`, that NIC's link of that tag.
fn parent(network: &Network) -> Result<Option<LinkName>, Error> {
    let name = network.options.get("parent").or(network.network_interface.as_deref()).filter(|name| !name.is_empty());
    let vlan: Option<u16> = network.options.parse(&network.name, "vlan")?;
    let name = match (name, vlan.filter(|vlan| *vlan != 0)) {
        (Some(name), Some(vlan)) => format!("{name}.{vlan}"),
        (Some(name), None) => name.to_owned(),
        (None, None) => return Ok(None),
        (None, Some(_)) => return Err(Error::NoInterface { network: network.name.clone() }),
    };
    LinkName::new(name).map(Some).map_err(|source| Error::Name { network: network.name.clone(), source })
}
