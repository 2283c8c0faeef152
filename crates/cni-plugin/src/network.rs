//! A network as configured, and the plugins that its configuration names.

use std::borrow::Cow;
use std::path::Path;
use std::sync::Arc;

use cni::{AddResult, Args, Error, Failures, NetworkName, PluginType, Program, SpecVersion, json};
use serde_json::Value;

use crate::call::Call;
use crate::configuration::Configuration;
use crate::delegate::{Delegate, Sibling, is_beside_us};

/// A network as configured: what ADD, DEL, CHECK, GC and STATUS have in common.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Network<C> {
    /// The network's name, the same for all plugins of a list.
    pub name: NetworkName,
    /// The spec version of the configuration, and so of the answer.
    pub version: SpecVersion,
    /// The plugin's own keys.
    pub config: C,
    /// What the plugins before this one in the chain, or the ADD before this CHECK or DEL, reported.
    pub prev_result: Option<Arc<AddResult>>,
    /// The pairs of `CNI_ARGS`, of which each plugin reads its own.
    pub args: Args,
    /// The call as received, for delegated plugins.
    pub(crate) call: Call,
}

impl<C> Network<C> {
    /// The result of the plugin before this one in the chain, for a plugin that cannot stand alone.
    ///
    /// # Errors
    /// Code 7 if there is none.
    pub fn chained_on(&self) -> Result<&AddResult, Error> {
        self.prev_result.as_deref().ok_or_else(|| {
            Error::config(format!("network {} has no result of a previous plugin (prevResult)", self.name))
                .with_details(
                    "this plugin is chained: put it after an interface plugin, such as bridge, in a .conflist",
                )
        })
    }

    /// Says on stderr, which runtimes keep, what is no reason to fail.
    pub fn note(&self, message: &str) {
        let kind = self.call.config.own_type().unwrap_or_default();
        eprintln!("{kind}: network {}: {message}", self.name);
    }

    /// Whether the configuration has a key, which need not be one of the plugin's. `null` counts as absent.
    #[must_use]
    pub fn has_key(&self, key: &str) -> bool {
        json::get(&self.call.config.value, key).is_some()
    }

    /// The configuration byte by byte as it was received, for what is lost when it is read: the first of two values of a
    /// key. What was never text has lost nothing.
    #[must_use]
    pub fn text(&self) -> Cow<'_, [u8]> {
        let Configuration { value, text } = &self.call.config;
        text.as_deref().map_or_else(|| value.to_string().into_bytes().into(), Cow::Borrowed)
    }

    /// The directories of `CNI_PATH`.
    pub fn path(&self) -> impl Iterator<Item = &Path> {
        self.call.path.split(':').filter(|dir| !dir.is_empty()).map(Path::new)
    }

    /// Whether the program of that name, as a runtime finds it, is another suite's: not in the folder that this one is in.
    #[must_use]
    pub fn has_foreign(&self, name: &str) -> bool {
        let found = PluginType::new(name).ok().and_then(|kind| Program::find(&kind, self.path()).ok()?);
        found.is_some_and(|program| !is_beside_us(program.path()))
    }

    /// Whether the configuration names a plugin that gives this network's addresses.
    ///
    /// # Errors
    /// Code 7 if that is no plugin's name.
    pub fn has_ipam(&self) -> Result<bool, Error> {
        Ok(self.call.config.ipam_type()?.is_some())
    }

    /// The plugin that gives this network's addresses; `None` if its configuration has no `ipam`.
    ///
    /// # Errors
    /// Code 7 if `ipam.type` is not an IPAM plugin's name; also if no such plugin is in `CNI_PATH`, or 50 when STATUS asks.
    pub fn ipam<'a>(&'a self, siblings: &'a [Sibling]) -> Result<Option<Delegate<'a>>, Error> {
        let Some(kind) = self.call.config.ipam_type()? else { return Ok(None) };
        // What calls an IPAM plugin is none itself, whatever it is called.
        let is_caller = self.call.config.own_type().is_some_and(|own| own == kind.as_str());
        if is_caller || siblings.iter().any(|sibling| sibling.is_no_ipam(&kind)) {
            return Err(Error::config(format!("\"ipam\": {{\"type\": {:?}}} is no IPAM plugin", kind.as_str()))
                .with_details("name one that gives addresses, such as host-local, static or dhcp"));
        }
        Delegate::find(kind, self.call.clone(), self.path(), siblings).map(Some)
    }

    /// The same for a plugin that is of no use without addresses.
    ///
    /// # Errors
    /// As [`Network::ipam`]; code 7 also if the configuration has no `ipam`.
    pub fn required_ipam<'a>(&'a self, siblings: &'a [Sibling]) -> Result<Delegate<'a>, Error> {
        self.ipam(siblings)?.ok_or_else(|| {
            Error::config(format!("network {} has no \"ipam\"", self.name)).with_details(
                "this plugin's interfaces need addresses: add \"ipam\": {\"type\": …} with a plugin such as host-local",
            )
        })
    }

    /// Has the IPAM plugin, if the network has one, do what this plugin is called for: DEL, CHECK, GC or STATUS.
    ///
    /// # Errors
    /// As [`Network::ipam`], and the IPAM plugin's own.
    pub fn forward_to_ipam(&self, siblings: &[Sibling]) -> Result<(), Error> {
        self.ipam(siblings)?.map_or(Ok(()), |ipam| ipam.forward())
    }

    /// DEL: deletes the interface, by `delete`, and has the IPAM plugin, if the network has one, release its addresses.
    /// Failures are noted in `failures`.
    ///
    /// The interface goes first, for once an address is released another container may get it: as long as anything that has to do
    /// with it could not be removed, it is kept. Only where the interface is needed to release the address does that come
    /// first.
    pub fn delete_and_release<E: Into<Error>>(
        &self,
        siblings: &[Sibling],
        failures: &mut Failures,
        delete: impl FnOnce() -> Result<(), E>,
    ) {
        let ipam = failures.note(self.ipam(siblings)).flatten();
        let (first, last) = match ipam {
            Some(ipam) if ipam.needs_interface() => (Some(ipam), None),
            other => (None, other),
        };
        if let Some(ipam) = first {
            failures.note(ipam.forward());
        }
        failures.note(delete());
        if let Some(ipam) = last.filter(|_| failures.is_empty()) {
            failures.note(ipam.forward());
        }
    }

    /// Another plugin, to be called with a configuration of its own: the same environment and verb, `config` on stdin.
    ///
    /// # Errors
    /// As [`Network::ipam`].
    pub fn delegate<'a>(
        &'a self,
        kind: PluginType,
        config: Value,
        siblings: &'a [Sibling],
    ) -> Result<Delegate<'a>, Error> {
        let call = Call { config: Configuration { value: config.into(), text: None }, ..self.call.clone() };
        Delegate::find(kind, call, self.path(), siblings)
    }
}
