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

/// The keys of a plugin's `Config`, as its code spells them for serde. (Not those of other types within it.)
fn keys(code: &str) -> Vec<String> {
    let within = code.split("pub struct Config {").nth(1).and_then(|rest| rest.split("\n}").next()).unwrap_or_default();
    let (mut keys, mut renamed) = (Vec::new(), None);
    for line in within.lines().map(str::trim) {
        if line.starts_with("#[") {
            renamed = line.split("rename = \"").nth(1).and_then(|rest| rest.split('"').next());
        } else if let Some((field, _)) = line.split_once(": ").filter(|_| !line.starts_with("//")) {
            let field = field.rsplit(' ').next().unwrap();
            keys.push(renamed.take().map_or_else(|| camel_case(field), str::to_owned));
        }
    }
    keys
}

fn camel_case(field: &str) -> String {
    let mut words = field.split('_');
    let first = words.next().unwrap().to_owned();
    words.fold(first, |name, word| name + &word[..1].to_uppercase() + &word[1..])
}

#[test]
fn no_key_lacks_a_line_in_its_page_or_a_mutation() {
    /// Not the plugin's own, or (bandwidth's `limits`) no keys.
    const OTHERS: [&str; 6] = ["runtimeConfig", "args", "capabilities", "ipam", "limits", "bySubnet"];
    /// Any path is right, and a test host shares the machine's files.
    const UNMUTATED: [&str; 1] = ["dataDir"];
    let mutated = text("tests/conformance/mutations.rs") + &text("tests/src/scene.rs");
    let mut lacking = Vec::new();
    for (plugin, folder) in suite() {
        let Ok(code) = fs::read_to_string(folder.join("src/config.rs")) else { continue };
        let page = fs::read_to_string(folder.join("README.md")).unwrap();
        for key in keys(&code).into_iter().filter(|key| !OTHERS.contains(&&**key)) {
            if !page.contains(&format!("`{key}`")) {
                lacking.push(format!("{plugin}: {key}: a line in its README.md"));
            }
            if !mutated.contains(&format!("\"{key}\"")) && !UNMUTATED.contains(&&*key) {
                lacking.push(format!("{plugin}: {key}: a value in tests/conformance/mutations.rs"));
            }
        }
    }
    assert!(lacking.is_empty(), "{lacking:#?}");
}
