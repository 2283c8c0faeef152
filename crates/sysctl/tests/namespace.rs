//! Against the kernel, in network namespaces of the tests' own. Needs root.

use std::thread;

use nix::sched::{CloneFlags, unshare};
use sysctl::{Error, read, refuse_router_advertisements, set_if_different, skip_duplicate_address_detection, write};

const FORWARD: &[&str] = &["ipv4", "ip_forward"];

/// Runs `test` on a thread in a fresh network namespace, which ends with the thread.
fn in_new_netns<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        scope
            .spawn(|| {
                unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
                test()
            })
            .join()
            .expect("the test passes")
    })
}

#[test]
fn what_is_written_is_read_in_this_namespace_only() {
    in_new_netns(|| {
        let before = read(FORWARD).expect("readable");
        let other = if before == "0" { "1" } else { "0" };
        write(FORWARD, other).expect("writable");
        assert_eq!(read(FORWARD).expect("readable"), other);
        in_new_netns(|| assert_eq!(read(FORWARD).expect("readable"), before));
    });
}

#[test]
fn the_old_value_comes_back_only_if_it_changed() {
    in_new_netns(|| {
        write(FORWARD, "0").expect("writable");
        assert_eq!(set_if_different(FORWARD, "1").expect("set"), Some("0".to_owned()));
        assert_eq!(set_if_different(FORWARD, "1").expect("set"), None);
        assert_eq!(read(FORWARD).expect("readable"), "1");
    });
}

#[test]
fn a_list_is_the_same_however_it_is_spaced() {
    in_new_netns(|| {
        let range = &["ipv4", "ip_local_port_range"];
        write(range, "20000 30000").expect("writable");
        assert_eq!(set_if_different(range, "20000 30000").expect("set"), None);
    });
}

#[test]
fn an_absent_sysctl_is_not_found() {
    in_new_netns(|| {
        let key = &["ipv6", "conf", "nosuchlink", "accept_ra"];
        for error in [read(key).map(drop), write(key, "0"), set_if_different(key, "0").map(drop)] {
            let error = error.expect_err("absent");
            assert!(error.is_not_found(), "{error:?}");
            assert_eq!(error.to_string(), "sysctl /proc/sys/net/ipv6/conf/nosuchlink/accept_ra does not exist");
        }
    });
}

#[test]
fn a_refused_value_is_named_with_its_path() {
    in_new_netns(|| {
        let error = write(FORWARD, "maybe").expect_err("refused");
        assert_eq!(error.to_string(), "cannot set sysctl /proc/sys/net/ipv4/ip_forward to \"maybe\"");
        let Error::Write { source, .. } = error else { panic!("{error:?}") };
        assert_eq!(source.raw_os_error(), Some(nix::libc::EINVAL));
    });
}

#[test]
fn router_advertisements_are_refused_where_there_could_be_any() {
    in_new_netns(|| {
        refuse_router_advertisements("lo").expect("set");
        assert_eq!(read(&["ipv6", "conf", "lo", "accept_ra"]).expect("readable"), "0");
        refuse_router_advertisements("nosuchlink").expect("nothing to do");
    });
}

#[test]
fn duplicates_are_not_looked_for_where_there_could_be_any() {
    in_new_netns(|| {
        let key = &["ipv6", "conf", "lo", "accept_dad"];
        write(key, "1").expect("set");
        skip_duplicate_address_detection("lo").expect("set");
        assert_eq!(read(key).expect("readable"), "0");
        skip_duplicate_address_detection("nosuchlink").expect("nothing to do");
    });
}
