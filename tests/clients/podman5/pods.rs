//! Containers that share a network.

use tests::Inside as _;

use super::{BOTH, assert_nothing_left, host_with_podman, podman};

/// The pod's own container, whose network it is, without Podman's image for it.
const INFRA: &str = "--infra-image box --infra-command '/bin/busybox sleep 1000'";

#[test]
fn a_pod_s_containers_have_one_network_and_its_ports() {
    let host = host_with_podman();
    let outside = host.neighbour();
    podman(&host, &format!("network create {BOTH} one"));
    podman(&host, "network create --subnet 10.2.0.0/24 two");
    let before = host.snapshot();
    podman(&host, &format!("pod create --name pod {INFRA} --network one --network two -p 8080:80 -p 8081:81"));
    for port in [80, 81] {
        podman(&host, &format!("run -d --pod pod --name c{port} box /bin/busybox httpd -f -p {port}"));
    }
    for port in [8080, 8081] {
        for address in ["192.0.2.1", "[2001:db8::1]"] {
            let url = format!("http://{address}:{port}/bin/busybox");
            outside.shell(&format!("until busybox wget -q -O /dev/null {url}; do sleep 0.02; done"));
        }
    }
    let links = podman(&host, "exec c80 /bin/busybox ip -o link");
    assert!(links.contains("eth0@") && links.contains("eth1@"), "{links}");
    // One of it talks to the other.
    podman(&host, "exec c80 /bin/busybox wget -q -O /dev/null http://127.0.0.1:81/bin/busybox");
    podman(&host, "pod stop -t0 pod");
    assert_nothing_left(&host, &before, &[]);
    podman(&host, "pod start pod");
    outside.shell("until busybox wget -q -O /dev/null http://192.0.2.1:8081/bin/busybox; do sleep 0.02; done");
    podman(&host, "pod rm -f -t0 pod");
    assert_nothing_left(&host, &before, &[]);
}

#[test]
fn a_pod_s_container_that_restarts_leaves_the_network_to_the_others() {
    let host = host_with_podman();
    let outside = host.neighbour();
    let before = host.snapshot();
    podman(&host, &format!("pod create --name pod {INFRA} -p 8080:80"));
    podman(&host, "run -d --pod pod --name c1 box /bin/busybox httpd -f -p 80");
    podman(&host, "run -d --pod pod --name c2 box /bin/busybox sleep 1000");
    podman(&host, "restart -t0 c2");
    outside.shell("until busybox wget -q -O /dev/null http://192.0.2.1:8080/bin/busybox; do sleep 0.02; done");
    podman(&host, "pod rm -f -t0 pod");
    assert_nothing_left(&host, &before, &[]);
}
