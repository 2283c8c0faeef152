//! The VERSION verb.

use serde_json::json;
use tests::Host;

const PLUGINS: [&str; 5] = ["bridge", "firewall", "host-local", "loopback", "portmap"];

/// "`supportedVersions`: A list of supported specification versions" (SPEC.md, "Version Success").
#[test]
fn each_plugin_lists_the_versions_it_speaks() {
    let host = Host::new();
    for plugin in PLUGINS {
        let reply = host.cni(plugin).command("VERSION").stdin(r#"{"cniVersion":"1.0.0"}"#).run().ok();
        let versions = reply["supportedVersions"].as_array().unwrap();
        assert!(versions.contains(&json!(tests::newest_version())), "{plugin}: {reply}");
        assert!(versions.contains(&json!("0.4.0")), "{plugin}: {reply}");
    }
}
