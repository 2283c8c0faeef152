//! Which runtime a container is of.

use std::path::Path;

use cni_runtime::Attached;

use super::Names;

/// Where `ferrocni run` has its containers.
const OWN: &str = "/run/ferrocni/containers";
/// Where containerd has its running tasks, by namespace and id.
const TASKS: &str = "/run/containerd/io.containerd.runtime.v2.task";

/// Who runs a container, as far as can be told without asking a daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Engine {
    Podman,
    Nerdctl,
    /// Its own client `ctr`, or another one that is not known.
    Containerd,
    /// A runtime of Kubernetes: containerd or CRI-O.
    Cri,
    /// `ferrocni run`.
    Ferrocni,
    /// The reference's command for trying networks.
    Cnitool,
    Unknown,
}

impl Engine {
    /// The first that there is evidence of:
    /// - Ferrocni: it has a folder of its own for the container;
    /// - Cnitool: the container's id says so;
    /// - Nerdctl: its store has a name for it, or it told the plugins a name for DHCP servers;
    /// - Cri: the plugins were told of the pod's sandbox or UID;
    /// - Podman: the plugins were told a name, and the namespace is called `netns-…`, as Podman calls it;
    /// - Containerd: it has a task of that id.
    pub(crate) fn of(recorded: &Attached, names: &Names) -> Self {
        let endpoint = &recorded.endpoint;
        let is_told = |key: &str| endpoint.args.iter().any(|(known, value)| known == key && !value.is_empty());
        let id = endpoint.container.as_str();
        let namespace = endpoint.netns.as_deref().and_then(Path::file_name).unwrap_or_default();
        if Path::new(OWN).join(id).exists() {
            Self::Ferrocni
        } else if id.starts_with("cnitool-") {
            Self::Cnitool
        } else if names.of(id).is_some() || is_told("NERDCTL_CNI_DHCP_HOSTNAME") {
            Self::Nerdctl
        } else if is_told("K8S_POD_INFRA_CONTAINER_ID") || is_told("K8S_POD_UID") {
            Self::Cri
        } else if is_told("K8S_POD_NAME") && namespace.as_encoded_bytes().starts_with(b"netns-") {
            Self::Podman
        } else if bare_id(id) != id {
            Self::Containerd
        } else {
            Self::Unknown
        }
    }
}

impl Engine {
    /// Its name, unless it is unknown.
    pub(crate) fn known(self) -> Option<&'static str> {
        Some(match self {
            Self::Podman => "podman",
            Self::Nerdctl => "nerdctl",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
            Self::Ferrocni => "ferrocni",
            Self::Cnitool => "cnitool",
            Self::Unknown => return None,
        })
    }
}

impl std::fmt::Display for Engine {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.known().unwrap_or("unknown"))
    }
}

/// The id that containerd's clients know a container by. Plugins get it as `<namespace>-<id>`, and both may have dashes.
pub(crate) fn bare_id(id: &str) -> &str {
    let is_task =
        |namespace: &str, id: &str| !namespace.is_empty() && Path::new(TASKS).join(namespace).join(id).exists();
    let splits = id.match_indices('-').map(|(dash, _)| (&id[..dash], &id[dash + 1..]));
    splits.into_iter().find(|(namespace, id)| !id.is_empty() && is_task(namespace, id)).map_or(id, |(_, id)| id)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use cni_runtime::Cache;
    use serde_json::json;

    use super::*;

    fn engine(args: &[[&str; 2]], netns: &str) -> Engine {
        let dir = tempfile::tempdir().unwrap();
        let record = json!({"kind": "cniCacheV1", "containerId": "c1", "ifName": "eth0", "networkName": "web",
            "netns": netns, "cniArgs": args, "result": {"cniVersion": "1.0.0"}});
        std::fs::create_dir(dir.path().join("results")).unwrap();
        std::fs::write(dir.path().join("results/web-c1-eth0"), record.to_string()).unwrap();
        Engine::of(&Cache::new(dir.path()).list().unwrap().attached[0], &Names::default())
    }

    #[test]
    fn the_runtime_is_told_by_what_it_tells_the_plugins() {
        let name = ["K8S_POD_NAME", "shop"];
        assert_eq!(engine(&[name], "/run/netns/netns-1"), Engine::Podman);
        assert_eq!(engine(&[], "/run/netns/netns-1"), Engine::Unknown);
        assert_eq!(engine(&[name, ["K8S_POD_INFRA_CONTAINER_ID", "c1"]], "/run/netns/netns-1"), Engine::Cri);
        assert_eq!(engine(&[["NERDCTL_CNI_DHCP_HOSTNAME", "h"]], "/proc/1/ns/net"), Engine::Nerdctl);
        assert_eq!(engine(&[name], "/run/netns/shop"), Engine::Unknown);
    }
}
