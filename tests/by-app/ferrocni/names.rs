//! Programs find each other by name, and what the command says about it is what they are answered.

use std::net::IpAddr;

use serde_json::{Value, json};
use tests::{Container, Host, Inside as _, bin_dir, names, wire};

use super::{fails, idle, inside, shell, status, succeeds};

fn create(host: &Host, name: &str, number: u8, options: &[&str]) {
    let (v4, v6) = (format!("10.{number}.0.0/24"), format!("fd00:{number}::/64"));
    let subnets = ["--subnet", &v4, "--subnet", &v6];
    succeeds(host, &[&["network", "create"], &subnets[..], options, &[name]].concat());
}

/// A container that serves a page with its name.
#[track_caller]
fn serve(host: &Host, name: &str, options: &[&str]) -> Container {
    host.shell(&format!("mkdir -p /run/www/{name}; echo page of {name} > /run/www/{name}/index.html"));
    let page = format!("/run/www/{name}");
    let server = ["busybox", "httpd", "-f", "-p", "80", "-h", &page];
    let id = host.ferrocni([&["run", "-d", "--name", name], options, &server].concat()).ok();
    let container = inside(host, id.trim());
    container.shell("until ss -lnt | grep -q ':80 '; do sleep 0.01; done");
    container
}

/// What a program fetches from there; nothing if it does not find the name.
#[track_caller]
fn fetch(host: &Host, options: &[&str], name: &str) -> String {
    let url = format!("http://{name}/");
    let fetched = host.ferrocni([&["run"], options, &["curl", "-sS", "--max-time", "20", &url]].concat());
    assert!(fetched.status.success() || fetched.stderr.contains("not resolve host"), "{fetched}");
    fetched.stdout.trim().to_owned()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// What a list of the command says, an object a line.
#[track_caller]
fn listed(host: &Host, args: &[&str]) -> Vec<Value> {
    let lines = host.ferrocni([args, &["--format", "json"]].concat()).stdout;
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[track_caller]
fn texts<'a>(rows: &'a [Value], key: &str) -> Vec<&'a str> {
    rows.iter().map(|row| row[key].as_str().unwrap()).collect()
}

/// The addresses that `names lookup` tells.
#[track_caller]
fn looked_up(host: &Host, options: &[&str], name: &str) -> Vec<IpAddr> {
    let rows = listed(host, &[&["names", "lookup"], options, &[name]].concat());
    rows.iter().filter(|row| row["TTL"] != "").map(|row| row["Answer"].as_str().unwrap().parse().unwrap()).collect()
}

#[test]
fn programs_fetch_from_each_other_by_name_alias_and_link() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    host.assert_leaves_nothing(|| {
        let page = "page of shop";
        let _shop = serve(&host, "shop", &["--network", "web:alias=store", "--alias", "Market"]);
        let of_shop = host.ferrocni(["ps", "-q", "--filter", "name=shop"]).ok();
        for name in ["shop", "store", "market", "MARKET", "shop.dns.podman", "shop.web", of_shop.trim()] {
            assert_eq!(fetch(&host, &["--network", "web"], name), page, "{name}");
        }
        assert_eq!(fetch(&host, &["--network", "web", "--link", "shop:till"], "till"), page);
        assert_eq!(fetch(&host, &["--network", "web"], "till"), "", "another's link");
        let _peer = serve(&host, "peer", &["--network", "web"]);
        assert_eq!(fetch(&host, &["--network", "web"], "peer"), "page of peer");
        succeeds(&host, &["stop", "shop"]);
        assert_eq!(fetch(&host, &["--network", "web"], "shop"), "");
        let again = serve(&host, "shop", &["--network", "web"]);
        assert_eq!(fetch(&host, &["--network", "web"], "shop"), page);
        drop((again, _peer, _shop));
        succeeds(&host, &["stop", "shop", "peer"]);
    });
}

