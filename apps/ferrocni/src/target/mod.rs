//! Finding a container by what people call it, whichever runtime runs it.

mod engine;
pub(crate) mod name_servers;
mod nerdctl;
mod search;

pub(crate) use engine::{Engine, bare_id};
pub(crate) use nerdctl::Names;
pub(crate) use search::Target;
