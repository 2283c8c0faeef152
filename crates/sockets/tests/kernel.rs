//! The sockets against the kernel, each test in a network namespace of its own.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};
use std::os::fd::AsFd as _;
use std::process::Command;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use sockets::{BROADCAST, PacketSocket, udp};

const SERVER: u16 = 67;
const CLIENT: u16 = 68;

fn ip(arguments: &str) {
    let status = Command::new("ip").args(arguments.split(' ')).status().unwrap();
    assert!(status.success(), "ip {arguments}");
}

/// Runs `body` in a namespace with a pair of links, `left` and `right`, both up; on a thread, which takes the namespace along.
fn on_a_wire(body: impl FnOnce() + Send) {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("make a network namespace: run the tests as root");
            ip("link add left up type veth peer name right");
            ip("link set right up");
            wait_until_up();
            body();
        });
        thread.join().unwrap();
    });
}

/// Both ends: what is sent a moment before is lost.
fn wait_until_up() {
    let up = || Command::new("ip").args(["link", "show", "up"]).output().unwrap().stdout;
    while String::from_utf8(up()).unwrap().matches("state UP").count() < 2 {
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
}

fn index(link: &str) -> u32 {
    nix::net::if_::if_nametoindex(link).unwrap()
}

/// An IPv4 packet with a UDP datagram of four bytes.
fn packet(destination_port: u16, fragment: u16, protocol: u8) -> Vec<u8> {
    let mut packet = vec![0x45, 0, 0, 32, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 0, 0, 1, 255, 255, 255, 255];
    packet[6..8].copy_from_slice(&fragment.to_be_bytes());
    let checksum = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum::<u32>();
    let folded = !u16::try_from((checksum & 0xffff) + (checksum >> 16)).unwrap();
    packet[10..12].copy_from_slice(&folded.to_be_bytes());
    packet.extend(SERVER.to_be_bytes());
    packet.extend(destination_port.to_be_bytes());
    packet.extend([0, 12, 0, 0, b'D', b'H', b'C', b'P']);
    packet
}

fn wait(socket: &impl std::os::fd::AsFd) {
    let mut waiting = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    assert_eq!(poll(&mut waiting, PollTimeout::from(2000_u16)).unwrap(), 1, "nothing came");
}

#[test]
fn packets_pass_between_links_without_an_address() {
    on_a_wire(|| {
        let (a, b) =
            (PacketSocket::open(index("left"), SERVER).unwrap(), PacketSocket::open(index("right"), CLIENT).unwrap());
        let sent = packet(CLIENT, 0, 17);
        a.send_to(&sent, BROADCAST).unwrap();
        wait(&b);
        let mut buffer = [0; 2048];
        let length = b.receive(&mut buffer).unwrap();
        assert_eq!(buffer[..length], sent);
        assert_eq!(b.receive(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock, "one packet, once");
    });
}

#[test]
fn what_is_not_for_the_port_never_arrives() {
    on_a_wire(|| {
        let (a, b) =
            (PacketSocket::open(index("left"), SERVER).unwrap(), PacketSocket::open(index("right"), CLIENT).unwrap());
        let unwanted =
            [packet(CLIENT + 1, 0, 17), packet(CLIENT, 0, 6), packet(CLIENT, 0x2000, 17), packet(CLIENT, 1, 17)];
        let mut cut_off = packet(CLIENT, 0, 17);
        cut_off.truncate(22);
        for packet in unwanted.into_iter().chain([cut_off]) {
            a.send_to(&packet, BROADCAST).unwrap();
        }
        // The "do not fragment" bit is no fragment.
        let wanted = packet(CLIENT, 0x4000, 17);
        a.send_to(&wanted, BROADCAST).unwrap();
        wait(&b);
        let mut buffer = [0; 2048];
        let length = b.receive(&mut buffer).unwrap();
        assert_eq!(buffer[..length], wanted);
        assert_eq!(b.receive(&mut buffer).unwrap_err().kind(), ErrorKind::WouldBlock);
    });
}

#[test]
fn a_link_that_is_not_there_is_an_error() {
    on_a_wire(|| {
        assert!(PacketSocket::open(9999, CLIENT).is_err());
        assert!(PacketSocket::open(u32::MAX, CLIENT).is_err());
        assert!(udp::on_link("none", CLIENT).is_err());
    });
}

/// Two links with a lease each: both clients have port 68, and a broadcast leaves through the right one.
#[test]
fn each_link_has_the_port_for_itself() {
    on_a_wire(|| {
        ip("addr add 10.0.2.1/24 dev left");
        ip("addr add 10.0.2.2/24 dev left");
        ip("addr add 10.0.0.9/24 dev right");
        let (left, right) = (udp::on_link("left", CLIENT).unwrap(), udp::on_link("right", CLIENT).unwrap());
        let heard = PacketSocket::open(index("right"), SERVER).unwrap();
        let (second, server) = (Ipv4Addr::new(10, 0, 2, 2), SocketAddrV4::new(Ipv4Addr::BROADCAST, SERVER));
        udp::send_from(&left, b"here", second, server).unwrap();
        wait(&heard);
        let mut buffer = [0; 64];
        let length = heard.receive(&mut buffer).unwrap();
        assert_eq!(buffer[12..16], [10, 0, 2, 2], "from the address that was asked for");
        assert!(buffer[..length].ends_with(b"here"));
        let stranger = Ipv4Addr::new(10, 0, 2, 9);
        assert!(udp::send_from(&left, b"here", stranger, SocketAddrV4::new(second, SERVER)).is_err());
        // What is for everybody is heard as well.
        let other_end = PacketSocket::open(index("left"), SERVER).unwrap();
        other_end.send_to(&packet(CLIENT, 0, 17), BROADCAST).unwrap();
        wait(&right);
        assert_eq!(right.recv(&mut buffer).unwrap(), 4);
    });
}

#[test]
fn a_packet_whose_neighbour_is_unknown_is_unsent() {
    on_a_wire(|| {
        ip("addr add 10.0.0.1/24 dev left");
        let socket = udp::on_link("left", CLIENT).unwrap();
        assert_eq!(udp::unsent(&socket).unwrap(), 0);
        socket.send_to(b"to nobody", (Ipv4Addr::new(10, 0, 0, 99), SERVER)).unwrap();
        assert!(udp::unsent(&socket).unwrap() > 0);
    });
}

#[test]
fn a_socket_on_a_link_local_address() {
    on_a_wire(|| {
        ip("addr add fe80::1/64 dev left nodad");
        let scoped = |index| SocketAddr::V6(std::net::SocketAddrV6::new("fe80::1".parse().unwrap(), 546, 0, index));
        let socket: UdpSocket = udp::at(scoped(index("left"))).unwrap();
        assert_eq!(socket.local_addr().unwrap(), scoped(index("left")));
        assert_eq!(udp::at(scoped(index("right"))).unwrap_err().kind(), ErrorKind::AddrNotAvailable);
        assert_eq!(socket.recv_from(&mut [0; 8]).unwrap_err().kind(), ErrorKind::WouldBlock);
        let _ = socket.as_fd();
    });
}

#[test]
fn a_runtime_is_told_of_what_arrives() {
    on_a_wire(|| {
        let (a, b) =
            (PacketSocket::open(index("left"), SERVER).unwrap(), PacketSocket::open(index("right"), CLIENT).unwrap());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let watched = sockets::watch(&b).unwrap();
            for _ in 0..2 {
                a.send_to(&packet(CLIENT, 0, 17), BROADCAST).unwrap();
                let mut readable = watched.readable().await.unwrap();
                let received = readable.try_io(|_| b.receive(&mut [0; 2048])).unwrap();
                assert_eq!(received.unwrap(), 32);
                let nothing = readable.try_io(|_| b.receive(&mut [0; 2048]));
                assert!(nothing.is_err(), "one packet, once");
            }
        });
    });
}
