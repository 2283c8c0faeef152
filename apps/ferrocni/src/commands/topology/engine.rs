//! Which runtime has attached a container, by the traces that each leaves.

use std::path::Path;

use cni_runtime::Endpoint;

/// `None` if nothing tells.
pub(super) fn runtime_of(endpoint: &Endpoint) -> Option<&'static str> {
    let has = |key| endpoint.args.iter().any(|(known, _)| known == key);
    let file = endpoint.netns.as_deref().and_then(Path::file_name).and_then(|name| name.to_str()).unwrap_or_default();
    let (is_pod, is_process) =
        (has("K8S_POD_UID"), endpoint.netns.as_deref().is_some_and(|path| path.starts_with("/proc")));
    match endpoint.container.as_str() {
        id if id.starts_with("cnitool-") => Some("cnitool"),
        _ if has("NERDCTL_CNI_DHCP_HOSTNAME") => Some("nerdctl"),
        _ if file.starts_with("netns-") => Some("podman"),
        // containerd's part for Kubernetes, and Podman before version 4.
        _ if file.starts_with("cni-") => Some(if is_pod { "containerd" } else { "podman" }),
        _ if is_pod => Some("cri-o"),
        // Its own tool `ctr` says `<containerd's namespace>-<id>`.
        id if is_process && id.contains('-') => Some("containerd"),
        _ => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn runtime(id: &str, netns: &str, keys: &[&str]) -> Option<&'static str> {
        let endpoint = Endpoint::new(id, "eth0").unwrap().in_netns(netns);
        runtime_of(&keys.iter().fold(endpoint, |endpoint, key| endpoint.with_arg(*key, "x")))
    }

    #[test]
    fn runtimes_are_told_by_their_traces() {
        let uuid = "8a0b1f42-5c5e-4e0e-9d5e-6b0f3c2d1a00";
        let in_run = |prefix: &str| format!("/run/netns/{prefix}{uuid}");
        let pod = &["K8S_POD_NAMESPACE", "K8S_POD_NAME", "K8S_POD_UID"];
        for (id, netns, keys, expected) in [
            ("0123abcd", in_run("netns-"), &["K8S_POD_NAME"][..], Some("podman")),
            ("0123abcd", in_run("cni-"), pod, Some("containerd")),
            ("0123abcd", in_run(""), pod, Some("cri-o")),
            ("default-0123abcd", "/proc/77/ns/net".to_owned(), &["NERDCTL_CNI_DHCP_HOSTNAME"], Some("nerdctl")),
            ("default-c1", "/proc/77/ns/net".to_owned(), &[], Some("containerd")),
            ("cnitool-77383ca0a0715733ca6f", "/run/netns/c1".to_owned(), &[], Some("cnitool")),
            ("c1", "/run/netns/c1".to_owned(), &[], None),
        ] {
            assert_eq!(runtime(id, &netns, keys), expected, "{id} {netns} {keys:?}");
        }
    }
}
