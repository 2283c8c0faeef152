//! What the kernel keeps once for all ipvlan links on a parent, as the parent's port: mode and flag.

use cni_plugin::{Add, Undo};
use netlink::{Link, LinkKind, Socket};
use parent_interface::Agreement;

use crate::config::words;
use crate::{Config, Error};

/// Sees to it that the new link does not change the mode and the flag of those that are there. `parents` is a socket of the
/// parent's namespace.
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

/// For STATUS: an ADD would get past [`agree`].
pub(crate) fn probe(host: &mut Socket, parent: &Link, config: &Config) -> Result<(), Error> {
    match Agreement::existing_on(&parent.name)? {
        Some(agreement) if agreement.is_on(&config.terms(), None)? => Ok(()),
        _ => compare_with_visible(host, parent, config),
    }
}

/// Compares with the links of the parent's own namespace, where an administrator may have one to reach the containers by.
/// The parent may be one itself.
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
