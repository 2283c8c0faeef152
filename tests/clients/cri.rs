//! Pods of containerd's CRI, called as a kubelet calls it: what the command shows of them and does with them. CRI-O tells the plugins
//! the same things about a pod.

use serde_json::{Value, json};
use tests::{Background, Host, Inside as _, names};

use crate::machine::{ROOT, assert_nothing_left, host_with_plugins, install_names, make_root_file_system};

/// Limits that no machine refuses. The image is not fetched, because it is there.
const CONFIG: &str = r#"
version = 2
FOLDERS
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "registry.k8s.io/pause:3.6"
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
"#;

/// What stands for FOLDERS in a configuration: the same in every version of it.
const FOLDERS: &str = r#"
root = "/run/containerd-root"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
"#;

/// An image with one layer, busybox, in the layout of the OCI's image specification.
const MAKE_IMAGE: &str = r#"
    mkdir -p /run/image/blobs/sha256; cd /run/image
    blob() { sum=$(sha256sum $1 | cut -c -64); mv $1 blobs/sha256/$sum; size=$(stat -c %s blobs/sha256/$sum); }
    tar -C ROOT -cf layer .; blob layer; layer=$sum layer_size=$size
    printf '{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/busybox","sleep","1000"]},"rootfs":{"type":"layers","diff_ids":["sha256:%s"]}}' $layer >config
    blob config; config=$sum config_size=$size
    oci=application/vnd.oci.image
    printf '{"schemaVersion":2,"mediaType":"%s","config":{"mediaType":"%s","digest":"sha256:%s","size":%s},"layers":[{"mediaType":"%s","digest":"sha256:%s","size":%s}]}' \
        $oci.manifest.v1+json $oci.config.v1+json $config $config_size $oci.layer.v1.tar $layer $layer_size >manifest
    blob manifest
    printf '{"schemaVersion":2,"manifests":[{"mediaType":"%s","digest":"sha256:%s","size":%s,"annotations":{"io.containerd.image.name":"registry.k8s.io/pause:3.6"}}]}' \
        $oci.manifest.v1+json $sum $size >index.json
    echo '{"imageLayoutVersion":"1.0.0"}' >oci-layout
    tar -cf /run/image.tar .
    for i in $(seq 500); do ctr version >/dev/null 2>&1 && break; sleep 0.02; done
    ctr -n k8s.io image import --platform linux/amd64 --snapshotter native /run/image.tar
"#;

#[track_caller]
pub(crate) fn cri(host: &Host, arguments: &[&str]) -> String {
    let client = concat!(env!("CARGO_MANIFEST_DIR"), "/clients/cri.py");
    host.run([&["/usr/bin/python3", client], arguments].concat()).trim().to_owned()
}

/// With the image of pods. It ends with the returned value.
pub(crate) fn start_containerd(host: &Host) -> Background {
    start(host, "/usr/bin", CONFIG)
}

/// The one of that folder, where its other programs are.
pub(crate) fn start(host: &Host, folder: &str, config: &str) -> Background {
    make_root_file_system(host);
    host.write("/run/containerd.toml", config.replace("FOLDERS", FOLDERS));
    let path = format!("PATH={folder}:/usr/sbin:/usr/bin:/sbin:/bin");
    let containerd =
        host.spawn(["env", &path, "containerd", "--config", "/run/containerd.toml", "--log-level", "error"]);
    host.shell(&MAKE_IMAGE.replace("ROOT", ROOT));
    containerd
}

#[test]
fn a_pod_is_shown_connected_and_let_go() {
    let host = host_with_plugins();
    install_names(&host);
    let outside = host.neighbour();
    let _ = host.ferrocni(["network", "create", "-o", "intercept=true", "--subnet", "10.1.0.0/24", "pods"]).ok();
    let _ = host.ferrocni(["network", "create", "--subnet", "10.9.0.0/24", "private"]).ok();
    let _containerd = start_containerd(&host);
    let before = host.snapshot();
    let id = cri(&host, &["run", "web", "8080"]);

    let inspected: Value =
        serde_json::from_str(&host.ferrocni(["network", "inspect", "private", "pods"]).ok()).unwrap();
    assert_eq!(inspected[0]["Containers"], json!({}));
    let pod = &inspected[1]["Containers"][&id];
    assert_eq!((&pod["Name"], &pod["Runtime"]), (&json!("shop/web"), &json!("cri")));
    let row = host.ferrocni(["ps", "-a", "--format", "{{.Names}} {{.Networks}} {{.Ports}}"]).ok();
    assert_eq!(row, "shop/web pods 0.0.0.0:8080->80/tcp\n");
    assert_eq!(host.ferrocni(["port", "shop/web", "80"]).ok(), "0.0.0.0:8080\n");
    assert!(host.ferrocni(["topology", "pods"]).ok().contains("shop/web  eth0"));
    // containerd has brought the pod's loopback up by a plugin too.
    assert_eq!(host.ferrocni(["reload"]).ok(), "the rules of 1 attachments are in place\n");

    let _ = host.ferrocni(["network", "connect", "--ip", "10.9.0.77", "private", "web"]).ok();
    let refused = host.ferrocni(["network", "disconnect", "pods", &id]);
    assert!(refused.stderr.contains("the node's runtime does not expect that"), "{refused}");
    let _ = host.ferrocni(["run", "--network", "private", "ping", "-c1", "-W5", "10.9.0.77"]).ok();
    let in_use = host.ferrocni(["network", "rm", "private"]);
    assert!(in_use.stderr.contains("in use by shop/web"), "{in_use}");
    let row = host.ferrocni(["ps", "-a", "--format", "{{.Networks}}"]).ok();
    assert_eq!(row, "pods,private\n");
    let netns = inspected_netns(&host, &id);
    let web = host.container_at(&id, netns.as_ref());
    let server = web.listen_tcp(80);
    outside.assert_reaches_tcp("192.0.2.1:8080");
    // Whichever server the kubelet has told the pod of.
    for name in ["web", "web.shop", "web.pods", "web.dns.podman"] {
        let found = names::addresses_from(&web, "198.51.100.53:53".parse().unwrap(), name);
        assert!(found.first().is_some_and(|first| first.to_string().starts_with("10.1.0.")), "{name}: {found:?}");
    }
    drop((server, web));

    // It ends without knowing of the other network.
    cri(&host, &["remove", &id]);
    let _ = host.ferrocni(["network", "ls"]).ok();
    assert_nothing_left(&host, &before, &[]);
    let _ = host.ferrocni(["network", "rm", "private", "pods"]).ok();
}

pub(crate) fn inspected_netns(host: &Host, id: &str) -> String {
    let cached: Value =
        serde_json::from_str(&host.read(format!("/var/lib/cni/results/pods-{id}-eth0")).unwrap()).unwrap();
    cached["result"]["interfaces"]
        .as_array()
        .unwrap()
        .iter()
        .find_map(|interface| interface["sandbox"].as_str())
        .unwrap()
        .to_owned()
}
