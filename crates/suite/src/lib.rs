//! What the programs of this suite have in common: what they say of themselves, what they write on all that they make, and their
//! allocator.

mod label;
mod living;

#[doc(hidden)]
pub use dlmalloc::GlobalDlmalloc as Allocator;
pub use label::{BRIDGE, Labelled, MAX_LABEL, PREFIX, check, is_stale};

use cni_plugin::{Network, Suite};

/// ferrocni, which stands for that release of the reference suite: what clients expect of the one they get from the other. (nerdctl,
/// for one, isolates its networks from firewall 1.7.1 on, and does it by other means with an older one.)
pub const SUITE: Suite =
    Suite::new("ferrocni", env!("CARGO_PKG_VERSION")).standing_for("1.9.1").admitting(label::check).keeping(living::of);

/// Notes that a key has no effect, if the configuration has it: the reference suite ignores it there, so that a configuration may have
/// it who never noticed.
pub fn note_inert_key<C>(network: &Network<C>, key: &str, instead: &str) {
    if network.has_key(key) {
        network.note(&format!("\"{key}\" has no effect here, as in the reference suite: {instead}"));
    }
}

/// The whole of a plugin's `main.rs`: [`cni_plugin::main!`] of this suite, and an allocator that asks the system for memory
/// rarely.
///
/// musl's allocator returns what was freed at once, to be safe against what programs with a longer life are exposed to. A
/// plugin would spend a fifth of its system calls on that and be over before it could pay.
#[macro_export]
macro_rules! main {
    ($plugin:ty) => {
        #[global_allocator]
        static ALLOCATOR: $crate::Allocator = $crate::Allocator;

        ::cni_plugin::main!($plugin, $crate::SUITE);
    };
}
