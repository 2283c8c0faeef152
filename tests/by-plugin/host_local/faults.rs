//! System calls that fail, files that are none of ours, configurations that were spoilt: no address is given away or lost.

use serde_json::{Value, json};
use tests::{Cni, Host, Inside as _, Outcome, reference_differs};

use super::{OURS, REFERENCE, add, call, del, dual_stack, gc, network, reservations, restart, with_valid};

/// The system calls by which the folder is read and changed, and how each may fail for a moment. Which of several for the
/// same thing is made is the C library's choice.
const FAILURES: [(&str, &str); 23] = [
    ("open", "ENFILE"),
    ("open", "EACCES"),
    ("openat", "ENFILE"),
    ("openat", "EACCES"),
    ("read", "EIO"),
    ("readlink", "EIO"),
    ("readlinkat", "EIO"),
    ("stat", "EIO"),
    ("lstat", "EIO"),
    ("fstat", "EIO"),
    ("newfstatat", "EIO"),
    ("statx", "EIO"),
    ("getdents64", "EIO"),
    ("flock", "EINTR"),
    ("symlink", "EIO"),
    ("symlinkat", "EIO"),
    ("link", "EIO"),
    ("linkat", "EIO"),
    ("unlink", "EIO"),
    ("unlinkat", "EIO"),
    ("rename", "EIO"),
    ("renameat", "EIO"),
    ("utimensat", "EIO"),
];

/// Runs a call again and again, each time with another one of its system calls failing, until there is none left; calls
/// `after` each time with what came of it and which one it was. Returns how many failed.
fn with_every_failure(cni: &Cni<'_>, host: &Host, mut after: impl FnMut(Outcome, &str)) -> usize {
    let mut failed = 0;
    for (syscall, errno) in FAILURES {
        for nth in 1.. {
            let (trace, inject) = (format!("trace=?{syscall}"), format!("inject=?{syscall}:error={errno}:when={nth}"));
            let outcome = cni.run_under(&["strace", "-f", "-qqq", "-o", "/run/trace", "-e", &trace, "-e", &inject]);
            let was_injected = host.read("/run/trace").unwrap().contains("INJECTED");
            after(outcome, &format!("{errno} of {syscall} {nth}"));
            if !was_injected {
                break;
            }
            failed += 1;
        }
    }
    failed
}

/// A host with an administrator's reservation, and one of a container that lives.
fn host_with_a_container(config: &Value) -> Host {
    let host = Host::new();
    add(&host, OURS, "live", config).ok();
    host.shell("cd /var/lib/cni/networks/net; printf printer > 10.1.0.9; chmod 400 10.1.0.9");
    call(&host, OURS, "DEL", "nobody", config).run().ok();
    host
}

const LIVE: &str = "10.1.0.2 10.1.0.9 fd00::2 ";

#[test]
fn a_system_call_that_fails_in_an_add_costs_no_address() {
    let config = dual_stack();
    let host = host_with_a_container(&config);
    let failed = with_every_failure(&call(&host, OURS, "ADD", "c1", &config), &host, |outcome, point| {
        let mine = host.shell("grep -ls ^c1 /var/lib/cni/networks/net/[1f]* | wc -l");
        assert_eq!(mine.trim(), if outcome.is_ok() { "2" } else { "0" }, "{point}: {outcome:?}");
        del(&host, OURS, "c1", &config);
        assert_eq!(reservations(&host), LIVE, "{point}, then DEL");
    });
    assert!(failed > 40, "{failed} failures only");
    del(&host, OURS, "live", &config);
    assert_eq!(reservations(&host), "10.1.0.9 ");
}

#[test]
fn a_system_call_that_fails_in_a_del_leaves_the_address_or_an_error() {
    let config = dual_stack();
    let host = host_with_a_container(&config);
    let foreign = "cd /var/lib/cni/networks/net; touch -d '1 second ago' .";
    for prepare in ["", foreign] {
        add(&host, OURS, "c1", &config).ok();
        let _ = with_every_failure(&call(&host, OURS, "DEL", "c1", &config), &host, |outcome, point| {
            if outcome.is_ok() {
                assert_eq!(reservations(&host), LIVE, "{point}");
            }
            del(&host, OURS, "c1", &config);
            assert_eq!(reservations(&host), LIVE, "{point}, then DEL");
            add(&host, OURS, "c1", &config).ok();
            host.shell(prepare);
        });
        del(&host, OURS, "c1", &config);
    }
    del(&host, OURS, "live", &config);
    assert_eq!(reservations(&host), "10.1.0.9 ");
}

