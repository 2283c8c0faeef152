//! What a runtime says: the environment and the configuration, which become a typed request.

use std::path::PathBuf;
use std::sync::Arc;

use cni::{AddResult, Args, Attachment, Code, ContainerId, Error, IfName, InvalidName, NetworkName, Verb};
use serde_json::Value;

use crate::configuration::{Configuration, ProtocolKeys};
use crate::delegate;
use crate::network::Network;
use crate::plugin::Plugin;
use crate::request::{Add, Check, Del, Gc, Status};

/// What a runtime says when it calls a plugin: the environment, and a network's configuration.
///
/// The runner reads it. In a test of a plugin it is made by hand, and becomes a request in the same way: names are judged, keys
/// read as Go does. The container is `c1`, the interface `eth0`, the namespace `/run/netns/c1`, unless said otherwise.
///
/// ```
/// # use cni_plugin::{Add, AddResult, Check, Del, Error, Gc, Plugin, SpecVersion, Status, Undo};
/// # struct Quiet;
/// # #[derive(Default, serde::Deserialize)]
/// # #[serde(default)]
/// # struct Config { mtu: u32 }
/// # impl Plugin for Quiet {
/// #     type Config = Config;
/// #     type Error = Error;
/// #     const NAME: &'static str = "quiet";
/// #     const ABOUT: &'static str = "does nothing";
/// #     const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;
/// #     fn add(request: &Add<Config>, _: &mut Undo) -> Result<AddResult, Error> { Ok(request.network.chained_on()?.clone()) }
/// #     fn del(_: &Del<Config>) -> Result<(), Error> { Ok(()) }
/// #     fn check(_: &Check<Config>) -> Result<(), Error> { Ok(()) }
/// #     fn gc(_: &Gc<Config>) -> Result<(), Error> { Ok(()) }
/// #     fn status(_: &Status<Config>) -> Result<(), Error> { Ok(()) }
/// # }
/// use cni_plugin::Call;
/// use serde_json::json;
///
/// let call = Call::new(json!({"cniVersion": "1.1.0", "name": "net", "type": "quiet", "MTU": 1400})).container("c2");
/// let request = call.add::<Quiet>()?;
/// assert_eq!((request.attachment.container.as_str(), request.network.config.mtu), ("c2", 1400));
/// assert!(Quiet::add(&request, &mut Undo::new()).is_err(), "it is chained, and there is no result before it");
/// # Ok::<(), Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Call {
    pub(crate) verb: Verb,
    pub(crate) container: String,
    pub(crate) netns: String,
    pub(crate) ifname: String,
    pub(crate) args: String,
    pub(crate) path: String,
    /// How many plugins have called one another before this one.
    pub(crate) depth: usize,
    /// IPAM plugins that are linked are called as functions, wherever they are installed.
    pub(crate) is_in_process: bool,
    pub(crate) config: Configuration,
    /// What the plugins before have reported, if it is known and need not be read out of the configuration.
    pub(crate) result: Option<Arc<AddResult>>,
}

impl Call {
    /// An ADD of interface `eth0` of container `c1` with that configuration.
    #[must_use]
    pub fn new(config: Value) -> Self {
        Self {
            verb: Verb::Add,
            container: "c1".to_owned(),
            netns: "/run/netns/c1".to_owned(),
            ifname: "eth0".to_owned(),
            args: String::new(),
            path: String::new(),
            depth: 0,
            is_in_process: false,
            config: Configuration { value: config.into(), text: None },
            result: None,
        }
    }

    /// The same with that result of the plugins before, or of the container's ADD, whatever `prevResult` says: it is read once for many
    /// calls.
    #[must_use]
    pub fn after(self, result: Arc<AddResult>) -> Self {
        Self { result: Some(result), ..self }
    }

    /// The same call with that container id (`CNI_CONTAINERID`).
    #[must_use]
    pub fn container(self, id: impl Into<String>) -> Self {
        Self { container: id.into(), ..self }
    }

    /// The same for an interface of that name.
    #[must_use]
    pub fn ifname(self, name: impl Into<String>) -> Self {
        Self { ifname: name.into(), ..self }
    }

    /// The same with that path for the container's network namespace; empty if it is gone.
    #[must_use]
    pub fn netns(self, path: impl Into<String>) -> Self {
        Self { netns: path.into(), ..self }
    }

    /// The same with that `CNI_ARGS`.
    #[must_use]
    pub fn args(self, args: impl Into<String>) -> Self {
        Self { args: args.into(), ..self }
    }

    /// The same with that `CNI_PATH`.
    #[must_use]
    pub fn path(self, path: impl Into<String>) -> Self {
        Self { path: path.into(), ..self }
    }

