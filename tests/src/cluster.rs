//! Hosts that share an etcd, each with an agent: for networks over many hosts.

use std::path::Path;
use std::sync::LazyLock;
use std::thread;
use std::time::{Duration, Instant};
use std::{fs, process};

use serde_json::{Value, json};

use crate::binaries::bin_dir;
use crate::command::{Background, Inside, command};
use crate::host::{Container, Host};
use crate::{Outcome, address};

/// How long anything may take that is not a matter of a clock, in a virtual machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of certificates on each machine.
const PKI: &str = "/etc/ferrocni/pki";

/// Several hosts on one switch, on which etcd runs at 192.0.2.254 behind TLS, open to those with a certificate.
#[derive(Debug)]
pub struct Cluster {
    // Before its host: a host ends when the last of its processes was waited for.
    etcd: Option<Background>,
    /// The switch; etcd is there, and `etcdctl` can be used without a certificate.
    pub switch: Host,
    /// The hosts, at 192.0.2.1 and so on.
    pub nodes: Vec<Node>,
}

/// A host with its agent.
#[derive(Debug)]
pub struct Node {
    agent: Option<Background>,
    /// The host.
    pub host: Host,
    /// Its name, `node1` and so on.
    pub name: String,
}

impl Cluster {
    /// As many hosts, whose agents run. A host counts as dead after `time_to_live` seconds without a sign of life.
    #[must_use]
    pub fn new(hosts: u8, time_to_live: u32) -> Self {
        Self::with(hosts, &json!({"timeToLive": time_to_live}))
    }

    /// The same with more keys in the agents' configurations.
    ///
    /// # Panics
    /// If something does not start.
    #[must_use]
    pub fn with(hosts: u8, configuration: &Value) -> Self {
        let switch = Host::new();
        switch.shell(
            "ip link add lan type bridge
             ip addr add 192.0.2.254/24 dev lan
             ip addr add 2001:db8::fe/64 dev lan nodad
             ip link set lan up",
        );
        write_certificates(&switch);
        let mut cluster = Self { switch, nodes: Vec::new(), etcd: None };
        cluster.start_etcd();
        for number in 1..=hosts {
            let mut node = Node::new(&cluster.switch, number, configuration);
            node.start_agent();
            cluster.nodes.push(node);
        }
        for node in &cluster.nodes {
            node.wait_until_connected();
        }
        cluster
    }

    /// Starts etcd, and waits until it answers.
    pub fn start_etcd(&mut self) {
        let urls = "https://192.0.2.254:2379";
        let local = "http://127.0.0.1:2379";
        let certificates = ["cert", "key", "trusted-ca"].map(|kind| match kind {
            "cert" => format!("--cert-file={PKI}/host.pem"),
            "key" => format!("--key-file={PKI}/host.key"),
            _ => format!("--trusted-ca-file={PKI}/ca.pem"),
        });
        let arguments = [
            "etcd".to_owned(),
            "--data-dir=/run/etcd".to_owned(),
            format!("--listen-client-urls={urls},{local}"),
            format!("--advertise-client-urls={urls}"),
            "--listen-peer-urls=http://127.0.0.1:2380".to_owned(),
            "--client-cert-auth".to_owned(),
            "--log-level=error".to_owned(),
        ];
        self.etcd = Some(self.switch.spawn(arguments.into_iter().chain(certificates)));
        self.eventually("etcd answers", || {
            self.switch.try_run(["env", "ETCDCTL_API=3", "etcdctl", "endpoint", "health"]).status.success()
        });
    }

    /// Kills etcd.
    pub fn stop_etcd(&mut self) {
        self.etcd = None;
    }

    /// `etcdctl` with these arguments.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a test may only want it done")]
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        self.switch.run(["env", "ETCDCTL_API=3", "etcdctl"].iter().chain(arguments))
    }

    /// The keys below `/ferrocni/v1/` and this prefix, without that.
    #[must_use]
    #[track_caller]
    pub fn keys(&self, prefix: &str) -> Vec<String> {
        let all = format!("/ferrocni/v1/{prefix}");
        let listed = self.etcdctl(&["get", "--prefix", "--keys-only", &all]);
        listed.lines().filter_map(|line| line.strip_prefix("/ferrocni/v1/")).map(str::to_owned).collect()
    }

    /// Writes a key below `/ferrocni/v1/`.
    #[track_caller]
    pub fn put(&self, key: &str, value: &Value) {
        self.etcdctl(&["put", &format!("/ferrocni/v1/{key}"), &value.to_string()]);
    }

    /// Creates an overlay network from the first host, as soon as etcd answers in time, which it may not on a busy machine.
    #[track_caller]
    pub fn create(&self, arguments: &[&str]) {
        eventually("etcd has answered in time", || {
            let created = self.nodes[0].create(arguments);
            if created.stderr.contains("has not answered") {
                return false;
            }
            let _ = created.ok();
            true
        });
    }

    /// Waits until something is so.
    ///
    /// # Panics
    /// If it does not become so.
    #[track_caller]
    pub fn eventually(&self, what: &str, is_so: impl FnMut() -> bool) {
        eventually(what, is_so);
    }
}

