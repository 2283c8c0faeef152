//! Each test has a folder of its own.
#![allow(clippy::unwrap_used)]

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::Duration;

use std::os::unix::fs::symlink;

use super::links::{SEAL, time_text};
use super::*;
use crate::owner::tests::owner;

/// A folder that is gone with the test, also with a failed one.
struct Scratch(PathBuf);

impl Scratch {
    fn new(test: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("host-local-store-{test}-{}", std::process::id()));
        fs::create_dir(&dir).unwrap();
        Self(dir)
    }

    fn store(&self) -> Store {
        Store::open(&self.0, &NetworkName::new("net").unwrap()).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.join("net").join(name)
    }

    /// A file as the reference would leave it, without taking part in anything of ours.
    fn foreign(&self, name: &str, content: &str) {
        fs::create_dir_all(self.0.join("net")).unwrap();
        fs::write(self.path(name), content).unwrap();
    }

    fn reserve_three(&self) {
        let mut store = self.store();
        for address in ["10.1.2.2", "10.1.2.3", "10.1.2.4"] {
            assert!(store.reserve(&owner("c1", "eth0"), ip(address)).unwrap());
        }
        store.seal();
    }

    fn visible(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.0.join("net"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| !name.starts_with('.'));
        names.sort();
        names
    }

    fn links(&self) -> Vec<String> {
        let mut names: Vec<_> = fs::read_dir(self.path(".ferrocni"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != SEAL)
            .collect();
        names.sort();
        names
    }

    /// As if the seal had been set in an earlier boot.
    fn restart(&self) {
        let path = self.path(".ferrocni/seal");
        let seal = fs::read_to_string(&path).unwrap();
        let (_, time) = seal.split_once(' ').unwrap();
        fs::write(path, format!("another-boot {time}")).unwrap();
    }

    fn is_sealed(&self) -> bool {
        let seal = fs::read_to_string(self.path(".ferrocni/seal")).unwrap_or_default();
        let modified = fs::metadata(self.0.join("net")).unwrap().modified().unwrap();
        seal == format!("{} {}", boot::id().unwrap(), time_text(modified))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

#[test]
fn a_reservation_is_the_file_that_the_reference_writes() {
    let scratch = Scratch::new("format");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.3")).unwrap());
    assert!(store.reserve(&owner("c1", "eth0"), ip("fd00::3")).unwrap());
    store.set_last_reserved(0, ip("10.1.2.3")).unwrap();
    assert_eq!(scratch.visible(), ["10.1.2.3", "fd00::3", "last_reserved_ip.0", "lock"]);
    assert_eq!(fs::read_to_string(scratch.path("10.1.2.3")).unwrap(), "c1\r\neth0");
    assert_eq!(fs::read_to_string(scratch.path("last_reserved_ip.0")).unwrap(), "10.1.2.3");
    let mode = |name: &str| fs::metadata(scratch.path(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("10.1.2.3"), mode("last_reserved_ip.0"), mode(".")), (0o600, 0o600, 0o755));
    assert_eq!(fs::metadata(scratch.path("10.1.2.3")).unwrap().nlink(), 1);
    assert_eq!(scratch.links(), ["c1:eth0:0", "c1:eth0:1"]);
}

#[test]
fn an_address_is_reserved_once() {
    let scratch = Scratch::new("once");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.3")).unwrap());
    assert!(!store.reserve(&owner("c2", "eth0"), ip("10.1.2.3")).unwrap());
    assert_eq!(store.holder(ip("10.1.2.3")).unwrap(), Holder::Owner(owner("c1", "eth0")));
    assert_eq!(scratch.links(), ["c1:eth0:0"]);
}

#[test]
fn a_release_frees_its_owners_addresses_and_no_others() {
    let scratch = Scratch::new("release");
    let mut store = scratch.store();
    for (container, ifname, address) in
        [("c1", "eth0", "10.1.2.2"), ("c1", "eth0", "fd00::2"), ("c1", "eth1", "10.1.2.3"), ("c11", "eth0", "10.1.2.4")]
    {
        assert!(store.reserve(&owner(container, ifname), ip(address)).unwrap());
    }
    store.release(&owner("c1", "eth0")).unwrap();
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["10.1.2.3", "10.1.2.4", "lock"]);
    assert_eq!(scratch.links(), ["c11:eth0:0", "c1:eth1:0"]);
}

#[test]
fn what_the_reference_reserved_is_found() {
    let scratch = Scratch::new("foreign");
    drop(scratch.store());
    assert!(scratch.is_sealed());
    scratch.foreign("10.1.2.2", "c1\r\neth0");
    scratch.foreign("10.1.2.3", "c2");
    assert!(!scratch.is_sealed());
    let mut store = scratch.store();
    assert!(scratch.is_sealed());
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap(), [ip("10.1.2.2")]);
    assert_eq!(store.held_by(&owner("c2", "eth7")).unwrap(), [ip("10.1.2.3")]);
    store.release(&owner("c2", "eth7")).unwrap();
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
    assert!(scratch.links().is_empty());
}

