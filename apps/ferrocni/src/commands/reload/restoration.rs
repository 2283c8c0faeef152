//! Bringing back what the plugins of many attachments had put into the packet filter. What all of them need to know is found out once.

use std::collections::HashMap;
use std::sync::Arc;

use cni::{AddResult, PluginConfig};
use cni_plugin::{Call, Check, Plugin};
use cni_runtime::{Attached, Network};
use nftables::{Claim, Ruleset};
use serde_json::{Map, Value};

use crate::failure::Failure;

/// What of some attachments has to come back.
#[derive(Debug, Default)]
pub(super) struct Collection {
    /// Networks as attachments have recorded them: most are on the same few.
    networks: HashMap<String, Known>,
    found: Found,
}

/// What the plugins have asked for, and what they share.
#[derive(Debug, Default)]
struct Found {
    claims: Vec<Claim>,
    host: firewall::Host,
    loopback: portmap::Loopback,
}

/// A network and its plugins.
#[derive(Debug)]
struct Known {
    network: Network,
    parts: Vec<Part>,
}

impl Collection {
    /// Adds what the attachment's plugins had put into the packet filter. What is not in ferrocni's ruleset is back at once.
    pub(super) fn add(&mut self, attached: &Attached) -> Result<(), Failure> {
        let Some(config) = &attached.config else { return Ok(()) };
        let Known { network, parts } = match self.networks.get_mut(config) {
            Some(known) => known,
            None => self.networks.entry(config.clone()).or_insert(Known::of(Network::from_text(config)?)),
        };
        let within = |what: &str| format!("{}, {what}", attached.attachment());
        let result = Arc::new(attached.parsed_result().map_err(|error| error.within(&within("its result")))?);
        for (part, plugin) in parts.iter_mut().zip(&network.list.plugins) {
            let restored = part.restore(&One { attached, network, plugin, result: &result }, &mut self.found);
            restored.map_err(|error| error.within(&within(&format!("plugin {}", plugin.kind))))?;
        }
        Ok(())
    }

    pub(super) fn into_claims(self) -> Vec<Claim> {
        self.found.claims
    }
}

/// All at once, or each by itself where one of them cannot be: its port may be another's by now.
pub(super) fn restore(claims: &[Claim]) -> Result<(), Failure> {
    let mut ruleset = Ruleset::open()?;
    if ruleset.restore(claims).is_ok() {
        return Ok(());
    }
    let mut outcome = Ok(());
    for claim in claims {
        let restored = ruleset.insert(claim.holder(), &claim.elements);
        outcome = outcome.and(restored.map_err(Failure::from));
    }
    outcome
}

impl Known {
    fn of(network: Network) -> Self {
        let parts = network.list.plugins.iter().map(|plugin| Part::of(plugin.kind.as_str())).collect();
        Self { network, parts }
    }
}

/// A plugin that has something in the packet filter, or not.
#[derive(Debug)]
enum Part {
    Bridge(Last<bridge::Bridge>),
    Overlay(Last<overlay_plugin::Overlay>),
    Ptp(Last<ptp::Ptp>),
    Portmap(Last<portmap::Portmap>),
    Firewall(Last<firewall::Firewall>),
    Nothing,
}

impl Part {
    fn of(plugin: &str) -> Self {
        match plugin {
            "bridge" => Self::Bridge(Last::new()),
            "overlay" => Self::Overlay(Last::new()),
            "ptp" => Self::Ptp(Last::new()),
            "portmap" => Self::Portmap(Last::new()),
            "firewall" => Self::Firewall(Last::new()),
            _ => Self::Nothing,
        }
    }

    /// Errors are said as the plugin itself says them.
    fn restore(&mut self, one: &One<'_>, Found { claims, host, loopback }: &mut Found) -> Result<(), cni::Error> {
        match self {
            Self::Bridge(last) => Ok(bridge::restore(last.about(one)?, claims)?),
            Self::Overlay(last) => Ok(overlay_plugin::restore(last.about(one)?, claims)?),
            Self::Ptp(last) => Ok(ptp::restore(last.about(one)?, claims)?),
            Self::Portmap(last) => Ok(portmap::restore(last.about(one)?, loopback, claims)?),
            Self::Firewall(last) => Ok(firewall::restore(last.about(one)?, host, claims)?),
            Self::Nothing => Ok(()),
        }
    }
}

/// A plugin's part in an attachment.
struct One<'a> {
    attached: &'a Attached,
    network: &'a Network,
    plugin: &'a PluginConfig,
    result: &'a Arc<AddResult>,
}

/// The last CHECK that a plugin of a network was asked for, and the capability arguments that it had.
#[derive(Debug)]
struct Last<P: Plugin> {
    request: Option<Check<P::Config>>,
    arguments: Map<String, Value>,
}

impl<P: Plugin> Last<P> {
    fn new() -> Self {
        Self { request: None, arguments: Map::new() }
    }

    /// A CHECK of this attachment. The configuration is read again only if it differs: it is most of the work.
    fn about(&mut self, one: &One<'_>) -> Result<&Check<P::Config>, cni::Error> {
        let (endpoint, attachment) = (&one.attached.endpoint, one.attached.attachment());
        let (arguments, netns) = (endpoint.arguments_of(one.plugin), endpoint.netns.clone().unwrap_or_default());
        let last = match self.request.take() {
            Some(mut last) if self.arguments == arguments => {
                last.turn_to(attachment, netns, Arc::clone(one.result));
                last
            }
            _ => Call::new(one.attached.check_config(one.network, one.plugin))
                .container(endpoint.container.as_str())
                .ifname(endpoint.ifname.as_str())
                .netns(netns.display().to_string())
                .after(Arc::clone(one.result))
                .check::<P>()?,
        };
        self.arguments = arguments;
        Ok(self.request.insert(last))
    }
}
