//! CHECK: both ends of the link against what ADD reported, and the host's route to the container.

use cni_plugin::Check;
use container_interface::{point_to_point, routed, veth};
use netlink::{Netns, Socket};

use crate::{Config, Error};

/// Compares the link with the attachment's result.
pub(crate) fn attachment(request: &Check<Config>) -> Result<(), Error> {
    let attachment = &request.attachment;
    let ips: Vec<_> = request.expected.ips_of(attachment.ifname.as_str()).cloned().collect();
    // The result lists the routes that the IPAM plugin gave; those that make the link what it is are there as well.
    let mut expected = (*request.expected).clone();
    expected.routes.extend(point_to_point::routes(&ips));

    let netns = Netns::open(&request.netns)?;
    let inside = container_interface::check(&netns, &attachment.ifname, &expected)?;
    let mut host = Socket::open()?;
    let end = veth::check_host_end(&mut host, &inside, &netns, attachment)?;
    Ok(routed::check(&mut host, &end, attachment, &ips)?)
}