#[test]
fn old_files_are_freed_only_where_there_is_nothing_else() {
    let scratch = Scratch::new("old");
    scratch.foreign("10.1.2.2", "c1\r\neth0");
    scratch.foreign("10.1.2.3", "c1");
    let mut store = scratch.store();
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["10.1.2.3", "lock"]);
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
}

/// The reference frees an address and gives it to another container, and ours reads of it only by the link.
#[test]
fn a_link_whose_address_went_to_another_container_frees_nothing() {
    let scratch = Scratch::new("reused");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.2")).unwrap());
    fs::write(scratch.path("10.1.2.2"), "c2\r\neth0").unwrap();
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["10.1.2.2", "lock"]);
    assert!(store.held_by(&owner("c1", "eth0")).unwrap().is_empty());
}

/// The reference removes a reservation and the link to it.
#[test]
fn a_link_that_another_program_removed_hides_no_later_one() {
    let scratch = Scratch::new("gap");
    scratch.reserve_three();
    fs::remove_file(scratch.path(".ferrocni/c1:eth0:0")).unwrap();
    fs::remove_file(scratch.path("10.1.2.2")).unwrap();
    scratch.store().release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
}

#[test]
fn an_address_that_goes_hides_no_later_one() {
    for gone in ["10.1.2.2", "10.1.2.3", "10.1.2.4"] {
        let scratch = Scratch::new("renumbered");
        scratch.reserve_three();
        scratch.store().release_addresses(&owner("c1", "eth0"), &[ip(gone)]).unwrap();
        assert!(scratch.is_sealed(), "so that what follows goes by the links alone");
        let mut store = scratch.store();
        assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap().len(), 2, "without {gone}");
        store.release(&owner("c1", "eth0")).unwrap();
        assert_eq!(scratch.visible(), ["lock"]);
        assert!(scratch.links().is_empty());
    }
}

#[test]
fn an_undo_frees_one_address_and_only_of_its_owner() {
    let scratch = Scratch::new("undo");
    let mut store = scratch.store();
    for address in ["10.1.2.2", "fd00::2"] {
        assert!(store.reserve(&owner("c1", "eth0"), ip(address)).unwrap());
    }
    store.release_addresses(&owner("c2", "eth0"), &[ip("10.1.2.2")]).unwrap();
    store.release_addresses(&owner("c1", "eth0"), &[ip("10.1.2.2")]).unwrap();
    assert_eq!(scratch.visible(), ["fd00::2", "lock"]);
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap(), [ip("fd00::2")]);
}

#[test]
fn nothing_is_read_while_the_seal_holds() {
    let scratch = Scratch::new("seal");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.2")).unwrap());
    store.seal();
    drop(store);
    assert!(scratch.is_sealed());
    // Were the reservations read again, the link would be made again.
    fs::remove_file(scratch.path(".ferrocni/c1:eth0:0")).unwrap();
    assert!(scratch.store().held_by(&owner("c1", "eth0")).unwrap().is_empty());
    scratch.foreign("anything", "");
    assert_eq!(scratch.store().held_by(&owner("c1", "eth0")).unwrap(), [ip("10.1.2.2")]);
}

/// A process that is killed leaves what it did without a seal.
#[test]
fn a_killed_process_breaks_the_seal() {
    let scratch = Scratch::new("killed");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.2")).unwrap());
    fs::write(scratch.path(".ferrocni/new"), "c2\r\neth0").unwrap();
    drop(store);
    assert!(!scratch.is_sealed());
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c3", "eth0"), ip("10.1.2.3")).unwrap());
    assert_eq!(fs::read_to_string(scratch.path("10.1.2.3")).unwrap(), "c3\r\neth0");
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap(), [ip("10.1.2.2")]);
}

