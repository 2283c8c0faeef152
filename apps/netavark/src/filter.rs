//! What a container has in the packet filter because of one network, beyond masquerade.

use cni::{AddResult, Verb};
use cni_plugin::{Add, Undo};
use firewall::{Admission, Firewall, Host};
use nftables::Claim;
use portmap::{Portmap, Publication};

use crate::attachment::Attachment;
use crate::error::{Error, told};

/// What the plugins firewall and portmap are asked.
#[derive(Debug)]
pub(crate) struct Filter {
    firewall: Option<Add<firewall::Config>>,
    portmap: Option<Add<portmap::Config>>,
}

/// What they are going to do.
#[derive(Debug)]
pub(crate) struct Actions<'a> {
    admission: Option<Admission<'a>>,
    publication: Option<Publication<'a>>,
}

impl Filter {
    /// For a link with that result.
    pub(crate) fn of(attachment: &Attachment, result: &AddResult) -> Result<Self, Error> {
        let call = |kind| attachment.call(kind, Verb::Add, Some(result));
        Ok(Self {
            firewall: call("firewall")?.map(|call| call.add::<Firewall>()).transpose()?,
            portmap: call("portmap")?.map(|call| call.add::<Portmap>()).transpose()?,
        })
    }

    /// Many networks share what is known of the `host`.
    pub(crate) fn actions<'a>(&'a self, host: &'a Host) -> Result<Actions<'a>, Error> {
        let admission = |request| Admission::new(request, host);
        Ok(Actions {
            admission: self.firewall.as_ref().map(admission).transpose().map_err(told)?.flatten(),
            publication: self.portmap.as_ref().map(Publication::new).transpose().map_err(told)?.flatten(),
        })
    }
}

impl Actions<'_> {
    /// What has to be in ferrocni's ruleset first.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        let admitted = self.admission.as_ref().map(Admission::claim);
        let published = self.publication.as_ref().and_then(Publication::claim);
        admitted.into_iter().chain(published)
    }

    /// The rest.
    pub(crate) fn carry_out(&self, undo: &mut Undo) -> Result<(), Error> {
        self.admission.as_ref().map_or(Ok(()), |admission| admission.carry_out(undo)).map_err(told)?;
        self.publication.as_ref().map_or(Ok(()), |publication| publication.carry_out(undo)).map_err(told)
    }
}
