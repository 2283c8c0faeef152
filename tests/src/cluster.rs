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
const PATIENCE: Duration = Duration::from_secs(300);

/// The folder of certificates on each machine.
const PKI: &str = "/etc/ferrocni/pki";

/// Several hosts on one switch, with an etcd behind TLS, open to those with a certificate. It has one member, which runs on the switch at
/// 192.0.2.254, or three, which run on the first three hosts.
#[derive(Debug)]
pub struct Cluster {
    // Before its host: a host ends when the last of its processes was waited for.
    etcd: Option<Background>,
    endpoints: String,
    /// The switch, from which `etcdctl` is used.
    pub switch: Host,
    /// The hosts, at 192.0.2.1 and so on.
    pub nodes: Vec<Node>,
}

/// A host with its agent.
#[derive(Debug)]
pub struct Node {
    agent: Option<Background>,
    member: Option<Background>,
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
        let mut cluster = Self::without_etcd(&["https://192.0.2.254:2379".to_owned()]);
        cluster.start_etcd();
        cluster.plug_in(hosts, configuration);
        cluster.start_agents();
        cluster
    }

    /// Three hosts with a member of etcd each. All agents know all members.
    #[must_use]
    pub fn of_members(time_to_live: u32) -> Self {
        let mut cluster = Self::without_etcd(&[1, 2, 3].map(|number| format!("https://192.0.2.{number}:2379")));
        cluster.plug_in(3, &json!({"timeToLive": time_to_live}));
        for node in &mut cluster.nodes {
            node.start_member();
        }
        cluster.wait_for_etcd();
        cluster.start_agents();
        cluster
    }

    fn without_etcd(endpoints: &[String]) -> Self {
        let switch = Host::new();
        switch.shell(
            "ip link add lan type bridge
             ip addr add 192.0.2.254/24 dev lan
             ip addr add 2001:db8::fe/64 dev lan nodad
             ip link set lan up",
        );
        write_certificates(&switch);
        Self { switch, nodes: Vec::new(), etcd: None, endpoints: endpoints.join(",") }
    }

    fn plug_in(&mut self, hosts: u8, configuration: &Value) {
        let mut all = configuration.clone();
        all["endpoints"] = self.endpoints.split(',').collect();
        self.nodes = (1..=hosts).map(|number| Node::new(&self.switch, number, &all)).collect();
    }

    fn start_agents(&mut self) {
        self.nodes.iter_mut().for_each(Node::start_agent);
        self.nodes.iter().for_each(Node::wait_until_connected);
    }

    /// Starts etcd on the switch, and waits until it answers.
    pub fn start_etcd(&mut self) {
        let here = ["--data-dir=/run/etcd", "--listen-peer-urls=http://127.0.0.1:2380"];
        self.etcd = Some(spawn_etcd(&self.switch, "192.0.2.254", &here.map(str::to_owned)));
        self.wait_for_etcd();
    }

    /// Waits until all members answer.
    pub fn wait_for_etcd(&self) {
        eventually("etcd answers", || self.try_etcdctl(&["endpoint", "health"]).status.success());
    }

    /// The place among the hosts of the member that leads the others.
    ///
    /// # Panics
    /// If none does.
    #[must_use]
    pub fn leader(&self) -> usize {
        let status: Value = serde_json::from_str(&self.etcdctl(&["endpoint", "status", "-w", "json"])).expect("JSON");
        let of_members = status.as_array().expect("a status of each member").iter().map(|member| &member["Status"]);
        let leads = |status: &Value| status["leader"] == status["header"]["member_id"];
        of_members.map(leads).position(|leads| leads).expect("one leads")
    }

    /// Kills the etcd on the switch.
    pub fn stop_etcd(&mut self) {
        self.etcd = None;
    }

    /// `etcdctl` with these arguments.
    #[track_caller]
    #[allow(clippy::must_use_candidate, reason = "a test may only want it done")]
    pub fn etcdctl(&self, arguments: &[&str]) -> String {
        self.try_etcdctl(arguments).ok()
    }

    #[track_caller]
    fn try_etcdctl(&self, arguments: &[&str]) -> crate::Finished {
        let options = self.etcdctl_options();
        let before = ["env", "ETCDCTL_API=3", "etcdctl"].map(str::to_owned);
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        self.switch.try_run(before.into_iter().chain(options).chain(arguments))
    }

    /// Lines of shell with `etcdctl`, on the switch.
    #[track_caller]
    pub fn script(&self, lines: &str) {
        let options = self.etcdctl_options().join(" ");
        self.switch
            .shell(&format!("etcdctl() {{ ETCDCTL_API=3 command etcdctl {options} \"$@\" >/dev/null; }}\n{lines}"));
    }

    fn etcdctl_options(&self) -> [String; 4] {
        let file = |option: &str, file: &str| format!("--{option}={PKI}/{file}");
        let endpoints = format!("--endpoints={}", self.endpoints);
        [endpoints, file("cacert", "ca.pem"), file("cert", "host.pem"), file("key", "host.key")]
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
            "ca": format!("{PKI}/ca.pem"), "certificate": format!("{PKI}/host.pem"), "key": format!("{PKI}/host.key"),
            "underlay": "uplink", "name": name,
        });
        all.as_object_mut().expect("an object").extend(configuration.as_object().expect("an object").clone());
        host.write("/etc/ferrocni/overlay.json", all.to_string());
        Self { host, name, agent: None, member: None }
    }

    /// Starts the host's member of an etcd of three.
    pub fn start_member(&mut self) {
        let all: Vec<_> = (1..=3).map(|number| format!("node{number}=http://192.0.2.{number}:2380")).collect();
        let own = self.name.replace("node", "192.0.2.");
        self.member = Some(spawn_etcd(
            &self.host,
            &own,
            &[
                format!("--name={}", self.name),
                "--data-dir=/var/lib/ferrocni/etcd".to_owned(),
                format!("--listen-peer-urls=http://{own}:2380"),
                format!("--initial-advertise-peer-urls=http://{own}:2380"),
                format!("--initial-cluster={}", all.join(",")),
            ],
        ));
    }

    /// Kills the host's member of etcd.
    pub fn kill_member(&mut self) {
        self.member = None;
    }

    /// Cuts the host off from all members of etcd but its own, and that from the others. Containers' packets pass.
    pub fn cut_off(&self) {
        self.host.shell(
            "nft add table inet cut
             for way in 'input iifname' 'output oifname'; do
                 nft add chain inet cut ${way% *} \"{ type filter hook ${way% *} priority 0; }\"
                 nft add rule inet cut ${way% *} ${way#* } uplink meta l4proto tcp drop
             done",
        );
    }

    /// Joins it to the others again.
    pub fn join_again(&self) {
        self.host.shell("nft delete table inet cut");
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

/// An etcd whose clients reach it at that address, and inside its host without a certificate.
fn spawn_etcd(host: &Host, address: &str, options: &[String]) -> Background {
    let (url, local) = (format!("https://{address}:2379"), "http://127.0.0.1:2379");
    let mut arguments = vec![
        "etcd".to_owned(),
        format!("--listen-client-urls={url},{local}"),
        format!("--advertise-client-urls={url}"),
        "--client-cert-auth".to_owned(),
        format!("--cert-file={PKI}/host.pem"),
        format!("--key-file={PKI}/host.key"),
        format!("--trusted-ca-file={PKI}/ca.pem"),
        "--log-level=error".to_owned(),
    ];
    arguments.extend_from_slice(options);
    host.spawn(arguments)
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
        new host -CA ca.pem -CAkey ca.key -addext subjectAltName=IP:192.0.2.254,IP:192.0.2.1,IP:192.0.2.2,IP:192.0.2.3,IP:127.0.0.1 -addext basicConstraints=CA:false";
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