#[test]
fn a_system_call_that_fails_in_a_gc_takes_nothing_that_is_to_stay() {
    let config = dual_stack();
    let host = host_with_a_container(&config);
    let collect = host.cni(OURS).command("GC").config(&with_valid(&config, &["live"]));
    let stale = "cd /var/lib/cni/networks/net; printf 'gone\\r\\neth0' > 10.1.0.77";
    host.shell(stale);
    let _ = with_every_failure(&collect, &host, |outcome, point| {
        let left = reservations(&host).replace("10.1.0.77 ", "");
        assert_eq!(left, LIVE, "{point}");
        assert!(!outcome.is_ok() || reservations(&host) == LIVE, "{point}: {outcome:?}");
        host.shell(stale);
    });
    gc(&host, &config, &["live"]).ok();
    assert_eq!(reservations(&host), LIVE);
    del(&host, OURS, "live", &config);
    assert_eq!(reservations(&host), "10.1.0.9 ");
}

#[test]
fn check_and_status_change_nothing_whatever_fails_and_not_even_after_a_restart() {
    let mut config = dual_stack();
    config["cniVersion"] = json!("1.1.0");
    let host = Host::new();
    config["prevResult"] = add(&host, OURS, "live", &config).ok();
    let list = || {
        let but_what_status_writes = "! -path ./.ferrocni ! -path ./.ferrocni/new";
        host.shell(&format!(
            "cd /var/lib/cni/networks/net; find . {but_what_status_writes} -printf '%p %l %T@\\n' | sort"
        ))
    };
    let look = |verb: &str| call(&host, OURS, verb, "live", &config);
    let before = list();
    for restarted in [false, true] {
        if restarted {
            restart(&host);
        }
        for verb in ["CHECK", "STATUS"] {
            look(verb).run().ok();
            let _ = with_every_failure(&look(verb), &host, |_, point| {
                assert_eq!(list(), before, "{verb}, {point}");
            });
        }
    }
}

/// As for a runtime in a chroot, or with `ProcSubset=pid`.
#[test]
fn a_program_that_does_not_see_the_boot_id_frees_nothing_and_has_no_other_do_so() {
    let host = Host::new();
    let config = dual_stack();
    let hide = || host.shell("mount -t tmpfs none /proc/sys/kernel/random");
    let show = || host.shell("umount /proc/sys/kernel/random");
    add(&host, OURS, "c1", &config).ok();
    hide();
    add(&host, OURS, "c2", &config).ok();
    del(&host, OURS, "c3", &config);
    show();
    let all = "10.1.0.2 10.1.0.3 10.1.0.4 fd00::2 fd00::3 fd00::4 ";
    add(&host, OURS, "c4", &config).ok();
    assert_eq!(reservations(&host), all);
    restart(&host);
    hide();
    gc(&host, &config, &["c1", "c2", "c4"]).ok();
    add(&host, OURS, "c5", &config).ok();
    del(&host, OURS, "c5", &config);
    assert_eq!(reservations(&host), all, "without knowing of a restart");
    show();
    for container in ["c1", "c2", "c4"] {
        del(&host, OURS, container, &config);
    }
    assert_eq!(reservations(&host), "");
}

#[test]
fn empty_files_are_counted_apart_and_garbage_collection_removes_them() {
    let host = Host::new();
    let config = network(&json!({"subnet": "10.1.2.0/29"}));
    add(&host, OURS, "c1", &config).ok();
    host.shell(
        "cd /var/lib/cni/networks/net; : > 10.1.2.3; printf '\\r\\n' > 10.1.2.4; printf '\\0\\0\\0\\0' > 10.1.2.5
         : > 10.1.2.6; chmod 400 10.1.2.6",
    );
    let error = add(&host, OURS, "c2", &config).error();
    let words = "5 of 5 are reserved, 4 of them by files that name no container";
    assert!(error.code == 11 && error.msg.ends_with(words), "{error:?}");
    assert!(error.details.contains("remove the files") && error.details.contains("/net/10.1.2."), "{error:?}");
    gc(&host, &config, &["c1"]).ok();
    assert_eq!(reservations(&host), "10.1.2.2 10.1.2.6 ");
    add(&host, OURS, "c2", &config).ok();
}

/// The folder may be on a volume that belongs to a tenant.
#[test]
fn files_that_a_tenant_planted_are_neither_waited_for_nor_written_through() {
    let host = Host::new();
    let config = dual_stack();
    host.write("/run/victim", "precious");
    let names = [".ferrocni/seal", ".ferrocni/new", "last_reserved_ip.0", "last_reserved_ip.1", "10.1.0.3", "lock"];
    for (i, plant) in ["ln -s /run/victim", "mkfifo", "ln -s /dev/zero"].into_iter().enumerate() {
        add(&host, OURS, "c1", &config).ok();
        for name in names {
            host.shell(&format!("cd /var/lib/cni/networks/net; rm -f {name}"));
            host.shell(&format!("cd /var/lib/cni/networks/net; {plant} {name} 2>&1 || {plant} $PWD/{name}"));
            let outcome = add(&host, OURS, &format!("{i}-{name}").replace(['/', '_'], "."), &config);
            if name == "lock" {
                let error = outcome.error();
                assert!(error.code == 5 && error.details.contains("not a regular file"), "{plant}: {error:?}");
            } else {
                outcome.ok();
            }
        }
        assert_eq!(host.read("/run/victim").unwrap(), "precious", "{plant}");
        host.shell("rm -r /var/lib/cni/networks/net");
    }
}

