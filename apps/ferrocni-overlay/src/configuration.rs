//! The agent's configuration, `/etc/ferrocni/overlay.json`.

use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use etcd_client::{Certificate, ConnectOptions, Identity, TlsOptions};
use overlay::Cluster;
use serde::Deserialize;

use crate::Error;

/// How long a connection may take to come about.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// After so much silence etcd is asked whether it is there, and how long it may take to say so. It takes amiss to be asked more often
/// than every five seconds.
const ASK_AFTER: Duration = Duration::from_secs(10);
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Permissions of group and others.
const OTHERS: u32 = 0o077;
/// A key that its group may read is common where etcd's own files are used; others never.
const WORLD: u32 = 0o007;

/// The keys of the file.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    endpoints: Vec<String>,
    ca: Option<PathBuf>,
    certificate: Option<PathBuf>,
    key: Option<PathBuf>,
    server_name: Option<String>,
    user: Option<String>,
    password_file: Option<PathBuf>,
    name: Option<String>,
    underlay: Option<Underlay>,
    vxlan_port: Option<u16>,
    wireguard_port: Option<u16>,
    /// Seconds.
    reclaim_after: Option<u32>,
    /// Seconds.
    #[serde(default = "sixty")]
    time_to_live: u32,
    /// Seconds.
    spare_after: Option<u32>,
}

fn sixty() -> u32 {
    60
}

/// Where other hosts reach this one.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(crate) enum Underlay {
    /// At these addresses.
    Addresses(Vec<IpAddr>),
    /// At the addresses of this link.
    Link(String),
}

/// A configuration that can be used.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    pub(crate) endpoints: Vec<String>,
    pub(crate) options: ConnectOptions,
    pub(crate) name: Option<String>,
    pub(crate) underlay: Option<Underlay>,
    pub(crate) cluster: Cluster,
    /// For how long a host counts as alive after its last sign of life.
    pub(crate) time_to_live: Duration,
    /// For how long an empty block is kept, if not an hour.
    pub(crate) spare_after: Option<Duration>,
}

impl Configuration {
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read(path).map_err(|source| Error::Configuration { path: path.into(), source })?;
        let invalid = |reason: String| Error::Invalid { path: path.into(), reason };
        let keys: Keys = serde_json::from_slice(&text).map_err(|error| invalid(error.to_string()))?;
        keys.check().map_err(invalid)?;
        Ok(Self {
            options: keys.options()?,
            cluster: keys.cluster(),
            time_to_live: Duration::from_secs(keys.time_to_live.into()),
            spare_after: keys.spare_after.map(|seconds| Duration::from_secs(seconds.into())),
            endpoints: keys.endpoints,
            name: keys.name,
            underlay: keys.underlay,
        })
    }
}

impl Keys {
    fn check(&self) -> Result<(), String> {
        if self.endpoints.is_empty() {
            return Err("\"endpoints\" is empty: name etcd's members, such as \"https://192.0.2.5:2379\"".to_owned());
        }
        let is_secured = |endpoint: &String| endpoint.starts_with("https://");
        if let Some(open) = self.endpoints.iter().find(|endpoint| !is_secured(endpoint) && !is_loopback(endpoint)) {
            return Err(format!(
                "endpoint {open} is neither https nor on a loopback address: whoever can change what passes there can redirect every \
                 network"
            ));
        }
        let any_secured = self.endpoints.iter().any(is_secured);
        if any_secured != self.endpoints.iter().all(is_secured) {
            return Err("some endpoints are https and some are not".to_owned());
        }
        if any_secured && (self.certificate.is_none() || self.key.is_none() || self.ca.is_none()) {
            return Err("https needs \"ca\", \"certificate\" and \"key\", the paths of PEM files".to_owned());
        }
        if self.user.is_some() != self.password_file.is_some() {
            return Err("\"user\" and \"passwordFile\" belong together".to_owned());
        }
        if self.time_to_live < 2 {
            return Err("\"timeToLive\" has to be 2 seconds or more".to_owned());
        }
        Ok(())
    }

    fn cluster(&self) -> Cluster {
        let usual = Cluster::default();
        Cluster {
            vxlan_port: self.vxlan_port.unwrap_or(usual.vxlan_port),
            wireguard_port: self.wireguard_port.unwrap_or(usual.wireguard_port),
            reclaim_after: self.reclaim_after,
        }
    }

