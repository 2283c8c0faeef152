//! Against the real kernel, each test in a network namespace of its own. Needs root and conntrack(8).
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::process::Command;

use nix::sched::{CloneFlags, unshare};

use super::*;

fn in_namespace(test: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let body = || {
            unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace, for which this test needs root");
            test();
        };
        if let Err(panic) = scope.spawn(body).join() {
            std::panic::resume_unwind(panic);
        }
    });
}

fn conntrack(arguments: &str) -> String {
    let output = Command::new("conntrack").args(arguments.split(' ')).output().unwrap();
    assert!(output.status.success(), "conntrack {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A connection from a client's port to `host`:`port` that was translated to `container`.
fn connection(protocol: &str, from: u16, (host, port): (&str, u16), container: &str) {
    let client = if host.contains(':') { "2001:db8::99" } else { "198.51.100.99" };
    let state = if protocol == "tcp" { "--state ESTABLISHED " } else { "" };
    conntrack(&format!(
        "-I -p {protocol} -s {client} -d {host} --sport {from} --dport {port} -r {container} -q {client} \
         --reply-port-src 80 --reply-port-dst {from} {state}-t 600 -u SEEN_REPLY"
    ));
}

/// One wanted entry, and others that differ in one thing each.
fn some_connections() {
    for (host, container) in [("192.0.2.1", "10.0.0.2"), ("2001:db8::1", "fd00::2")] {
        connection("udp", 4001, (host, 53), container);
        connection("udp", 4002, (host, 54), container);
        connection("tcp", 4003, (host, 53), container);
    }
    connection("udp", 4004, ("192.0.2.2", 53), "10.0.0.2");
    connection("udp", 4005, ("192.0.2.3", 53), "10.0.0.3");
    connection("udp", 4006, ("2001:db8::2", 53), "fd00::3");
}

fn count() -> usize {
    ["ipv4", "ipv6"].iter().map(|family| conntrack(&format!("-L -f {family}")).lines().count()).sum()
}

fn filter(address: Option<&str>, reply_source: Option<&str>) -> Filter {
    let parse = |text: &str| text.parse().unwrap();
    let (address, reply_source) = (address.map(parse), reply_source.map(parse));
    Filter { version: Version::V4, protocol: 17, port: 53, address, reply_source }
}

/// Each filter with the number of entries that it leaves of the nine.
fn cases() -> [(Filter, usize); 8] {
    [
        (filter(None, None), 6),
        (filter(Some("192.0.2.1"), None), 8),
        (filter(None, Some("10.0.0.2")), 7),
        (filter(Some("192.0.2.2"), Some("10.0.0.2")), 8),
        (filter(Some("192.0.2.2"), Some("10.0.0.9")), 9),
        (Filter { version: Version::V6, ..filter(None, None) }, 7),
        (Filter { version: Version::V6, ..filter(None, Some("fd00::2")) }, 8),
        (Filter { version: Version::V6, ..filter(Some("2001:db8::2"), None) }, 8),
    ]
}

#[test]
fn a_filter_removes_what_matches_and_nothing_else() {
    for (filter, left) in cases() {
        in_namespace(|| {
            remove(&[filter]).expect("an empty table has nothing to remove");
            some_connections();
            assert_eq!(count(), 9);
            remove(&[filter]).unwrap();
            assert_eq!(count(), left, "{filter:?}\n{}", conntrack("-L"));
        });
    }
}

#[test]
fn one_look_serves_many_filters() {
    for (filter, left) in cases() {
        in_namespace(|| {
            let others = (1000..1100).map(|port| Filter { port, ..filter });
            let filters: Vec<Filter> = others.chain([filter]).collect();
            some_connections();
            remove(&filters).unwrap();
            assert_eq!(count(), left, "{filter:?}\n{}", conntrack("-L"));
            remove(&filters).expect("nothing is left to remove");
        });
    }
}

#[test]
fn the_ports_of_other_protocols_count_too() {
    in_namespace(|| {
        let insert = |port: u16| {
            conntrack(&format!(
                "-I -p sctp -s 198.51.100.99 -d 192.0.2.1 --sport {port} --dport {port} --state ESTABLISHED \
                 --orig-vtag 1 --reply-vtag 2 -t 600"
            ));
        };
        insert(53);
        insert(54);
        remove(&[Filter { protocol: 132, ..filter(None, None) }]).unwrap();
        assert_eq!(count(), 1);
    });
}

#[test]
fn the_kernel_filters_by_itself() {
    in_namespace(|| {
        some_connections();
        let mut socket = Socket::open().unwrap();
        socket.command(filter(None, None).message(operation::DELETE)).expect("CTA_FILTER on flush: Linux 6.8");
        assert_eq!(count(), 6);
    });
}

#[test]
fn older_kernels_are_served_one_by_one() {
    for (filter, left) in cases() {
        in_namespace(|| {
            some_connections();
            remove_one_by_one(&mut Socket::open().unwrap(), &filter).unwrap();
            assert_eq!(count(), left, "{filter:?}\n{}", conntrack("-L"));
        });
    }
}

#[test]
fn an_unfiltered_list_is_filtered_here() {
    in_namespace(|| {
        some_connections();
        for (filter, left) in cases() {
            let all = Socket::open().unwrap().dump(&filter.request(operation::GET), |reply, found| {
                found.push(filter.matches(reply.attributes()));
            });
            assert_eq!(all.unwrap().into_iter().filter(|matches| *matches).count(), 9 - left, "{filter:?}");
        }
    });
}

#[test]
fn an_entry_whose_zone_holds_in_one_direction_is_removed_too() {
    in_namespace(|| {
        conntrack(
            "-I -p udp -s 198.51.100.99 -d 192.0.2.1 --sport 4001 --dport 53 -r 10.0.0.2 -q 198.51.100.99 \
             --reply-port-src 80 --reply-port-dst 4001 --orig-zone 5 -t 600 -u SEEN_REPLY",
        );
        assert_eq!(count(), 1);
        remove_one_by_one(&mut Socket::open().unwrap(), &filter(None, None)).unwrap();
        assert_eq!(count(), 0);
    });
}
