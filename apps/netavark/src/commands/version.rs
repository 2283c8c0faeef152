use serde_json::{Value, json};

use crate::arguments::{Arguments, RELEASE};

/// What `version` prints: Podman's own keys, and ours.
pub(super) fn about(arguments: &Arguments) -> Value {
    let default = arguments.firewall().map(|_| "nftables").unwrap_or_default();
    json!({
        "version": RELEASE,
        "ferrocni": env!("CARGO_PKG_VERSION"),
        "default_fw_driver": default,
        "target": std::env::consts::ARCH,
    })
}

/// What a driver prints.
pub(super) fn of_driver() -> Value {
    json!({"version": env!("CARGO_PKG_VERSION"), "api_version": "1.0.0"})
}
