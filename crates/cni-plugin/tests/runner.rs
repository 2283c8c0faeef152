//! The runner around whole plugins, those of `examples`: what becomes of panics, and of replies that are not heard.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::{Value, json};

/// A folder for one test's markers.
struct Folder(PathBuf);

impl Folder {
    fn new(test: &str) -> Self {
        let path = std::env::temp_dir().join(format!("cni-plugin-{test}-{}", std::process::id()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn markers(&self) -> Vec<String> {
        let names = fs::read_dir(&self.0).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Cargo builds examples beside the folder of the tests.
fn example(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    exe.ancestors().nth(2).unwrap().join("examples").join(name)
}

fn run(verb: &str, config: &Value, stdout: Stdio) -> Output {
    run_in("/run/netns/c1".as_ref(), verb, config, stdout)
}

fn run_in(netns: &OsStr, verb: &str, config: &Value, stdout: Stdio) -> Output {
    let mut child = Command::new(example(config["type"].as_str().unwrap()))
        .env_clear()
        .envs([("CNI_COMMAND", verb), ("CNI_CONTAINERID", "c1"), ("CNI_IFNAME", "eth0"), ("CNI_PATH", "/nowhere")])
        .env("CNI_NETNS", netns)
        .stdin(Stdio::piped())
        .stdout(stdout)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may end before it has read everything.
    let _ = child.stdin.take().unwrap().write_all(config.to_string().as_bytes());
    child.wait_with_output().unwrap()
}

fn config(directory: &Path) -> Value {
    let result = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]});
    json!({"cniVersion": "1.1.0", "name": "n", "type": "marker", "directory": directory, "prevResult": result})
}

#[test]
fn an_add_prints_its_result_and_keeps_what_it_did() {
    let folder = Folder::new("add");
    let config = config(&folder.0);
    let output = run("ADD", &config, Stdio::piped());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(serde_json::from_slice::<Value>(&output.stdout).unwrap(), config["prevResult"]);
    assert_eq!(folder.markers(), ["n:c1:eth0"]);
}

#[test]
fn gc_removes_what_is_listed_no_more() {
    let folder = Folder::new("gc");
    let mut config = config(&folder.0);
    run("ADD", &config, Stdio::piped());
    let mut markers_after = |network: &str, key: &str, list: Value| {
        config["name"] = json!(network);
        config[key] = list;
        assert!(run("GC", &config, Stdio::piped()).status.success());
        folder.markers()
    };
    assert_eq!(markers_after("n", "another", json!(null)), ["n:c1:eth0"], "there is no list");
    let valid = "cni.dev/valid-attachments";
    assert_eq!(markers_after("m", valid, json!([])), ["n:c1:eth0"], "it is another network's");
    assert_eq!(markers_after("n", valid, json!([{"containerID": "c1", "ifname": "eth0"}])), ["n:c1:eth0"]);
    assert!(markers_after("n", valid, json!([])).is_empty());
}

/// Taken for none, or for another's, DEL would succeed and leave what is in there.
#[test]
fn a_namespace_that_cannot_be_told_is_an_error() {
    let folder = Folder::new("loop");
    let path = folder.0.join("loop");
    std::os::unix::fs::symlink(&path, &path).unwrap();
    for (netns, code, word) in [(path.as_os_str(), 5, "loop"), (OsStr::from_bytes(b"/run/netns/\xff"), 4, "CNI_NETNS")]
    {
        let output = run_in(netns, "DEL", &config(&folder.0), Stdio::piped());
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert!(reply["code"] == code && reply["msg"].as_str().unwrap().contains(word), "{reply}");
    }
}

#[test]
fn a_panic_becomes_an_error_reply_and_is_taken_back() {
    let folder = Folder::new("panic");
    let mut config = config(&folder.0);
    config["type"] = json!("faulty");
    let output = run("ADD", &config, Stdio::piped());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&reply["cniVersion"], &reply["code"]), (&json!("1.1.0"), &json!(999)), "{reply}");
    assert!(reply["details"].as_str().unwrap().contains("this is a bug"), "{reply}");
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert!(stderr.contains("faulty.rs"), "where the bug is, for its report: {stderr}");
    assert!(folder.markers().is_empty());
}

#[test]
fn a_result_that_cannot_be_printed_is_taken_back() {
    let folder = Folder::new("full");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let output = run("ADD", &config(&folder.0), full.into());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(folder.markers().is_empty());
}

#[test]
fn a_result_that_the_asked_version_has_no_form_for_is_taken_back() {
    let folder = Folder::new("form");
    let mut config = config(&folder.0);
    config["cniVersion"] = json!("0.2.0");
    config["prevResult"] = json!({"cniVersion": "1.1.0", "interfaces": [{"name": "eth0"}]});
    let output = run("ADD", &config, Stdio::piped());
    let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &reply["code"]), (Some(1), &json!(1)), "{reply}");
    assert!(folder.markers().is_empty());
}
