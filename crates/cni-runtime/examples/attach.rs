//! A small cnitool: attaches a network namespace to a network.
//!
//!     attach add NETWORK CONTAINER NETNS
//!     attach check NETWORK CONTAINER
//!     attach del NETWORK CONTAINER
//!     attach list
//!
//! The interface is `eth0`. As with cnitool, plugins are in `CNI_PATH`, networks in `NETCONFPATH`, capability arguments in `CAP_ARGS`, as a
//! JSON object. `CNI_CACHE` is another folder than `/var/lib/cni`.

use std::env;
use std::error::Error;
use std::io::Write as _;
use std::process::ExitCode;

use cni_runtime::{Cache, Endpoint, Network, Networks, Runtime};

const USAGE: &str = "attach add NETWORK CONTAINER NETNS | check NETWORK CONTAINER | del NETWORK CONTAINER | list";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            let mut cause = error.source();
            while let Some(error) = cause {
                eprintln!("because: {error}");
                cause = error.source();
            }
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<(), Box<dyn Error>> {
    let runtime = Runtime::new(env::split_paths(&variable("CNI_PATH", "/opt/cni/bin")))?
        .with_cache(Cache::new(variable("CNI_CACHE", "/var/lib/cni")));
    match *arguments {
        ["add", network, container, netns] => add(&runtime, network, container, netns),
        ["check", network, container] => {
            let (network, endpoint) = attached(&runtime, network, container)?;
            Ok(runtime.check(&network, &endpoint)?)
        }
        ["del", network, container] => {
            let (network, endpoint) = attached(&runtime, network, container)?;
            Ok(runtime.del(&network, &endpoint)?)
        }
        ["list"] => list(&runtime),
        _ => Err(USAGE.into()),
    }
}

fn variable(name: &str, default: &str) -> String {
    env::var(name).unwrap_or_else(|_| default.to_owned())
}

fn configured(name: &str) -> Result<Network, Box<dyn Error>> {
    let networks = Networks::load(variable("NETCONFPATH", "/etc/cni/net.d"))?;
    Ok(networks.find(name)?.clone())
}

fn add(runtime: &Runtime, network: &str, container: &str, netns: &str) -> Result<(), Box<dyn Error>> {
    let mut endpoint = Endpoint::new(container, "eth0")?.in_netns(netns);
    endpoint.capability_args = serde_json::from_str(&variable("CAP_ARGS", "{}"))?;
    let attached = runtime.add(&configured(network)?, &endpoint)?;
    Ok(writeln!(std::io::stdout(), "{}", attached.result)?)
}

/// As it was attached, whoever did that. What is not attached can be detached all the same.
fn attached(runtime: &Runtime, network: &str, container: &str) -> Result<(Network, Endpoint), Box<dyn Error>> {
    let configured = configured(network)?;
    let endpoint = Endpoint::new(container, "eth0")?;
    let Some(attached) = runtime.cache().read(&endpoint.on(configured.name()))? else {
        return Ok((configured, endpoint));
    };
    Ok((attached.configured()?.unwrap_or(configured), attached.endpoint))
}

fn list(runtime: &Runtime) -> Result<(), Box<dyn Error>> {
    let cached = runtime.cache().list()?;
    for attached in &cached.attached {
        writeln!(std::io::stdout(), "{}", attached.attachment())?;
    }
    for broken in &cached.broken {
        eprintln!("{broken}");
    }
    Ok(())
}
