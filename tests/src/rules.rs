//! What holds for every plugin.

use std::thread;

use serde_json::{Value, json};

use crate::binaries::reference_differs;
use crate::chain::Chain;
use crate::cni::Cni;
use crate::host::Container;

/// Puts the last plugin of the list through what holds for each plugin, with interface `ifname` of a fresh
/// `container`:
/// - ADD, CHECK and DEL succeed, a second DEL too, and nothing is left;
/// - a DEL that knows neither the result of ADD nor the namespace leaves nothing on the host either;
/// - an ADD that cannot deliver its reply has failed, and has left nothing.
///
/// # Panics
/// If one of them does not hold.
#[track_caller]
pub fn every_plugin_rules(network: &Chain<'_>, container: &Container, ifname: &str) {
    every_rule_but_blind_del(network, container, ifname);
    blind_del_leaves_nothing(network, container, ifname);
}

/// [`every_plugin_rules`] for a plugin that moves into the container what has to come back, which it can only as long as there
/// is a way into the namespace.
///
/// # Panics
/// If one of them does not hold.
#[track_caller]
pub fn every_rule_but_blind_del(network: &Chain<'_>, container: &Container, ifname: &str) {
    add_check_del_del_leaves_nothing(network, container, ifname);
    unheard_add_leaves_nothing(network, container, ifname);
}

/// Requires that no verb of a plugin starts another program, whose call with a configuration is `call`'s to prepare: everything
/// is a message to the kernel.
///
/// # Panics
/// If one does, or fails.
#[track_caller]
pub fn every_verb_runs_alone<'h>(config: &Value, call: impl Fn(&str, &Value) -> Cni<'h>) {
    let mut config = config.clone();
    config["cni.dev/valid-attachments"] = json!([]);
    for verb in ["STATUS", "ADD", "CHECK", "DEL", "GC"] {
        let result = call(verb, &config).run_alone().ok();
        if verb == "ADD" {
            config["prevResult"] = result;
        }
    }
}

/// Does something for all containers at the same time, and returns what came of it in their order.
///
/// # Panics
/// If one of them does.
#[track_caller]
pub fn at_once<T: Send>(containers: &[Container], work: impl Fn(&Container) -> T + Sync) -> Vec<T> {
    thread::scope(|scope| {
        let threads: Vec<_> = containers.iter().map(|container| scope.spawn(|| work(container))).collect();
        threads.into_iter().map(|thread| thread.join().expect("it works for each container")).collect()
    })
}

/// Requires that the network cannot be had on its host: ADD fails with `code` and these words and changes nothing, and so does
/// STATUS, with 50 where it is not the configuration that is wrong (7).
///
/// # Panics
/// If it can, or the error is another.
#[track_caller]
pub fn assert_impossible(network: &Chain<'_>, container: &Container, code: u64, words: &[&str]) {
    let verbs = || (network.add(container, "eth0"), network.status());
    let (add, status) = network.host().assert_leaves_nothing(verbs);
    for (outcome, code) in [(add, code), (status, if code == 7 { 7 } else { 50 })] {
        let error = outcome.error();
        assert_eq!(error.code, code, "{error:?}");
        assert!(words.iter().all(|word| error.msg.contains(word)), "{words:?} in {error:?}");
    }
}

#[track_caller]
fn add_check_del_del_leaves_nothing(network: &Chain<'_>, container: &Container, ifname: &str) {
    network.host().assert_leaves_nothing(|| {
        network.add(container, ifname).ok();
        let checked = network.check(container, ifname);
        if !(checked.is_ok() || reference_differs("portmap's CHECK fails with any port mapping")) {
            checked.ok();
        }
        network.del(container, ifname).ok();
        network.del(container, ifname).ok();
    });
}

#[track_caller]
fn blind_del_leaves_nothing(network: &Chain<'_>, container: &Container, ifname: &str) {
    if reference_differs("it needs the namespace or the result of ADD to find what it made") {
        return;
    }
    let before = network.host().snapshot().without(container);
    network.add(container, ifname).ok();
    network.del_blind(container, ifname).ok();
    network.host().snapshot().without(container).assert_nothing_since(&before);
    network.del(container, ifname).ok();
}

#[track_caller]
fn unheard_add_leaves_nothing(network: &Chain<'_>, container: &Container, ifname: &str) {
    if reference_differs("it counts an ADD as done before its reply is printed") {
        return;
    }
    network.host().assert_leaves_nothing(|| {
        let last = network.add_all_but_last(container, ifname);
        network.host().assert_leaves_nothing(|| {
            let outcome = last.run_unheard();
            assert!(!outcome.is_ok(), "nobody heard the reply, and yet: {}", outcome.finished);
        });
        network.del(container, ifname).ok();
    });
}
