#![doc = include_str!("../README.md")]

mod config;
mod error;
mod host_end;
mod ifb;
mod limit;

use cni_plugin::{Add, AddResult, Attachment, Check, Del, Failures, Gc, Plugin, SpecVersion, Status, Undo};
use container_interface::link;
use netlink::{Link, LinkKind, Socket, if_found};

pub use config::Config;
pub use error::Error;

use config::Limits;
use limit::Limit;

/// Limits how fast a container receives and sends.
#[derive(Debug)]
pub struct Bandwidth;

impl Plugin for Bandwidth {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "bandwidth";
    const ABOUT: &'static str = "limits how fast a container receives and sends";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::SINCE_0_3_0;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let mut result = request.network.chained_on()?.clone();
        let limits = request.network.config.limits()?;
        if limits == Limits::default() {
            return Ok(result);
        }
        let mut host = Socket::open()?;
        let end = host_end::find(&mut host, &request.netns, &request.attachment.ifname)?;
        if let Some(limit) = limits.ingress {
            host_end::limit(&mut host, &end, raised("ingress", limit, &end), undo)?;
        }
        if let Some(limit) = limits.egress {
            let limit = raised("egress", limit, &end);
            let ifb = ifb::create(&mut host, &request.attachment, end.mtu, limit, undo)?;
            host_end::redirect(&mut host, &end, ifb.index, undo)?;
            result.interfaces.push(link::describe_on_host(&ifb));
        }
        Ok(result)
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        let limits = request.network.config.limits().unwrap_or_default();
        let mut host = Socket::open()?;
        let ifbs = ifb::find_all(&mut host, &request.attachment)?;
        Ok(remove(&mut host, &request.attachment, limits, &ifbs)?)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        let limits = request.network.config.limits()?;
        if limits == Limits::default() {
            return Ok(());
        }
        let mut host = Socket::open()?;
        let end = host_end::find(&mut host, &request.netns, &request.attachment.ifname)?;
        if let Some(limit) = limits.ingress {
            host_end::check_limit(&mut host, &end, limit)?;
        }
        if let Some(limit) = limits.egress {
            let ifb = ifb::check(&mut host, &end, &request.attachment)?;
            host_end::check_limit(&mut host, &ifb, limit)?;
        }
        Ok(())
    }

    fn gc(request: &Gc<Config>) -> Result<(), Error> {
        let mut host = Socket::open()?;
        let mut failures = Failures::new();
        for (attachment, ifb) in link::find_stale(&mut host, request, "ifb")? {
            failures.note(remove(&mut host, &attachment, Limits::default(), &[ifb]));
        }
        Ok(failures.into_result()?)
    }

    fn status(request: &Status<Config>) -> Result<(), Error> {
        request.network.config.limits()?;
        let mut host = Socket::open()?;
        if !host.knows(LinkKind::Ifb)? {
            let (what, module, option) = ("ifb links", "ifb", "CONFIG_IFB");
            return Err(Error::NotInKernel { what, module, option });
        }
        if !host.knows_token_buckets()? {
            let (what, module, option) = ("token buckets", "sch_tbf", "CONFIG_NET_SCH_TBF");
            return Err(Error::NotInKernel { what, module, option });
        }
        Ok(())
    }
}

/// Takes away what an attachment was given. The links tell what the host's end was given: they go last.
fn remove(host: &mut Socket, attachment: &Attachment, limits: Limits, ifbs: &[Link]) -> Result<(), cni_plugin::Error> {
    host_end::release(host, attachment, limits, ifbs)?;
    let mut failures = Failures::new();
    for ifb in ifbs {
        failures.note(if_found(host.delete_link(ifb.index)).map_err(Error::from));
    }
    failures.into_result()
}

/// With a burst of less than a packet, large ones would never get through: the container is better off with a larger one.
fn raised(direction: &str, limit: Limit, link: &Link) -> Limit {
    let raised = limit.raised_for(link);
    if raised != limit {
        eprintln!(
            "bandwidth: \"{direction}Burst\" is {} bits, which is less than one packet of {} (MTU {}): \
             it is raised to {} bits",
            u64::from(limit.burst) * 8,
            link.name,
            link.mtu,
            u64::from(raised.burst) * 8
        );
    }
    raised
}
