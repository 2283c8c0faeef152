//! System calls that fail: each that a verb makes fails once, with an errno that it can have.
//!
//! What a verb does without a fault is learned with strace first. Then it is run again for each of its calls, from the one
//! on with which it reads its configuration, and that call fails. The errnos take turns, so that each kind of call meets
//! each of its own. Whatever fails:
//!
//! - the reply is a success, or an error in JSON with exit status 1;
//! - a success means what it says: everything is as after the same verb without a fault;
//! - a failed ADD has left nothing, a failed DEL or GC can be repeated, and then nothing is left;
//! - CHECK and STATUS change nothing, and CHECK does not overlook that something is missing;
//! - another attachment of the same network keeps its addresses, links and rules all the time.
//!
//! - `attachments`: the host of such a test, with the attachment that is tested and the other one
//! - `calls`: what calls a verb makes, and how each can fail
//! - `verbs`: what has to be so after each verb
//!
//! Plugins whose links this machine's kernel may lack are tested as far as they get without them.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod attachments;
mod calls;
mod verbs;

macro_rules! plugins {
    ($($name:ident: $plugin:literal)*) => {
        $(#[test] fn $name() { verbs::survive_every_fault($plugin); })*
        const TESTED: &[&str] = &[$($plugin),*];
    };
}

plugins! {
    bandwidth: "bandwidth"
    bridge: "bridge"
    cluster: "cluster"
    dhcp: "dhcp"
    dnsname: "dnsname"
    dummy: "dummy"
    firewall: "firewall"
    host: "host"
    host_device: "host-device"
    host_local: "host-local"
    ipvlan: "ipvlan"
    loopback: "loopback"
    macvlan: "macvlan"
    none: "none"
    overlay: "overlay"
    portmap: "portmap"
    ptp: "ptp"
    sbr: "sbr"
    static_ipam: "static"
    tap: "tap"
    tuning: "tuning"
    vlan: "vlan"
    vrf: "vrf"
}

#[test]
fn no_plugin_is_forgotten() {
    assert_eq!(tests::suite().into_keys().collect::<Vec<_>>(), TESTED);
}
