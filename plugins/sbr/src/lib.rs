#![doc = include_str!("../README.md")]

mod config;
mod error;
mod plan;
mod routing;

use cni_plugin::{Add, AddResult, Check, Del, Gc, Plugin, SpecVersion, Status, Undo};

pub use config::Config;
pub use error::Error;

/// Routes what a container sends by the address that it sends from.
#[derive(Debug)]
pub struct Sbr;

impl Plugin for Sbr {
    type Config = Config;
    type Error = Error;
    const NAME: &'static str = "sbr";
    const ABOUT: &'static str = "routes a container's packets by their source address";
    const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

    fn add(request: &Add<Config>, undo: &mut Undo) -> Result<AddResult, Error> {
        let result = request.network.chained_on()?;
        routing::apply(request, result, undo)?;
        Ok(result.clone())
    }

    fn del(request: &Del<Config>) -> Result<(), Error> {
        routing::remove(request)
    }

    fn check(request: &Check<Config>) -> Result<(), Error> {
        routing::check(request)
    }

    /// Rules and routes go with the container's namespace.
    fn gc(_request: &Gc<Config>) -> Result<(), Error> {
        Ok(())
    }

    fn status(_request: &Status<Config>) -> Result<(), Error> {
        Ok(())
    }
}
