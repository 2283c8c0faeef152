//! ferrocni's tests and their harness.
//!
//! Every test runs the built plugins, as a runtime would, inside a [`Host`]: a throw-away machine made of
//! namespaces, which is gone when the test ends, however it ends. A test of a plugin looks like this:
//!
//! ```no_run
//! use tests::{Host, Inside as _, address};
//! use serde_json::json;
//!
//! let host = Host::new();
//! let web = host.container("web");
//! let network = host.chain(&json!({"name": "n", "plugins": [
//!     {"type": "bridge", "isGateway": true, "ipam": {"type": "host-local", "subnet": "10.1.0.0/24"}},
//! ]}));
//! host.assert_leaves_nothing(|| {
//!     let reply = network.add(&web, "eth0").ok();
//!     let _server = web.listen_tcp(80);
//!     host.assert_reaches_tcp(&format!("{}:80", address(&reply, 0)));
//!     network.del(&web, "eth0").ok();
//! });
//! ```
//!
//! What is where: [`Host`] and [`Container`] with everything of [`Inside`] (commands, traffic);
//! [`Capture`] shows frames; [`Cni`] runs one plugin, [`Chain`] a whole network configuration as libcni does; [`Snapshot`] tells what
//! somebody left behind; [`every_plugin_rules`] is what holds for each plugin; [`Cni::killed_at_every_change`]
//! kills a plugin wherever it changes something. [`cluster`] has several hosts that share an etcd, [`dhcp`] is a link with a DHCP
//! server, [`firewalld`] a real one, [`names`] asks for containers, [`netavark`] what Podman 5 calls, [`podman`] Podman itself,
//! [`scene`] a host on which each plugin has something good to do.
//!
//! `CNI_BIN_DIR` points the suite at other binaries. A test is first proved on the Go reference suite
//! (`CNI_BIN_DIR=/usr/lib/cni`, Debian's `containernetworking-plugins`); where the reference cannot do what
//! we demand of ours, `reference_differences.txt` names the test and says why, and `scripts/test.sh` leaves it out there;
//! a part of a test asks [`reference_differs`]. Otherwise nothing is ever skipped: a missing privilege or program is a failing
//! test.

mod binaries;
mod capture;
mod chain;
pub mod cluster;
mod cni;
mod command;
pub mod dhcp;
pub mod docker_page;
mod examples;
pub mod firewalld;
mod host;
mod kill;
pub mod names;
mod namespaces;
pub mod netavark;
pub mod podman;
mod rules;
pub mod scene;
mod snapshot;
mod traffic;

pub use binaries::{bin_dir, client, is_reference, newest_version, reference_differs, suite};
pub use capture::Capture;
pub use chain::Chain;
pub use cni::{Cni, CniError, Outcome, address};
pub use command::{Background, Finished, Inside};
pub use examples::{EXAMPLES, assert_examples_are_tested, example, examples_of};
pub use host::{Container, Host, of_the_wire, wire};
pub use namespaces::Namespaces;
pub use rules::{assert_impossible, at_once, every_plugin_rules, every_rule_but_blind_del, every_verb_runs_alone};
pub use snapshot::Snapshot;
pub use traffic::{Conversation, Listener, receive};
