//! Podman without root's privileges: a user has a network namespace of his own, in which his networks are.

use tests::{Host, Inside as _, reference_differs};

use super::host_with_podman;

const HOME: &str = "/run/home";

/// A user who may have containers, as a system with systemd makes them possible.
fn add_user(host: &Host) {
    host.shell(
        "mount --make-rshared /
         # Who may not see all of /proc cannot mount one of his own (mount_too_revealing, fs/namespace.c).
         umount /proc/sys/fs /proc/sys/kernel /proc/sys/vm
         mknod -m 666 /run/tun c 10 200; mount --bind /run/tun /dev/net/tun
         for file in passwd group; do sed /:1000:/d /etc/$file >/run/$file; mount --bind /run/$file /etc/$file; done
         echo 'someone:x:1000:1000::/run/home:/bin/sh' >>/etc/passwd; echo 'someone:x:1000:' >>/etc/group
         echo 'someone:100000:65536' >/run/subid; touch /etc/subuid /etc/subgid
         for file in subuid subgid; do mount --bind /run/subid /etc/$file; done
         mkdir -p /run/home /run/user/1000; chmod 711 /run /run/podman",
    );
    host.shell(
        "sed s,/run/podman/networks,/run/home/networks, /run/podman/containers.conf >/run/home/containers.conf
         sed 's,/run/podman/state,/run/user/1000/state,; s,/run/podman/,/run/home/,' /run/podman/storage.conf >/run/home/storage.conf
         chown -R 1000:1000 /run/home /run/user/1000",
    );
}

/// What Podman says to the user.
#[track_caller]
fn podman(host: &Host, arguments: &str) -> String {
    let environment = format!(
        "HOME={HOME} XDG_RUNTIME_DIR=/run/user/1000 PODMAN_IGNORE_CGROUPSV1_WARNING=1 CONTAINERS_CONF={HOME}/containers.conf \
         CONTAINERS_STORAGE_CONF={HOME}/storage.conf"
    );
    // What goes on running must not keep the shell's output open.
    host.shell(&format!(
        "cd {HOME}; setpriv --reuid 1000 --regid 1000 --clear-groups env {environment} \
         podman --log-level=error {arguments} >/run/said 2>/run/complaints </dev/null || {{ cat /run/complaints; exit 1; }}; cat /run/said"
    ))
}

/// A user's host with a wire to another machine, and an image `box`.
fn host_of_a_user() -> (Host, Host) {
    let host = host_with_podman();
    let outside = host.neighbour();
    host.shell("ip route add default via 192.0.2.2; ip -6 route add default via 2001:db8::2");
    add_user(&host);
    podman(&host, "import /run/box.tar box");
    (host, outside)
}

/// Starts a container that serves its own busybox.
fn serve(host: &Host, name: &str, options: &str) {
    podman(host, &format!("run -d --name {name} {options} box /bin/busybox httpd -f -p 80"));
}

/// Whether a container gets an answer there.
fn reaches(host: &Host, container: &str, address: &str) -> bool {
    let line = format!("/bin/busybox timeout 5 /bin/busybox wget -q -O /dev/null http://{address}/bin/busybox");
    podman(host, &format!("exec {container} /bin/busybox sh -c '{line} && echo yes || echo no'")).trim() == "yes"
}

#[test]
fn a_user_s_containers_have_ports_names_and_a_way_out() {
    let (host, outside) = host_of_a_user();
    podman(&host, "network create --subnet 10.1.0.0/24 web");
    serve(&host, "one", "--network web -p 8080:80");
    podman(&host, "run -d --name two --network web --network-alias again box /bin/busybox sleep 1000");
    for (container, name) in [("one", "two"), ("one", "again"), ("two", "one")] {
        let found = podman(&host, &format!("exec {container} /bin/busybox nslookup {name}"));
        assert!(found.contains("10.1.0."), "{found}");
    }
    podman(&host, "exec two /bin/busybox wget -q -O /dev/null http://one/bin/busybox");
    outside.shell("until busybox wget -q -O /dev/null http://192.0.2.1:8080/bin/busybox; do sleep 0.05; done");
    let _server = outside.spawn(["busybox", "httpd", "-f", "-p", "80", "-h", "/bin"]);
    outside.shell("until busybox wget -q -O /dev/null http://127.0.0.1/busybox; do sleep 0.05; done");
    podman(&host, "exec two /bin/busybox wget -q -O /dev/null http://192.0.2.2/busybox");
    podman(&host, "network disconnect web two");
    podman(&host, "network connect web two");
    podman(&host, "network reload --all");
    podman(&host, "exec two /bin/busybox wget -q -O /dev/null http://one/bin/busybox");
    let rules = podman(&host, "unshare --rootless-netns nft list ruleset");
    assert!(rules.contains("ferrocni:web/") || reference_differs("other rules"), "{rules}");
    // pasta's link, which leads out, has the largest packets there are.
    let mtu = podman(&host, "exec two /bin/busybox cat /sys/class/net/eth0/mtu");
    assert!(mtu.trim() == "65520" || reference_differs("this version does not look at the way out"), "{mtu}");
    assert!(!host.run(["nft", "list", "ruleset"]).contains("ferrocni"), "nothing of it is the host's");
    podman(&host, "rm -f -t0 -a");
    assert_eq!(host.links(), ["lo", "uplink"]);
}

#[test]
fn a_user_s_networks_are_isolated_and_internal_as_root_s_are() {
    let (host, outside) = host_of_a_user();
    for network in ["--subnet 10.1.0.0/24 -o isolate=true one", "-o isolate=true two", "--internal inside"] {
        podman(&host, &format!("network create {network}"));
    }
    serve(&host, "one", "--network one --ip 10.1.0.9 -p 8080:80");
    serve(&host, "two", "--network two");
    serve(&host, "in", "--network inside");
    podman(&host, "run -d --name guest --network inside box /bin/busybox sleep 1000");
    let _server = outside.spawn(["busybox", "httpd", "-f", "-p", "80", "-h", "/"]);
    outside.shell("until busybox wget -q -O /dev/null http://192.0.2.1:8080/bin/busybox; do sleep 0.05; done");
    let refused = podman(&host, "run --rm --network two -p 8080:80 box /bin/busybox true 2>&1 || true");
    assert!(refused.contains("is already published by container") || reference_differs("other words"), "{refused}");
    assert!(reaches(&host, "one", "192.0.2.2"), "the way out");
    assert!(!reaches(&host, "two", "10.1.0.9"), "another isolated network's container");
    let published = reaches(&host, "two", "192.0.2.1:8080");
    assert!(published || reference_differs("a published port is not reached from another isolated network"));
    assert!(reaches(&host, "guest", "in"), "another container of the internal network");
    for address in ["192.0.2.2", "192.0.2.1:8080", "10.1.0.9"] {
        assert!(!reaches(&host, "guest", address), "{address} from the internal network");
    }
    podman(&host, "rm -f -t0 -a");
    assert_eq!(host.links(), ["lo", "uplink"]);
}