    /// The same for a program that has plugins linked: an IPAM plugin that it has linked too is called as a function, and need not
    /// be in `CNI_PATH`.
    #[must_use]
    pub fn in_process(self) -> Self {
        Self { is_in_process: true, ..self }
    }

    /// ADD, as the plugin `P` gets it.
    ///
    /// # Errors
    /// What is wrong with the call, as it is told to the runtime.
    pub fn add<P: Plugin>(&self) -> Result<Add<P::Config>, Error> {
        let (network, _) = self.network::<P>(Verb::Add)?;
        let attachment = self.attachment(&network.name)?;
        Ok(Add { network, attachment, netns: PathBuf::from(&self.netns) })
    }

    /// DEL, as the plugin `P` gets it.
    ///
    /// # Errors
    /// As [`Call::add`].
    pub fn del<P: Plugin>(&self) -> Result<Del<P::Config>, Error> {
        let (network, _) = self.network::<P>(Verb::Del)?;
        let attachment = self.attachment(&network.name)?;
        let netns = (!self.netns.is_empty()).then(|| PathBuf::from(&self.netns));
        Ok(Del { network, attachment, netns })
    }

    /// CHECK, as the plugin `P` gets it.
    ///
    /// # Errors
    /// As [`Call::add`]; code 7 also if there is no `prevResult`.
    pub fn check<P: Plugin>(&self) -> Result<Check<P::Config>, Error> {
        let (network, _) = self.network::<P>(Verb::Check)?;
        let attachment = self.attachment(&network.name)?;
        let expected = network
            .prev_result
            .clone()
            .ok_or_else(|| Error::config("CHECK needs prevResult, the result of the container's ADD"))?;
        Ok(Check { network, attachment, netns: PathBuf::from(&self.netns), expected })
    }

    /// GC, as the plugin `P` gets it; `None` if the runtime did not say what is to stay: then nothing is to go.
    ///
    /// # Errors
    /// As [`Call::add`].
    pub fn gc<P: Plugin>(&self) -> Result<Option<Gc<P::Config>>, Error> {
        let (network, keys) = self.network::<P>(Verb::Gc)?;
        let valid = keys.valid_attachments(&network.name);
        Ok(valid.map(|valid| Gc { network, valid }))
    }

    /// STATUS, as the plugin `P` gets it.
    ///
    /// # Errors
    /// As [`Call::add`].
    pub fn status<P: Plugin>(&self) -> Result<Status<P::Config>, Error> {
        Ok(Status { network: self.network::<P>(Verb::Status)?.0 })
    }

    /// Reads the environment of this process; the configuration follows from stdin.
    pub(crate) fn from_env(verb: Verb, variable: impl Fn(&str) -> String) -> Result<Self, Error> {
        let missing: Vec<_> = verb.required().iter().copied().filter(|name| variable(name).is_empty()).collect();
        if !missing.is_empty() {
            return Err(Error::new(
                Code::InvalidEnvironment,
                format!("environment variables required for {verb} are missing: {}", missing.join(", ")),
            )
            .with_details("a container runtime sets them; by hand, use cnitool or see the plugin's README"));
        }
        Ok(Self {
            verb,
            container: variable("CNI_CONTAINERID"),
            netns: variable("CNI_NETNS"),
            ifname: variable("CNI_IFNAME"),
            args: variable("CNI_ARGS"),
            path: variable("CNI_PATH"),
            depth: variable(delegate::DEPTH).parse().unwrap_or_default(),
            is_in_process: false,
            config: Configuration::default(),
            result: None,
        })
    }

    fn attachment(&self, network: &NetworkName) -> Result<Attachment, Error> {
        let environment = |error: InvalidName| Error::new(Code::InvalidEnvironment, error.to_string());
        Ok(Attachment {
            network: network.clone(),
            container: ContainerId::new(self.container.as_str()).map_err(environment)?,
            ifname: IfName::new(self.ifname.as_str()).map_err(environment)?,
        })
    }

