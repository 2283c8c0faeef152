//! Calling another plugin: executed from `CNI_PATH` as the spec says ("Section 4: Plugin Delegation"), or as a function
//! when it is one of our own siblings, which saves a process.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Output, Stdio};

use cni::{AddResult, Code, Error, PluginType, Program, SpecVersion, Verb};
use serde_json::Value;

use crate::call::Call;
use crate::plugin::Plugin;
use crate::undo::Undo;

/// Longest chain of plugins that call each other. Real ones have two or three: a plugin that reads its configuration
/// elsewhere, an interface plugin, an IPAM plugin.
const MAX_DEPTH: usize = 8;

/// The environment variable that tells an executed plugin how many have called one another before it. A cycle through
/// programs that know nothing of it ends as well, for they pass their environment on.
pub(crate) const DEPTH: &str = "CNI_DELEGATION_DEPTH";

/// A plugin of the same suite, about which something is known without looking.
#[derive(Debug, Clone, Copy)]
pub struct Sibling {
    name: &'static str,
    /// `None`: it is no IPAM plugin.
    linked: Option<Linked>,
}

/// The verbs of a plugin that is linked into this program.
#[derive(Debug, Clone, Copy)]
struct Linked {
    add: fn(&Call, &mut Undo) -> Result<AddResult, Error>,
    other: fn(&Call) -> Result<(), Error>,
}

impl Sibling {
    /// The IPAM plugin `P`, linked into this program, so that it can be called without a process.
    #[must_use]
    pub const fn of<P: Plugin>() -> Self {
        let linked = Linked { add: crate::runner::add::<P>, other: crate::runner::other::<P> };
        Self { name: P::NAME, linked: Some(linked) }
    }

    /// A plugin that gives no addresses. Named as `ipam.type`, an interface plugin would call the one that `ipam.type` names:
    /// itself, without end.
    #[must_use]
    pub const fn without_addresses(name: &'static str) -> Self {
        Self { name, linked: None }
    }

    /// Whether this is the plugin of that name, and gives no addresses.
    pub(crate) fn is_no_ipam(&self, kind: &PluginType) -> bool {
        self.name == kind.as_str() && self.linked.is_none()
    }
}

/// A plugin found in `CNI_PATH`, ready to be called with this call's verb, environment and configuration.
#[derive(Debug)]
pub struct Delegate<'a> {
    kind: PluginType,
    call: Call,
    how: How<'a>,
}

#[derive(Debug)]
enum How<'a> {
    Linked(&'a Linked),
    Executed(Program),
}

