//! VERSION.

use cni::{PluginType, SpecVersion};
use cni_runtime::PluginError;

use crate::{Scene, failing};

fn speaks(versions: &str) -> String {
    format!("echo '{{\"cniVersion\": \"1.0.0\", \"supportedVersions\": [{versions}]}}'")
}

#[test]
fn a_network_has_the_versions_of_all_its_plugins() {
    use SpecVersion::{V0_4_0, V1_0_0, V1_1_0};
    let scene = Scene::new();
    let network = scene.network("1.0.0", ["one", "two"]);
    scene.answer("one.VERSION", &speaks(r#""1.1.0", "1.0.0", "0.4.0""#));
    scene.answer("two.VERSION", &speaks(r#""0.3.1", "0.4.0", "1.0.0", "9.0.0""#));
    let one = PluginType::new("one").unwrap();
    assert_eq!(scene.runtime.versions(&one).unwrap(), [V0_4_0, V1_0_0, V1_1_0]);
    assert_eq!(scene.runtime.common_versions(&network).unwrap(), [V0_4_0, V1_0_0]);
    assert_eq!(scene.stdin("one.VERSION")["cniVersion"], "1.1.0");
}

#[test]
fn a_plugin_that_does_not_know_the_question_is_of_the_first_version() {
    let scene = Scene::new();
    scene.install(["one"]);
    let one = PluginType::new("one").unwrap();
    scene.answer("one.VERSION", &failing("unknown CNI_COMMAND: VERSION"));
    assert_eq!(scene.runtime.versions(&one).unwrap(), [SpecVersion::V0_1_0]);
    scene.answer("one.VERSION", &failing("no"));
    assert!(matches!(scene.runtime.versions(&one), Err(PluginError::Failed { .. })));
    scene.answer("one.VERSION", "echo '{\"cniVersion\": \"1.0.0\"}'");
    assert!(matches!(scene.runtime.versions(&one), Err(PluginError::NoAnswer { .. })));
}