#[test]
fn a_container_finds_those_of_its_own_networks_in_both_families() {
    let host = Host::new();
    create(&host, "one", 1, &[]);
    create(&host, "two", 2, &["--internal"]);
    let both = inside(&host, &idle(&host, &["--name", "both", "--net", "one", "--net", "two"]));
    let first = inside(&host, &idle(&host, &["--name", "first", "--net", "one"]));
    let second = inside(&host, &idle(&host, &["--name", "second", "--net", "two"]));
    assert_eq!(names::addresses(&first, "both"), ips(&["10.1.0.2", "fd00:1::2"]));
    assert_eq!(names::addresses(&second, "both").len(), 2, "internal");
    assert_eq!(names::addresses(&both, "first"), ips(&["10.1.0.3", "fd00:1::3"]));
    assert_eq!(names::addresses(&both, "second").len(), 2);
    for (container, name) in [(&first, "second"), (&second, "first"), (&first, "both.two")] {
        assert!(names::addresses(container, name).is_empty(), "{name}");
    }
    for (asker, container, name) in
        [("first", &first, "both"), ("both", &both, "second"), ("both", &both, "both"), ("second", &second, "first")]
    {
        let mut told = looked_up(&host, &["--container", asker], name);
        told.sort();
        assert_eq!(told, names::addresses(container, name), "{asker} looks up {name}");
    }
    host.shell("ip netns list");
}

#[test]
fn resolv_conf_names_the_server_and_what_was_asked_for() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    succeeds(&host, &["network", "create", "--disable-dns", "plain"]);
    let read = |options: &[&str]| host.ferrocni([&["run"], options, &["cat", "/etc/resolv.conf"]].concat()).ok();
    let own = "nameserver 127.0.0.11\nsearch dns.podman";
    assert!(read(&["--net", "web"]).starts_with(own));
    let options = ["--dns", "192.0.2.53", "--dns-search", "example.org", "--dns-opt", "ndots:2"];
    assert_eq!(read(&[&["--net", "web"], &options[..]].concat()), format!("{own} example.org\noptions ndots:2\n"));
    let plain = "nameserver 192.0.2.53\nsearch example.org\noptions ndots:2\n";
    assert_eq!(read(&[&["--net", "plain"], &options[..]].concat()), plain);
    assert!(read(&["--net", "plain", "--net", "web"]).starts_with("nameserver 127.0.0.11\n"));
    assert!(!read(&["--net", "plain"]).contains("127.0.0.11"));
}

/// Those of `--dns`, from the container's namespace, for what is no container's name.
#[test]
fn other_names_are_asked_of_the_servers_that_were_named() {
    let (host, outside) = wire();
    let server =
        ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--log-queries", "--log-facility=/run/log"];
    let _server =
        outside.spawn([&server[..], &["--address=/far.test/192.0.2.9", "--address=/shop/192.0.2.8"]].concat());
    outside.shell("until ss -lnu | grep -q ':53 '; do sleep 0.01; done");
    create(&host, "web", 1, &[]);
    create(&host, "inner", 2, &["--internal"]);
    let dns = ["--dns", "192.0.2.2"];
    let asker = inside(&host, &idle(&host, &[&["--name", "asker", "--net", "web"], &dns[..]].concat()));
    let shop = inside(&host, &idle(&host, &["--name", "shop", "--net", "web", "--net", "inner"]));
    assert_eq!(names::addresses(&asker, "far.test"), ips(&["192.0.2.9"]));
    assert_eq!(names::addresses(&asker, "shop")[..1], ips(&["10.1.0.3"]), "a container's name is its own");
    assert_eq!(looked_up(&host, &["--container", "asker"], "far.test"), ips(&["192.0.2.9"]));
    let told = listed(&host, &["names", "lookup", "--container", "asker", "--type", "A", "far.test"]);
    assert_eq!(texts(&told, "From"), ["192.0.2.2:53"]);
    let locked_up = inside(&host, &idle(&host, &[&["--name", "locked-up", "--net", "inner"], &dns[..]].concat()));
    assert!(names::addresses(&locked_up, "far.test").is_empty());
    assert!(!names::addresses(&locked_up, "shop").is_empty());
    assert!(!outside.read("/run/log").unwrap().contains("shop"), "it never left");
    drop((asker, shop, locked_up));
}

