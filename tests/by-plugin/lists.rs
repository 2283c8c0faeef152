//! The places that every plugin has to be in: CONTRIBUTING's steps, checked.

use std::fs;
use std::path::Path;

use tests::scene::{BY_KERNEL_FEATURE, PLUGINS};
use tests::suite;

fn text(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn no_list_forgets_a_plugin() {
    let (readme, siblings, faults) =
        (text("README.md"), text("ipam/siblings/src/lib.rs"), text("tests/faults/main.rs"));
    let mut forgotten = Vec::new();
    for (plugin, folder) in suite() {
        let kind = folder.parent().unwrap().file_name().unwrap().to_string_lossy().into_owned();
        let gives_addresses = kind == "ipam";
        let places = [
            ("the table in README.md", readme.contains(&format!("({kind}/{plugin}/README.md)"))),
            ("README.md in its folder, with its keys", folder.join("README.md").exists()),
            ("PLUGINS or BY_KERNEL_FEATURE in tests/src/scene.rs", {
                PLUGINS.contains(&&*plugin) || BY_KERNEL_FEATURE.contains(&&*plugin)
            }),
            ("ALL in ipam/siblings", gives_addresses || siblings.contains(&format!("without_addresses(\"{plugin}\")"))),
            ("plugins! in tests/faults/main.rs", faults.contains(&format!(": \"{plugin}\"\n"))),
        ];
        forgotten.extend(
            places.into_iter().filter(|(_, is_there)| !is_there).map(|(place, _)| format!("{plugin}: {place}")),
        );
    }
    assert!(forgotten.is_empty(), "missing: {forgotten:#?}");
}