#[test]
fn a_restart_takes_back_everything_whatever_the_clock_says() {
    let scratch = Scratch::new("restart");
    let mut store = scratch.store();
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.2")).unwrap());
    store.set_last_reserved(0, ip("10.1.2.2")).unwrap();
    fs::write(scratch.path("10.1.2.3"), "").unwrap();
    fs::write(scratch.path("10.1.2.4"), "printer").unwrap();
    fs::set_permissions(scratch.path("10.1.2.4"), Permissions::from_mode(0o400)).unwrap();
    fs::create_dir(scratch.path("10.1.2.5")).unwrap();
    fs::write(scratch.path("notes"), "").unwrap();
    store.seal();
    drop(store);
    scratch.restart();
    let store = scratch.store();
    assert_eq!(scratch.visible(), ["10.1.2.4", "10.1.2.5", "last_reserved_ip.0", "lock", "notes"]);
    assert_eq!(store.last_reserved(0).unwrap(), Some(ip("10.1.2.2")), "an address rests after a restart too");
    assert_eq!(scratch.links(), ["printer:0"]);
    assert!(scratch.is_sealed());
}

/// The first time in a folder that the reference has been using: its containers are alive.
#[test]
fn only_what_is_older_than_the_boot_goes_if_another_program_was_here() {
    let scratch = Scratch::new("migration");
    scratch.foreign("10.1.2.2", "c1\r\neth0");
    scratch.foreign("10.1.2.3", "c2\r\neth0");
    let old = boot::earliest().unwrap() - Duration::from_secs(1);
    File::options().write(true).open(scratch.path("10.1.2.3")).unwrap().set_modified(old).unwrap();
    drop(scratch.store());
    assert_eq!(scratch.visible(), ["10.1.2.2", "lock"]);

    scratch.restart();
    scratch.foreign("10.1.2.4", "c3\r\neth0");
    drop(scratch.store());
    assert_eq!(scratch.visible(), ["10.1.2.2", "10.1.2.4", "lock"]);
    assert_eq!(scratch.links(), ["c1:eth0:0", "c3:eth0:0"]);
}

#[test]
fn garbage_collection_keeps_the_valid_the_unknown_and_the_protected() {
    let scratch = Scratch::new("gc");
    for (name, content) in [
        ("10.1.2.2", "c1\r\neth0"),
        ("10.1.2.3", "c1\r\neth1"),
        ("10.1.2.4", "c2"),
        ("10.1.2.5", "c3"),
        ("10.1.2.6", "two words"),
        ("10.1.2.7", ""),
        ("10.1.2.8", "\r\n"),
        ("10.1.2.9", ""),
        ("notes", "c1\r\neth1"),
        ("last_reserved_ip.0", "10.1.2.7"),
    ] {
        scratch.foreign(name, content);
    }
    fs::set_permissions(scratch.path("10.1.2.9"), Permissions::from_mode(0o400)).unwrap();
    let mut store = scratch.store();
    symlink("../10.1.2.99", scratch.path(".ferrocni/gone:eth0:0")).unwrap();
    store.retain(|o| *o == owner("c1", "eth0") || *o == owner("c2", "any").without_interface()).unwrap();
    let kept = ["10.1.2.2", "10.1.2.4", "10.1.2.6", "10.1.2.9", "last_reserved_ip.0", "lock", "notes"];
    assert_eq!(scratch.visible(), kept);
    assert_eq!(scratch.links(), ["c1:eth0:0", "c2:0"]);
}

#[test]
fn a_planted_symbolic_link_is_not_written_through() {
    let scratch = Scratch::new("planted");
    let mut store = scratch.store();
    let victim = scratch.0.join("victim");
    fs::write(&victim, "precious").unwrap();
    for name in ["10.1.2.2", "last_reserved_ip.0", ".ferrocni/new", ".ferrocni/c1:eth0:0"] {
        symlink(&victim, scratch.path(name)).unwrap();
    }
    assert!(!store.reserve(&owner("c1", "eth0"), ip("10.1.2.2")).unwrap());
    assert_eq!(store.holder(ip("10.1.2.2")).unwrap(), Holder::Unknown);
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.3")).unwrap());
    store.set_last_reserved(0, ip("10.1.2.3")).unwrap();
    assert_eq!(fs::read_to_string(victim).unwrap(), "precious");
}