#[test]
fn what_a_link_in_a_reservation_s_place_leads_to_is_no_reservation() {
    if reference_differs("it follows links") {
        return;
    }
    let host = Host::new();
    let config = network(&json!({"subnet": "10.1.0.0/24"}));
    add(&host, OURS, "c1", &config).ok();
    host.write("/run/elsewhere", "c1\r\neth0");
    let link = "/var/lib/cni/networks/net/10.1.0.9";
    host.shell(&format!("ln -s /run/elsewhere {link}"));
    del(&host, OURS, "c1", &config);
    host.shell(&format!("test -L {link}; test ! -e /var/lib/cni/networks/net/10.1.0.2"));
}

#[test]
fn a_resolv_conf_is_followed_to_a_file_and_to_nothing_else() {
    let host = Host::new();
    host.write("/run/real", "nameserver 10.0.0.53\n");
    host.shell("ln -s /run/real /run/resolv.conf; mkfifo /run/fifo; truncate -s 2M /run/large");
    let of = |path: &str| add(&host, OURS, "c1", &network(&json!({"subnet": "10.1.0.0/24", "resolvConf": path})));
    assert_eq!(of("/run/resolv.conf").ok()["dns"]["nameservers"], json!(["10.0.0.53"]));
    del(&host, OURS, "c1", &network(&json!({"subnet": "10.1.0.0/24"})));
    if reference_differs("it waits, or reads until there is no memory left") {
        return;
    }
    for (path, words) in [
        ("/run/fifo", "not a regular file"),
        ("/dev/zero", "not a regular file"),
        ("/run", "not a regular file"),
        ("/run/large", "longer than 1048576 bytes"),
        ("/run/missing", "No such file"),
    ] {
        let error = of(path).error();
        assert!(error.code == 5 && error.msg.contains(path) && error.details.contains(words), "{error:?}");
    }
}

#[test]
fn del_and_gc_need_nothing_of_a_spoilt_configuration_but_the_folder() {
    let host = Host::new();
    let good = json!({"subnet": "10.71.0.0/24", "dataDir": "/run/reservations"});
    let left = || host.shell("cd /run/reservations/net; ls -d 10* 2>/dev/null || true");
    for (key, value) in [
        ("subnet", json!("$10.71.0.0/24")),
        ("subnet", json!(7)),
        ("ranges", json!([["x"]])),
        ("routes", json!("none")),
        ("gateway", json!("10.71.0.999")),
        ("resolvConf", json!(["/etc"])),
    ] {
        let mut spoilt = good.clone();
        spoilt[key] = value;
        let spoilt = network(&spoilt);
        add(&host, OURS, "c1", &network(&good)).ok();
        add(&host, REFERENCE, "c2", &network(&good)).ok();
        del(&host, OURS, "c1", &spoilt);
        gc(&host, &spoilt, &[]).ok();
        assert_eq!(left(), "", "{key}");
    }
    let bridge = |ipam: Value| {
        host.chain(
            &json!({"name": "net", "plugins": [{"type": "bridge", "bridge": "br0", "ipam": network(&ipam)["ipam"]}]}),
        )
    };
    let mut spoilt = good.clone();
    spoilt["subnet"] = json!("$10.71.0.0/24");
    let c3 = host.container("c3");
    bridge(good.clone()).add(&c3, "eth0").ok();
    bridge(spoilt).del(&c3, "eth0").ok();
    assert_eq!(left(), "", "through a bridge");
    add(&host, OURS, "c1", &network(&good)).ok();
    let mut no_folder = network(&good);
    no_folder["ipam"]["dataDir"] = json!(5);
    let mut no_object = network(&good);
    no_object["ipam"] = json!(["host-local"]);
    for (spoilt, words) in [(no_folder, "ipam.dataDir: "), (no_object, "ipam: expected an object, found an array")] {
        for outcome in [call(&host, OURS, "DEL", "c1", &spoilt).run(), gc(&host, &spoilt, &[])] {
            let error = outcome.error();
            assert!(error.code == 7 && error.details.contains(words), "{spoilt}: {error:?}");
        }
    }
    assert_eq!(left().trim(), "10.71.0.15");
}
