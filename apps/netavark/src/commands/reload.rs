//! Putting the packet filter's rules back after something has flushed them.

use bridge::Bridge;
use cni::{Failures, Verb};
use cni_plugin::Call;
use cni_runtime::{Attached, Network};
use firewall::Firewall;
use firewalld::Reloads;
use netlink::{Netns, if_found};
use nftables::{Claim, Ruleset};
use portmap::Portmap;
use ptp::Ptp;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::error::{Error, chain, told};
use crate::records;

/// For all containers that are recorded and still there.
pub(super) fn run(arguments: &Arguments) -> Result<(), Error> {
    let (mut failures, mut restoration) = (Failures::new(), Restoration::default());
    let recorded = records::of(&arguments.config).list()?;
    for broken in recorded.broken {
        failures.note(Err::<(), _>(Error::from(broken)));
    }
    for attached in recorded.attached {
        failures.note(restoration.collect(&attached));
    }
    failures.note(Ruleset::open()?.restore(&restoration.claims).map_err(Error::from));
    Ok(failures.into_result()?)
}

/// Waits for firewalld's reloads, and reloads after each; without firewalld there is nothing to wait for.
pub(super) fn whenever_firewalld_reloads(arguments: &Arguments) -> Result<Value, Error> {
    let mut reloads = match Reloads::connect() {
        Err(error) if error.is_not_running() => return Ok(Value::Null),
        connected => connected?,
    };
    loop {
        // What fails now may work after the next one.
        run(arguments).unwrap_or_else(|error| eprintln!("{}", chain(&error)));
        reloads.wait()?;
    }
}

/// What has to come back, and what the plugins of all attachments share.
#[derive(Debug, Default)]
struct Restoration {
    claims: Vec<Claim>,
    host: firewall::Host,
    loopback: portmap::Loopback,
}

impl Restoration {
    /// What the attachment's plugins have in ferrocni's ruleset; what they have elsewhere is put back.
    fn collect(&mut self, attached: &Attached) -> Result<(), Error> {
        let netns = attached.endpoint.netns.as_deref().map_or(Ok(None), |path| if_found(Netns::open(path)))?;
        let (Some(network), true) = (attached.configured()?, netns.is_some()) else { return Ok(()) };
        let Self { claims, host, loopback } = self;
        for plugin in &network.list.plugins {
            let call = call(attached, &network, plugin)?;
            match plugin.kind.as_str() {
                "bridge" => bridge::restore(&call.check::<Bridge>()?, claims).map_err(told)?,
                "ptp" => ptp::restore(&call.check::<Ptp>()?, claims).map_err(told)?,
                "portmap" => portmap::restore(&call.check::<Portmap>()?, loopback, claims).map_err(told)?,
                "firewall" => firewall::restore(&call.check::<Firewall>()?, host, claims).map_err(told)?,
                _ => {}
            }
        }
        Ok(())
    }
}

fn call(attached: &Attached, network: &Network, plugin: &cni::PluginConfig) -> Result<Call, Error> {
    let endpoint = &attached.endpoint;
    let netns = endpoint.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    Ok(Call::new(endpoint.config(network, plugin, Verb::Check, Some(&attached.result))?)
        .container(endpoint.container.as_str())
        .ifname(endpoint.ifname.as_str())
        .netns(netns)
        .in_process())
}
