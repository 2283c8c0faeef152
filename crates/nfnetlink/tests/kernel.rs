//! Against the kernel, in a network namespace of the test's own. Needs root and nft.
#![allow(clippy::unwrap_used)] // A test that cannot go on has failed.

use std::io::Write as _;
use std::process::{Command, Stdio};

use nfnetlink::{Message, Socket, family, subsystem};
use nix::sched::{CloneFlags, unshare};

/// `NFT_MSG_GETRULE`, `NFTA_RULE_TABLE`, `NFTA_RULE_HANDLE` (linux/netfilter/nf_tables.h).
const GET_RULES: u8 = 7;
const TABLE: u16 = 1;
const HANDLE: u16 = 3;
/// Too many for the datagrams that the kernel fills ahead.
const RULES: usize = 3_000;

fn nft(script: &str) {
    let mut child = Command::new("nft").args(["-f", "-"]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(child.wait().unwrap().success());
}

/// The handles of all rules; `meanwhile` is called with each.
fn handles(mut meanwhile: impl FnMut()) -> Vec<u64> {
    let mut request = Message::new(subsystem::NFTABLES, GET_RULES, 0, family::IPV4);
    request.text(TABLE, "t");
    let listed = Socket::open().unwrap().dump(&request, |reply, found| {
        found.extend(reply.attributes().find(HANDLE).and_then(|handle| handle.be64()));
        meanwhile();
    });
    listed.unwrap()
}

/// What is listed is of one moment: not the rules from before a change together with those from after it.
#[test]
fn a_dump_that_a_change_interrupts_starts_again() {
    let in_a_namespace_of_its_own = || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace, for which this test needs root");
        let rules = "add rule ip t c accept\n".repeat(RULES);
        nft(&format!("add table ip t\nadd chain ip t c\n{rules}"));
        let mut replace = Some(format!("flush chain ip t c\n{rules}"));
        let found = handles(|| replace.take().iter().for_each(|script| nft(script)));
        assert_eq!(found.len(), RULES);
        assert_eq!(found, handles(|| {}));
    };
    std::thread::scope(|scope| scope.spawn(in_a_namespace_of_its_own).join().unwrap());
}
