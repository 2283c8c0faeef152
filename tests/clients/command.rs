//! Networks that `ferrocni` has created, as other programs see and use them.

use serde_json::{Value, json};
use tests::Inside as _;

use crate::machine::install_names;
use crate::podman::{self, podman};

#[test]
fn podman_lists_inspects_and_uses_what_the_command_has_created() {
    let host = podman::host_with_podman();
    install_names(&host);
    let create = |args: &[&str]| host.ferrocni([&["network", "create"], args].concat()).ok().trim().to_owned();
    let id = create(&["--label", "team=a", "--subnet", "10.9.0.0/24", "--gateway", "10.9.0.254", "shared"]);
    create(&["--internal", "--subnet", "10.8.0.0/24", "inner"]);
    let listed = podman(&host, "network ls --no-trunc --format '{{.ID}} {{.Name}} {{.Driver}}' --filter label=team=a");
    assert_eq!(listed, format!("{id} shared bridge\n"));
    let inspect = |name: &str| -> Value {
        serde_json::from_str::<Value>(&podman(&host, &format!("network inspect {name}"))).unwrap()[0].take()
    };
    let shared = inspect("shared");
    assert_eq!((&shared["labels"], &shared["internal"]), (&json!({"team": "a"}), &json!(false)));
    assert_eq!(shared["subnets"][0], json!({"subnet": "10.9.0.0/24", "gateway": "10.9.0.254"}));
    assert_eq!(inspect("inner")["internal"], true);

    let (web, addresses) = podman::run(&host, "web", "--network shared -p 8080:80");
    let _server = web.listen_tcp(80);
    host.assert_reaches_tcp("127.0.0.1:8080");
    let pinged = host.ferrocni(["run", "--network", "shared", "ping", "-c1", "-W5", &addresses.v4]);
    assert!(pinged.status.success(), "{pinged}");
    let taken = host.ferrocni(["run", "--network", "shared", "-p", "8080:80", "true"]);
    assert!(taken.status.code() == Some(125) && taken.stderr.contains("8080"), "{taken}");
    let refused = host.ferrocni(["network", "rm", "shared"]);
    assert!(refused.status.code() == Some(2) && refused.stderr.contains("in use by web"), "{refused}");
    podman(&host, "rm -f -t 0 web");
    let _ = host.ferrocni(["network", "rm", "shared", "inner"]).ok();
    assert!(!podman(&host, "network ls -q").contains("shared"));
}

/// It has no file, and Podman does not ask anybody.
#[test]
fn podman_s_default_network_is_there_once_it_has_a_container() {
    let host = podman::host_with_podman();
    let ls = || host.ferrocni(["network", "ls", "--format", "{{.Name}} {{.Driver}}"]).ok();
    assert_eq!(ls(), "host host\nnone null\n");
    let (_web, addresses) = podman::run(&host, "web", "");
    assert_eq!(ls(), "host host\nnone null\npodman bridge\n");
    let inspected: Value = serde_json::from_str(&host.ferrocni(["network", "inspect", "podman"]).ok()).unwrap();
    let containers: Vec<_> = inspected[0]["Containers"].as_object().unwrap().values().collect();
    assert_eq!((containers.len(), &containers[0]["Name"]), (1, &json!("web")));
    assert_eq!(inspected[0]["IPAM"]["Config"][0]["Subnet"], "10.210.88.0/24");
    let refused = host.ferrocni(["network", "rm", "podman"]);
    assert!(refused.stderr.contains("network podman has no file that could be removed"), "{refused}");
    let ping = ["ping", "-c1", "-W5", &addresses.v4];
    let _ = host.ferrocni([&["run", "--network", "podman"], &ping[..]].concat()).ok();
    let _ = host.ferrocni(["run", "-d", "--network", "none", "--name", "own", "sleep", "1000"]).ok();
    let _ = host.ferrocni(["network", "connect", "podman", "own"]).ok();
    let pid = host.ferrocni(["ps", "--format", "{{.PID}}"]).ok();
    host.container_at("own", format!("/proc/{}/ns/net", pid.trim()).as_ref()).assert_pings(&addresses.v4);
    let _ = host.ferrocni(["stop", "own"]).ok();
    podman(&host, "rm -f -t 0 web");
    assert_eq!(ls(), "host host\nnone null\n");
}
