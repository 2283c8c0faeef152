//! Whose plugin it is.

use cni::{Attachment, Error, NetworkName};

/// The suite that a program belongs to: what its about text says, and what its plugins cannot have.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    pub(crate) name: &'static str,
    pub(crate) version: &'static str,
    pub(crate) release: &'static str,
    admit: fn(&Attachment) -> Result<(), Error>,
    keep: fn(&NetworkName) -> Result<Vec<Attachment>, Error>,
}

impl Suite {
    /// A suite of that name and version, which accepts every attachment.
    #[must_use]
    pub const fn new(name: &'static str, version: &'static str) -> Self {
        Self { name, version, release: version, admit: |_| Ok(()), keep: |_| Ok(Vec::new()) }
    }

    /// The version that clients go by when they decide what a plugin can do: of a drop-in, that of the suite which it replaces.
    #[must_use]
    pub const fn standing_for(self, release: &'static str) -> Self {
        Self { release, ..self }
    }

    /// Has each attachment judged before ADD changes anything: one whose names are too long for where this suite keeps them, for
    /// one, is better refused than made and lost.
    #[must_use]
    pub const fn admitting(self, judge: fn(&Attachment) -> Result<(), Error>) -> Self {
        Self { admit: judge, ..self }
    }

    /// Has GC keep these attachments of a network, in addition to those that the runtime lists: the suite may have made some of
    /// which no runtime knows.
    #[must_use]
    pub const fn keeping(self, living: fn(&NetworkName) -> Result<Vec<Attachment>, Error>) -> Self {
        Self { keep: living, ..self }
    }

    pub(crate) fn kept(&self, network: &NetworkName) -> Result<Vec<Attachment>, Error> {
        (self.keep)(network)
    }

    pub(crate) fn admit(&self, attachment: &Attachment) -> Result<(), Error> {
        (self.admit)(attachment)
    }
}

/// The whole of a plugin's `main.rs`: `cni_plugin::main!(MyPlugin);` makes the function `main`, which is [`run`](crate::run).
/// A plugin of a [`Suite`] names that as well; any other goes by its package.
///
/// The allocator is the program's choice. One that keeps what was freed suits a plugin: musl's returns it to the system at once,
/// to be safe against what programs with a longer life are exposed to.
#[macro_export]
macro_rules! main {
    ($plugin:ty) => {
        $crate::main!($plugin, $crate::Suite::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION")));
    };
    ($plugin:ty, $suite:expr) => {
        fn main() -> ::std::process::ExitCode {
            $crate::run::<$plugin>(&$suite)
        }
    };
}
