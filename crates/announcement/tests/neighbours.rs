//! Against the kernel: frames captured at the far end of a veth pair, and what the far end makes of them.
//! Needs root and iproute2.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::process::Command;
use std::thread;

use announcement::{Error, announce, announce_v4, announce_v6};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, setsockopt, socket, sockopt};
use nix::sys::time::{TimeVal, TimeValLike};

const MAC: [u8; 6] = [2, 0, 0x5e, 0, 0x53, 1];

/// Runs `test` on a thread in a fresh network namespace with the end `near` of a veth pair, index and namespace
/// of whose other end `far` it gets.
fn with_pair(test: impl FnOnce(u32, &OwnedFd) + Send) {
    let far =
        in_new_netns(|| OwnedFd::from(std::fs::File::open("/proc/thread-self/ns/net").expect("/proc is mounted")));
    in_new_netns(|| {
        let peer =
            format!("link add near type veth peer name far netns /proc/{}/fd/{}", std::process::id(), far.as_raw_fd());
        // No link-local address, so that nobody else sends anything.
        ip(&peer);
        ip("link set near addrgenmode none up");
        inside(&far, || ip("link set far addrgenmode none up"));
        let index = nix::net::if_::if_nametoindex("near");
        test(index.expect("the link is there"), &far);
    });
}

fn in_new_netns<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    on_thread(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
        body()
    })
}

fn inside<T: Send>(netns: &OwnedFd, body: impl FnOnce() -> T + Send) -> T {
    on_thread(|| {
        setns(netns, CloneFlags::CLONE_NEWNET).expect("entered");
        body()
    })
}

fn on_thread<T: Send>(body: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| scope.spawn(body).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
}

fn ip(arguments: &str) -> String {
    let output = Command::new("ip").args(arguments.split(' ')).output().expect("iproute2 is installed");
    assert!(output.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// A socket that receives every frame in its namespace, for at most a second each.
fn capture() -> OwnedFd {
    let socket =
        socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::EthAll).expect("a socket");
    setsockopt(&socket, sockopt::ReceiveTimeout, &TimeVal::seconds(1)).expect("a limit");
    socket
}

/// The next frame that is an announcement: an ARP packet or a Neighbor Advertisement. The kernel's own
/// multicast listener reports are passed over.
fn next_announcement(socket: &OwnedFd) -> Vec<u8> {
    let mut buffer = [0; 2048];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty()).expect("a frame within a second");
        let frame = &buffer[..length];
        let is_arp = frame.get(12..14) == Some(&[0x08, 0x06]);
        let is_advertisement =
            frame.get(12..14) == Some(&[0x86, 0xdd]) && frame.get(20) == Some(&58) && frame.get(54) == Some(&136);
        if is_arp || is_advertisement {
            return frame.to_vec();
        }
    }
}

#[test]
fn the_frames_arrive_as_the_rfcs_want_them() {
    with_pair(|index, far| {
        let capture = inside(far, capture);
        announce(index, MAC, &["192.0.2.7".parse().expect("v4"), "2001:db8::7".parse().expect("v6")]).expect("sent");
        let arp = next_announcement(&capture);
        #[rustfmt::skip]
        assert_eq!(arp, [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0x5e, 0, 0x53, 1, 0x08, 0x06,
            0, 1, 8, 0, 6, 4, 0, 1,
            2, 0, 0x5e, 0, 0x53, 1, 192, 0, 2, 7,
            0, 0, 0, 0, 0, 0, 192, 0, 2, 7,
        ]);
        let advertisement = next_announcement(&capture);
        #[rustfmt::skip]
        assert_eq!(advertisement, [
            0x33, 0x33, 0, 0, 0, 1, 2, 0, 0x5e, 0, 0x53, 1, 0x86, 0xdd,
            0x60, 0, 0, 0, 0, 32, 58, 255,
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1,
            136, 0, 0x48, 0x1e, 0x20, 0, 0, 0,
            0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7,
            2, 1, 2, 0, 0x5e, 0, 0x53, 1,
        ]);
    });
}

#[test]
fn a_stale_entry_at_the_neighbour_is_corrected() {
    with_pair(|index, far| {
        inside(far, || {
            ip("addr add 192.0.2.1/24 dev far");
            ip("addr add 2001:db8::1/64 dev far nodad");
            for address in ["192.0.2.7", "2001:db8::7"] {
                ip(&format!("neigh add {address} lladdr 02:00:00:00:00:99 dev far nud reachable"));
            }
        });
        announce_v4(index, MAC, "192.0.2.7".parse().expect("v4")).expect("sent");
        announce_v6(index, MAC, "2001:db8::7".parse().expect("v6")).expect("sent");
        for address in ["192.0.2.7", "2001:db8::7"] {
            let entry = inside(far, || ip(&format!("neigh show to {address} dev far")));
            assert!(entry.contains("lladdr 02:00:5e:00:53:01"), "{address}: {entry}");
        }
    });
}

#[test]
fn no_entry_is_created_at_a_neighbour_that_has_none() {
    with_pair(|index, far| {
        inside(far, || ip("addr add 192.0.2.1/24 dev far"));
        announce(index, MAC, &["192.0.2.7".parse().expect("v4")]).expect("sent");
        assert_eq!(inside(far, || ip("neigh show dev far")), "");
    });
}

#[test]
fn a_failure_names_address_and_link() {
    in_new_netns(|| {
        let address: IpAddr = "192.0.2.7".parse().expect("v4");
        let error = announce(4711, MAC, &[address]).expect_err("no such link");
        assert_eq!(error.to_string(), "cannot announce 192.0.2.7 on link #4711");
        assert!(matches!(error, Error::Send { source, .. } if source.raw_os_error() == Some(nix::libc::ENXIO)));
        announce(4711, MAC, &[]).expect("nothing to announce");
    });
}

#[test]
fn a_link_that_is_down_sends_nothing() {
    with_pair(|index, _far| {
        ip("link set near down");
        let error = announce(index, MAC, &["192.0.2.7".parse().expect("v4")]).expect_err("down");
        assert!(matches!(error, Error::Send { source, .. } if source.raw_os_error() == Some(nix::libc::ENETDOWN)));
    });
}
