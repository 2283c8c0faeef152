//! "A CNI plugin may choose to delegate IP management to another plugin" (Section 4: Plugin Delegation).

use serde_json::{Value, json};
use tests::{Cni, Container, Host, Inside as _, Outcome, bin_dir, newest_version, reference_differs};

use crate::scene::{INTERFACES, error};

/// An IPAM plugin that writes down how it was called, in files named by the verb, and does what other files say:
/// `answer.ADD` is what it prints, and `status.ADD` its exit status.
const NOTEBOOK: &str = r#"#!/bin/sh
cd /run/notebook
env | grep ^CNI_ > environment.$CNI_COMMAND
cat > stdin.$CNI_COMMAND
echo $CNI_COMMAND >> verbs
nsenter --net=$CNI_NETNS ip -o link > links.$CNI_COMMAND
echo "a word from the notebook" >&2
[ ! -e answer.$CNI_COMMAND ] || cat answer.$CNI_COMMAND
[ ! -e status.$CNI_COMMAND ] || exit $(cat status.$CNI_COMMAND)
"#;

struct Notebook {
    host: Host,
    container: Container,
    /// Who calls it.
    plugin: &'static str,
}

/// Runs a test with each plugin that calls an IPAM plugin.
fn with_each_plugin(test: impl Fn(&Notebook)) {
    for plugin in INTERFACES {
        eprintln!("{plugin}");
        test(&Notebook::of(plugin));
    }
}

impl Notebook {
    /// One for tests of what is no plugin's business, but the library's of all.
    fn new() -> Self {
        Self::of("bridge")
    }

    fn of(plugin: &'static str) -> Self {
        let host = Host::new();
        host.write("/run/plugins/notebook", NOTEBOOK);
        host.shell(
            "chmod +x /run/plugins/notebook; mkdir /run/notebook; ip link add nic0 type veth peer name wire
             ip link add uplink up type veth peer name far; ip link set far up
             ip addr add 192.0.2.1/24 dev uplink; ip route add default via 192.0.2.2",
        );
        let notebook = Self { container: host.container("c1"), host, plugin };
        if plugin == "tap" {
            // To it, "bridge" is one in there.
            notebook.container.shell("ip link add br0 type bridge");
        }
        notebook.answer("ADD", 0, &result().to_string());
        notebook
    }

    /// What the IPAM plugin prints for a verb, and its exit status.
    fn answer(&self, verb: &str, status: u8, text: &str) {
        self.host.write(format!("/run/notebook/answer.{verb}"), text);
        self.host.write(format!("/run/notebook/status.{verb}"), status.to_string());
    }

    fn note(&self, name: &str) -> String {
        self.host.read(format!("/run/notebook/{name}")).unwrap_or_default()
    }

    fn call(&self, verb: &str) -> Cni<'_> {
        self.call_with(verb, &config())
    }

    fn call_with(&self, verb: &str, config: &Value) -> Cni<'_> {
        let path = format!("/run/nowhere:/run/plugins:{}", bin_dir().display());
        self.host.cni(self.plugin).command(verb).container(&self.container).path(&path).config(config)
    }

    /// What a container's resolver gets in a network with this `dns`; nothing at all reads like an empty object.
    fn dns(&self, configured: &Value) -> Value {
        let mut config = config();
        config["dns"] = configured.clone();
        let reply = self.call_with("ADD", &config).run().ok();
        self.call_with("DEL", &config).run().ok();
        reply.get("dns").cloned().unwrap_or(json!({}))
    }

    fn check(&self, result: &Value) -> Outcome {
        let mut config = config();
        config["prevResult"] = result.clone();
        self.call_with("CHECK", &config).run()
    }
}

fn config() -> Value {
    json!({
        "cniVersion": newest_version(), "name": "test", "type": "bridge", "bridge": "br0", "device": "nic0",
        "ipam": {"type": "notebook", "keyB": [1, {"c": null}]}, "keyA": "plugin specific",
    })
}

fn result() -> Value {
    json!({"cniVersion": newest_version(), "ips": [{"address": "10.1.0.7/24", "gateway": "10.1.0.1"}], "dns": {"domain": "a.test"}})
}

fn failure() -> String {
    json!({"cniVersion": newest_version(), "code": 123, "msg": "no page left", "details": "buy another notebook"})
        .to_string()
}

