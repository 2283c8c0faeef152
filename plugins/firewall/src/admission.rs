use cni_plugin::{Add, AddResult, Attachment, Undo};
use nftables::Claim;

use crate::config::Backend;
use crate::member::Member;
use crate::{Config, Error, Host, forward, zone};

/// A container that is to be let through, for who inserts its claim together with others'.
#[derive(Debug)]
pub struct Admission<'a> {
    member: Member<'a>,
    backend: Backend,
    host: &'a Host,
}

impl<'a> Admission<'a> {
    /// What ADD has to do; `None` for a container without addresses. Many attachments share what is known of the `host`.
    ///
    /// # Errors
    /// What is wrong with the configuration, or with the result that it is chained on.
    pub fn new(request: &'a Add<Config>, host: &'a Host) -> Result<Option<Self>, Error> {
        Self::of(&request.network.config, &request.attachment, request.network.chained_on()?, host)
    }

    pub(crate) fn of(
        config: &'a Config,
        attachment: &'a Attachment,
        result: &'a AddResult,
        host: &'a Host,
    ) -> Result<Option<Self>, Error> {
        let member = Member::new(config, attachment, result)?;
        if member.addresses.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { member, backend: config.backend(host)?, host }))
    }

    /// What has to be in ferrocni's ruleset before [`Admission::carry_out`]: there DEL finds whose the addresses are.
    #[must_use]
    pub fn claim(&self) -> Claim {
        self.member.claim(self.backend)
    }

    /// Lets the container's traffic through the host's iptables and firewalld.
    ///
    /// # Errors
    /// Those of the backends.
    pub fn carry_out(&self, undo: &mut Undo) -> Result<(), Error> {
        forward::accept(&self.member, self.backend, self.host, undo)?;
        if self.backend == Backend::Firewalld { zone::bind(&self.member, undo) } else { Ok(()) }
    }
}
