//! The program that keeps leases is ferrocni's `dhcp daemon`; this command becomes it.

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::places;

pub(super) fn run() -> Result<Value, Error> {
    let folders = places::plugin_path();
    let Some(program) = places::find("dhcp", folders.split(':').map(Path::new)) else {
        return Err(Error::NoDhcp(folders));
    };
    let source = Command::new(&program).arg("daemon").exec();
    Err(Error::File { action: "run", path: program, source })
}
