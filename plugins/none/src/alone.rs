//! What is in the container besides `lo`.

use container_interface::loopback;
use netlink::{Link, LinkRef, Socket};

use crate::Error;

/// Name and kind of the tunnels that some kernels create in every new namespace. They are down and carry nothing until they
/// are configured (`net.core.fb_tunnels_only_for_init_net`, Documentation/admin-guide/sysctl/net.rst).
const FALLBACK_TUNNELS: [(&str, &str); 9] = [
    ("tunl0", "ipip"),
    ("gre0", "gre"),
    ("gretap0", "gretap"),
    ("erspan0", "erspan"),
    ("ip_vti0", "vti"),
    ("ip6_vti0", "vti6"),
    ("sit0", "sit"),
    ("ip6tnl0", "ip6tnl"),
    ("ip6gre0", "ip6gre"),
];

/// `lo` of a container that has no other interface.
pub(crate) fn loopback(inside: &mut Socket) -> Result<Link, Error> {
    let mut links = inside.links()?;
    let others: Vec<String> = links.iter().filter(|link| is_other(link)).map(|link| link.name.clone()).collect();
    if !others.is_empty() {
        return Err(Error::NotAlone { others });
    }
    links.retain(|link| link.name == loopback::NAME);
    links.pop().ok_or_else(|| netlink::Error::LinkNotFound { link: LinkRef::from(loopback::NAME) }.into())
}

fn is_other(link: &Link) -> bool {
    link.name != loopback::NAME && !is_fallback_tunnel(link)
}

fn is_fallback_tunnel(link: &Link) -> bool {
    let kind = link.kind.as_deref().unwrap_or_default();
    !link.up && FALLBACK_TUNNELS.contains(&(&link.name, kind))
}
