use cni_plugin::{Add, AddResult, Attachment, Undo};
use nftables::Claim;

use crate::config::Method;
use crate::published::Published;
use crate::{Config, Error, ingress, localhost, rules, stale};

/// Ports that are to be published, for who inserts their claim together with others'.
#[derive(Debug)]
pub struct Publication<'a> {
    pub(crate) published: Published<'a>,
    pub(crate) method: Method,
}

impl<'a> Publication<'a> {
    /// What ADD has to do; `None` where nothing is published.
    ///
    /// # Errors
    /// What is wrong with the configuration, that there is no result that it is chained on, or that this host answers a port for its
    /// cluster.
    pub fn new(request: &'a Add<Config>) -> Result<Option<Self>, Error> {
        let publication = Self::of(&request.network.config, &request.attachment, request.network.chained_on()?)?;
        publication.as_ref().map_or(Ok(()), |publication| ingress::refuse(&publication.published))?;
        Ok(publication.map(|publication| publication.beside(request.network.has_foreign("bandwidth"))))
    }

    /// Whether there is another suite's `bandwidth`.
    fn beside(mut self, bandwidth: bool) -> Self {
        self.published.leaves_ingress = bandwidth;
        self
    }

    pub(crate) fn of(
        config: &'a Config,
        attachment: &'a Attachment,
        result: &AddResult,
    ) -> Result<Option<Self>, Error> {
        let (published, method) = (Published::new(config, attachment, result), config.method()?);
        Ok((!published.is_empty()).then_some(Self { published, method }))
    }

    /// What has to be in ferrocni's ruleset before [`Publication::carry_out`]; `None` where iptables does it.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        matches!(self.method, Method::Nftables).then(|| rules::claim(&self.published))
    }

    /// The rest: iptables' rules, the way from the host's loopback addresses, an end to connections that led elsewhere.
    ///
    /// # Errors
    /// The step that failed.
    pub fn carry_out(&self, undo: &mut Undo) -> Result<(), Error> {
        if let Method::Iptables(masquerading) = &self.method {
            rules::insert_by_iptables(&self.published, masquerading, undo)?;
        }
        // The host may answer it since a moment ago. Its agent looks as well, after it has begun to.
        ingress::refuse(&self.published)?;
        localhost::open(&self.published, &self.method)?;
        stale::forget_earlier(&self.published)
    }
}
