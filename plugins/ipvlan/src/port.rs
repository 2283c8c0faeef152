//! The parent's port (`struct ipvl_port`, drivers/net/ipvlan): mode and flag, which all ipvlan links on a parent share.

use cni_plugin::{Add, Undo};
use netlink::{Link, LinkKind, Socket};
use parent_interface::Agreement;

use crate::config::words;
use crate::{Config, Error};

/// Makes sure that the new link does not change mode and flag of the existing ones. `parents` is a socket of the parent's
/// namespace.
pub(crate) fn agree(parents: &mut Socket, parent: &Link, request: &Add<Config>, undo: &mut Undo) -> Result<(), Error> {
    let config = &request.network.config;
    if config.link_in_container {
        return compare_with_visible(parents, parent, config);
    }
    let agreement = Agreement::on(&parent.name)?;
    if !agreement.is_on(&config.terms(), Some(&request.attachment))? {
        compare_with_visible(parents, parent, config)?;
    }
    Ok(agreement.join(&config.terms(), &request.attachment, &request.netns, undo)?)
}

/// For STATUS: [`agree`] would succeed in an ADD.
pub(crate) fn probe(host: &mut Socket, parent: &Link, config: &Config) -> Result<(), Error> {
    match Agreement::existing_on(&parent.name)? {
        Some(agreement) if agreement.is_on(&config.terms(), None)? => Ok(()),
        _ => compare_with_visible(host, parent, config),
    }
}

/// Compares with the links in the parent's own namespace: an administrator may have made one there to reach the containers.
/// The parent may be an ipvlan link itself.
fn compare_with_visible(parents: &mut Socket, parent: &Link, config: &Config) -> Result<(), Error> {
    let mut links = parents.links_on(parent.index, config.kind())?;
    links.push(parent.clone());
    for link in links {
        if let Some(LinkKind::Ipvlan { mode, isolation }) = link.options.filter(|kind| *kind != config.kind()) {
            let found = words(mode, isolation);
            let holder = format!("link {}", link.name);
            return Err(parent_interface::Error::other_terms(&parent.name, holder, found, &config.terms()).into());
        }
    }
    Ok(())
}
