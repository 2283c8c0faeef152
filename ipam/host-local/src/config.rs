//! The keys of `ipam`, and everything else that says which addresses to give.

use std::collections::HashSet;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use cni_plugin::json::{self, Misfit};
use cni_plugin::{Network, Route, SpecVersion, ip};
use ipnetwork::IpNetwork;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::Error;
use crate::range::{RangeSets, RangeSpec, optional_subnet, parse_requested};

/// Where the reference keeps its reservations, and so do we.
pub const DEFAULT_DATA_DIR: &str = "/var/lib/cni/networks";

/// The most addresses that can be requested at once: more than any container has.
const MAX_REQUESTED: usize = 10_000;

/// A network configuration, of which each verb reads the keys that it needs: a DEL has to find the reservations also where
/// the ranges have been spoilt since.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(transparent)]
pub struct Config(Value);

/// What says where the reservations are.
#[derive(Deserialize)]
struct Place {
    ipam: Option<Folder>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Folder {
    data_dir: PathBuf,
}

/// What an ADD reads.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Keys {
    ipam: Option<Ipam>,
    #[serde(default)]
    runtime_config: RuntimeConfig,
    #[serde(default)]
    args: CniKey,
}

/// The object `ipam` of the network configuration.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(crate) struct Ipam {
    #[serde(deserialize_with = "optional_subnet")]
    subnet: Option<IpNetwork>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    range_start: Option<IpAddr>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    range_end: Option<IpAddr>,
    #[serde(deserialize_with = "ip::deserialize_optional")]
    gateway: Option<IpAddr>,
    ranges: Vec<Vec<RangeSpec>>,
    /// The routes to report in the result; they are not checked.
    pub(crate) routes: Vec<Route>,
    resolv_conf: PathBuf,
}

/// What a runtime passes for the capabilities `ips` and `ipRanges`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RuntimeConfig {
    ips: Vec<String>,
    #[serde(rename = "ipRanges")]
    ip_ranges: Vec<Vec<RangeSpec>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CniKey {
    cni: CniArgs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CniArgs {
    ips: Vec<String>,
}

impl Config {
    /// The folder that holds a folder for each network.
    ///
    /// # Errors
    /// There is no `ipam`, or its `dataDir` is no path.
    pub fn data_dir(&self) -> Result<PathBuf, Error> {
        let folder = self.read::<Place>()?.ipam.ok_or(Error::NoIpam)?.data_dir;
        Ok(if folder.as_os_str().is_empty() { DEFAULT_DATA_DIR.into() } else { folder })
    }

    /// What an ADD needs besides.
    ///
    /// # Errors
    /// A key has no value of its kind.
    pub(crate) fn keys(&self) -> Result<Keys, Error> {
        self.read()
    }

    fn read<T: DeserializeOwned>(&self) -> Result<T, Error> {
        json::from_value(&self.0).map_err(|misfit: Misfit| Error::Misfit(misfit))
    }
}

impl Ipam {
    /// The resolv.conf to read, if any.
    pub(crate) fn resolv_conf(&self) -> Option<&Path> {
        (!self.resolv_conf.as_os_str().is_empty()).then_some(&self.resolv_conf)
    }
}

impl Keys {
    /// The `ipam` object.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn ipam(&self) -> Result<&Ipam, Error> {
        self.ipam.as_ref().ok_or(Error::NoIpam)
    }

    /// The range sets of a network that speaks this version, one address to be given from each: the runtime's, the single range, then `ranges`.
    ///
    /// # Errors
    /// Code 7 with what is wrong with which range.
    pub(crate) fn range_sets(&self, version: SpecVersion) -> Result<RangeSets, Error> {
        let ipam = self.ipam()?;
        let single = ipam.subnet.map(|subnet| {
            let (range_start, range_end, gateway) = (ipam.range_start, ipam.range_end, ipam.gateway);
            [RangeSpec { subnet: Some(subnet), range_start, range_end, gateway }]
        });
        let of_runtime = self.runtime_config.ip_ranges.iter().map(Vec::as_slice);
        let specs =
            of_runtime.chain(single.as_ref().map(<[_; 1]>::as_slice)).chain(ipam.ranges.iter().map(Vec::as_slice));
        Ok(RangeSets::new(specs, version)?)
    }

    /// The addresses asked for, from all three places that can ask, each once.
    ///
    /// # Errors
    /// One is not an address, there are too many, or `CNI_ARGS` is not well-formed.
    pub(crate) fn requested(&self, network: &Network<Config>) -> Result<Vec<IpAddr>, Error> {
        let [of_args] = network.args.values(["IP"])?;
        let of_args = of_args.filter(|text| !text.is_empty()).map(|text| (text, "CNI_ARGS (IP)"));
        let of_keys = self.args.cni.ips.iter().map(|text| (text.as_str(), "args.cni.ips"));
        let of_runtime = self.runtime_config.ips.iter().map(|text| (text.as_str(), "runtimeConfig.ips"));
        let mut requested = Vec::new();
        let mut known = HashSet::new();
        for (text, origin) in of_args.into_iter().chain(of_keys).chain(of_runtime) {
            let address = parse_requested(text).map_err(|_| Error::NotAnAddress { text: text.into(), origin })?;
            if known.insert(address) {
                requested.push(address);
            }
        }
        if requested.len() > MAX_REQUESTED {
            return Err(Error::TooManyRequested { count: requested.len(), most: MAX_REQUESTED });
        }
        Ok(requested)
    }
}
