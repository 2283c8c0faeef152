use std::net::IpAddr;
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

use ipnetwork::IpNetwork;
use netlink::{AddressSpec, Changes, Error, LinkChange, RouteType, Socket};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::{in_new_netns, new_netns, pair, socket};

const LONG: Duration = Duration::from_secs(10);

#[test]
fn a_link_that_runs_is_not_waited_for() {
    in_new_netns(|| {
        let mut socket = socket();
        let (index, _) = pair(&mut socket);
        socket.wait_until_running(index, LONG).expect("running");
        assert_eq!(socket.link(index).expect("the socket stays usable").name, "a");
    });
}

#[test]
fn the_notification_ends_the_wait() {
    in_new_netns(|| {
        let mut watching = socket();
        let (a, b) = pair(&mut watching);
        watching.change_link(b, &LinkChange { up: Some(false), ..LinkChange::default() }).expect("down");
        let mut raising = socket();
        let start = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(100));
                raising.batch().set_up(b).send().expect("up");
            });
            watching.wait_until_running(a, LONG).expect("running");
        });
        assert!(
            (Duration::from_millis(100)..Duration::from_secs(5)).contains(&start.elapsed()),
            "{:?}",
            start.elapsed()
        );
        assert!(watching.link(a).expect("found").running);
    });
}

#[test]
fn a_link_that_stays_down_times_out() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        socket.batch().set_down(a).send().expect("down");
        let error = socket.wait_until_running(a, Duration::from_millis(50)).expect_err("down");
        assert_eq!(error.to_string(), "link a going up did not happen within 50 ms");
    });
}

#[test]
fn a_link_that_goes_away_is_not_waited_for() {
    in_new_netns(|| {
        let mut watching = socket();
        assert!(watching.wait_until_running(4711, LONG).expect_err("missing").is_not_found());
        let (a, b) = pair(&mut watching);
        watching.batch().set_down(b).send().expect("down");
        let mut deleting = socket();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                std::thread::sleep(Duration::from_millis(50));
                deleting.delete_link(b).expect("deleted");
            });
            let error = watching.wait_until_running(a, LONG).expect_err("deleted");
            assert!(matches!(error, Error::LinkNotFound { .. }), "{error:?}");
        });
    });
}

#[test]
fn an_address_is_usable_after_duplicate_detection() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let network = "2001:db8::2/64".parse().expect("a network");
        socket.add_address(&AddressSpec { detect_duplicates: true, ..AddressSpec::new(a, network) }).expect("added");
        let tentative = |socket: &mut netlink::Socket| {
            socket.addresses(a).expect("listed").iter().any(|address| address.network == network && address.tentative)
        };
        assert!(tentative(&mut socket));
        socket.wait_until_usable(a, &[network.ip()], LONG).expect("usable");
        assert!(!tentative(&mut socket));
        socket.wait_until_usable(a, &[], LONG).expect("nothing to wait for");
    });
}

#[test]
fn an_address_somebody_has_is_a_duplicate() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, b) = pair(&mut socket);
        let network: ipnetwork::IpNetwork = "2001:db8::2/64".parse().expect("a network");
        // The other end in a namespace of its own would answer; here it is the same host, which does too.
        socket.add_address(&AddressSpec::new(b, network)).expect("added");
        socket.add_address(&AddressSpec { detect_duplicates: true, ..AddressSpec::new(a, network) }).expect("added");
        let error = socket.wait_until_usable(a, &[network.ip()], LONG).expect_err("taken");
        assert!(matches!(error, Error::DuplicateAddress { address } if address == network.ip()), "{error:?}");
    });
}

#[test]
fn a_new_ipv6_address_is_waited_for_until_it_is_the_hosts_own() {
    in_new_netns(|| {
        let mut socket = socket();
        let (a, _) = pair(&mut socket);
        let addresses: Vec<IpAddr> = (1..=40).map(|i| format!("2001:db8::{i}").parse().expect("an address")).collect();
        for address in &addresses {
            let network = IpNetwork::new(*address, 64).expect("a network");
            socket.add_address(&AddressSpec::new(a, network)).expect("added");
            socket.wait_until_local(a, &[*address], Duration::from_secs(5)).expect("local");
            assert_eq!(socket.route_to(*address).expect("a route").kind, RouteType::Local, "{address}");
        }
        let missing =
            socket.wait_until_local(a, &["2001:db8:1::1".parse().expect("an address")], Duration::from_millis(50));
        assert!(matches!(missing, Err(Error::TimedOut { .. })), "{missing:?}");
    });
}

fn is_readable(changes: &Changes) -> bool {
    becomes_readable(changes, 0)
}

fn becomes_readable(changes: &Changes, milliseconds: u16) -> bool {
    let mut waiting = [PollFd::new(changes.as_fd(), PollFlags::POLLIN)];
    poll(&mut waiting, PollTimeout::from(milliseconds)).expect("poll") > 0
}

#[test]
fn changes_of_links_and_addresses_are_heard_and_cleared() {
    let netns = new_netns();
    let changes = Changes::open_in(&netns).expect("opened");
    let mut socket = Socket::open_in(&netns).expect("a socket");
    assert!(!is_readable(&changes));
    let (a, _) = pair(&mut socket);
    assert!(is_readable(&changes));
    socket.wait_until_running(a, LONG).expect("running");
    let address: IpNetwork = "fd00::1/64".parse().expect("an address");
    for change in ["link", "address"] {
        // The kernel tells the carrier's coming and the link-local addresses a moment later.
        while is_readable(&changes) {
            changes.clear().expect("cleared");
            std::thread::sleep(Duration::from_millis(100));
        }
        match change {
            "link" => socket.change_link(a, &LinkChange { mtu: Some(1400), ..LinkChange::default() }),
            _ => socket.add_address(&AddressSpec::new(a, address)),
        }
        .expect("changed");
        // An address is told by a work queue.
        assert!(becomes_readable(&changes, 5000), "{change}");
    }
}

#[test]
fn more_changes_than_the_socket_can_hold_are_changes() {
    let netns = new_netns();
    let changes = Changes::open_in(&netns).expect("opened");
    let mut socket = Socket::open_in(&netns).expect("a socket");
    let (a, _) = pair(&mut socket);
    for mtu in 0..2000 {
        socket.change_link(a, &LinkChange { mtu: Some(1300 + mtu % 2), ..LinkChange::default() }).expect("changed");
    }
    assert!(is_readable(&changes));
    changes.clear().expect("an overrun is no error");
}
