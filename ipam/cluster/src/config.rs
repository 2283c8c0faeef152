//! The keys of `ipam`, and the others that name addresses.

use std::collections::BTreeSet;
use std::net::IpAddr;

use cni_plugin::{Args, Code, Network, NetworkName, Route, ip};
use serde::Deserialize;

use crate::Error;

/// The keys of a network configuration that matter here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    ipam: Option<Ipam>,
    runtime_config: Ips,
    args: ConfigArgs,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct Ipam {
    network: Option<NetworkName>,
    routes: Vec<Route>,
}

/// The key `args`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct ConfigArgs {
    cni: Ips,
}

/// An object with addresses that a runtime asks for: `runtimeConfig`, for the capability `ips`, and `args.cni`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Ips {
    ips: Vec<String>,
}

impl From<Vec<String>> for Ips {
    fn from(ips: Vec<String>) -> Self {
        Self { ips }
    }
}

impl Config {
    /// The overlay network whose addresses are given: the one that `ipam` names, or that of the configuration's own name.
    pub(crate) fn network<C>(&self, network: &Network<C>) -> Result<NetworkName, Error> {
        let ipam = self.ipam.as_ref().ok_or(Error::NoIpam)?;
        Ok(ipam.network.clone().unwrap_or_else(|| network.name.clone()))
    }

    pub(crate) fn wishes(&self, environment: &Args) -> Result<Vec<IpAddr>, Error> {
        wishes(environment, &self.args, &self.runtime_config)
    }

    pub(crate) fn routes(&self) -> Vec<Route> {
        self.ipam.as_ref().map(|ipam| ipam.routes.clone()).unwrap_or_default()
    }
}

/// The addresses that are asked for, each once: in `CNI_ARGS`, in `args` and in `runtimeConfig`. A prefix length is of no consequence: the
/// network has one.
///
/// # Errors
/// Code 4 or 7 if one is no address.
pub fn wishes(environment: &Args, args: &ConfigArgs, runtime_config: &Ips) -> Result<Vec<IpAddr>, Error> {
    let [of_args] = environment.values(["IP"])?;
    let of_args = of_args.filter(|text| !text.is_empty()).map(|text| (text, Code::InvalidEnvironment));
    let of_keys = args.cni.ips.iter().chain(&runtime_config.ips).map(|text| (&**text, Code::InvalidConfig));
    let (mut wishes, mut known) = (Vec::new(), BTreeSet::new());
    for (text, code) in of_args.into_iter().chain(of_keys) {
        let alone = text.split_once('/').map_or(text, |(address, _)| address);
        let address = ip::parse(alone).map_err(|reason| cni_plugin::Error::new(code, reason))?;
        if known.insert(address) {
            wishes.push(address);
        }
    }
    Ok(wishes)
}
