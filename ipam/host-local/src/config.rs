//! The keys of `ipam`, and everything else that says which addresses to give.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni_plugin::{Network, Route, ip};
use ipnetwork::IpNetwork;
use serde::Deserialize;

use crate::Error;
use crate::range::{RangeSet, RangeSpec, optional_subnet, parse_requested};

/// Where the reference keeps its reservations, and so do we.
const DEFAULT_DATA_DIR: &str = "/var/lib/cni/networks";

/// The keys of a network configuration that matter here.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Config {
    ipam: Option<Ipam>,
    runtime_config: RuntimeConfig,
    args: CniKey,
}

/// The `ipam` object.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Ipam {
    #[serde(deserialize_with = "optional_subnet")]
    subnet: Option<IpNetwork>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    range_start: Option<IpAddr>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    range_end: Option<IpAddr>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    gateway: Option<IpAddr>,
    ranges: Vec<Vec<RangeSpec>>,
    routes: Vec<Route>,
    data_dir: PathBuf,
    resolv_conf: PathBuf,
}

/// What a runtime passes for the capabilities `ips` and `ipRanges`.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    ips: Vec<String>,
    #[serde(rename = "ipRanges")]
    ip_ranges: Vec<Vec<RangeSpec>>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CniKey {
    cni: CniArgs,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
struct CniArgs {
    ips: Vec<String>,
}

impl Config {
    fn ipam(&self) -> Result<&Ipam, Error> {
        self.ipam.as_ref().ok_or(Error::NoIpam)
    }

    /// The folder that holds a folder for each network.
    ///
    /// # Errors
    /// There is no `ipam`.
    pub fn data_dir(&self) -> Result<&Path, Error> {
        let configured = &self.ipam()?.data_dir;
        Ok(if configured.as_os_str().is_empty() { Path::new(DEFAULT_DATA_DIR) } else { configured })
    }

    /// The resolv.conf to read, if any.
    ///
    /// # Errors
    /// There is no `ipam`.
    pub fn resolv_conf(&self) -> Result<Option<&Path>, Error> {
        let path = &self.ipam()?.resolv_conf;
        Ok((!path.as_os_str().is_empty()).then_some(path))
    }

    /// The routes to report.
    ///
    /// # Errors
    /// There is no `ipam`.
    pub fn routes(&self) -> Result<&[Route], Error> {
        Ok(&self.ipam()?.routes)
    }
}

/// The range sets of a network, one address to be given from each: the runtime's, the single range, then `ranges`.
///
/// Only what gives addresses asks for them, so that a DEL works however the ranges have been changed since.
///
/// # Errors
/// Code 7 with what is wrong with which range.
pub(crate) fn range_sets(network: &Network<Config>) -> Result<Vec<RangeSet>, Error> {
    let ipam = network.config.ipam()?;
    let single = ipam.subnet.map(|subnet| {
        let (range_start, range_end, gateway) = (ipam.range_start, ipam.range_end, ipam.gateway);
        [RangeSpec { subnet: Some(subnet), range_start, range_end, gateway }]
    });
    let of_runtime = network.config.runtime_config.ip_ranges.iter().map(Vec::as_slice);
    let specs = of_runtime.chain(single.as_ref().map(<[_; 1]>::as_slice)).chain(ipam.ranges.iter().map(Vec::as_slice));
    Ok(RangeSet::all(specs, network.version)?)
}

/// The addresses asked for, from all three places that can ask, each once.
///
/// # Errors
/// One is not an address, or `CNI_ARGS` is not well-formed.
pub(crate) fn requested(network: &Network<Config>) -> Result<Vec<IpAddr>, Error> {
    let [of_args] = network.args.values(["IP"])?;
    let sources = [
        ("CNI_ARGS (IP)", of_args.filter(|text| !text.is_empty()).into_iter().collect::<Vec<_>>()),
        ("args.cni.ips", network.config.args.cni.ips.iter().map(String::as_str).collect()),
        ("runtimeConfig.ips", network.config.runtime_config.ips.iter().map(String::as_str).collect()),
    ];
    let mut requested = Vec::new();
    for (origin, texts) in sources {
        for text in texts {
            let address = parse_requested(text).map_err(|_| Error::NotAnAddress { text: text.into(), origin })?;
            if !requested.contains(&address) {
                requested.push(address);
            }
        }
    }
    Ok(requested)
}
