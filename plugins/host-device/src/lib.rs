#![doc = include_str!("../README.md")]

mod config;
mod device;
mod error;
mod mark;
mod sysfs;
mod transfer;

use cni_plugin::{Add, AddResult, Check, Del, Delegate, Failures, Gc, Interface, Plugin, SpecVersion, Status, Undo};
use container_interface::Setup;
use container_interface::link::enter;
use netlink::{Link, Netns, Socket};
use suite::Labelled as _;

pub use config::Config;
pub use error::Error;

use device::Device;
use mark::Mark;

/// Moves devices of the host into containers.
#[derive(Debug)]
pub struct HostDevice;

impl Plugin for HostDevice {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "host-device";
    const ABOUT: &'static str = "moves a device of the host into a container";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let ipam = request.network.ipam(siblings::ALL)?;
        let device = Device::locate(request.network.config.selector()?)?;
        let netns = Netns::open(&request.netns)?;
        if device.is_in_userspace()? {
            let mut result = add_addresses(request, ipam.as_ref(), undo)?;
            list_interface(&mut result, userspace_interface(request));
            return Ok(result);
        }
        let (mut host, mut inside) = (Socket::open()?, Socket::open_in(&netns)?);
        let on_host = device.link(&mut host)?;
        let pci = device.pci_address(&on_host)?;
        let link = transfer::give(&mut host, &mut inside, &on_host, &netns, &request.attachment, undo)?;
        let mut result = add_addresses(request, ipam.as_ref(), undo)?;
        let mut described = container_interface::link::describe(&link, &request.netns);
        described.pci_id = pci.map(|address| address.as_str().to_owned()).unwrap_or_default();
        list_interface(&mut result, described);
        let config = &request.network.config;
        let setup = Setup {
            detect_duplicates: config.detect_duplicates(),
            router_advertisements: config.router_advertisements,
            ..Setup::new(&netns, &request.attachment.ifname, link.index, &result)
        };
        container_interface::configure(&mut inside, &setup, None)?;
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        request.network.delete_and_release(siblings::ALL, &mut failures, || take_back(request));
        Ok(failures.into_result()?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let device = Device::locate(request.network.config.selector()?)?;
        request.network.forward_to_ipam(siblings::ALL)?;
        let netns = Netns::open(&request.netns)?;
        if device.is_in_userspace()? {
            return Ok(());
        }
        check_mark(request, &container_interface::check(&netns, &request.attachment.ifname, &request.expected)?)
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut failures = Failures::new();
        failures.note(collect(request));
        failures.note(request.network.forward_to_ipam(siblings::ALL));
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        let config = &request.network.config;
        let ipam = request.network.ipam(siblings::ALL)?;
        if !config.leaves_it_to_the_runtime() {
            let device = Device::locate(config.selector()?)?;
            if !device.is_in_userspace()? {
                device.link(&mut Socket::open()?)?;
            }
        }
        Ok(ipam.map_or(Ok(()), |ipam| ipam.forward())?)
    }
}

/// What the IPAM plugin gives, if the network has one.
fn add_addresses(request: &Add<Config>, ipam: Option<&Delegate<'_>>, undo: &mut Undo) -> Result<AddResult, Error> {
    let mut result = match ipam {
        Some(ipam) => ipam.allocate(undo)?,
        None => AddResult::default(),
    };
    result.dns = request.network.config.dns.clone();
    Ok(result)
}

/// All addresses are those of the one interface.
fn list_interface(result: &mut AddResult, interface: Interface) {
    result.interfaces = vec![interface];
    for ip in &mut result.ips {
        ip.interface = Some(0);
    }
}

/// What a program in the container will make of the device: of that no more than the name is known.
fn userspace_interface(request: &Add<Config>) -> Interface {
    Interface::new(request.attachment.ifname.as_str()).inside(&request.netns)
}

fn take_back(request: &Del<Config>) -> Result<(), Error> {
    let device = match request.network.config.selector().and_then(Device::locate) {
        Err(unreadable @ Error::Sysfs { .. }) => return Err(unreadable),
        // What made the configuration wrong, or took the device off its bus, does not matter: the mark says everything.
        device => device.ok(),
    };
    if device.as_ref().map_or(Ok(false), Device::is_in_userspace)? {
        return Ok(());
    }
    let mut inside = enter(request.netns.as_deref())?;
    let is_of_reference =
        |inside: &mut Socket, link: &Link| device.as_ref().map_or(Ok(true), |device| device.can_be(inside, link));
    transfer::take_back(inside.as_mut(), &request.attachment, is_of_reference).map(drop)
}

/// Without its mark the device could not be given back as it was.
fn check_mark(request: &Check<Config>, link: &Link) -> Result<(), Error> {
    let attachment = &request.attachment;
    let mark = Mark::of(link).or_else(|| Mark::of_reference(link, attachment));
    if mark.is_some_and(|mark| mark.attachment == *attachment) {
        return Ok(());
    }
    let expected = format!("{}/ and the device's name", attachment.label());
    Err(container_interface::Error::differs("alias", &link.name, &expected, link.alias.as_deref().unwrap_or("none"))
        .into())
}

/// Devices that the kernel gave back to the host when their containers' namespaces vanished get their names back.
fn collect(request: &Gc<Config>) -> Result<(), Error> {
    let mut host = Socket::open()?;
    let mut failures = Failures::new();
    for link in host.links()? {
        if let Some(mark) = Mark::of(&link).filter(|mark| request.is_stale(&mark.attachment)) {
            failures.note(transfer::restore(&mut host, &link, &mark));
        }
    }
    Ok(failures.into_result()?)
}