#[test]
fn added_hosts_are_found_by_who_asked_for_them() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    let hosts = ["--add-host", "api:10.9.8.7", "--add-host", "api:fd00:9::7", "--add-host", "gate:host-gateway"];
    let asker = inside(&host, &idle(&host, &[&["--name", "asker", "--net", "web"], &hosts[..]].concat()));
    let other = inside(&host, &idle(&host, &["--name", "other", "--net", "web"]));
    assert_eq!(names::addresses(&asker, "api"), ips(&["10.9.8.7", "fd00:9::7"]));
    assert_eq!(names::addresses(&asker, "gate"), ips(&["10.1.0.1", "fd00:1::1"]));
    for name in ["host.docker.internal", "host.containers.internal"] {
        assert_eq!(names::addresses(&other, name), ips(&["10.1.0.1", "fd00:1::1"]), "{name}");
    }
    assert_eq!(looked_up(&host, &["--container", "asker"], "api"), ips(&["10.9.8.7", "fd00:9::7"]));
    let seen = host.ferrocni(["run", "--net", "web", "--link", "other:o", "cat", "/etc/hosts"]).ok();
    assert!(seen.contains("10.1.0.1\thost.docker.internal host.containers.internal\n"), "{seen}");
    assert!(!seen.contains("other"), "an address in a file would not change: {seen}");
    let of_their_own = ["--add-host", "host.docker.internal:10.9.9.9"];
    let seen = host.ferrocni([&["run", "--net", "web"], &of_their_own[..], &["cat", "/etc/hosts"]].concat()).ok();
    assert!(seen.contains("10.9.9.9\thost.docker.internal\n") && !seen.contains("1\thost.docker"), "{seen}");
}

#[test]
fn a_running_container_is_connected_with_aliases_and_links_and_told_if_it_asks_others() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    succeeds(&host, &["network", "create", "--disable-dns", "plain"]);
    let shop = inside(&host, &idle(&host, &["--name", "shop", "--net", "web"]));
    host.assert_leaves_nothing(|| {
        let late = inside(&host, &idle(&host, &["--name", "late", "--net", "plain", "--dns", "192.0.2.53"]));
        let connect = ["network", "connect", "--alias", "tardy", "--link", "shop:till"];
        let connected = host.ferrocni([&connect[..], &["web", "late"]].concat());
        assert!(connected.status.success(), "{connected}");
        assert!(connected.stderr.contains("because it asks 192.0.2.53: --intercept"), "{connected}");
        assert_eq!(names::addresses(&shop, "tardy"), names::addresses(&shop, "late"));
        assert_eq!(names::addresses(&shop, "late").len(), 2);
        assert_eq!(names::addresses(&late, "till"), ips(&["10.1.0.2", "fd00:1::2"]));
        assert!(names::addresses(&shop, "till").is_empty(), "another's link");
        succeeds(&host, &["network", "disconnect", "web", "late"]);
        assert!(names::addresses(&shop, "tardy").is_empty());
        drop(late);
        succeeds(&host, &["stop", "late"]);
        // Which aliases it had is forgotten when it is known to be gone.
        succeeds(&host, &["network", "ls"]);
    });
    let _late = idle(&host, &["--name", "late", "--net", "plain"]);
    fails(&host, &["network", "connect", "--link", "nobody", "web", "late"], 1, "there is no container nobody");
    succeeds(&host, &["network", "create", "--disable-dns", "other"]);
    for option in ["--link=shop", "--intercept"] {
        fails(&host, &["network", "connect", option, "other", "late"], 1, "do not find each other by name");
    }
}

#[test]
fn intercepted_questions_are_answered_and_others_go_where_they_went() {
    let (host, outside) = wire();
    let server = ["dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--address=/far.test/192.0.2.9"];
    let _server = outside.spawn(server);
    outside.shell("until ss -lnu | grep -q ':53 '; do sleep 0.01; done");
    create(&host, "web", 1, &[]);
    succeeds(&host, &["network", "create", "--disable-dns", "plain"]);
    let _shop = idle(&host, &["--name", "shop", "--net", "web"]);
    let late = idle(&host, &["--name", "late", "--net", "plain", "--dns", "192.0.2.2"]);
    let late = inside(&host, &late);
    let asked = "192.0.2.2:53".parse().unwrap();
    assert!(names::addresses_from(&late, asked, "shop").is_empty());
    host.assert_leaves_nothing(|| {
        let connected = host.ferrocni(["network", "connect", "--intercept", "web", "late"]);
        assert!(connected.status.success() && connected.stderr.is_empty(), "{connected}");
        assert_eq!(names::addresses_from(&late, asked, "shop")[..1], ips(&["10.1.0.2"]));
        assert_eq!(names::addresses_from(&late, asked, "far.test"), ips(&["192.0.2.9"]));
        succeeds(&host, &["network", "disconnect", "web", "late"]);
    });
    assert_eq!(names::addresses_from(&late, asked, "far.test"), ips(&["192.0.2.9"]));
    assert!(names::addresses_from(&late, asked, "shop").is_empty());
}

