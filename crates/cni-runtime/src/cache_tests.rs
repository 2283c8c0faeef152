#![allow(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::endpoint::Endpoint;

fn cache() -> (TempDir, Cache) {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::new(folder.path().join("cni"));
    (folder, cache)
}

fn attached(network: &str, container: &str) -> Attached {
    Attached {
        network: NetworkName::new(network).unwrap(),
        endpoint: Endpoint::new(container, "eth0").unwrap().in_netns("/run/netns/x"),
        config: Some("{}".to_owned()),
        result: json!({"cniVersion": "1.0.0"}),
    }
}

fn names(cached: &Cached) -> Vec<String> {
    let name = |attached: &Attached| format!("{} {}", attached.network, attached.endpoint.container);
    cached.attached.iter().map(name).collect()
}

#[test]
fn a_record_is_written_read_and_removed() {
    let (_folder, cache) = cache();
    let web = attached("web", "c1");
    let attachment = web.attachment();
    assert!(cache.read(&attachment).unwrap().is_none(), "there is no folder yet");
    assert!(cache.list().unwrap().attached.is_empty());
    cache.write(&web).unwrap();
    assert_eq!(cache.read(&attachment).unwrap(), Some(web));
    for _ in 0..2 {
        cache.remove(&attachment).unwrap();
        assert_eq!(cache.read(&attachment).unwrap(), None);
    }
}

#[test]
fn only_root_reads_records() {
    let (_folder, cache) = cache();
    let web = attached("web", "c1");
    cache.write(&web).unwrap();
    let path = cache.path_of(&web.attachment());
    assert!(path.ends_with("cni/results/web-c1-eth0"));
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
}

#[test]
fn records_are_found_by_network_and_by_container() {
    let (_folder, cache) = cache();
    for (network, container) in [("web", "c1"), ("web", "c2"), ("web-c1", "c1"), ("db", "web-c1")] {
        cache.write(&attached(network, container)).unwrap();
    }
    assert_eq!(names(&cache.list().unwrap()), ["db web-c1", "web-c1 c1", "web c1", "web c2"]);
    let web = cache.of_network(&NetworkName::new("web").unwrap()).unwrap();
    assert_eq!(names(&web), ["web c1", "web c2"]);
    let c1 = cache.of_container(&ContainerId::new("c1").unwrap()).unwrap();
    assert_eq!(names(&c1), ["web-c1 c1", "web c1"]);
}

#[test]
fn broken_records_are_told_and_hide_nothing() {
    let (folder, cache) = cache();
    let web = attached("web", "c1");
    cache.write(&web).unwrap();
    let path = |name: &str| cache.folder.path_of(name);
    let record = fs::read(path("web-c1-eth0")).unwrap();
    fs::write(path("a-1-eth0"), "").unwrap();
    fs::write(path("a-2-eth0"), &record[..40]).unwrap();
    fs::write(path("a-3-eth0"), &record).unwrap();
    fs::write(path("a-4-eth0"), r#"{"cniVersion": "0.4.0"}"#).unwrap();
    fs::create_dir(path("a-5-eth0")).unwrap();
    fs::write(path(".web-c2-eth0"), "not finished").unwrap();
    fs::write(folder.path().join("secret"), &record).unwrap();
    symlink(folder.path().join("secret"), path("a-6-eth0")).unwrap();
    let cached = cache.list().unwrap();
    assert_eq!(names(&cached), ["web c1"]);
    let broken: Vec<_> = cached.broken.iter().map(|error| error.path().to_owned()).collect();
    assert_eq!(broken, [1, 2, 3, 4, 5, 6].map(|i| path(&format!("a-{i}-eth0"))));
}

#[test]
fn one_file_is_one_attachments_record() {
    let (_folder, cache) = cache();
    let (mine, other) = (attached("a", "b-c"), attached("a-b", "c"));
    assert_eq!(cache.path_of(&mine.attachment()), cache.path_of(&other.attachment()));
    cache.write(&other).unwrap();
    let error = cache.read(&mine.attachment()).unwrap_err();
    assert!(matches!(&error, CacheError::Taken { other: taken, .. } if **taken == other.attachment()), "{error}");
    assert!(cache.admit(&mine.attachment()).is_err());
    assert!(cache.admit(&other.attachment()).is_ok());
    cache.remove(&mine.attachment()).unwrap();
    assert_eq!(cache.read(&other.attachment()).unwrap(), Some(other));
}

#[test]
fn a_name_too_long_for_a_file_is_not_admitted() {
    let (_folder, cache) = cache();
    cache.write(&attached("a", "b")).unwrap();
    let error = cache.admit(&attached("n", &"c".repeat(250)).attachment()).unwrap_err();
    assert!(matches!(error, CacheError::File { action: "read", .. }), "{error}");
}

#[test]
fn a_result_alone_is_read_for_whom_it_is_looked_up() {
    let (_folder, cache) = cache();
    let attachment = attached("web", "c1").attachment();
    fs::create_dir_all(cache.folder.path()).unwrap();
    let result = json!({"cniVersion": "0.4.0", "interfaces": [
        {"name": "veth1"}, {"name": "eth0", "sandbox": "/run/netns/c1"}
    ]});
    fs::write(cache.path_of(&attachment), result.to_string()).unwrap();
    let found = cache.read(&attachment).unwrap().unwrap();
    assert_eq!((&found.result, &found.config), (&result, &None));
    assert_eq!(found.endpoint.netns.as_deref(), Some("/run/netns/c1".as_ref()));
}
