//! A port that is another one, for packets.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::thread;

use nftables::redirect::{self, Redirect};
use nix::sched::{CloneFlags, unshare};

const REDIRECT: Redirect = Redirect { address: Ipv4Addr::new(127, 0, 0, 11), from: 53, to: 53053 };

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