/// "The IPAM plugin must determine the interface IP/subnet, Gateway and Routes and return this information to the
/// "main" plugin to apply" (Section 4).
#[test]
fn what_the_ipam_plugin_says_is_applied() {
    with_each_plugin(|notebook| {
        let reply = notebook.call("ADD").run().ok();
        let address = &reply["ips"][0];
        assert_eq!((&address["address"], &address["gateway"]), (&json!("10.1.0.7/24"), &json!("10.1.0.1")));
        let interface = &reply["interfaces"][usize::try_from(address["interface"].as_u64().unwrap()).unwrap()];
        assert_eq!((&interface["name"], &interface["sandbox"]), (&json!("eth0"), &json!(notebook.container.netns)));
        let addresses = notebook.container.ip_json(["-4", "addr", "show", "dev", "eth0"]);
        assert_eq!(addresses[0]["addr_info"][0]["local"], "10.1.0.7");
    });
}

/// `dns`: with bridge and ptp the network's replaces the IPAM plugin's if it has any key, even an empty list; the others
/// only use the network's. The reference does the same.
#[test]
fn dns_is_the_networks_or_the_ipam_plugins() {
    let of_ipam = json!({"domain": "a.test"});
    for plugin in ["bridge", "ptp"] {
        if plugin == "bridge" && reference_differs("this version's bridge knows the network's only") {
            continue;
        }
        let notebook = Notebook::of(plugin);
        let own = json!({"nameservers": ["10.1.0.1"]});
        for (configured, expected) in [
            (json!(null), &of_ipam),
            (json!({}), &of_ipam),
            (json!({"nameservers": null, "domain": ""}), &of_ipam),
            (json!({"nameservers": []}), &json!({})),
            (json!({"search": []}), &json!({})),
            (json!({"options": []}), &json!({})),
            (own.clone(), &own),
        ] {
            assert_eq!(&notebook.dns(&configured), expected, "{plugin}, {configured}");
        }
    }
    for plugin in INTERFACES.into_iter().filter(|plugin| !["bridge", "ptp"].contains(plugin)) {
        let notebook = Notebook::of(plugin);
        for configured in [json!({}), json!({"domain": "b.test"})] {
            assert_eq!(notebook.dns(&configured), configured, "{plugin}");
        }
    }
}

