//! Containers without a network namespace of their own: they share the host's, which is the plugin's too.

use std::os::unix::fs::MetadataExt;

use cni::{AddResult, Code, Error, Verb};

use crate::absence::is_absence;
use crate::call::Call;

/// What a plugin does when `CNI_NETNS` is the namespace that it runs in, the host's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum HostNetwork {
    /// It refuses, as the reference's plugins do, unless `CNI_NETNS_OVERRIDE=1`: a runtime that passes the host's namespace
    /// by mistake would have the host itself changed.
    Refused,
    /// It is chained, and has nothing to do after an interface plugin that reports the host's interfaces only, such as
    /// `host`. After any other it refuses.
    NothingToDo,
    /// It is made for such containers.
    Served,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// It goes to the plugin.
    Granted,
    /// The plugin has nothing to do.
    Idle,
}

/// Looks at `CNI_NETNS` before the plugin does.
///
/// # Errors
/// Code 8 if it is the plugin's own namespace and should not be, code 5 if that cannot be told.
pub(crate) fn admit(call: &Call, attitude: HostNetwork) -> Result<Admission, Error> {
    let matters = match attitude {
        HostNetwork::Refused => matches!(call.verb, Verb::Add | Verb::Del),
        HostNetwork::NothingToDo => matches!(call.verb, Verb::Add | Verb::Del | Verb::Check),
        HostNetwork::Served => false,
    };
    if !matters || call.netns.is_empty() || !is_own(&call.netns)? {
        return Ok(Admission::Granted);
    }
    if attitude == HostNetwork::NothingToDo {
        match call.config.result_before() {
            Some(result) if is_of_the_host(&result) => return Ok(Admission::Idle),
            // What it made is labelled, and can be taken back wherever the container is.
            None if call.verb == Verb::Del => return Ok(Admission::Granted),
            _ => {}
        }
    }
    if call.verb == Verb::Check || is_meant() { Ok(Admission::Granted) } else { Err(refusal(call)) }
}

/// A namespace that is gone belongs to no container.
fn is_own(path: &str) -> Result<bool, Error> {
    let Some(theirs) = identity(path)? else { return Ok(false) };
    Ok(identity("/proc/self/ns/net")? == Some(theirs))
}

fn identity(path: &str) -> Result<Option<(u64, u64)>, Error> {
    match std::fs::metadata(path) {
        Ok(file) => Ok(Some((file.dev(), file.ino()))),
        Err(error) if is_absence(&error) => Ok(None),
        Err(error) => {
            Err(Error::new(Code::Io, format!("look at network namespace {path}")).with_details(error.to_string()))
        }
    }
}

/// None of its interfaces is inside a container. (Results older than 0.3.0 list no interfaces at all.)
fn is_of_the_host(result: &AddResult) -> bool {
    result.interfaces.iter().all(|interface| interface.sandbox.is_empty())
}

fn is_meant() -> bool {
    std::env::var("CNI_NETNS_OVERRIDE").is_ok_and(|value| value == "1" || value == "true")
}

fn refusal(call: &Call) -> Error {
    Error::new(
        Code::InvalidNetns,
        format!("CNI_NETNS {} is the namespace that this plugin runs in, not a container's", call.netns),
    )
    .with_details("pass the container's network namespace, or set CNI_NETNS_OVERRIDE=1 if this is meant")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    /// What becomes of a call in the namespace that these tests run in.
    fn admitted(verb: Verb, attitude: HostNetwork, result: &Value) -> Option<Admission> {
        let call = Call { verb, ..Call::new(json!({"prevResult": result})).netns("/proc/self/ns/net") };
        admit(&call, attitude).map_err(|error| assert_eq!(error.code(), Code::InvalidNetns)).ok()
    }

    fn of_the_host() -> Value {
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "eth0"}], "ips": [{"address": "192.0.2.1/24"}]})
    }

    fn of_a_container() -> Value {
        json!({"cniVersion": "1.1.0", "interfaces": [{"name": "cni0"}, {"name": "eth0", "sandbox": "/run/netns/c"}]})
    }

    #[test]
    fn the_hosts_namespace_is_refused_unless_the_plugin_is_made_for_it() {
        for verb in [Verb::Add, Verb::Del] {
            assert_eq!(admitted(verb, HostNetwork::Refused, &of_the_host()), None);
            assert_eq!(admitted(verb, HostNetwork::Served, &json!(null)), Some(Admission::Granted));
        }
        assert_eq!(admitted(Verb::Check, HostNetwork::Refused, &of_the_host()), Some(Admission::Granted));
    }

    #[test]
    fn a_chained_plugin_rests_after_a_result_of_the_host() {
        let old = json!({"cniVersion": "0.2.0", "ip4": {"ip": "192.0.2.1/24"}});
        for verb in [Verb::Add, Verb::Check, Verb::Del] {
            for result in [&of_the_host(), &old] {
                assert_eq!(admitted(verb, HostNetwork::NothingToDo, result), Some(Admission::Idle));
            }
        }
    }

    #[test]
    fn a_chained_plugin_refuses_after_any_other() {
        for verb in [Verb::Add, Verb::Del] {
            assert_eq!(admitted(verb, HostNetwork::NothingToDo, &of_a_container()), None);
        }
        assert_eq!(admitted(Verb::Add, HostNetwork::NothingToDo, &json!(null)), None);
        assert_eq!(admitted(Verb::Del, HostNetwork::NothingToDo, &json!(null)), Some(Admission::Granted));
    }
}