#[test]
fn a_network_can_answer_whichever_server_is_asked() {
    let host = Host::new();
    let create = |options: &[&str]| host.ferrocni([&["network", "create"], options, &["web"]].concat());
    let refused = create(&["-o", "intercept=true", "--disable-dns"]);
    assert!(refused.stderr.contains("leave --disable-dns out"), "{refused}");
    let bare = host.shell(&format!(
        "mkdir /run/bare; ln -s {0}/bridge {0}/host-local /run/bare; \
         CNI_PATH=/run/bare {0}/ferrocni network create -o intercept=true web 2>&1 || :",
        bin_dir().display()
    ));
    assert!(bare.contains("needs the plugin dnsname: install it"), "{bare}");
    let _id = create(&["-o", "intercept=true", "--subnet", "10.1.0.0/24"]).ok();
    let list: Value = serde_json::from_str(&host.read("/etc/cni/net.d/ferrocni-web.conflist").unwrap()).unwrap();
    // As a runtime does that tells its containers of servers of its own.
    let server = json!({"dns": {"servers": ["192.0.2.53"]}, "aliases": {"web": ["shop"]}});
    let pod = host.container("pod");
    host.chain(&list).capabilities(&server).add(&pod, "eth0").ok();
    assert_eq!(names::addresses_from(&pod, "192.0.2.53:53".parse().unwrap(), "shop"), ips(&["10.1.0.2"]));
    let record = host.shell("cat /run/ferrocni/names/*");
    assert!(record.contains(r#""upstreams":["192.0.2.53:53"]"#), "{record}");
}

#[test]
fn all_names_are_listed_and_looked_up() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    create(&host, "app", 2, &[]);
    let id = idle(&host, &["--name", "shop", "--net", "web:alias=store,alias=market"]);
    let _on_both = idle(&host, &["--name", "both", "--net", "web", "--net", "app", "--add-host", "api:10.9.8.7"]);
    let _twin = idle(&host, &["--name", "twin", "--net", "web"]);
    let ls = |options: &[&str]| listed(&host, &[&["names", "ls"], options].concat());
    assert_eq!(texts(&ls(&[]), "Name"), ["both", "both", "shop", "twin"]);
    let shop = &ls(&["--filter", "name=shop"])[0];
    assert_eq!(
        ["Network", "Aliases", "Addresses", "Container", "ID", "Domain"].map(|key| shop[key].as_str().unwrap()),
        ["web", "store, market", "10.1.0.2, fd00:1::2", "shop", &id[..12], "dns.podman"]
    );
    assert_eq!(ls(&["--network", "app"])[0]["Hosts"], "api:10.9.8.7");
    assert_eq!(texts(&ls(&["--network", "app", "--network", "web"]), "Name").len(), 4);
    assert_eq!(texts(&ls(&["--filter", "name=mark"]), "Name"), ["shop"]);
    assert_eq!(texts(&ls(&["--filter", "address=10.1.0.2"]), "Name"), ["shop"]);
    assert_eq!(texts(&ls(&["-f", "container=both", "-f", "network=web"]), "Network"), ["web"]);
    assert_eq!(host.ferrocni(["names", "ls", "-q", "--network", "app"]).ok(), "both\n");
    let head =
        host.ferrocni(["names", "ls"]).ok().lines().next().unwrap().split_whitespace().collect::<Vec<_>>().join(" ");
    assert_eq!(head, "NETWORK NAME ALIASES ADDRESSES CONTAINER CONTAINER ID");

    // Containers that are answered alike are one line.
    let lookup = |args: &[&str]| listed(&host, &[&["names", "lookup"], args].concat());
    let answers = lookup(&["--type", "A", "store"]);
    assert_eq!(texts(&answers, "Askers"), ["both", "shop, twin"]);
    assert_eq!(texts(&answers, "Answer"), ["10.1.0.2"; 2]);
    assert_eq!(texts(&lookup(&["--network", "app", "--type", "A", "api"]), "Answer"), ["10.9.8.7"]);
    let reverse = lookup(&["--container", "twin", "10.1.0.2"]);
    assert_eq!((texts(&reverse, "Type"), texts(&reverse, "Name")), (vec!["PTR"], vec!["2.0.1.10.in-addr.arpa"]));
    assert!(texts(&reverse, "Answer")[0].starts_with("shop"), "{reverse:?}");
    let other_type = lookup(&["--container", "twin", "--type", "MX", "shop"]);
    assert_eq!((texts(&other_type, "Code"), texts(&other_type, "Answer")), (vec!["NOERROR"], vec!["no such record"]));
    assert_eq!(texts(&lookup(&["--container", "twin", "nobody.dns.podman"]), "Code"), ["NXDOMAIN"]);
    assert_eq!(status(&host, &["names", "lookup", "--container", "twin", "nobody.dns.podman"]), 1);
    assert_eq!(status(&host, &["names", "lookup", "shop"]), 0);

    let inspected: Value = serde_json::from_str(&host.ferrocni(["network", "inspect", "web"]).ok()).unwrap();
    assert_eq!(inspected[0]["Containers"][&id]["Aliases"], serde_json::json!(["store", "market"]));
    let tree = host.ferrocni(["topology"]).ok();
    assert!(tree.contains("also called store, market"), "{tree}");
    let numbers = host.ferrocni(["metrics"]).ok();
    for line in ["ferrocni_names{network=\"web\"} 5", "ferrocni_names{network=\"app\"} 1", "ferrocni_dns_up 1"] {
        assert!(numbers.lines().any(|number| number == line), "{line}: {numbers}");
    }
}

#[test]
fn what_cannot_be_looked_up_is_told() {
    let host = Host::new();
    assert_eq!(host.ferrocni(["names", "ls", "--format", "json"]).ok(), "");
    fails(&host, &["names", "lookup", "x"], 1, "no container is on a network with names");
    create(&host, "web", 1, &[]);
    let _shop = idle(&host, &["--name", "shop", "--net", "web"]);
    let _alone = idle(&host, &["--name", "alone", "--net", "none"]);
    for (args, words) in [
        (&["names", "ls", "--filter", "x=y"][..], "there is no filter \"x\""),
        (&["names", "ls", "--filter", "x"], "is not KEY=VALUE"),
        (&["names", "lookup", "--network", "nope", "x"], "no container is on network nope"),
        (&["names", "lookup", "--container", "nobody", "x"], "there is no container \"nobody\""),
        (&["names", "lookup", "--container", "alone", "x"], "alone is on no network with names"),
        (&["names", "lookup", "--type", "NONSENSE", "shop"], "NONSENSE"),
        (&["names", "lookup", "a..b"], "a..b"),
        (&["names", "lookup", ""], ""),
    ] {
        fails(&host, args, 1, words);
    }
    for args in [&["names", "lookup"][..], &["names"], &["names", "lookup", "--network", "a", "--container", "b", "x"]]
    {
        assert_eq!(status(&host, args), 125, "{args:?}");
    }
    for options in [["--alias", "a\nb"], ["--link", "a b"], ["--net", "web:alias=a/b"], ["--add-host", "a..b:10.0.0.1"]]
    {
        assert_eq!(status(&host, &[&["run"], &options[..], &["true"]].concat()), 125, "{options:?}");
    }
}

#[test]
fn what_is_flushed_or_killed_is_found_by_doctor_and_back_after_a_reload() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    let shop = inside(&host, &idle(&host, &["--name", "shop", "--net", "web"]));
    let asker = inside(&host, &idle(&host, &["--name", "asker", "--net", "web"]));
    let finds = || names::try_addresses(&asker, "shop") == Some(ips(&["10.1.0.2"]));
    let doctor = || host.ferrocni(["doctor", "--format", "{{.Object}}: {{.Problem}} {{.Command}}"]).stdout;
    assert_eq!(doctor(), "");
    asker.run(["nft", "flush", "ruleset"]);
    assert!(doctor().contains("container asker"), "{}", doctor());
    succeeds(&host, &["reload"]);
    assert!(finds());
    host.shell("pkill -KILL ferrocni-dns; while pgrep -x ferrocni-dns; do sleep 0.01; done");
    let found = doctor();
    assert!(
        found.contains("DNS server: ferrocni-dns does not run, so 2 interfaces") && found.contains("ferrocni reload"),
        "{found}"
    );
    assert!(host.ferrocni(["metrics"]).ok().contains("\nferrocni_dns_up 0\n"));
    fails(&host, &["names", "lookup", "shop"], 1, "no DNS server");
    succeeds(&host, &["reload"]);
    assert!(finds());
    assert_eq!(doctor(), "");
    drop(shop);
}

