//! A chained plugin that leaves a file for each attached interface.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use cni_plugin::{
    Add, AddResult, Attachment, Check, Code, Del, Error, Failures, Gc, Plugin, SpecVersion, Status, Undo,
};
use serde::Deserialize;

/// What CHECK fails with. Codes up to 99 are the specification's, those from 100 on are a plugin's own.
const MISSING: Code = Code::Other(100);

struct Marker;

/// The plugin's own keys. All have a default: DEL and GC go on without a key that does not fit.
#[derive(Deserialize)]
#[serde(default)]
struct Config {
    directory: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self { directory: "/run/marker".into() }
    }
}

impl Plugin for Marker {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "marker";
    const ABOUT: &'static str = "leaves a file for each attached interface";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?;
        let file = marker(&request.network.config, &request.attachment);
        // Before the change: it may be made, and its answer lost.
        undo.push("remove the marker", {
            let file = file.clone();
            move || remove(&file)
        });
        fs::write(&file, "").map_err(|error| failed("write", &file, &error))?;
        Ok(result.clone())
    }

    /// What is not there is removed.
    fn del(request: &Del<Config>) -> Result<(), Error> {
        remove(&marker(&request.network.config, &request.attachment))
    }

    /// Says what differs.
    fn check(request: &Check<Config>) -> Result<(), Error> {
        let file = marker(&request.network.config, &request.attachment);
        if file.try_exists().map_err(|error| failed("look for", &file, &error))? {
            return Ok(());
        }
        Err(Error::new(MISSING, format!("the marker of {} is missing", request.attachment))
            .with_details(format!("expected a file {}; attach the container anew", file.display())))
    }

    /// Removes what belongs to this network and to no valid attachment; goes on past failures, and reports all.
    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        for name in markers(&request.network.config)? {
            if holder(&name).is_some_and(|holder| request.is_stale(&holder)) {
                failures.note(remove(&request.network.config.directory.join(&name)));
            }
        }
        failures.into_result()
    }

    /// The runtime gets code 50 for whatever would make an ADD fail.
    fn status(request: &Status<Config>) -> Result<(), Error> {
        let directory = &request.network.config.directory;
        fs::read_dir(directory).map(drop).map_err(|error| failed("list", directory, &error))
    }
}

/// A file named after the attachment, so that DEL and GC need nothing else. None of the three words can hold a colon.
fn marker(config: &Config, Attachment { network, container, ifname }: &Attachment) -> PathBuf {
    config.directory.join(format!("{network}:{container}:{ifname}"))
}

fn holder(name: &OsStr) -> Option<Attachment> {
    let words: Vec<_> = name.to_str()?.split(':').collect();
    let [network, container, ifname] = words[..] else { return None };
    Attachment::new(network, container, ifname).ok()
}

fn markers(config: &Config) -> Result<Vec<OsString>, Error> {
    let directory = &config.directory;
    match fs::read_dir(directory).and_then(|entries| entries.map(|entry| Ok(entry?.file_name())).collect()) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        names => names.map_err(|error| failed("list", directory, &error)),
    }
}

fn remove(file: &Path) -> Result<(), Error> {
    match fs::remove_file(file) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", file, &error)),
        _ => Ok(()),
    }
}

fn failed(what: &str, file: &Path, error: &io::Error) -> Error {
    Error::new(Code::Io, format!("{what} {}", file.display())).with_details(error.to_string())
}

cni_plugin::main!(Marker);

#[cfg(test)]
mod tests {
    use super::*;
    use cni_plugin::Call;
    use serde_json::json;

    #[test]
    fn a_failed_add_leaves_nothing() -> Result<(), Error> {
        let directory = std::env::temp_dir();
        let result = json!({"cniVersion": "1.1.0", "ips": [{"address": "10.1.0.2/24"}]});
        let call = Call::new(json!({
            "cniVersion": "1.1.0", "name": "net", "type": "marker", "directory": directory, "prevResult": result
        }));
        let mut undo = Undo::new();
        Marker::add(&call.add::<Marker>()?, &mut undo)?;
        Marker::check(&call.check::<Marker>()?)?;
        assert!(undo.roll_back().is_empty(), "all of it could be taken back");
        let error = Marker::check(&call.check::<Marker>()?);
        assert_eq!(error.map_err(|error| error.code()), Err(MISSING));
        Ok(())
    }
}
