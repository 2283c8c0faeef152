//! A plugin with a bug, for the tests of the runner: its ADD stops after a change.

use std::path::PathBuf;

use cni_plugin::{Add, AddResult, Check, Del, Error, Gc, Plugin, SpecVersion, Status, Undo};
use serde::Deserialize;

struct Faulty;

#[derive(Default, Deserialize)]
#[serde(default)]
struct Config {
    directory: PathBuf,
}

impl Plugin for Faulty {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "faulty";
    const ABOUT: &'static str = "stops after a change";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let file = request.network.config.directory.join("change");
        undo.push("remove the file", {
            let file = file.clone();
            move || std::fs::remove_file(file)
        });
        assert!(std::fs::write(file, "").is_err(), "this is a bug");
        Ok(AddResult::default())
    }

    fn del(_: &Del<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn check(_: &Check<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn gc(_: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}

cni_plugin::main!(Faulty);