impl<'a> Delegate<'a> {
    pub(crate) fn find<'p>(
        kind: PluginType,
        call: Call,
        path: impl Iterator<Item = &'p Path>,
        siblings: &'a [Sibling],
    ) -> Result<Self, Error> {
        let linked =
            siblings.iter().find(|sibling| sibling.name == kind.as_str()).and_then(|found| found.linked.as_ref());
        if let Some(linked) = linked.filter(|_| call.is_in_process) {
            return Ok(Self { kind, call, how: How::Linked(linked) });
        }
        let found = Program::find(&kind, path).map_err(|unseen| Error::from_chain(Code::Io, &unseen))?;
        let Some(program) = found else {
            let code = if call.verb == Verb::Status { Code::Unavailable } else { Code::InvalidConfig };
            return Err(Error::new(code, format!("plugin {kind} is not in CNI_PATH ({})", call.path))
                .with_details("install it there, or correct the configuration's \"type\""));
        };
        let how = match linked {
            Some(linked) if is_beside_us(program.path()) => How::Linked(linked),
            _ if call.depth < MAX_DEPTH => How::Executed(program),
            _ => return Err(endless(&kind)),
        };
        Ok(Self { kind, call, how })
    }

    /// ADD. What the other plugin made is taken back with everything else if this ADD fails later.
    ///
    /// # Errors
    /// The other plugin's own error; code 6 if its answer is not a result.
    pub fn add(&self, undo: &mut Undo) -> Result<AddResult, Error> {
        match &self.how {
            How::Linked(linked) => (linked.add)(&self.call, undo),
            How::Executed(program) => {
                // Pushed first: a failed ADD is followed by a DEL too, since an executed plugin may not clean up itself.
                let (kind, call, callee) = (self.kind.clone(), self.call.clone(), program.clone());
                let label = format!("take back what plugin {kind} added");
                let take_back = move || execute(&kind, &callee, &Call { verb: Verb::Del, ..call }).map(drop);
                undo.push(label, take_back);
                let printed = execute(&self.kind, program, &self.call)?;
                let result: Value = serde_json::from_slice(&printed).map_err(|error| self.unreadable(&error))?;
                AddResult::from_json(&result, self.version())
                    .map_err(|error| error.within(&format!("plugin {}", self.kind)))
            }
        }
    }

    /// ADD of an IPAM plugin, which has to give an address. It is taken back after all else, whatever was made before this call:
    /// once an address is released another container may get it. Only where the interface is needed to release it does that come
    /// before all else.
    ///
    /// # Errors
    /// As [`Delegate::add`], and code 999 if it succeeds without giving one.
    pub fn allocate(&self, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = if self.needs_interface() {
            undo.before_all_else(|undo| self.add(undo))
        } else {
            undo.after_all_else(|undo| self.add(undo))
        }?;
        if result.ips.is_empty() {
            return Err(Error::new(Code::Internal, format!("IPAM plugin {} gave no address", self.kind))
                .with_details("correct the network's \"ipam\""));
        }
        Ok(result)
    }

    /// DEL, CHECK, GC or STATUS, whichever this plugin was called with.
    ///
    /// # Errors
    /// The other plugin's own error.
    pub fn forward(&self) -> Result<(), Error> {
        match &self.how {
            How::Linked(linked) => (linked.other)(&self.call),
            How::Executed(program) => execute(&self.kind, program, &self.call).map(drop),
        }
    }

    /// Whether its DEL has to come before the interface goes: dhcp tells its server over the interface, from the leased
    /// address (RFC 2131, section 4.4.4), that the address is free.
    pub(crate) fn needs_interface(&self) -> bool {
        self.kind.as_str() == "dhcp"
    }

    fn version(&self) -> SpecVersion {
        let text = self.call.config.version_text().unwrap_or_default();
        SpecVersion::negotiate(text, SpecVersion::ALL).unwrap_or(SpecVersion::LATEST)
    }

    fn unreadable(&self, error: &serde_json::Error) -> Error {
        Error::new(Code::Decode, format!("plugin {} printed no result", self.kind)).with_details(error.to_string())
    }
}

fn endless(kind: &PluginType) -> Error {
    Error::config(format!("plugin {kind} is not executed: {MAX_DEPTH} plugins have called one another before it"))
        .with_details(
            "one that \"ipam\" or \"type\" names leads back to one before it; name one that calls none of these",
        )
}

/// Whether a file is in the directory of the running program, symbolic links resolved. One of which that cannot be told is
/// executed, which comes to the same.
pub(crate) fn is_beside_us(file: &Path) -> bool {
    let Ok(us) = std::env::current_exe() else { return false };
    file.canonicalize().is_ok_and(|file| file.parent() == us.parent())
}

fn execute(kind: &PluginType, program: &Program, call: &Call) -> Result<Vec<u8>, Error> {
    let cannot = |error: std::io::Error| {
        // It is being installed.
        let code = if error.kind() == ErrorKind::ExecutableFileBusy { Code::TryAgainLater } else { Code::Io };
        Error::new(code, format!("run plugin {kind} ({})", program.path().display())).with_details(error.to_string())
    };
    let output = run(program, call).map_err(cannot)?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    let printed = serde_json::from_slice(&output.stdout).ok().and_then(|value| Error::from_json(&value));
    Err(printed.map_or_else(
        || {
            Error::new(Code::Internal, format!("plugin {kind} failed ({}) and printed no error", output.status))
                .with_details("what it wrote to stderr, if anything, is in the runtime's log")
        },
        |error| error.within(&format!("plugin {kind}")),
    ))
}

fn run(program: &Program, call: &Call) -> std::io::Result<Output> {
    let environment = [
        ("CNI_COMMAND", call.verb.as_str()),
        ("CNI_CONTAINERID", &call.container),
        ("CNI_NETNS", &call.netns),
        ("CNI_IFNAME", &call.ifname),
        ("CNI_ARGS", &call.args),
        ("CNI_PATH", &call.path),
        (DEPTH, &(call.depth + 1).to_string()),
    ];
    program.execute(environment, &serde_json::to_vec(&*call.config.value)?, Stdio::inherit())
}
