//! What can be wrong with a plugin.

use std::fs::OpenOptions;

use cni::{Code, PluginType};
use cni_runtime::{Error, PluginError};

use crate::{Scene, endpoint, plugin_error};

/// What an ADD of one plugin ends with.
#[track_caller]
fn outcome(shell: &str) -> PluginError {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    scene.answer("one.ADD", shell);
    match scene.runtime.add(&network, &endpoint()).unwrap_err() {
        Error::NotAdded { source, .. } => plugin_error(*source),
        other => plugin_error(other),
    }
}

#[test]
fn a_plugins_own_error_is_told_with_what_it_wrote_to_stderr() {
    let error = outcome(r#"echo why >&2; echo '{"code": 7, "msg": "no", "details": "because"}'; exit 3"#);
    assert_eq!(error.code(), Code::InvalidConfig);
    let PluginError::Failed { plugin, source, stderr, .. } = &error else { panic!("{error:?}") };
    assert_eq!((plugin.as_str(), source.msg(), source.details()), ("one", "no", "because"));
    assert_eq!(stderr, "why\n");
    assert_eq!(error.to_string(), "plugin one: ADD failed (on standard error: why)");
}

#[test]
fn a_plugin_that_does_not_say_why_it_fails_is_quoted() {
    let error = outcome("echo whoops; exit 3");
    assert_eq!(error.to_string(), "plugin one: ADD failed (exit status: 3) and printed no error, but \"whoops\"");
    let error = outcome("exit 3");
    assert!(error.to_string().ends_with("and printed no error, but nothing"), "{error}");
}

#[test]
fn a_plugin_that_is_killed_is_told_apart() {
    let error = outcome("kill -9 $$");
    assert!(matches!(error, PluginError::Killed { signal: 9, .. }), "{error:?}");
}

#[test]
fn nonsense_is_no_result() {
    for nonsense in ["", "null", "[]", "{", "{\"ips\": [{\"address\": \"x\"}]}", "{\"cniVersion\": \"9.0.0\"}"] {
        let error = outcome(&format!("printf %s '{nonsense}'"));
        assert!(matches!(error, PluginError::NoAnswer { .. }), "{nonsense}: {error:?}");
    }
}

/// Once a pipe is full, writing waits.
#[test]
fn much_may_be_said_both_ways() {
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one"]);
    let much = "x".repeat(1 << 20);
    scene.answer(
        "one.ADD",
        r#"head -c 300000 /dev/zero >&2; printf '{"own": "'; head -c 300000 /dev/zero | tr '\0' x; echo '"}'"#,
    );
    let attached = scene.runtime.add(&network, &endpoint().with_capability_arg("all", much.into())).unwrap();
    assert_eq!(attached.result["own"].as_str().map(str::len), Some(300_000));
    assert!(scene.stdin("one.ADD").to_string().len() > 1 << 20);
}

#[test]
fn a_program_that_is_being_written_is_worth_another_try() {
    let scene = Scene::new();
    let one = PluginType::new("one").unwrap();
    std::fs::copy("/bin/true", scene.path("one")).unwrap();
    let _writer = OpenOptions::new().append(true).open(scene.path("one")).unwrap();
    let error = scene.runtime.versions(&one).unwrap_err();
    assert_eq!(error.code(), Code::TryAgainLater, "{error:?}");
}

#[test]
fn the_first_folder_that_has_a_plugin_counts() {
    let scene = Scene::new();
    scene.install(["one"]);
    let folders = [scene.path("nowhere"), scene.path("one"), scene.folder.path().to_owned()];
    let runtime = cni_runtime::Runtime::new(folders).unwrap();
    scene.answer("one.VERSION", "echo '{\"supportedVersions\": []}'");
    assert_eq!(runtime.versions(&PluginType::new("one").unwrap()).unwrap(), []);
    assert!(cni_runtime::Runtime::new(["/a:b"]).is_err());
}
