//! `ferrocni topology` shows what Podman and containerd have attached, by its name and with who runs it.

use serde_json::{Value, json};

use crate::containerd;
use crate::podman::{self, host_with_podman, podman};

#[test]
fn containers_of_both_are_in_one_picture() {
    let host = host_with_podman();
    let _outside = host.neighbour();
    podman(&host, "network create --subnet 10.3.0.0/24 front");
    podman(&host, "network create --subnet 10.2.0.0/24 --internal back");
    let (_web, of_web) = podman::run(&host, "shop", "--network front -p 8080:80 -p 5353:53/udp");
    podman(&host, "network connect back shop");
    let _containerd = containerd::start_containerd(&host);
    containerd::publish(&host, "[]");
    let _pod = containerd::run(&host, "pod");
    let seen: Value = serde_json::from_str(&host.ferrocni(["topology", "--format", "json"]).ok()).unwrap();
    let containers = seen["containers"].as_array().unwrap();
    let shown = containers.iter().map(|container| {
        let on = container["attachments"].as_array().unwrap().iter().map(|attached| attached["network"].clone());
        json!([container["runtime"], on.collect::<Vec<_>>(), container["ports"].as_array().unwrap().len()])
    });
    assert_eq!(json!(shown.collect::<Vec<_>>()), json!([["containerd", ["ctr"], 0], ["podman", ["front", "back"], 2]]));
    assert!(containers[0]["name"].as_str().unwrap().starts_with("pod-"), "{containers:?}");
    assert_eq!((&containers[1]["name"], &seen["dead"]), (&json!("shop"), &json!(0)));
    let tree = host.ferrocni(["topology", "front"]).ok();
    let line = format!("└─ shop  eth0  {}/24  podman  8080→80/tcp, 5353→53/udp", of_web.v4);
    assert!(tree.contains(&line), "{tree}");
    podman(&host, "rm -f -t0 shop");
    assert!(!host.ferrocni(["topology"]).ok().contains("shop"));
}
