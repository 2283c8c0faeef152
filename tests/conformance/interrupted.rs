//! Killed in the middle, or with nobody listening: what a DEL and a GC find afterwards.

use tests::{Snapshot, reference_differs};

use crate::scene::{PLUGINS, Scene};

/// A shell that runs its first argument with a stdout whose reader has gone.
const NO_READER: &str = r#"mkfifo /run/fifo; exec 3<>/run/fifo 4>/run/fifo 3<&-; rm /run/fifo; exec "$0" >&4 4>&-"#;

/// What a runtime does when a plugin was killed: DEL, of which it knows neither the result nor the namespace, and at
/// some time GC. Both together leave nothing.
fn clean_up(scene: &Scene, plugin: &str, before: &Snapshot, point: &str) {
    scene.blind_del(plugin).ok();
    let after_del = scene.host.snapshot().leftovers(before);
    scene.gc(plugin).ok();
    let leftovers = scene.host.snapshot().leftovers(before);
    assert!(leftovers.is_empty(), "{plugin} killed at {point}; after DEL {after_del:#?}, after GC {leftovers:#?}");
    assert!(after_del.is_empty(), "{plugin} killed at {point}: DEL leaves to GC {after_del:#?}");
}

fn add_is_killed(plugin: &str) {
    if reference_differs("it needs the result of ADD to find what it made") {
        return;
    }
    let scene = Scene::new();
    let before = scene.host.snapshot();
    let kills = scene.call(plugin, "ADD").killed_at_every_change(|point| clean_up(&scene, plugin, &before, point));
    assert!(kills >= 2, "{plugin} was killed {kills} times only");
    scene.call(plugin, "ADD").run().ok();
}

fn del_is_killed(plugin: &str) {
    if reference_differs("it needs the result of ADD to find what it made") {
        return;
    }
    let scene = Scene::new();
    let before = scene.host.snapshot();
    scene.call(plugin, "ADD").run().ok();
    let kills = scene.call(plugin, "DEL").killed_at_every_change(|point| {
        clean_up(&scene, plugin, &before, point);
        scene.call(plugin, "ADD").run().ok();
    });
    assert!(kills >= 2, "{plugin} was killed {kills} times only");
}

macro_rules! killed {
    ($($plugin:ident: $name:literal)*) => {
        /// "A _delete_ must still be executed even if the _add_ fails" (Lifecycle & Ordering): by a kill, too, at any
        /// of its changes.
        mod add_can_be_killed_anywhere { $(#[test] fn $plugin() { super::add_is_killed($name); })* }
        /// "_delete_ may be followed by additional _deletes_" (Lifecycle & Ordering).
        mod del_can_be_killed_anywhere_and_repeated { $(#[test] fn $plugin() { super::del_is_killed($name); })* }
    };
}

killed! { bridge: "bridge" firewall: "firewall" host_local: "host-local" loopback: "loopback" portmap: "portmap" }

/// A runtime that has forgotten the container altogether calls no DEL: then GC finds everything that is on the host.
#[test]
fn gc_alone_cleans_up_after_a_killed_add() {
    if reference_differs("it has no GC") {
        return;
    }
    for plugin in ["host-local", "portmap", "firewall"] {
        let scene = Scene::new();
        let before = scene.host.snapshot();
        scene.call(plugin, "ADD").killed_at_every_change(|point| {
            scene.gc(plugin).ok();
            let leftovers = scene.host.snapshot().leftovers(&before);
            assert!(leftovers.is_empty(), "{plugin} killed at {point}; after GC {leftovers:#?}");
        });
    }
}

/// "If the CNI plugin is successful, it must output a result structure on standard out" (ADD): if it cannot, it was
/// not successful.
#[test]
fn an_add_that_nobody_can_hear_leaves_nothing() {
    if reference_differs("it counts an ADD as done before its reply is printed") {
        return;
    }
    let scene = Scene::new();
    let before = scene.host.snapshot();
    for plugin in PLUGINS {
        let add = scene.call(plugin, "ADD");
        for outcome in [add.run_unheard(), add.run_under(&["sh", "-euc", NO_READER])] {
            assert_eq!(outcome.finished.status.code(), Some(1), "{plugin}: {}", outcome.finished);
            assert!(outcome.finished.stderr.contains("stdout"), "{plugin}: {}", outcome.finished);
            scene.host.snapshot().assert_nothing_since(&before);
        }
    }
}
