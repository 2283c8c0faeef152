//! Which binaries are tested.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;
use std::{env, fs};

use serde_json::Value;

/// The folder of the plugins under test: `$CNI_BIN_DIR`, or where cargo puts the workspace's binaries.
///
/// # Panics
/// If the folder does not exist.
#[must_use]
pub fn bin_dir() -> PathBuf {
    let dir = env::var_os("CNI_BIN_DIR").map_or_else(built_binaries, PathBuf::from);
    dir.canonicalize().unwrap_or_else(|error| panic!("CNI_BIN_DIR {}: {error}", dir.display()))
}

/// The plugins of this suite with their folders: each folder of `plugins/` and `ipam/` with a `main.rs` is a program of that
/// name.
///
/// # Panics
/// If the folders cannot be read.
#[must_use]
pub fn suite() -> BTreeMap<String, PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let folders = ["plugins", "ipam"].map(|kind| fs::read_dir(root.join(kind)).expect("a folder of plugins"));
    let folders = folders.into_iter().flatten().map(|entry| entry.expect("an entry").path());
    let programs = folders.filter(|folder| folder.join("src/main.rs").exists());
    let name = |folder: &PathBuf| folder.file_name().expect("a name").to_string_lossy().into_owned();
    programs.map(|folder| (name(&folder), folder)).collect()
}

/// Whether the suite runs against the Go reference plugins instead of ours.
#[must_use]
pub fn is_reference() -> bool {
    static IS_GO: LazyLock<bool> = LazyLock::new(|| {
        // What every program has that Go's linker made.
        let mark = b"\xff Go buildinf:";
        let program = fs::read(bin_dir().join("bridge")).unwrap_or_default();
        program.windows(mark.len()).any(|bytes| bytes == mark)
    });
    *IS_GO
}

/// The newest CNI specification that the tested binaries speak: for the reference it depends on the release.
#[must_use]
pub fn newest_version() -> &'static str {
    static OF_THE_REFERENCE: LazyLock<String> = LazyLock::new(|| {
        let reply = Command::new(bin_dir().join("bridge")).env("CNI_COMMAND", "VERSION").stdin(Stdio::null()).output();
        let reply: Value = serde_json::from_slice(&reply.expect("run the reference's bridge").stdout).expect("JSON");
        let versions = reply["supportedVersions"].as_array().expect("a list of versions");
        versions.last().and_then(Value::as_str).expect("a version").to_owned()
    });
    if is_reference() { &OF_THE_REFERENCE } else { "1.1.0" }
}

/// True, after saying so, when the reference runs and is known not to do what this part of a test demands of ours. A test of
/// which nothing is left then is in `reference_differences.txt` instead, and is not run.
#[must_use]
pub fn reference_differs(why: &str) -> bool {
    if is_reference() {
        eprintln!("known difference of the reference: {why}");
    }
    is_reference()
}

/// A client that `scripts/test.sh` built for the tests, such as `cnitool`.
///
/// # Panics
/// If it has not been built.
#[must_use]
pub fn client(name: &str) -> PathBuf {
    let path = target_dir().join("clients").join(name);
    assert!(path.exists(), "{} is missing: run scripts/test.sh once, it builds it", path.display());
    path
}

/// Test executables are in `<target>/<triple>/<profile>/deps`, the binaries one folder above.
fn built_binaries() -> PathBuf {
    ancestor(|dir| dir.join("deps").is_dir())
}

/// Two folders above, wherever CARGO_TARGET_DIR says that is.
fn target_dir() -> PathBuf {
    let profile = built_binaries();
    profile.ancestors().nth(2).expect("cargo names a folder after the target").to_owned()
}

fn ancestor(is_it: impl Fn(&Path) -> bool) -> PathBuf {
    let exe = env::current_exe().expect("a test knows its own executable");
    exe.ancestors().find(|dir| is_it(dir)).expect("tests run from cargo's target directory").to_owned()
}
