//! Nothing stays of the suite but files.

use serde_json::json;
use tests::{Host, Inside as _};

use super::attached::attach;

#[test]
fn what_the_suite_has_left_goes_once_no_container_needs_it() {
    let host = Host::new();
    let before =
        host.shell("nft list ruleset; ip -br link; grep -l 1 /proc/sys/net/ipv4/conf/*/route_localnet || true");
    let _id = host.ferrocni(["network", "create", "-o", "bridge=br1", "web"]).ok();
    let c1 = host.container("c1");
    attach(&host, "web", &c1, &json!([{"hostPort": 8080, "containerPort": 80, "protocol": "tcp"}]));
    let refused = host.ferrocni(["uninstall"]);
    assert!(refused.status.code() == Some(1) && refused.stderr.contains("container c1 on network web"), "{refused}");
    assert_eq!(host.run(["cat", "/proc/sys/net/ipv4/conf/br1/route_localnet"]), "1\n");
    let _lost = host.lose(c1);
    let said = host.ferrocni(["uninstall"]).ok();
    for words in ["through br1", "table inet ferrocni is removed", "bridge br1 is removed"] {
        assert!(said.contains(words), "{said}");
    }
    let after = host.shell("nft list ruleset; ip -br link; grep -l 1 /proc/sys/net/ipv4/conf/*/route_localnet || true");
    assert_eq!(after, before);
    assert_eq!(host.ferrocni(["uninstall"]).ok(), "", "twice");
}
