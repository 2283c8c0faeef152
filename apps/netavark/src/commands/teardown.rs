//! Disconnecting a container from networks: what is missing is done, and what fails keeps nothing else from being done.

use std::path::Path;

use bridge::Bridge;
use cni::{AddResult, Failures, Verb};
use cni_plugin::{Del, Plugin as _};
use cni_runtime::Cache;
use container_interface::veth;
use firewall::Firewall;
use ipvlan::Ipvlan;
use macvlan::Macvlan;
use nftables::{Claim, Ruleset};
use podman_network::{Driver, Mode, Network};
use portmap::Portmap;
use ptp::Ptp;
use suite::Labelled as _;

use super::{Request, Role};
use crate::arguments::Arguments;
use crate::attachment::{Attachment, Terms};
use crate::bridges::Bridges;
use crate::container::{Container, Part, is_for_driver, of_driver};
use crate::error::{Error, told};
use crate::ports::PortMapping;
use crate::predecessor::Predecessor;
use crate::program::Program;
use crate::{names, plugin, records, routes};

pub(super) fn run(arguments: &Arguments, netns: &Path, request: &Request) -> Result<(), Error> {
    let (role, value) = if is_for_driver(&request.value) {
        (Role::Driver, of_driver(&request.value))
    } else {
        (Role::NetworkProgram, request.value.clone())
    };
    let container = Container::from_json(&value, &request.from)?;
    let firewall = arguments.firewall()?;
    let terms = Terms { container: &container, netns, firewall, netns_for_all: netns, asks_gateways: false };
    let cache = records::of(&arguments.config);
    let mut failures = Failures::new();
    let mut leaving = Vec::new();
    for part in container.parts()? {
        leaving.extend(failures.note(look_at(arguments, terms, role, &part, &cache)).flatten());
    }
    disconnect(arguments, &container.port_mappings, &leaving, &cache, &mut failures);
    Ok(failures.into_result()?)
}

/// What is to be taken back here; what another program connected, it disconnects.
fn look_at(
    arguments: &Arguments,
    terms: Terms<'_>,
    role: Role,
    part: &Part<'_>,
    cache: &Cache,
) -> Result<Option<Leaving>, Error> {
    let network = Network::from_json(part.network)?;
    match role.driver(&network)? {
        Driver::Program(driver) => {
            let program = Program::find(&network.name, &driver, &arguments.plugin_directory)?;
            program.tear_down(terms.container, part, terms.netns).map(|()| None)
        }
        driver => Leaving::of(Attachment::to_disconnect(terms, part, network, driver)?, cache).map(Some),
    }
}

/// Rules before links, and bridges after them; the record last.
fn disconnect(
    arguments: &Arguments,
    ports: &[PortMapping],
    leaving: &[Leaving],
    cache: &Cache,
    failures: &mut Failures,
) {
    let predecessor = Predecessor::new(&arguments.config);
    failures.note(remove_rules(leaving));
    for one in leaving {
        failures.note(one.retire());
        failures.note(names::leave(&one.attachment, &one.reported));
        failures.note(predecessor.forget(&one.attachment, &one.reported, ports));
        failures.note(one.remove_link(cache));
    }
    let bridges = Bridges::new(&arguments.config);
    for one in leaving {
        failures.note(one.remove_bridge(&bridges, &predecessor));
    }
    for one in leaving {
        if failures.is_empty() {
            failures.note(cache.remove(&one.attachment.names).map_err(Error::from));
        }
    }
}

/// An attachment that is to be taken back.
#[derive(Debug)]
struct Leaving {
    attachment: Attachment,
    firewall: Option<Del<firewall::Config>>,
    portmap: Option<Del<portmap::Config>>,
    reported: AddResult,
}

impl Leaving {
    fn of(attachment: Attachment, cache: &Cache) -> Result<Self, Error> {
        // Podman may say another address than it did then.
        let recorded = records::result(cache, &attachment.names)?;
        let reported = recorded.map_or_else(|| attachment.reported(), Ok)?;
        let call = |kind| attachment.call(kind, Verb::Del, Some(&reported));
        Ok(Self {
            firewall: call("firewall")?.map(|call| call.del::<Firewall>()).transpose()?,
            portmap: call("portmap")?.map(|call| call.del::<Portmap>()).transpose()?,
            attachment,
            reported,
        })
    }

    /// All that it can have in ferrocni's ruleset.
    fn claims(&self) -> impl Iterator<Item = Claim> {
        let addresses = self.reported.ips.iter().map(|ip| ip.address);
        let masquerade = Claim {
            label: self.attachment.names.label(),
            link: None,
            elements: masquerade::elements(addresses).collect(),
        };
        let let_through = self.firewall.as_ref().and_then(firewall::removal);
        let published = self.portmap.as_ref().and_then(portmap::removal);
        [Some(masquerade), let_through, published].into_iter().flatten()
    }

    /// What follows the removal of the rules.
    fn retire(&self) -> Result<(), Error> {
        let cni::Attachment { network, container, .. } = &self.attachment.names;
        iptables::masquerade::remove(network.as_str(), container.as_str())
            .map_err(masquerade::Error::from)
            .map_err(told)?;
        self.portmap.as_ref().map_or(Ok(()), portmap::retire).map_err(told)
    }

    /// The interface, and the leases that it may have.
    fn remove_link(&self, cache: &Cache) -> Result<(), Error> {
        let attachment = &self.attachment;
        if let Driver::Plugin(_) = attachment.driver {
            return plugin::remove(cache, attachment);
        }
        let call = attachment.interface_call(Verb::Del, Some(&self.reported))?;
        match attachment.kind() {
            "macvlan" => Macvlan::del(&call.del::<Macvlan>()?).map_err(told)?,
            "ipvlan" => Ipvlan::del(&call.del::<Ipvlan>()?).map_err(told)?,
            "ptp" => Ptp::del(&call.del::<Ptp>()?).map_err(told)?,
            _ => {
                let request = call.del::<Bridge>()?;
                let mut failures = Failures::new();
                request.network.delete_and_release(siblings::ALL, &mut failures, || veth::delete(&request));
                failures.into_result()?;
            }
        }
        routes::remove(attachment.endpoint.netns.as_deref(), &attachment.network)
    }

    fn remove_bridge(&self, bridges: &Bridges, predecessor: &Predecessor) -> Result<(), Error> {
        match &self.attachment.driver {
            Driver::Bridge(bridge) if bridge.mode == Mode::Managed => {
                if bridges.remove_unused(bridge.name.as_str())? {
                    predecessor.forget_network(&self.attachment)?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }
}

/// In one transaction. What iptables and firewalld let through goes first: the elements tell whose it is.
fn remove_rules(leaving: &[Leaving]) -> Result<(), Error> {
    let mut ruleset = Ruleset::open()?;
    for request in leaving.iter().filter_map(|one| one.firewall.as_ref()) {
        firewall::withdraw(request, &mut ruleset).map_err(told)?;
    }
    let claims: Vec<Claim> = leaving.iter().flat_map(Leaving::claims).collect();
    ruleset.remove_all(&claims)?;
    Ok(())
}
