use std::io;

/// Why there is no tap.
#[derive(Debug, thiserror::Error)]
#[allow(missing_docs, reason = "the messages say what their fields are")]
pub enum Error {
    /// /dev/net/tun is missing, or no such device.
    #[error("cannot use /dev/net/tun: load the kernel module tun, or make the device visible here")]
    Open {
        #[source]
        source: io::Error,
    },
    /// The kernel would take this for another name, or for none.
    #[error("{name:?} cannot be the name of a tap: it has to have 1 to 15 bytes, and no % or NUL")]
    InvalidName { name: String },
    /// The name is taken in the namespace that the tap was to be made in.
    #[error("link {name} exists already")]
    Taken { name: String },
    /// The kernel refused to make it.
    #[error("cannot create tap {name}")]
    Create {
        name: String,
        #[source]
        source: io::Error,
    },
    /// The kernel refused to change it.
    #[error("cannot {action} tap {name}")]
    Change {
        /// What was to be done.
        action: &'static str,
        name: String,
        #[source]
        source: io::Error,
    },
    /// This kernel's taps have one queue.
    #[error("this kernel's taps cannot have several queues")]
    NoMultiQueue,
    /// An SELinux context was asked for.
    #[error("an SELinux context was asked for, but SELinux is not enabled on this host")]
    NoSelinux,
    /// Whether there is SELinux cannot be told.
    #[error("cannot look for SELinux in {folder}")]
    Selinux {
        folder: &'static str,
        #[source]
        source: io::Error,
    },
    /// The policy does not let this process become what was asked for, or does not know it.
    #[error("cannot enter SELinux context {context} to create tap {name}: does the policy know it, and allow it?")]
    Context {
        name: String,
        context: String,
        /// The errno: `EINVAL` for a context that the policy does not know, `EACCES` for one that it does not allow.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the name belongs to an interface already.
    #[must_use]
    pub fn is_exists(&self) -> bool {
        matches!(self, Error::Taken { .. })
    }
}