/// The result of an IPAM plugin that speaks an older form is read as well.
#[test]
fn an_old_ipam_plugin_is_understood() {
    let notebook = Notebook::new();
    notebook.answer("ADD", 0, r#"{"cniVersion": "0.2.0", "ip4": {"ip": "10.1.0.9/24", "gateway": "10.1.0.1"}}"#);
    assert_eq!(notebook.call("ADD").run().ok()["ips"][0]["address"], "10.1.0.9/24");
}

/// One that says nothing of its version, or an empty text, speaks the configuration's.
#[test]
fn an_ipam_plugin_without_a_version_speaks_the_configurations() {
    let notebook = Notebook::new();
    for version in [json!(""), json!(null)] {
        let mut answer = result();
        answer["cniVersion"] = version;
        notebook.answer("ADD", 0, &answer.to_string());
        assert_eq!(notebook.call("ADD").run().ok()["ips"][0]["address"], "10.1.0.7/24");
        notebook.call("DEL").run().ok();
    }
}

/// "The delegated plugin must receive all the same environment variables that were passed in to the CNI plugin"
/// (Delegated Plugin protocol).
#[test]
fn the_ipam_plugin_gets_the_whole_environment() {
    let notebook = Notebook::new();
    let call = notebook.call("ADD").args("IgnoreUnknown=1;A=b").env("CNI_SOMETHING", "else");
    call.run().ok();
    let environment = notebook.note("environment.ADD");
    let path = format!("CNI_PATH=/run/nowhere:/run/plugins:{}", bin_dir().display());
    for line in [
        "CNI_COMMAND=ADD",
        "CNI_CONTAINERID=c1",
        "CNI_NETNS=/run/netns/c1",
        "CNI_IFNAME=eth0",
        "CNI_ARGS=IgnoreUnknown=1;A=b",
        "CNI_SOMETHING=else",
        &path,
    ] {
        assert!(environment.lines().any(|found| found == line), "{line} is not in\n{environment}");
    }
}

/// "Delegated plugins are provided the *complete network configuration* passed to the "upper" plugin" (Delegated
/// Plugin protocol).
#[test]
fn the_ipam_plugin_gets_the_whole_configuration() {
    let notebook = Notebook::new();
    let result = notebook.call("ADD").run().ok();
    assert_eq!(serde_json::from_str::<Value>(&notebook.note("stdin.ADD")).unwrap(), config());
    notebook.check(&result).ok();
    let mut with_result = config();
    with_result["prevResult"] = result;
    assert_eq!(serde_json::from_str::<Value>(&notebook.note("stdin.CHECK")).unwrap(), with_result);
}

/// "Ensure that the delegated plugin's stderr is output to the calling plugin's stderr" (Delegated plugin execution
/// procedure).
#[test]
fn what_the_ipam_plugin_says_on_stderr_is_passed_on() {
    let notebook = Notebook::new();
    let outcome = notebook.call("ADD").run();
    assert!(outcome.is_ok() && outcome.finished.stderr.contains("a word from the notebook"), "{}", outcome.finished);
}

/// Once an address is released it may be somebody else's: nobody may have it any more.
#[test]
fn a_failed_add_releases_addresses_last() {
    with_each_plugin(|notebook| {
        let mut answer = result();
        answer["routes"] = json!([{"dst": "10.9.0.0/16", "gw": "fd00::1"}]);
        notebook.answer("ADD", 0, &answer.to_string());
        error(notebook.call("ADD").run());
        let is_connected = |verb: &str| notebook.note(&format!("links.{verb}")).contains(": eth0");
        assert!(is_connected("ADD"), "{}", notebook.note("links.ADD"));
        assert!(!is_connected("DEL"), "{}", notebook.note("links.DEL"));
    });
}

/// The same at the end of an attachment.
#[test]
fn del_releases_addresses_after_the_interface_has_gone() {
    with_each_plugin(|notebook| {
        notebook.call("ADD").run().ok();
        notebook.call("DEL").run().ok();
        assert!(!notebook.note("links.DEL").contains(": eth0"), "{}", notebook.note("links.DEL"));
    });
}

/// An address of dhcp is released over the interface that has it: DEL, and an ADD that failed, ask for that first.
#[test]
fn dhcp_releases_addresses_before_the_interface_goes() {
    let notebook = Notebook::new();
    notebook.host.shell("cp /run/plugins/notebook /run/plugins/dhcp");
    let mut config = config();
    config["ipam"]["type"] = json!("dhcp");
    notebook.call_with("ADD", &config).run().ok();
    notebook.call_with("DEL", &config).run().ok();
    assert!(notebook.note("links.DEL").contains(": eth0"), "{}", notebook.note("links.DEL"));
    if reference_differs("it calls no DEL after a failed ADD") {
        return;
    }
    notebook.host.shell("rm /run/notebook/links.DEL");
    notebook.answer("ADD", 0, &json!({"cniVersion": newest_version()}).to_string());
    let before = notebook.host.snapshot();
    error(notebook.call_with("ADD", &config).run());
    assert!(notebook.note("links.DEL").contains(": eth0"), "{}", notebook.note("links.DEL"));
    notebook.host.snapshot().assert_nothing_since(&before);
}

/// "If, on `ADD`, a delegated plugin fails, the "upper" plugin should execute again with `DEL` before returning
/// failure" (Delegated plugin execution procedure).
#[test]
fn a_failed_ipam_plugin_is_followed_by_its_del() {
    with_each_plugin(|notebook| {
        notebook.answer("ADD", 1, &failure());
        let before = notebook.host.snapshot();
        let error = error(notebook.call("ADD").run());
        if reference_differs("it has its own code for this, calls no DEL, and leaves its interfaces") {
            return;
        }
        assert_eq!(error.code, 123, "{error:?}");
        assert!(error.msg.contains("no page left") && error.msg.contains("notebook"), "{error:?}");
        assert!(error.details.contains("buy another notebook"), "{error:?}");
        assert_eq!(notebook.note("verbs"), "ADD\nDEL\n");
        assert_eq!(notebook.note("stdin.DEL"), notebook.note("stdin.ADD"));
        notebook.host.snapshot().assert_nothing_since(&before);
    });
}

/// The same for what is no answer, or one that cannot be used.
#[test]
fn an_ipam_plugin_that_talks_nonsense_is_an_error_and_gets_its_del() {
    for answer in
        ["", "{", "[]", "hello", r#"{"cniVersion": "9.9.9"}"#, r#"{"cniVersion": "1.0.0", "ips": [{"address": "x"}]}"#]
    {
        let notebook = Notebook::new();
        notebook.answer("ADD", 0, answer);
        let before = notebook.host.snapshot();
        let error = error(notebook.call("ADD").run());
        if !reference_differs("it has other codes, calls no DEL, and leaves its interfaces") {
            assert!([1, 6].contains(&error.code), "{answer}: {error:?}");
            assert_eq!(notebook.note("verbs"), "ADD\nDEL\n", "{answer}");
            notebook.host.snapshot().assert_nothing_since(&before);
        }
    }
}

/// The same for an IPAM plugin that succeeds and gives no address.
#[test]
fn an_ipam_plugin_that_gives_no_address_is_an_error() {
    with_each_plugin(|notebook| {
        notebook.answer("ADD", 0, &json!({"cniVersion": newest_version(), "ips": []}).to_string());
        let before = notebook.host.snapshot();
        error(notebook.call("ADD").run());
        if !reference_differs("it calls no DEL, and leaves its interfaces") {
            assert_eq!(notebook.note("verbs"), "ADD\nDEL\n");
            notebook.host.snapshot().assert_nothing_since(&before);
        }
    });
}

/// An answer that reads well and still makes no sense becomes an error or an interface, not a bug.
#[test]
fn an_odd_answer_of_an_ipam_plugin_is_no_bug() {
    let with = |ips: Value, routes: Value| json!({"cniVersion": "1.1.0", "ips": ips, "routes": routes});
    let good = json!([{"address": "10.1.0.7/24", "gateway": "10.1.0.1"}]);
    let answers = [
        with(json!([{"address": "10.1.0.7/24", "gateway": "fd00::1"}]), json!([])),
        with(json!([{"address": "10.1.0.7/32"}]), json!([{"dst": "0.0.0.0/0", "gw": "192.0.2.1"}])),
        with(json!([{"address": "10.1.0.7/24"}, {"address": "10.1.0.7/24"}]), json!([])),
        with(json!([{"address": "0.0.0.0/0"}]), json!([])),
        with(json!([{"address": "224.0.0.1/4"}]), json!([])),
        with(json!([{"address": "127.0.0.1/8"}]), json!([])),
        with(json!([{"address": "ff02::1/128"}]), json!([])),
        with(json!([{"address": "::/0", "gateway": "::"}]), json!([])),
        with(json!([{"address": "fe80::1/64"}]), json!([{"dst": "::/0", "gw": "fe80::2"}])),
        with(json!([{"address": "10.1.0.7/24", "interface": 99}]), json!([])),
        with(good.clone(), json!([{"dst": "10.1.0.0/24"}, {"dst": "10.1.0.0/24"}])),
        with(good.clone(), json!([{"dst": "10.9.0.5/16", "scope": 200, "table": 4_294_967_295_u32, "mtu": 1}])),
        with(good.clone(), json!([{"dst": "fd00::/8", "gw": "10.1.0.1"}])),
        with(good, json!([{"dst": "10.9.0.0/16", "gw": "10.1.0.7"}])),
    ];
    let plugins = INTERFACES.into_iter().flat_map(|plugin| [(plugin, false), (plugin, true)]);
    for answer in answers {
        for (plugin, gateway) in plugins.clone() {
            let notebook = Notebook::of(plugin);
            notebook.answer("ADD", 0, &answer.to_string());
            let mut config = config();
            config["isDefaultGateway"] = json!(gateway);
            config["ipMasq"] = json!(gateway);
            let before = notebook.host.snapshot();
            let added = notebook.call_with("ADD", &config).run();
            assert!(!added.finished.stderr.contains("panicked"), "{answer}: {}", added.finished);
            if added.is_ok() {
                notebook.call_with("DEL", &config).run().ok();
            } else {
                error(added);
            }
            let left = notebook.host.snapshot().leftovers(&before);
            assert!(left.is_empty(), "{answer}: {left:#?}");
        }
    }
}

/// The same for a plugin that fails without saying anything.
#[test]
fn an_ipam_plugin_that_fails_silently_is_named() {
    let notebook = Notebook::new();
    for answer in ["", "oh no", "{}"] {
        notebook.answer("ADD", 3, answer);
        let error = error(notebook.call("ADD").run());
        assert!(reference_differs("it does not say which") || error.msg.contains("notebook"), "{error:?}");
    }
}

/// "If a plugin is executed with `CNI_COMMAND=CHECK` or `DEL`, it must also execute any delegated plugins. If any of
/// the delegated plugins return error, error should be returned by the upper plugin" (Delegated plugin execution
/// procedure).
#[test]
fn check_and_del_reach_the_ipam_plugin_and_its_errors_the_caller() {
    with_each_plugin(|notebook| {
        notebook.host.assert_leaves_nothing(|| {
            let result = notebook.call("ADD").run().ok();
            notebook.check(&result).ok();
            for verb in ["CHECK", "DEL"] {
                notebook.answer(verb, 1, &failure());
            }
            let errors = [error(notebook.check(&result)), error(notebook.call("DEL").run())];
            for error in errors {
                assert!(error.msg.contains("no page left"), "{error:?}");
                assert!(reference_differs("its error has no code of the delegate") || error.code == 123, "{error:?}");
            }
            assert_eq!(notebook.note("verbs"), "ADD\nCHECK\nCHECK\nDEL\n");
            notebook.answer("DEL", 0, "");
            notebook.call("DEL").run().ok();
        });
    });
}

/// "If a plugin relies on a delegated plugin (e.g. IPAM) to service `ADD` requests, it must also execute a `STATUS`
/// request to that plugin. If the delegated plugin return an error result, the executing plugin should return an error
/// result" (STATUS).
#[test]
fn status_reaches_the_ipam_plugin_and_its_error_the_caller() {
    with_each_plugin(|notebook| {
        notebook.call("STATUS").run().ok();
        assert_eq!(notebook.note("verbs"), "STATUS\n");
        notebook.answer("STATUS", 1, &json!({"cniVersion": "1.1.0", "code": 51, "msg": "no page left"}).to_string());
        let error = error(notebook.call("STATUS").run());
        assert!(error.code == 51 && error.msg.contains("no page left"), "{error:?}");
    });
}

/// GC reaches the IPAM plugin too, with the attachments that are to stay.
#[test]
fn gc_reaches_the_ipam_plugin_with_its_list() {
    with_each_plugin(|notebook| {
        let mut config = config();
        config["cni.dev/valid-attachments"] = json!([{"containerID": "c1", "ifname": "eth0"}]);
        notebook.call_with("GC", &config).run().ok();
        assert_eq!(serde_json::from_str::<Value>(&notebook.note("stdin.GC")).unwrap(), config);
    });
}

/// A plugin that calls an IPAM plugin would be called as its own, and so without end, if it were named there. `vlan`, `ipvlan` and
/// `dummy`, which not every kernel can do, have to know it before they ask the kernel.
#[test]
fn what_gives_no_addresses_is_never_called_for_them() {
    let plugins = concat!(env!("CARGO_MANIFEST_DIR"), "/../plugins");
    let named: Vec<_> = std::fs::read_dir(plugins).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let notebook = Notebook::new();
    for kind in named.iter().map(|name| name.to_str().unwrap()).chain(["someone"]) {
        notebook.host.shell(&format!("cp /run/plugins/notebook /run/plugins/{kind}"));
        for caller in INTERFACES.into_iter().chain(["vlan", "ipvlan", "dummy"]) {
            let mut config = config();
            // By another name a plugin is known by what its network calls it.
            config["type"] = json!(if kind == "someone" { kind } else { caller });
            config["ipam"]["type"] = json!(kind);
            config["cni.dev/valid-attachments"] = json!([]);
            for verb in ["ADD", "DEL", "GC", "STATUS"] {
                let call = notebook.host.cni(caller).command(verb).container(&notebook.container).path("/run/plugins");
                let error = error(call.config(&config).run());
                assert_eq!(error.code, 7, "{caller} {verb}, {kind}: {error:?}");
                assert!(error.msg.contains(kind) && error.details.contains("host-local"), "{error:?}");
            }
        }
        assert_eq!(notebook.note("verbs"), "", "{kind}");
    }
}

/// The same for CHECK, which gets that far if everything else is right.
#[test]
fn check_calls_nothing_that_gives_no_addresses() {
    with_each_plugin(|notebook| {
        let result = notebook.call("ADD").run().ok();
        notebook.host.shell("rm /run/notebook/verbs; cp /run/plugins/notebook /run/plugins/ptp");
        let mut config = config();
        config["ipam"]["type"] = json!("ptp");
        config["prevResult"] = result;
        assert_eq!(error(notebook.call_with("CHECK", &config).run()).code, 7);
        assert_eq!(notebook.note("verbs"), "");
    });
}

/// Nor do plugins call one another without end, if what is between them only passes the call on. (The middleman ends it
/// after 30 calls, should they.)
#[test]
fn a_circle_of_plugins_ends() {
    with_each_plugin(|notebook| {
        let middleman = format!(
            "#!/bin/sh
             echo >> /run/notebook/calls
             [ $(wc -l < /run/notebook/calls) -lt 30 ] || exit 1
             exec {}/{}",
            bin_dir().display(),
            notebook.plugin
        );
        notebook.host.write("/run/plugins/middleman", middleman);
        notebook.host.shell("chmod +x /run/plugins/middleman");
        let mut config = config();
        config["ipam"]["type"] = json!("middleman");
        let before = notebook.host.snapshot();
        for verb in ["STATUS", "GC", "DEL"] {
            config["cni.dev/valid-attachments"] = json!([]);
            notebook.host.shell(": > /run/notebook/calls");
            let error = error(notebook.call_with(verb, &config).run());
            assert_eq!(error.code, 7, "{verb}: {error:?}");
            assert!(error.msg.contains("middleman is not executed: 8 plugins"), "{verb}: {error:?}");
            assert_eq!(notebook.note("calls").len(), 8, "{verb}");
        }
        notebook.host.shell(": > /run/notebook/calls");
        error(notebook.call_with("ADD", &config).run());
        assert!(notebook.note("calls").len() < 30, "an ADD that fails is followed by a DEL");
        notebook.host.snapshot().assert_nothing_since(&before);
    });
}

/// "The executable is searched for in a predefined list of paths, indicated to the CNI plugin via `CNI_PATH`"
/// (Delegated Plugin protocol).
#[test]
fn an_ipam_plugin_that_is_not_in_cni_path_is_named_with_the_path() {
    with_each_plugin(|notebook| {
        notebook.host.assert_leaves_nothing(|| {
            for verb in ["ADD", "DEL"] {
                let error = error(notebook.call(verb).path("/run/nowhere:/run/elsewhere").run());
                let all = format!("{} {}", error.msg, error.details);
                assert!(all.contains("notebook") && all.contains("/run/nowhere"), "{error:?}");
            }
        });
        assert_eq!(notebook.note("verbs"), "");
    });
}

/// Where CNI_PATH cannot be searched there may be one: a later directory's is taken, and else that is the error.
#[test]
fn a_directory_that_cannot_be_searched_is_not_one_without_the_plugin() {
    let notebook = Notebook::new();
    notebook.host.shell("ln -s notebook /run/nowhere; ln -s loop /run/loop");
    notebook.call("ADD").path(&format!("/run/loop:/run/plugins:{}", bin_dir().display())).run().ok();
    notebook.call("DEL").path("/run/nowhere:/run/loop:/run/plugins").run().ok();
    if reference_differs("it says that there is none") {
        return;
    }
    for verb in ["ADD", "DEL"] {
        let error = error(notebook.call(verb).path("/run/loop:/run/nowhere").run());
        assert!(error.code == 5 && error.msg.contains("/run/loop/notebook"), "{error:?}");
    }
}

/// Somebody is installing it.
#[test]
fn an_ipam_plugin_that_is_being_written_is_tried_again_later() {
    let notebook = Notebook::new();
    let _writer =
        notebook.host.spawn(["sh", "-c", "exec 3>> /run/plugins/notebook; touch /run/writing; exec sleep 1000"]);
    notebook.host.shell("until [ -e /run/writing ]; do sleep 0.01; done");
    let error = error(notebook.call("ADD").run());
    assert!(error.code == 11 && error.msg.contains("notebook"), "{error:?}");
}

/// `type`: "Must not contain characters disallowed in file paths" (Plugin configuration objects, `ipam`): nothing
/// outside of `CNI_PATH` is run.
#[test]
fn an_ipam_type_cannot_leave_cni_path() {
    with_each_plugin(|notebook| {
        notebook.host.shell("mkdir /run/plugins/sub; ln /run/plugins/notebook /run/plugins/sub/notebook");
        for kind in ["../plugins/notebook", "sub/notebook", "/run/plugins/notebook", "..", ".", "sub"] {
            let mut config = config();
            config["ipam"]["type"] = json!(kind);
            for verb in ["ADD", "DEL"] {
                let error = error(notebook.call_with(verb, &config).run());
                assert!(reference_differs("it only reports a missing plugin") || error.code == 7, "{kind}: {error:?}");
            }
        }
        if !reference_differs("it runs what is below CNI_PATH") {
            assert_eq!(notebook.note("verbs"), "");
        }
    });
}