    fn options(&self) -> Result<ConnectOptions, Error> {
        let mut options = ConnectOptions::new()
            .with_connect_timeout(CONNECT_WITHIN)
            .with_keep_alive(ASK_AFTER, ANSWER_WITHIN)
            .with_keep_alive_while_idle(true)
            .with_require_leader(true);
        if let (Some(user), Some(file)) = (&self.user, &self.password_file) {
            let password = String::from_utf8_lossy(&secret(file, OTHERS)?).trim_end().to_owned();
            options = options.with_user(user, password).with_auto_token_refresh(true);
        }
        if let (Some(ca), Some(certificate), Some(key)) = (&self.ca, &self.certificate, &self.key) {
            let identity = Identity::from_pem(read(certificate)?, secret(key, WORLD)?);
            let mut tls = TlsOptions::new().ca_certificate(Certificate::from_pem(read(ca)?)).identity(identity);
            if let Some(name) = &self.server_name {
                tls = tls.domain_name(name);
            }
            options = options.with_tls(tls);
        }
        Ok(options)
    }
}

/// Whether an endpoint without encryption cannot leave this host.
fn is_loopback(endpoint: &str) -> bool {
    let authority = endpoint.strip_prefix("http://").unwrap_or(endpoint);
    let host = authority.rsplit_once(':').map_or(authority, |(host, _)| host);
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::File { path: path.into(), source })
}

/// Reads a file that these permissions must be missing from.
fn secret(path: &Path, forbidden: u32) -> Result<Vec<u8>, Error> {
    let mode = std::fs::metadata(path).map_err(|source| Error::File { path: path.into(), source })?.mode();
    if mode & forbidden != 0 {
        let reason = format!("others can read it (mode {:o}): chmod 600 it, and replace what it held", mode & 0o777);
        return Err(Error::Invalid { path: path.into(), reason });
    }
    read(path)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;

    fn written(content: &Value) -> Result<Configuration, Error> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("overlay.json");
        fs::write(&path, content.to_string()).unwrap();
        Configuration::read(&path)
    }

    #[test]
    fn what_passes_outside_the_host_is_encrypted() {
        for local in ["http://127.0.0.1:2379", "http://[::1]:2379", "http://localhost:2379", "127.0.0.1:2379"] {
            assert!(written(&json!({"endpoints": [local]})).is_ok(), "{local}");
        }
        for open in
            ["http://192.0.2.5:2379", "192.0.2.5:2379", "http://localhost.example:2379", "http://127.0.0.1.example:1"]
        {
            let error = written(&json!({"endpoints": [open]})).unwrap_err().to_string();
            assert!(error.contains(open), "{error}");
        }
        let error = written(&json!({"endpoints": ["https://192.0.2.5:2379"]})).unwrap_err().to_string();
        assert!(error.contains("certificate"), "{error}");
    }

    #[test]
    fn keys_that_others_can_read_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        for name in ["ca.pem", "host.pem", "host.key"] {
            fs::write(path(name), "x").unwrap();
        }
        let content = json!({
            "endpoints": ["https://192.0.2.5:2379"],
            "ca": path("ca.pem"), "certificate": path("host.pem"), "key": path("host.key")
        });
        for (mode, accepted) in [(0o644, false), (0o604, false), (0o640, true), (0o600, true)] {
            fs::set_permissions(path("host.key"), Permissions::from_mode(mode)).unwrap();
            assert_eq!(written(&content).is_ok(), accepted, "{mode:o}");
        }
    }

    #[test]
    fn what_is_misspelt_is_told() {
        let error = written(&json!({"endpoints": ["localhost:1"], "vxlanPrt": 1})).unwrap_err().to_string();
        assert!(error.contains("vxlanPrt"), "{error}");
        assert!(written(&json!({"endpoints": []})).is_err());
        assert!(written(&json!({"endpoints": ["localhost:1"], "user": "u"})).is_err());
    }

    #[test]
    fn the_underlay_is_a_link_or_addresses() {
        let underlay =
            |value: Value| written(&json!({"endpoints": ["localhost:1"], "underlay": value})).unwrap().underlay;
        assert_eq!(underlay(json!("eth1")), Some(Underlay::Link("eth1".into())));
        assert_eq!(underlay(json!(["192.0.2.1"])), Some(Underlay::Addresses(vec!["192.0.2.1".parse().unwrap()])));
    }
}
