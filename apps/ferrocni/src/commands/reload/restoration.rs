//! Bringing back what the plugins of many attachments had put into the packet filter. What all of them need to know is found out once.

use std::collections::HashMap;
use std::sync::Arc;

use cni::{AddResult, PluginConfig};
use cni_plugin::Call;
use cni_runtime::{Attached, Network};
use nftables::{Claim, Ruleset};

use crate::failure::Failure;

/// What has to come back.
#[derive(Debug, Default)]
pub(super) struct Restoration {
    /// Networks as attachments have recorded them: most are on the same few.
    networks: HashMap<String, Network>,
    plugins: Plugins,
}

/// What the plugins have asked for, and what they share.
#[derive(Debug, Default)]
struct Plugins {
    claims: Vec<Claim>,
    host: firewall::Host,
    loopback: portmap::Loopback,
}

impl Restoration {
    /// Adds what the attachment's plugins had put into the packet filter. What is not in ferrocni's ruleset is back at once.
    pub(super) fn collect(&mut self, attached: &Attached) -> Result<(), Failure> {
        let Some(config) = &attached.config else { return Ok(()) };
        let network = match self.networks.get(config) {
            Some(network) => network,
            None => self.networks.entry(config.clone()).or_insert(Network::from_text(config)?),
        };
        let within = |what: &str| format!("{}, {what}", attached.attachment());
        let result = Arc::new(attached.parsed_result().map_err(|error| error.within(&within("its result")))?);
        for plugin in &network.list.plugins {
            let call = || call(attached, network, plugin, &result);
            let restored = self.plugins.restore(plugin.kind.as_str(), call);
            restored.map_err(|error| error.within(&within(&format!("plugin {}", plugin.kind))))?;
        }
        Ok(())
    }

    /// All at once, or each by itself where one of them cannot be: its port may be another's by now.
    pub(super) fn carry_out(&self) -> Result<(), Failure> {
        let claims = &self.plugins.claims;
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
}

impl Plugins {
    /// The plugins that have something in the packet filter. Errors are said as the plugin itself says them.
    fn restore(&mut self, plugin: &str, call: impl Fn() -> Call) -> Result<(), cni::Error> {
        match plugin {
            "bridge" => Ok(bridge::restore(&call().check::<bridge::Bridge>()?, &mut self.claims)?),
            "overlay" => Ok(overlay_plugin::restore(&call().check::<overlay_plugin::Overlay>()?, &mut self.claims)?),
            "ptp" => Ok(ptp::restore(&call().check::<ptp::Ptp>()?, &mut self.claims)?),
            "portmap" => {
                let request = call().check::<portmap::Portmap>()?;
                Ok(portmap::restore(&request, &mut self.loopback, &mut self.claims)?)
            }
            "firewall" => {
                let request = call().check::<firewall::Firewall>()?;
                Ok(firewall::restore(&request, &self.host, &mut self.claims)?)
            }
            _ => Ok(()),
        }
    }
}

/// A CHECK of the plugin, which is asked for what it has.
fn call(attached: &Attached, network: &Network, plugin: &PluginConfig, result: &Arc<AddResult>) -> Call {
    let endpoint = &attached.endpoint;
    let netns = endpoint.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    Call::new(attached.check_config(network, plugin))
        .container(endpoint.container.as_str())
        .ifname(endpoint.ifname.as_str())
        .netns(netns)
        .after(Arc::clone(result))
}
