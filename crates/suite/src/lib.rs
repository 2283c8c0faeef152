//! What the programs of this suite say of themselves.

use cni_plugin::Suite;

/// ferrocni, which stands for that release of the reference suite: what clients expect of the one they get from the other. (nerdctl,
/// for one, isolates its networks from firewall 1.7.1 on, and does it by other means with an older one.)
pub const SUITE: Suite = Suite { name: "ferrocni", version: env!("CARGO_PKG_VERSION"), release: "1.9.1" };

/// The whole of a plugin's `main.rs`: [`cni_plugin::main!`] of this suite.
#[macro_export]
macro_rules! main {
    ($plugin:ty) => {
        ::cni_plugin::main!($plugin, $crate::SUITE);
    };
}