#[test]
fn a_file_or_a_symbolic_link_in_place_of_our_folder_is_named() {
    let scratch = Scratch::new("notafolder");
    let net = NetworkName::new("net").unwrap();
    let assert_named = || {
        let error = Store::open(&scratch.0, &net).unwrap_err();
        assert!(matches!(error, Error::NotAFolder(path) if path.ends_with("net/.ferrocni")));
        assert!(Store::try_writing(&scratch.0, &net).is_err());
    };
    scratch.foreign(".ferrocni", "");
    assert_named();
    fs::remove_file(scratch.path(".ferrocni")).unwrap();
    fs::create_dir(scratch.0.join("elsewhere")).unwrap();
    symlink(scratch.0.join("elsewhere"), scratch.path(".ferrocni")).unwrap();
    assert_named();
    assert_eq!(fs::read_dir(scratch.0.join("elsewhere")).unwrap().count(), 0);
}

/// Garbage collection takes the reservation behind an owner's first link.
#[test]
fn what_garbage_collection_removes_hides_nothing() {
    let scratch = Scratch::new("gcgap");
    scratch.reserve_three();
    fs::set_permissions(scratch.path("10.1.2.4"), Permissions::from_mode(0o400)).unwrap();
    scratch.store().retain(|_| false).unwrap();
    assert!(scratch.is_sealed());
    assert_eq!(scratch.store().held_by(&owner("c1", "eth0")).unwrap(), [ip("10.1.2.4")]);
    scratch.store().release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
}

/// By a person, or by a program that is older than interfaces in these files; the seal does not notice.
#[test]
fn a_reservation_written_anew_in_the_old_form_is_released() {
    let scratch = Scratch::new("rewritten");
    scratch.reserve_three();
    fs::write(scratch.path("10.1.2.3"), "c1").unwrap();
    let mut store = scratch.store();
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap(), ["10.1.2.2", "10.1.2.4", "10.1.2.3"].map(ip));
    drop(store);
    for address in ["10.1.2.2", "10.1.2.4"] {
        fs::write(scratch.path(address), "c1").unwrap();
    }
    store = scratch.store();
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
    assert!(scratch.links().is_empty());
}

#[test]
fn who_only_looks_finds_everything_and_changes_nothing() {
    let scratch = Scratch::new("look");
    scratch.reserve_three();
    scratch.restart();
    scratch.foreign("10.1.2.5", "c1\r\neth0");
    let links = scratch.links();
    let store = Store::look(&scratch.0, &NetworkName::new("net").unwrap()).unwrap().unwrap();
    let held = ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5"].map(ip);
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap(), held);
    drop(store);
    assert_eq!(scratch.links(), links);
    assert!(!scratch.is_sealed());
}

/// As older versions sealed when they could not read the boot's id, and as this one must not.
#[test]
fn without_knowing_both_boots_nothing_is_taken_back() {
    let scratch = Scratch::new("unknown");
    scratch.reserve_three();
    let seal = scratch.path(".ferrocni/seal");
    let sealed = fs::read_to_string(&seal).unwrap();
    fs::write(&seal, sealed.trim_start_matches(|c| c != ' ')).unwrap();
    assert_eq!(scratch.store().held_by(&owner("c1", "eth0")).unwrap().len(), 3);

    fs::write(&seal, "").unwrap();
    let mut store = scratch.store();
    store.boot = None;
    store.set_last_reserved(0, ip("10.1.2.2")).unwrap();
    store.seal();
    drop(store);
    assert!(!scratch.is_sealed());
    assert_eq!(scratch.store().held_by(&owner("c1", "eth0")).unwrap().len(), 3);
}

/// The links of a name are numbered once, not once for each of its addresses.
#[test]
fn thousands_of_addresses_of_one_owner_are_linked_in_one_go() {
    let scratch = Scratch::new("many");
    let addresses: Vec<_> = (0..3000_u32).map(|i| IpAddr::from(std::net::Ipv4Addr::from(0x0a01_0000 + i))).collect();
    for address in &addresses {
        scratch.foreign(&address.to_string(), "c1\r\neth0");
    }
    let mut store = scratch.store();
    assert_eq!(store.held_by(&owner("c1", "eth0")).unwrap().len(), 3000);
    store.release_addresses(&owner("c1", "eth0"), &addresses[..1500]).unwrap();
    for address in &addresses[..1500] {
        assert!(store.reserve(&owner("c1", "eth0"), *address).unwrap());
    }
    store.seal();
    assert_eq!(scratch.links().len(), 3000);
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
    assert!(scratch.links().is_empty());
}

