//! A compose file whose services are on networks that `ferrocni` has created, and on its own.

use serde_json::Value;
use tests::Inside as _;

use crate::machine::install_names;
use crate::podman::{self, podman};

/// Two services: one on an external network and on one of the file's own, which publishes a port; one on the external network.
const FILE: &str = r#"
version: "3"
services:
  web:
    image: localhost/box
    command: /bin/busybox httpd -f -p 80
    networks: [shared, inner]
    ports: ["8080:80"]
  db:
    image: localhost/box
    command: /bin/busybox sleep 1000
    networks: [shared]
networks:
  shared: { external: true }
  inner: {}
"#;

#[test]
fn services_are_on_networks_that_the_command_has_created_and_on_their_own() {
    let host = podman::host_with_podman();
    install_names(&host);
    let _id = host.ferrocni(["network", "create", "--subnet", "10.9.0.0/24", "shared"]).ok();
    host.write("/run/project/compose.yaml", FILE);
    let compose = |arguments: &str| {
        host.shell(&format!(
            "cd /run/project; CONTAINERS_CONF=/run/podman/containers.conf CONTAINERS_STORAGE_CONF=/run/podman/storage.conf \
             podman-compose -f compose.yaml {arguments} 2>&1"
        ))
    };
    eprintln!("{}", compose("up -d"));
    let containers = |network: &str| {
        let printed = host.ferrocni(["network", "inspect", network]).ok();
        let inspected: Value = serde_json::from_str(&printed).unwrap();
        let containers = inspected[0]["Containers"].as_object().unwrap().values();
        let mut names: Vec<_> = containers.map(|container| container["Name"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    assert_eq!(containers("shared"), ["project_db_1", "project_web_1"]);
    assert_eq!(containers("project_inner"), ["project_web_1"]);
    // It serves no page, and says so.
    host.shell("until timeout 5 busybox wget -O - http://127.0.0.1:8080/ 2>&1 | grep 404; do sleep 0.05; done");
    let refused = host.ferrocni(["network", "rm", "shared"]);
    assert_eq!(refused.status.code(), Some(2), "{refused}");
    compose("down -t 0");
    podman(&host, "rm -f -t 0 --all");
    let _removed = host.ferrocni(["network", "rm", "shared"]).ok();
}