/// Waits until something is so.
///
/// # Panics
/// If it does not become so.
#[track_caller]
pub fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < PATIENCE, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(20));
    }
}

impl Node {
    fn new(switch: &Host, number: u8, configuration: &Value) -> Self {
        let (host, name) = (Host::new(), format!("node{number}"));
        host.plug_into(switch, "lan", number);
        write_certificates(&host);
        let mut all = json!({
            "endpoints": ["https://192.0.2.254:2379"],
            "ca": format!("{PKI}/ca.pem"), "certificate": format!("{PKI}/host.pem"), "key": format!("{PKI}/host.key"),
            "underlay": "uplink", "name": name,
        });
        all.as_object_mut().expect("an object").extend(configuration.as_object().expect("an object").clone());
        host.write("/etc/ferrocni/overlay.json", all.to_string());
        Self { host, name, agent: None }
    }

    /// Starts the agent.
    pub fn start_agent(&mut self) {
        self.agent = Some(self.host.spawn([bin_dir().join("ferrocni-overlay")]));
    }

    /// Kills the agent.
    pub fn kill_agent(&mut self) {
        self.agent = None;
    }

    /// Has the agent look at everything again and again until something is so: it does by itself once a minute only.
    ///
    /// # Panics
    /// If it does not become so.
    #[track_caller]
    pub fn ring_until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        eventually(what, || {
            self.host.shell("echo '{\"changed\": \"net\"}' | socat - UNIX-CONNECT:/run/ferrocni/overlay/agent.sock");
            is_so()
        });
    }

    /// What the agent says of itself.
    #[must_use]
    pub fn agent(&self) -> Value {
        let text = self.host.read("/run/ferrocni/overlay/agent.json").unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// The host's id.
    ///
    /// # Panics
    /// If it has none yet.
    #[must_use]
    pub fn id(&self) -> String {
        self.host.read("/var/lib/ferrocni/host-id").expect("a host id").trim().to_owned()
    }

    /// What the agent has left for plugins about a network.
    #[must_use]
    pub fn state(&self, network: &str) -> Value {
        let text = self.host.read(format!("/run/ferrocni/overlay/networks/{network}")).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }

    /// Waits until the agent has heard from etcd.
    #[track_caller]
    pub fn wait_until_connected(&self) {
        eventually("an agent is connected", || {
            self.agent()["connected"] == json!(true) && self.agent()["alive"] != json!(0)
        });
    }

    /// `ferrocni network create -d overlay` with these arguments.
    #[track_caller]
    #[must_use]
    pub fn create(&self, arguments: &[&str]) -> crate::Finished {
        self.host.ferrocni(["network", "create", "-d", "overlay"].iter().chain(arguments))
    }

    /// Attaches a container to an overlay network that needs nothing but its name, and returns its first address.
    #[track_caller]
    pub fn attach(&self, container: &Container, network: &str) -> String {
        address(&self.try_attach(container, network).ok(), 0)
    }

    /// The same, whatever comes of it.
    #[track_caller]
    #[must_use]
    pub fn try_attach(&self, container: &Container, network: &str) -> Outcome {
        self.plugin(container, network).command("ADD").run()
    }

    /// Detaches it.
    #[track_caller]
    pub fn detach(&self, container: &Container, network: &str) {
        self.plugin(container, network).command("DEL").run().ok();
    }

    /// The plugin, ready for a verb.
    #[must_use]
    pub fn plugin(&self, container: &Container, network: &str) -> crate::Cni<'_> {
        self.host.cni("overlay").container(container).config(&json!({"name": network, "type": "overlay"}))
    }
}

/// An authority, and a certificate for every machine: the addresses are those of all.
struct Certificates {
    ca: String,
    certificate: String,
    key: String,
}

static CERTIFICATES: LazyLock<Certificates> = LazyLock::new(|| {
    let folder = std::env::temp_dir().join(format!("ferrocni-test-pki-{}", process::id()));
    fs::create_dir_all(&folder).expect("make a folder");
    let script = "
        new() { openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj \"/CN=$1\" -keyout $1.key -out $1.pem \"${@:2}\"; }
        new ca -addext basicConstraints=critical,CA:true
        new host -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:192.0.2.254,IP:127.0.0.1 -addext basicConstraints=CA:false";
    let made = command(["bash", "-euc", script]).current_dir(&folder).output().expect("run openssl");
    assert!(made.status.success(), "openssl: {}", String::from_utf8_lossy(&made.stderr));
    let read = |name: &str| fs::read_to_string(folder.join(name)).expect("openssl has made it");
    let certificates = Certificates { ca: read("ca.pem"), certificate: read("host.pem"), key: read("host.key") };
    fs::remove_dir_all(&folder).expect("remove a folder");
    certificates
});

fn write_certificates(host: &Host) {
    let folder = Path::new(PKI);
    let Certificates { ca, certificate, key } = &*CERTIFICATES;
    for (name, content) in [("ca.pem", ca), ("host.pem", certificate), ("host.key", key)] {
        host.write(folder.join(name), content);
    }
    host.run(["chmod", "600", &format!("{PKI}/host.key")]);
}
