//! Reading and setting the container's sysctls and the properties of its interface, from inside its namespace.

use cni_plugin::{Failures, IfName};
use netlink::{Link, Netns, Socket};

use crate::Error;
use crate::settings::Settings;

/// The container whose namespace the calling thread is in; with its interface, if one of its properties is set.
#[derive(Debug)]
pub(crate) struct Container(Option<(Socket, Link)>);

impl Container {
    /// Finds the interface, unless the settings are sysctls only.
    pub(crate) fn enter(ifname: &IfName, settings: &Settings) -> Result<Self, Error> {
        if !settings.concern_the_link() {
            return Ok(Self(None));
        }
        let mut socket = Socket::open()?;
        let link = socket.link(ifname.as_str())?;
        Ok(Self(Some((socket, link))))
    }

    /// The present values of these settings, without those of write-only sysctls.
    pub(crate) fn current(&self, settings: &Settings) -> Result<Settings, Error> {
        let mut current = self.0.as_ref().map(|(_, link)| settings.of_link(link)).unwrap_or_default();
        for (key, _) in &settings.sysctls {
            match key.read() {
                Ok(value) => current.sysctls.push((key.clone(), value)),
                Err(error) if error.is_write_only() => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(current)
    }

    /// Sets them, sysctls first.
    pub(crate) fn apply(&mut self, settings: &Settings) -> Result<(), Error> {
        for (key, value) in &settings.sysctls {
            key.write(value)?;
        }
        match &mut self.0 {
            Some((socket, link)) => Ok(socket.change_link(link.name.as_str(), &settings.change())?),
            None => Ok(()),
        }
    }
}

/// The failures of [`restore`].
#[derive(Debug)]
pub(crate) struct Unrestored {
    failures: Failures,
    /// Every failure is a refusal by the kernel, so trying again would not help.
    pub(crate) is_final: bool,
}

impl Unrestored {
    fn none() -> Self {
        Self { failures: Failures::new(), is_final: true }
    }

    fn note(&mut self, outcome: Result<(), Error>) {
        self.is_final &= outcome.as_ref().err().is_none_or(Error::is_refusal);
        self.failures.note(outcome);
    }

    pub(crate) fn into_result(self) -> Result<(), cni_plugin::Error> {
        self.failures.into_result()
    }
}

/// Sets what is still there to what it was before, and goes on past failures.
pub(crate) fn restore(netns: &Netns, ifname: &IfName, before: &Settings) -> Unrestored {
    let mut unrestored = Unrestored::none();
    if let Err(error) = netns.run(|| restore_inside(ifname, before, &mut unrestored)) {
        unrestored.note(Err(error.into()));
    }
    unrestored
}

fn restore_inside(ifname: &IfName, before: &Settings, unrestored: &mut Unrestored) {
    for (key, value) in &before.sysctls {
        match key.write(value) {
            Err(error) if error.is_not_found() => {}
            outcome => unrestored.note(outcome.map_err(Error::from)),
        }
    }
    if before.concern_the_link() {
        restore_link(ifname, before, unrestored);
    }
}

/// All at once; if that fails, one by one, because the kernel stops at the first property that it cannot set.
fn restore_link(ifname: &IfName, before: &Settings, unrestored: &mut Unrestored) {
    let mut socket = match Socket::open() {
        Ok(socket) => socket,
        Err(error) => return unrestored.note(Err(error.into())),
    };
    let mut change = |settings: &Settings| match socket.change_link(ifname.as_str(), &settings.change()) {
        Err(error) if !error.is_not_found() => Err(Error::from(error)),
        _ => Ok(()),
    };
    if change(before).is_ok() {
        return;
    }
    for property in before.properties_one_by_one().iter().filter(|property| !property.is_empty()) {
        unrestored.note(change(property));
    }
}