    fn network<P: Plugin>(&self, verb: Verb) -> Result<(Network<P::Config>, ProtocolKeys), Error> {
        let call = Self { verb, ..self.clone() };
        let keys = call.config.protocol_keys()?;
        let version = keys.version(P::VERSIONS, verb)?;
        let network = Network {
            name: keys.name()?,
            version,
            prev_result: match &call.result {
                Some(result) => Some(Arc::clone(result)),
                None => call.config.prev_result(verb, version)?.map(Arc::new),
            },
            config: call.config.plugin_keys(verb)?,
            args: Args::new(call.args.as_str()),
            call,
        };
        if !matches!(verb, Verb::Del | Verb::Gc) {
            P::validate(&network).map_err(Into::into)?;
        }
        Ok((network, keys))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::configuration::{ATTACHMENTS, VALID};
    use crate::undo::Undo;
    use cni::{AddResult, SpecVersion};
    use serde::Deserialize;
    use serde_json::json;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default)]
    struct Config {
        mtu: u32,
        bridge: String,
    }

    #[derive(Debug)]
    struct Quiet;

    impl Plugin for Quiet {
        type Config = Config;
        type Error = Error;
        const NAME: &'static str = "quiet";
        const ABOUT: &'static str = "does nothing";
        const VERSIONS: &'static [SpecVersion] = SpecVersion::ALL;

        fn validate(network: &Network<Config>) -> Result<(), Error> {
            let excluded = network.config.bridge == "none" && network.has_ipam()?;
            if excluded { Err(Error::config("there is nothing to give addresses to")) } else { Ok(()) }
        }

        fn add(_: &Add<Config>, _: &mut Undo) -> Result<AddResult, Error> {
            Ok(AddResult::default())
        }

        fn del(_: &Del<Config>) -> Result<(), Error> {
            Ok(())
        }

        fn check(_: &Check<Config>) -> Result<(), Error> {
            Ok(())
        }

        fn gc(_: &Gc<Config>) -> Result<(), Error> {
            Ok(())
        }

        fn status(_: &Status<Config>) -> Result<(), Error> {
            Ok(())
        }
    }

    #[test]
    fn a_call_by_hand_is_judged_as_a_runtimes_is() {
        let call = Call::new(json!({"cniVersion": "1.1.0", "name": "n"}));
        let request = call.clone().container("c2").ifname("net1").netns("/n").args("IP=10.1.0.2").path("/a:/b");
        let request = request.add::<Quiet>().unwrap();
        assert_eq!(request.attachment, Attachment::new("n", "c2", "net1").unwrap());
        assert_eq!((request.netns, request.network.args.as_str()), ("/n".into(), "IP=10.1.0.2"));
        assert_eq!(request.network.path().collect::<Vec<_>>(), ["/a", "/b"].map(std::path::Path::new));
        assert_eq!(&*request.network.text(), br#"{"cniVersion":"1.1.0","name":"n"}"#);
        for wrong in [call.clone().container("../x"), call.clone().ifname("a/b"), call.clone().container("")] {
            assert_eq!(wrong.add::<Quiet>().unwrap_err().code(), Code::InvalidEnvironment);
        }
        assert_eq!(call.check::<Quiet>().unwrap_err().code(), Code::InvalidConfig, "there is no result");
        assert_eq!(call.clone().netns("").del::<Quiet>().unwrap().netns, None);
        assert_eq!(call.status::<Quiet>().unwrap().network.version, SpecVersion::V1_1_0);
    }

    #[test]
    fn a_result_that_is_known_is_not_read() {
        let result = AddResult::default().with_dns(cni::Dns::of(vec!["192.0.2.1".to_owned()]));
        let call = Call::new(json!({"cniVersion": "1.0.0", "name": "n", "prevResult": "garbage"}))
            .after(result.clone().into());
        assert_eq!(*call.check::<Quiet>().unwrap().expected, result);
    }

    #[test]
    fn a_request_that_is_turned_to_another_attachment_is_that_ones() {
        let call = Call::new(json!({"cniVersion": "1.0.0", "name": "n", "mtu": 9}));
        let result = |server: &str| AddResult::default().with_dns(cni::Dns::of(vec![server.to_owned()]));
        let mut turned = call.clone().after(result("192.0.2.1").into()).check::<Quiet>().unwrap();
        let other = call.container("c2").ifname("net1").netns("/n").after(result("192.0.2.2").into());
        let other = other.check::<Quiet>().unwrap();
        turned.turn_to(Attachment::new("n", "c2", "net1").unwrap(), "/n", result("192.0.2.2"));
        // The call has been given the result, or has not.
        turned.network.call.result.clone_from(&other.network.call.result);
        assert_eq!(format!("{turned:?}"), format!("{other:?}"));
    }

    #[test]
    fn a_verb_needs_a_version_that_has_it() {
        let old = Call::new(json!({"cniVersion": "0.3.1", "name": "n"}));
        assert!(old.del::<Quiet>().is_ok());
        for error in [old.check::<Quiet>().unwrap_err(), old.status::<Quiet>().unwrap_err()] {
            assert_eq!(error.code(), Code::IncompatibleVersion, "{error}");
        }
    }

    #[test]
    fn keys_that_exclude_each_other_are_no_reason_to_leave_things_behind() {
        let result = json!({"cniVersion": "1.1.0"});
        let network = json!({"cniVersion": "1.1.0", "name": "n", "bridge": "none", "prevResult": result});
        let call = |key: &str, value: Value| {
            let mut config = network.clone();
            config[key] = value;
            Call::new(config)
        };
        let wrong = call("ipam", json!({"type": "static"}));
        let refused = [
            wrong.add::<Quiet>().map(drop).unwrap_err(),
            wrong.check::<Quiet>().map(drop).unwrap_err(),
            wrong.status::<Quiet>().map(drop).unwrap_err(),
        ];
        assert!(refused.iter().all(|error| error.msg() == "there is nothing to give addresses to"), "{refused:?}");
        assert!(wrong.del::<Quiet>().is_ok() && wrong.gc::<Quiet>().is_ok());
        assert!(call("ipam", json!({})).add::<Quiet>().is_ok(), "that is none");
    }

    #[test]
    fn a_del_works_with_keys_that_an_add_refuses() {
        let call = Call::new(json!({"cniVersion": "1.0.0", "name": "n", "mtu": "big", "bridge": "br0"}));
        let error = call.add::<Quiet>().unwrap_err();
        assert!(error.details().starts_with("mtu: "), "{error}");
        let del = call.del::<Quiet>().unwrap();
        assert_eq!((del.network.config.mtu, del.network.config.bridge.as_str()), (0, "br0"));
        assert!(Call::new(json!({"mtu": 1})).del::<Quiet>().is_err(), "a name is needed all the same");
    }

    #[test]
    fn a_del_works_with_a_result_that_cannot_be_read() {
        let result = json!({"ips": [{"address": "10.1.0.2"}]});
        let call = Call::new(json!({"cniVersion": "1.0.0", "name": "n", "prevResult": result}));
        let error = call.add::<Quiet>().unwrap_err();
        assert!(error.msg().starts_with("prevResult: "), "{error}");
        assert_eq!(call.del::<Quiet>().unwrap().network.prev_result, None);
    }

    #[test]
    fn only_who_requires_an_ipam_plugin_misses_it() {
        let call = Call::new(json!({"cniVersion": "1.0.0", "name": "n", "ipam": {}}));
        let network = call.del::<Quiet>().unwrap().network;
        assert!(network.forward_to_ipam(&[]).is_ok());
        let error = network.required_ipam(&[]).unwrap_err();
        assert!(error.code() == Code::InvalidConfig && error.msg().contains("\"ipam\""), "{error}");
    }

    #[test]
    fn gc_keeps_what_is_listed_and_without_a_list_everything() {
        let gc = |keys: Value| {
            let mut config = json!({"cniVersion": "1.1.0", "name": "n"});
            config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            Call::new(config).gc::<Quiet>().unwrap()
        };
        assert!(gc(json!({})).is_none());
        let is_stale = |gc: &Gc<Config>, network: &str, container: &str| {
            gc.is_stale(&Attachment::new(network, container, "eth0").unwrap())
        };
        for key in [VALID, ATTACHMENTS] {
            for empty in [json!([]), json!(null)] {
                assert!(is_stale(&gc(json!({key: empty})).unwrap(), "n", "c"), "{key}: {empty}");
            }
            let gc = gc(json!({key: [{"containerID": "c", "ifname": "eth0"}]})).unwrap();
            assert!(!is_stale(&gc, "n", "c") && is_stale(&gc, "n", "d"), "{key}");
            assert!(!is_stale(&gc, "m", "d"), "another network's");
        }
        let null_and_list = json!({VALID: null, ATTACHMENTS: [{"containerID": "c", "ifname": "eth0"}]});
        assert!(!is_stale(&gc(null_and_list).unwrap(), "n", "c"));
    }

    #[test]
    fn gc_keeps_what_the_suite_knows_as_well_but_makes_no_list_where_there_is_none() {
        let [c, d] = ["c", "d"].map(|container| Attachment::new("n", container, "eth0").unwrap());
        let gc = |keys: Value| {
            let mut config = json!({"cniVersion": "1.1.0", "name": "n"});
            config.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
            let mut call = Call::new(config);
            call.config.extend_valid(std::slice::from_ref(&d));
            call.gc::<Quiet>().unwrap().map(|gc| gc.valid)
        };
        let listed = json!([{"containerID": "c", "ifname": "eth0"}]);
        assert_eq!(gc(json!({})), None);
        for empty in [json!({VALID: null}), json!({ATTACHMENTS: []}), json!({VALID: [], ATTACHMENTS: null})] {
            assert_eq!(gc(empty.clone()), Some(vec![d.clone()]), "{empty}");
        }
        for one in [json!({VALID: listed, ATTACHMENTS: listed}), json!({VALID: null, ATTACHMENTS: listed})] {
            assert_eq!(gc(one.clone()), Some(vec![c.clone(), d.clone()]), "{one}");
        }
    }
}
