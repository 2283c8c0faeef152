//! A whole plugin: it leaves a file for each attached container.
//!
//! The key `panic` makes it run into a bug, which the tests of the runner need.

use std::path::PathBuf;

use cni_plugin::{Add, AddResult, Check, Code, Del, Error, Gc, Network, Plugin, SpecVersion, Status, Undo};
use serde::Deserialize;

struct Marker;

#[derive(Default, Deserialize)]
struct Config {
    directory: PathBuf,
    #[serde(default)]
    panic: bool,
}

fn file(network: &Network<Config>, container: impl AsRef<str>) -> PathBuf {
    network.config.directory.join(container.as_ref())
}

fn io(what: &str, file: &std::path::Path, error: &std::io::Error) -> Error {
    Error::new(Code::Io, format!("{what} {}", file.display())).with_details(error.to_string())
}

fn remove(file: &std::path::Path) -> Result<(), Error> {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io("remove", file, &error)),
        _ => Ok(()),
    }
}

impl Plugin for Marker {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "marker";
    const ABOUT: &'static str = "leaves a file for each attached container";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?.clone();
        let file = file(&request.network, &request.attachment.container);
        let made = file.clone();
        undo.push("remove the marker", move || remove(&made));
        std::fs::write(&file, "").map_err(|error| io("write", &file, &error))?;
        assert!(!request.network.config.panic, "this is a bug");
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        remove(&file(&request.network, &request.attachment.container))
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let file = file(&request.network, &request.attachment.container);
        std::fs::metadata(&file).map(drop).map_err(|error| io("look for", &file, &error))
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let directory = &request.network.config.directory;
        let is_valid = |name: &str| request.valid.iter().any(|attachment| attachment.container.as_str() == name);
        for entry in std::fs::read_dir(directory).map_err(|error| io("list", directory, &error))?.flatten() {
            if !is_valid(&entry.file_name().to_string_lossy()) {
                std::fs::remove_file(entry.path()).map_err(|error| io("remove", &entry.path(), &error))?;
            }
        }
        Ok(())
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let directory = &request.network.config.directory;
        let metadata = std::fs::metadata(directory).map_err(|error| io("look for", directory, &error));
        metadata.map(drop).map_err(|error| error.with_code(Code::Unavailable))
    }
}

cni_plugin::main!(Marker);
