#![doc = include_str!("../README.md")]

mod allowlist;
mod backup;
mod config;
mod container;
mod duplicates;
mod error;
mod key;
mod settings;

use std::sync::Arc;

use cni_plugin::{Add, AddResult, Check, Del, Failures, Gc, Plugin, SpecVersion, Status, Undo};
use netlink::{Netns, if_found};

pub use backup::kept;
pub use config::Config;
pub use error::Error;

use backup::{Backup, Kept};
use container::Container;
use settings::Settings;

/// Sets sysctls and properties of a container's interface.
#[derive(Debug)]
pub struct Tuning;

impl Plugin for Tuning {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "tuning";
    const ABOUT: &'static str = "sets sysctls and properties of a container's interface";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?;
        let ifname = &request.attachment.ifname;
        let wanted = Settings::wanted(&request.network, ifname)?;
        if wanted.is_empty() {
            return Ok(result.clone());
        }
        duplicates::refuse(&request.network.text())?;
        allowlist::verify(&request.network.config)?;
        let netns = Arc::new(Netns::open(&request.netns)?);
        netns.run(|| tune(request, &netns, &wanted, undo))??;
        Ok(wanted.shown_in(result, ifname))
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let backup = Backup::of(&request.network.config, &request.attachment);
        let Some(kept) = backup.read()? else { return Ok(()) };
        let Some(netns) = tuned_namespace(request, &kept)? else { return backup.remove() };
        let unrestored = container::restore(&netns, &request.attachment.ifname, &kept.settings);
        let is_final = unrestored.is_final;
        let mut failures = Failures::new();
        failures.note(unrestored.into_result());
        // Also if the kernel refused a value: it would refuse it again, and the container could never be deleted.
        if is_final {
            failures.note(backup.remove());
        }
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let ifname = &request.attachment.ifname;
        let wanted = Settings::wanted(&request.network, ifname)?;
        if wanted.is_empty() {
            return Ok(());
        }
        let found = Netns::open(&request.netns)?.run(|| Container::enter(ifname, &wanted)?.current(&wanted))??;
        wanted.compare(&found, ifname)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        backup::collect(&request.network.config, |label| suite::is_stale(request, label))
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        duplicates::refuse(&request.network.text())?;
        allowlist::verify(config)?;
        backup::probe(config)
    }
}

/// The namespace that ADD tuned; `None` if it no longer exists, or its path now belongs to another container.
fn tuned_namespace(request: &Del<Config>, kept: &Kept) -> Result<Option<Netns>, Error> {
    let Some(path) = &request.netns else { return Ok(None) };
    let Some(netns) = if_found(Netns::open(path))? else { return Ok(None) };
    Ok(kept.may_be_of(&netns)?.then_some(netns))
}

/// Runs inside the container: saves the present values, then sets the new ones.
fn tune(request: &Add<Config>, netns: &Arc<Netns>, wanted: &Settings, undo: &mut Undo) -> Result<(), Error> {
    let ifname = &request.attachment.ifname;
    let mut container = Container::enter(ifname, wanted)?;
    let before = container.current(wanted)?;
    let backup = Backup::of(&request.network.config, &request.attachment);
    let earlier = backup.keep(&before, netns)?;
    let (netns, ifname) = (Arc::clone(netns), ifname.clone());
    undo.push(format!("restore what was tuned on interface {ifname}"), move || {
        let mut failures = Failures::new();
        failures.note(container::restore(&netns, &ifname, &before).into_result());
        failures.note(backup.put_back(earlier));
        failures.into_result()
    });
    container.apply(wanted)
}
