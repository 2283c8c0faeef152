//! dhcp: leases from a real server, kept by the daemon, and given to the interface when they change.
//!
//! - `daemon`: how it is started, reached and told things, and what it costs
//! - `leases`: what an ADD gets and a DEL gives back
//! - `renewals`: what becomes of a lease while its container runs
//! - `restarts`: a daemon that is killed, and the next one
//! - `scripted`: a server that does what the test says

mod daemon;
mod leases;
mod renewals;
mod restarts;
mod scripted;

use serde_json::{Value, json};
use tests::{Background, Chain, Container, Host, Inside as _, dhcp};

/// A host with a link behind which there is a server, and the daemon.
struct Scene {
    server: Option<Background>,
    daemon: Option<Background>,
    /// The last to go: its end waits for everybody in it.
    host: Host,
}

impl Scene {
    /// With a server that has these options besides [`dhcp::RANGES`].
    fn new(options: &[&str]) -> Self {
        Self::with(&[&dhcp::RANGES, options].concat(), &[])
    }

    fn with(options: &[&str], flags: &[&str]) -> Self {
        let host = Host::new();
        dhcp::make_lan(&host);
        let (server, daemon) = (dhcp::start_server(&host, options), dhcp::start_daemon(&host, flags));
        dhcp::wait_for_server(&host);
        dhcp::wait_for_daemon(&host);
        Self { host, server: Some(server), daemon: Some(daemon) }
    }

    /// Nobody answers.
    fn without_server(flags: &[&str]) -> Self {
        let host = Host::new();
        dhcp::make_lan(&host);
        let daemon = Some(dhcp::daemon(&host, flags));
        Self { host, server: None, daemon }
    }

    /// The server is killed and another one started.
    fn change_server(&mut self, options: &[&str]) {
        self.server = None;
        self.server = Some(dhcp::serve(&self.host, options));
    }

    fn network(&self, ipam: &Value) -> Chain<'_> {
        network(&self.host, ipam)
    }

    /// Waits until the daemon has said this once more than before.
    #[track_caller]
    fn wait_for_log(&self, words: &str) {
        dhcp::eventually(&format!("the daemon says {words:?}"), || dhcp::daemon_log(&self.host).contains(words));
    }

    #[track_caller]
    fn wait_for_server_log(&self, words: &str) {
        dhcp::eventually(&format!("the server says {words:?}"), || dhcp::server_log(&self.host).contains(words));
    }
}

/// A test that fails shows what both have said.
impl Drop for Scene {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the daemon:\n{}\nthe server:\n{}", dhcp::daemon_log(&self.host), dhcp::server_log(&self.host));
        }
    }
}

/// A network on the link.
fn network<'h>(host: &'h Host, ipam: &Value) -> Chain<'h> {
    let mut ipam = ipam.clone();
    ipam["type"] = json!("dhcp");
    host.chain(&json!({"name": "net", "plugins": [{"type": "bridge", "bridge": "lan", "ipam": ipam}]}))
}

/// The addresses of eth0, without those that the kernel gives.
fn addresses(container: &Container, family: &str) -> Vec<String> {
    let found = container.ip_json([family, "addr", "show", "dev", "eth0", "scope", "global"]);
    let of_link = found[0]["addr_info"].as_array().cloned().unwrap_or_default();
    // Those of another scope are empty objects.
    let cidr = |address: &Value| Some(format!("{}/{}", address["local"].as_str()?, address["prefixlen"]));
    of_link.iter().filter_map(cidr).collect()
}

/// Where the container's default route leads.
fn gateways(container: &Container) -> Vec<String> {
    let routes = container.ip_json(["-4", "route", "show", "default"]);
    routes.as_array().unwrap().iter().map(|route| route["gateway"].as_str().unwrap_or("none").to_owned()).collect()
}

/// The first address of a result, as `10.5.0.7/24`.
fn leased(result: &Value) -> String {
    result["ips"][0]["address"].as_str().unwrap().to_owned()
}

/// T1 and T2 of IPv4, in seconds. dnsmasq makes of the first what comes a second before the other.
const SHORT: [&str; 2] = ["--dhcp-option=option:T1,1", "--dhcp-option=option:T2,3"];
