//! How runtimes say what a container is called. (Podman's way is every other test's.)

use serde_json::json;
use tests::{Host, Inside as _};

use super::{assert_finds, container, with_names};

/// containerd's and CRI-O's pods have a namespace, in which a bare name is looked for first.
#[test]
fn a_pod_is_found_by_its_name_and_namespace() {
    let host = Host::new();
    let network = with_names(1);
    let mut pods = Vec::new();
    for (id, pod) in [
        ("c1", "web;K8S_POD_NAMESPACE=shop"),
        ("c2", "web;K8S_POD_NAMESPACE=blog"),
        ("c3", "db;K8S_POD_NAMESPACE=blog"),
    ] {
        let pod_args = format!("K8S_POD_INFRA_CONTAINER_ID={id};K8S_POD_NAME={pod};IgnoreUnknown=1;K8S_POD_UID=1");
        let pod = host.container(id);
        host.chain(&network).args(&pod_args).add(&pod, "eth0").ok();
        pods.push(pod);
    }
    for pod in &pods {
        assert_finds(pod, &["web.shop", "web.shop.dns.podman"], &["10.1.0.2", "fd00:1::2"]);
        assert_finds(pod, &["web.blog"], &["10.1.0.3", "fd00:1::3"]);
    }
    assert_finds(&pods[0], &["web"], &["10.1.0.2", "fd00:1::2"]);
    assert_finds(&pods[1], &["web"], &["10.1.0.3", "fd00:1::3"]);
    assert_finds(&pods[2], &["web"], &["10.1.0.3", "fd00:1::3"]);
}

/// nerdctl writes the names into the container's bundle, and passes nothing but the hostname.
#[test]
fn a_container_of_nerdctl_is_found_by_name_hostname_and_id() {
    let host = Host::new();
    let network = with_names(1);
    let id = "fedcba9876543210fedcba9876543210fedcba9876543210fedcba9876543210";
    let annotations =
        json!({"annotations": {"nerdctl/name": "web", "nerdctl/hostname": "shop", "nerdctl/namespace": "default"}});
    host.write(
        format!("/run/containerd/io.containerd.runtime.v2.task/default/{id}/config.json"),
        annotations.to_string(),
    );
    let web = host.container(&format!("default-{id}"));
    host.chain(&network).args("IgnoreUnknown=1;NERDCTL_CNI_DHCP_HOSTNAME=shop").add(&web, "eth0").ok();
    let peer = container(&host, &network, "peer");
    assert_finds(&peer, &["web", "shop", "fedcba987654", "web.dns.podman"], &["10.1.0.2", "fd00:1::2"]);
}

/// Without the bundle there is the hostname.
#[test]
fn a_container_is_found_by_its_hostname_if_that_is_all_there_is() {
    let host = Host::new();
    let network = with_names(1);
    let web = host.container("default-0123");
    host.chain(&network).args("IgnoreUnknown=1;NERDCTL_CNI_DHCP_HOSTNAME=shop").add(&web, "eth0").ok();
    assert_finds(&web, &["shop"], &["10.1.0.2", "fd00:1::2"]);
}

/// `ctr run --cni default/web`.
#[test]
fn a_container_of_ctr_is_found_by_its_id() {
    let host = Host::new();
    let network = with_names(1);
    host.write("/run/containerd/io.containerd.runtime.v2.task/default/web-1/config.json", "{}");
    let web = host.container("default-web-1");
    host.chain(&network).add(&web, "eth0").ok();
    assert_finds(&web, &["web-1"], &["10.1.0.2", "fd00:1::2"]);
}

/// Names that are too long for DNS, or something else altogether, are no reason not to run a container.
#[test]
fn what_cannot_be_a_name_is_noted_and_left_out() {
    let host = Host::new();
    let network = with_names(1);
    let long = "l".repeat(64);
    let aliases = json!({"aliases": {"net1": ["good", "", "a b", "..", &long, "x\nnameserver 192.0.2.1", "é", "../../etc/passwd"]}});
    let web = host.container("web");
    let chain = host.chain(&network).args(&format!("IgnoreUnknown=1;K8S_POD_NAME={long}")).capabilities(&aliases);
    let added = chain.add(&web, "eth0");
    assert_eq!(added.finished.stderr.matches("a name is left out").count(), 8, "{}", added.finished);
    let result = added.ok();
    assert!(!result.to_string().contains("192.0.2.1"), "{result}");
    assert_finds(&web, &["good"], &["10.1.0.2", "fd00:1::2"]);
    let peer = container(&host, &network, "peer");
    assert_finds(&peer, &["good"], &["10.1.0.2", "fd00:1::2"]);
    host.shell("test ! -e /etc/cni/passwd");
}
