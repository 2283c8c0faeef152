//! A container's link on a network: made, and then set up.

use bridge::{Bridge, Connection};
use cni::{AddResult, Verb};
use cni_plugin::{Add, Plugin, Undo};
use cni_runtime::Cache;
use container_interface::veth;
use ipvlan::Ipvlan;
use macvlan::Macvlan;
use masquerade::Rules;
use netlink::{Netns, Socket};
use podman_network::{Driver, Mode};
use ptp::Ptp;

use crate::attachment::Attachment;
use crate::bridges::{self, Bridges};
use crate::error::{Error, told};
use crate::plugin;

/// A link that a container has, or is about to have.
#[derive(Debug)]
pub(crate) enum Link {
    /// The pair is there, and the container's end of it down.
    Connected { request: Box<Add<bridge::Config>>, connection: Box<Connection> },
    /// All is done.
    Complete(AddResult),
}

impl Link {
    /// Makes the link, with all that it needs on the host but rules.
    pub(crate) fn make(
        attachment: &Attachment,
        bridges: &Bridges,
        cache: &Cache,
        undo: &mut Undo,
    ) -> Result<Self, Error> {
        if let Driver::Plugin(_) = attachment.driver {
            return Ok(Self::Complete(plugin::make(cache, attachment, undo)?));
        }
        let call = attachment.interface_call(Verb::Add, None)?;
        match &attachment.driver {
            Driver::Bridge(bridge) => {
                bridges.undo(bridge, undo);
                let _kept = (bridge.mode == Mode::Managed).then(|| bridges.keep()).transpose()?;
                Self::connect(attachment, bridge, call.add::<Bridge>()?, undo)
            }
            _ => {
                let result = match attachment.kind() {
                    "macvlan" => Macvlan::add(&call.add::<Macvlan>()?, undo).map_err(told)?,
                    "ipvlan" => Ipvlan::add(&call.add::<Ipvlan>()?, undo).map_err(told)?,
                    _ => Ptp::add(&call.add::<Ptp>()?, undo).map_err(told)?,
                };
                Ok(Self::Complete(result))
            }
        }
    }

    fn connect(
        attachment: &Attachment,
        bridge: &podman_network::Bridge,
        request: Add<bridge::Config>,
        undo: &mut Undo,
    ) -> Result<Self, Error> {
        if bridge.vrf.is_some() && bridge.mode == Mode::Managed {
            let link = bridge::ensure(&mut Socket::open()?, &request.network.config).map_err(told)?;
            bridges::enter_vrf(&link, &attachment.network, bridge)?;
        }
        let connection = match bridge::connect(&request, undo) {
            // Podman gives a container that starts again another namespace, under the same names.
            Err(error) if error.is_attached_already() && is_stale(&request)? => bridge::connect(&request, undo),
            connected => connected,
        };
        let connection = connection.map_err(told)?;
        Ok(Self::Connected { request: Box::new(request), connection: Box::new(connection) })
    }

    /// What the plugin reports.
    pub(crate) fn result(&self) -> &AddResult {
        match self {
            Self::Connected { connection, .. } => connection.result(),
            Self::Complete(result) => result,
        }
    }

    /// What has to be in the packet filter before it is set up.
    pub(crate) fn rules(&self) -> Option<Rules<'_>> {
        match self {
            Self::Connected { request, connection } => Some(connection.rules(request)),
            Self::Complete(_) => None,
        }
    }

    /// Sets the container's end up, with its addresses and default routes.
    pub(crate) fn set_up(self) -> Result<AddResult, Error> {
        match self {
            Self::Connected { request, connection } => connection.set_up(&request).map_err(told),
            Self::Complete(result) => Ok(result),
        }
    }
}

/// Whether what stood in the way was of a container that is gone; it is no more.
fn is_stale(request: &Add<bridge::Config>) -> Result<bool, Error> {
    veth::delete_stale(&request.attachment, &Netns::open(&request.netns)?).map_err(told)
}
