//! What a plugin is.

use cni::{AddResult, Error, SpecVersion};
use serde::de::DeserializeOwned;

use crate::host_network::HostNetwork;
use crate::network::Network;
use crate::request::{Add, Check, Del, Gc, Status};
use crate::undo::Undo;

/// A CNI plugin: five verbs, in the spec's order, none of which can be forgotten.
pub trait Plugin {
    /// The plugin's own configuration keys. An invalid value must not deserialize; a key may be missing. DEL and GC get the others if
    /// one does not deserialize.
    type Config: DeserializeOwned + Default;
    /// The plugin's error, which knows its CNI code.
    type Error: Into<Error>;
    /// The CNI `type`, which is the executable's name.
    const NAME: &'static str;
    /// The plugin's purpose in one line, printed when it is started without a command.
    const ABOUT: &'static str;
    /// The spec versions it speaks, oldest first.
    const VERSIONS: &'static [SpecVersion];
    /// What it does for a container that shares the host's network.
    const HOST_NETWORK: HostNetwork = HostNetwork::Refused;

    /// Refuses keys that exclude each other, which no key's own type can. It is asked before ADD, CHECK and STATUS. DEL and GC
    /// go on with what there is.
    ///
    /// # Errors
    /// Which keys, and why.
    fn validate(_network: &Network<Self::Config>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Connects a container. An undo is pushed before each change.
    ///
    /// # Errors
    /// Whatever kept it from connecting; the runner then rolls back.
    fn add(request: &Add<Self::Config>, undo: &mut Undo) -> Result<AddResult, Self::Error>;

    /// Disconnects a container. What is missing is done; failures are told after everything was tried.
    ///
    /// # Errors
    /// What is still there and should not be.
    fn del(request: &Del<Self::Config>) -> Result<(), Self::Error>;

    /// Compares the world with what ADD reported.
    ///
    /// # Errors
    /// What differs: expected and found.
    fn check(request: &Check<Self::Config>) -> Result<(), Self::Error>;

    /// Removes everything of this network that belongs to no valid attachment, and nothing else. It is not called by a runtime
    /// that has no list of valid attachments.
    ///
    /// # Errors
    /// What could not be removed.
    fn gc(request: &Gc<Self::Config>) -> Result<(), Self::Error>;

    /// Would an ADD succeed now?
    ///
    /// # Errors
    /// The reason if not. The runner makes code 50 of it, unless it is 51 or says that the request cannot be right.
    fn status(request: &Status<Self::Config>) -> Result<(), Self::Error>;
}