#[test]
fn names_of_the_dead_are_swept() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    let asker = inside(&host, &idle(&host, &["--name", "asker", "--net", "web"]));
    // A runtime that has lost all it knew, and its container with it.
    let list: Value = serde_json::from_str(&host.read("/etc/cni/net.d/ferrocni-web.conflist").unwrap()).unwrap();
    let lost = host.container("lost");
    host.chain(&list).args("IgnoreUnknown=1;K8S_POD_NAME=shop").add(&lost, "eth0").ok();
    assert!(!names::addresses(&asker, "shop").is_empty());
    let _lost = host.lose(lost);
    let found = host.ferrocni(["doctor", "--format", "{{.Object}}: {{.Command}}"]).stdout;
    assert!(found.contains("names of container lost (eth0 on network web): ferrocni doctor --sweep web"), "{found}");
    assert!(host.ferrocni(["metrics"]).ok().contains("ferrocni_leftovers{network=\"web\",kind=\"names\"} 1\n"));
    let swept = host.ferrocni(["doctor", "--sweep"]).ok();
    assert!(swept.contains("names of container lost"), "{swept}");
    assert!(names::addresses(&asker, "shop").is_empty());
    assert_eq!(shell(&host, "ls /run/ferrocni/names | wc -l"), "1\n");
}

