mod watch;

use std::process::ExitCode;

use cni::{PluginConfig, PluginType};
use cni_plugin::Call;
use cni_runtime::{Attached, Network};
use nftables::{Claim, Ruleset};

use crate::attachments::{Connection, Connections};
use crate::failure::{Failure, Outcomes, line};
use crate::host::Host;
use crate::output::{complain, print_line};

/// Put back the packet filter's rules of all attachments, after the ruleset was flushed or the firewall reloaded
///
/// What is in place stays as it is. The attachments are those of every runtime, as far as they are recorded.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on, and do it again whenever nftables' rules are flushed, and firewalld reloads or starts
    #[arg(long)]
    watch: bool,
    /// Only those of these networks
    networks: Vec<String>,
}

/// What a plugin does for an attachment whose rules were flushed.
type Restore = fn(&Call, &mut Vec<Claim>) -> Result<(), cni::Error>;

/// The plugins that have something in the packet filter.
fn restore_of(plugin: &PluginType) -> Option<Restore> {
    Some(match plugin.as_str() {
        "bridge" => |call, claims| restored(&call.check::<bridge::Bridge>()?, bridge::restore, claims),
        "ptp" => |call, claims| restored(&call.check::<ptp::Ptp>()?, ptp::restore, claims),
        "overlay" => {
            |call, claims| restored(&call.check::<overlay_plugin::Overlay>()?, overlay_plugin::restore, claims)
        }
        "portmap" => |call, claims| restored(&call.check::<portmap::Portmap>()?, portmap::restore, claims),
        "firewall" => |call, claims| restored(&call.check::<firewall::Firewall>()?, firewall::restore, claims),
        _ => return None,
    })
}

/// Errors are said as the plugin itself says them.
fn restored<R, E: Into<cni::Error>>(
    request: &R,
    restore: fn(&R, &mut Vec<Claim>) -> Result<(), E>,
    claims: &mut Vec<Claim>,
) -> Result<(), cni::Error> {
    restore(request, claims).map_err(Into::into)
}

pub(super) fn run(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    if args.watch {
        match watch::on_every_change(|| reload(host, args).map(drop))? {}
    }
    reload(host, args)
}

fn reload(host: &Host, args: &Args) -> Result<ExitCode, Failure> {
    let only = args.networks.iter().map(|name| host.network(name)).collect::<Result<Vec<_>, _>>()?;
    let connections = Connections::of_host(host)?;
    connections.broken.iter().for_each(|broken| complain(line(broken)));
    let (mut outcomes, mut claims, mut count) = (Outcomes::default(), Vec::new(), 0);
    let is_wanted =
        |one: &&Connection| only.is_empty() || only.iter().any(|network| *network.name() == one.recorded.network);
    for connection in connections.all.iter().filter(is_wanted) {
        if outcomes.note(connection.has_namespace().map_err(Failure::from)) == Some(true) {
            count += 1;
            outcomes.note(collect(&connection.recorded, &mut claims));
        }
    }
    outcomes.note(restore(&claims));
    print_line(format_args!("{count} attachments are as they were"))?;
    Ok(outcomes.status())
}

/// All at once, or each by itself where one of them cannot be: its port may be another's by now.
fn restore(claims: &[Claim]) -> Result<(), Failure> {
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

/// What the attachment's plugins had put into the packet filter.
fn collect(attached: &Attached, claims: &mut Vec<Claim>) -> Result<(), Failure> {
    let Some(network) = attached.configured()? else { return Ok(()) };
    for plugin in &network.list.plugins {
        if let Some(restore) = restore_of(&plugin.kind) {
            restore(&call(attached, &network, plugin)?, claims)
                .map_err(|error| error.within(&format!("{}, plugin {}", attached.attachment(), plugin.kind)))?;
        }
    }
    Ok(())
}

fn call(attached: &Attached, network: &Network, plugin: &PluginConfig) -> Result<Call, cni::Error> {
    let endpoint = &attached.endpoint;
    let netns = endpoint.netns.as_deref().map(|path| path.display().to_string()).unwrap_or_default();
    Ok(Call::new(attached.check_config(network, plugin)?)
        .container(endpoint.container.as_str())
        .ifname(endpoint.ifname.as_str())
        .netns(netns))
}