/// A full disk, or what a power cut leaves.
#[test]
fn empty_files_are_told_from_those_with_a_word() {
    let scratch = Scratch::new("empty");
    for (name, content) in [("10.1.2.2", ""), ("10.1.2.3", "\r\n"), ("10.1.2.4", "c"), ("10.1.2.5", "c1\r\neth0")] {
        scratch.foreign(name, content);
    }
    let all = ["10.1.2.2", "10.1.2.3", "10.1.2.4", "10.1.2.5", "10.1.2.6"].map(ip);
    assert_eq!(scratch.store().empty(&all).unwrap(), all[..2]);
}

#[test]
fn a_fifo_or_a_device_in_place_of_a_file_neither_hangs_nor_fills_the_memory() {
    let scratch = Scratch::new("fifo");
    drop(scratch.store());
    for name in ["10.1.2.2", "last_reserved_ip.0", ".ferrocni/new"] {
        let fifo = std::process::Command::new("mkfifo").arg(scratch.path(name)).status().unwrap();
        assert!(fifo.success());
    }
    fs::remove_file(scratch.path(".ferrocni/seal")).unwrap();
    symlink("/dev/zero", scratch.path(".ferrocni/seal")).unwrap();
    symlink("/dev/zero", scratch.path("10.1.2.3")).unwrap();
    let mut store = scratch.store();
    for taken in ["10.1.2.2", "10.1.2.3"] {
        assert!(!store.reserve(&owner("c1", "eth0"), ip(taken)).unwrap());
        assert_eq!(store.holder(ip(taken)).unwrap(), Holder::Unknown);
    }
    assert_eq!(store.last_reserved(0).unwrap(), None);
    assert!(store.reserve(&owner("c1", "eth0"), ip("10.1.2.4")).unwrap());
    store.set_last_reserved(0, ip("10.1.2.4")).unwrap();
    store.seal();
    assert!(scratch.is_sealed());
    fs::remove_file(scratch.path("lock")).unwrap();
    symlink(scratch.path("victim"), scratch.path("lock")).unwrap();
    assert!(Store::open(&scratch.0, &NetworkName::new("net").unwrap()).is_err());
    assert!(!scratch.path("victim").exists());
}

#[test]
fn a_network_without_a_folder_stays_without() {
    let scratch = Scratch::new("absent");
    assert!(Store::open_existing(&scratch.0, &NetworkName::new("net").unwrap()).unwrap().is_none());
    assert!(!scratch.0.join("net").exists());
}

#[test]
fn the_longest_container_ids_are_told_apart() {
    let scratch = Scratch::new("long");
    let mut store = scratch.store();
    let (one, other) =
        (owner(&format!("{}1", "c".repeat(250)), "eth0"), owner(&format!("{}2", "c".repeat(250)), "eth0"));
    assert!(store.reserve(&one, ip("10.1.2.2")).unwrap());
    assert!(store.reserve(&other, ip("10.1.2.3")).unwrap());
    store.release(&one).unwrap();
    assert_eq!(store.held_by(&other).unwrap(), [ip("10.1.2.3")]);
    assert_eq!(scratch.visible(), ["10.1.2.3", "lock"]);
}

/// Without room for links (here: without the folder for them) a DEL still frees.
#[test]
fn a_reservation_that_cannot_be_linked_is_released_all_the_same() {
    let scratch = Scratch::new("unlinked");
    scratch.foreign("10.1.2.2", "c1\r\neth0");
    let mut store = scratch.store();
    fs::remove_dir_all(scratch.path(".ferrocni")).unwrap();
    store.link_all().unwrap();
    assert_eq!(store.unlinked.len(), 1);
    store.release(&owner("c1", "eth0")).unwrap();
    assert_eq!(scratch.visible(), ["lock"]);
}

#[test]
fn a_network_that_is_no_more_leaves_nothing_unless_something_is_reserved() {
    let dir = tempfile::tempdir().unwrap();
    let network = NetworkName::new("net").unwrap();
    Store::forget(dir.path(), &network).unwrap();
    let owner = Owner::from(&cni_plugin::Attachment::new("net", "c1", "eth0").unwrap());
    let address = "10.1.0.2".parse().unwrap();
    {
        let mut store = Store::open(dir.path(), &network).unwrap();
        assert!(store.reserve(&owner, address).unwrap());
        store.set_last_reserved(0, address).unwrap();
    }
    Store::forget(dir.path(), &network).unwrap();
    assert!(dir.path().join("net/10.1.0.2").exists());
    Store::open(dir.path(), &network).unwrap().release(&owner).unwrap();
    Store::forget(dir.path(), &network).unwrap();
    assert!(!dir.path().join("net").exists());
}