#[test]
fn uninstall_ends_the_server_and_takes_the_names_away() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    let shop = inside(&host, &idle(&host, &["--name", "shop", "--net", "web"]));
    assert_eq!(status(&host, &["uninstall"]), 1, "there is a container");
    assert!(names::is_answered(&shop));
    let said = host.ferrocni(["uninstall", "--force"]).ok();
    assert!(said.contains("(interface eth0) are removed\n") && said.contains("the DNS server is stopped\n"), "{said}");
    assert!(!shop.run(["nft", "list", "tables"]).contains("ferrocni_dns"));
    host.shell("while pgrep -x ferrocni-dns; do sleep 0.01; done");
    assert_eq!(host.shell("ls /run/ferrocni/names; ls /run/ferrocni | grep dns || :"), "");
}

/// Where no program of ours can be executed any more.
#[test]
fn the_script_that_uninstalls_does_the_same() {
    let host = Host::new();
    create(&host, "web", 1, &[]);
    let shop = inside(&host, &idle(&host, &["--name", "shop", "--net", "web"]));
    let said = host.run([concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/uninstall.sh")]);
    assert!(said.contains(":eth0 are removed\n") && said.contains("the DNS server is stopped\n"), "{said}");
    assert!(!shop.run(["nft", "list", "tables"]).contains("ferrocni_dns"));
    assert_eq!(host.shell("! pgrep -x ferrocni-dns; ls /run/ferrocni/names; ls /run/ferrocni | grep dns || :"), "");
}

#[test]
fn a_network_can_be_without_names() {
    let host = Host::new();
    succeeds(&host, &["network", "create", "--disable-dns", "plain"]);
    create(&host, "web", 1, &[]);
    let inspect = |name: &str| host.ferrocni(["network", "inspect", "-f", "{{.Names}}", name]).ok();
    assert_eq!((inspect("plain"), inspect("web")), ("false\n".to_owned(), "true\n".to_owned()));
    host.assert_leaves_nothing(|| {
        let id = idle(&host, &["--name", "one", "--net", "plain"]);
        let one = inside(&host, &id);
        assert_eq!(one.nft_json(["list", "tables"])["nftables"].as_array().unwrap().len(), 1, "its version only");
        assert_eq!(host.ferrocni(["names", "ls", "-q"]).ok(), "");
        // Names that no network knows stand in the file.
        let seen = host.ferrocni(["run", "--net", "plain", "--link", "one:uno", "cat", "/etc/hosts"]).ok();
        let address = one.addresses("eth0")[0].split('/').next().unwrap().to_owned();
        assert!(seen.contains(&format!("{address}\tuno one\n")), "{seen}");
        drop(one);
        succeeds(&host, &["stop", "one"]);
    });
}
