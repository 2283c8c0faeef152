//! A port that is another one, for packets.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use nftables::redirect::{self, Asked, Redirect};
use nix::sched::{CloneFlags, unshare};

const REDIRECT: Redirect =
    Redirect { address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 11)), from: 53, to: 53053, asked: Asked::Address };

/// What has this mark is not caught.
const MARK: u32 = 77;
const ANY: Asked = Asked::Any { but_for: MARK };
const EVERYTHING: [Redirect; 2] = [
    Redirect { asked: ANY, ..REDIRECT },
    Redirect { address: IpAddr::V6(Ipv6Addr::LOCALHOST), asked: ANY, ..REDIRECT },
];

fn in_new_netns(test: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            shell("ip link set lo up");
            test();
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
    });
}

fn shell(line: &str) -> String {
    let output = Command::new("sh").args(["-euc", line]).output().expect("a shell");
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn asked() -> SocketAddr {
    (REDIRECT.address, REDIRECT.from).into()
}

fn listened() -> SocketAddr {
    (REDIRECT.address, REDIRECT.to).into()
}

fn is_installed() -> bool {
    REDIRECT.is_installed().expect("an answer")
}

#[test]
fn datagrams_get_there_and_back_and_the_port_stays_free() {
    in_new_netns(|| {
        REDIRECT.install().expect("the table");
        let server = UdpSocket::bind(listened()).expect("bind");
        let _own = UdpSocket::bind("0.0.0.0:53").expect("the container's own server");
        for is_connected in [false, true] {
            let client = UdpSocket::bind("127.0.0.1:0").expect("bind");
            if is_connected {
                client.connect(asked()).expect("connect");
            }
            let (question, mut buffer) = ([7; 4000], [0; 5000]);
            if is_connected { client.send(&question) } else { client.send_to(&question, asked()) }.expect("send");
            let (length, from) = server.recv_from(&mut buffer).expect("the question");
            assert_eq!((&buffer[..length], from), (&question[..], client.local_addr().expect("an address")));
            server.send_to(b"answer", from).expect("send");
            assert_eq!(client.recv_from(&mut buffer).expect("the answer"), (6, asked()));
        }
        assert_eq!(shell("cat /proc/sys/net/netfilter/nf_conntrack_count 2>/dev/null || echo 0").trim(), "0");
    });
}

#[test]
fn a_stream_gets_there_and_back() {
    in_new_netns(|| {
        REDIRECT.install().expect("the table");
        let listener = TcpListener::bind(listened()).expect("bind");
        let mut client = TcpStream::connect(asked()).expect("connect");
        let (mut server, from) = listener.accept().expect("accept");
        assert_eq!(from, client.local_addr().expect("an address"));
        server.write_all(b"answer").expect("write");
        let mut buffer = [0; 6];
        client.read_exact(&mut buffer).expect("read");
        assert_eq!(&buffer, b"answer");
    });
}

#[test]
fn what_was_damaged_is_made_again_and_what_was_not_stays() {
    in_new_netns(|| {
        assert!(!is_installed());
        let handles = || shell("nft -a list table ip ferrocni_dns");
        REDIRECT.install().expect("the table");
        let first = handles();
        REDIRECT.install().expect("nothing to do");
        assert_eq!(handles(), first);
        for damage in [
            "nft flush ruleset",
            "nft flush table ip ferrocni_dns",
            "nft add rule ip ferrocni_dns output drop",
            "nft 'delete chain ip ferrocni_dns output; add chain ip ferrocni_dns output'",
            "nft 'add table ip ferrocni_dns { flags dormant; }'",
        ] {
            assert!(is_installed(), "before {damage}");
            shell(damage);
            assert!(!is_installed(), "after {damage}");
            REDIRECT.install().expect("the table");
        }
        let listed = shell("nft list table ip ferrocni_dns");
        for line in [
            "comment \"ferrocni: port 53 of 127.0.0.11 is port 53053\"",
            "type filter hook output priority raw; policy accept;",
            "ip daddr 127.0.0.11 udp dport 53 udp dport set 53053",
            "ip saddr 127.0.0.11 udp sport 53053 udp sport set 53",
            "ip daddr 127.0.0.11 tcp dport 53 tcp dport set 53053",
            "ip saddr 127.0.0.11 tcp sport 53053 tcp sport set 53",
        ] {
            assert!(listed.contains(line), "{line} is not in {listed}");
        }
    });
}

/// Whatever a container asks, and the answers seem to come from there.
#[test]
fn every_address_s_port_is_led_there_but_for_marked_sockets() {
    in_new_netns(|| {
        shell(
            "ip link add eth0 type veth peer name peer; ip link set eth0 up; ip link set peer up
             ip addr add 10.1.0.2/24 dev eth0; ip addr add fd00:1::2/64 dev eth0 nodad
             ip route add default via 10.1.0.1; ip -6 route add default via fd00:1::1",
        );
        // It was asked for less before.
        REDIRECT.install().expect("the table");
        for (redirect, far) in EVERYTHING.into_iter().zip(["192.0.2.53:53", "[2001:db8::53]:53"]) {
            redirect.install().expect("the table");
            assert!(redirect.is_installed().expect("an answer"));
            let (far, listened) =
                (far.parse::<SocketAddr>().expect("an address"), SocketAddr::new(redirect.address, 53053));
            let (server, listener) =
                (UdpSocket::bind(listened).expect("bind"), TcpListener::bind(listened).expect("bind"));
            let any = if far.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
            let client = UdpSocket::bind(any).expect("bind");
            let mut buffer = [0; 16];
            for asked in [far, SocketAddr::new(redirect.address, 53)] {
                client.send_to(b"question", asked).expect("send");
                let (_, from) = server.recv_from(&mut buffer).expect("the question");
                server.send_to(b"answer", from).expect("send");
                assert_eq!(client.recv_from(&mut buffer).expect("the answer"), (6, asked));
            }
            let _stream = TcpStream::connect(far).expect("connect");
            listener.accept().expect("accept");
            let marked = UdpSocket::bind(any).expect("bind");
            socket2::SockRef::from(&marked).set_mark(MARK).expect("a mark");
            marked.send_to(b"question", far).expect("send");
            server.set_nonblocking(true).expect("no waiting");
            assert!(server.recv_from(&mut buffer).is_err(), "{far}");
        }
        // Who asks for less is content.
        let before = shell("nft -a list ruleset");
        REDIRECT.install().expect("nothing to do");
        assert!(is_installed());
        assert_eq!(shell("nft -a list ruleset"), before);
        redirect::remove().expect("removal");
        assert_eq!(shell("nft list ruleset"), "");
    });
}

#[test]
fn removal_takes_the_table_and_nothing_else() {
    in_new_netns(|| {
        shell("nft add table ip other");
        for _ in 0..2 {
            REDIRECT.install().expect("the table");
            redirect::remove().expect("removal");
            redirect::remove().expect("nothing to remove");
        }
        assert_eq!(shell("nft list ruleset"), "table ip other {\n}\n");
    });
}
