//! The program that keeps leases is ferrocni's `dhcp daemon`; this command becomes it.

use std::os::unix::process::CommandExt as _;
use std::process::Command;

use serde_json::Value;

use crate::error::Error;
use crate::places;

pub(super) fn run() -> Result<Value, Error> {
    let program = places::find_plugin("dhcp").ok_or_else(|| Error::NoDhcp(places::plugin_path()))?;
    let source = Command::new(&program).arg("daemon").exec();
    Err(Error::File { action: "run", path: program, source })
}
