//! A network configuration list, run as libcni runs it.

use std::collections::BTreeMap;
use std::sync::Mutex;

use serde_json::{Map, Value, json};

use crate::binaries::newest_version;
use crate::cni::{Cni, Outcome};
use crate::host::{Container, Host};

type Attachment = (String, String);

/// A network: each verb runs the list's plugins as libcni does, with the results of ADD remembered for CHECK
/// and DEL. It can be shared by threads.
#[derive(Debug)]
pub struct Chain<'h> {
    host: &'h Host,
    conflist: Value,
    capabilities: Map<String, Value>,
    args: Option<String>,
    results: Mutex<BTreeMap<Attachment, Value>>,
}

impl<'h> Chain<'h> {
    pub(crate) fn new(host: &'h Host, conflist: &Value) -> Self {
        let mut conflist = conflist.clone();
        if conflist.get("cniVersion").is_none() {
            conflist["cniVersion"] = json!(newest_version());
        }
        let (capabilities, results) = (Map::new(), Mutex::default());
        Self { host, conflist, capabilities, args: None, results }
    }

    /// Capability arguments, as in `json!({"portMappings": [...]})`; each plugin gets those it declares.
    #[must_use]
    pub fn capabilities(mut self, arguments: &Value) -> Self {
        let arguments = arguments.as_object().expect("capability arguments are an object");
        self.capabilities.extend(arguments.clone());
        self
    }

    /// Has the plugins called with this `CNI_ARGS`.
    #[must_use]
    pub fn args(mut self, args: &str) -> Self {
        self.args = Some(args.to_owned());
        self
    }

    /// The host that the network is on.
    #[must_use]
    pub fn host(&self) -> &'h Host {
        self.host
    }

    /// ADD through the list; ends at the first failure, and undoes nothing, like libcni.
    #[track_caller]
    pub fn add(&self, container: &Container, ifname: &str) -> Outcome {
        let (mut before, last) = self.split_last();
        let previous = match self.add_all(&mut before, container, ifname) {
            Ok(previous) => previous,
            Err(failed) => return *failed,
        };
        let outcome = self.prepare(last, "ADD", Some(container), ifname, previous.as_ref()).run();
        if let (true, Some(result)) = (outcome.is_ok(), &outcome.json) {
            self.remember(container, ifname, result);
        }
        outcome
    }

    /// The list's plugins but the last, added; then the last one as it would be run for ADD.
    ///
    /// # Panics
    /// If one fails.
    #[must_use]
    #[track_caller]
    pub fn add_all_but_last(&self, container: &Container, ifname: &str) -> Cni<'h> {
        let (mut before, last) = self.split_last();
        let previous =
            self.add_all(&mut before, container, ifname).unwrap_or_else(|failed| panic!("{}", failed.finished));
        if let Some(result) = &previous {
            self.remember(container, ifname, result);
        }
        self.prepare(last, "ADD", Some(container), ifname, previous.as_ref())
    }

    /// CHECK through the list with the remembered result; ends at the first failure. A list with
    /// `disableCheck` succeeds at once.
    #[track_caller]
    pub fn check(&self, container: &Container, ifname: &str) -> Outcome {
        let previous = self.remembered(container, ifname);
        self.until_failure(self.plugins(), "CHECK", Some(container), ifname, previous.as_ref())
    }

    /// DEL through the list, last plugin first, with the remembered result; ends at the first failure.
    #[track_caller]
    pub fn del(&self, container: &Container, ifname: &str) -> Outcome {
        let previous = self.remembered(container, ifname);
        self.until_failure(self.plugins().rev(), "DEL", Some(container), ifname, previous.as_ref())
    }

    /// DEL as after a reboot of the runtime: no result is remembered and CNI_NETNS is empty.
    #[track_caller]
    pub fn del_blind(&self, container: &Container, ifname: &str) -> Outcome {
        self.results.lock().expect("no panic while remembering").clear();
        let run = |plugin| self.prepare(plugin, "DEL", Some(container), ifname, None).netns("").run();
        first_failure(self.plugins().rev().map(run))
    }

    /// GC through the list with these `(container id, interface)` as the valid attachments.
    #[track_caller]
    pub fn gc(&self, valid: &[(&str, &str)]) -> Outcome {
        let attachment = |(id, ifname): &(&str, &str)| json!({"containerID": id, "ifname": ifname});
        let valid: Vec<Value> = valid.iter().map(attachment).collect();
        let run = |plugin: &Value| {
            let mut config = self.config(plugin, None);
            config["cni.dev/valid-attachments"] = json!(valid);
            self.plugin(plugin, "GC").config(&config).run()
        };
        first_failure(self.plugins().map(run).collect::<Vec<_>>())
    }

    /// STATUS through the list; ends at the first failure.
    #[track_caller]
    pub fn status(&self) -> Outcome {
        let run = |plugin: &Value| self.plugin(plugin, "STATUS").config(&self.config(plugin, None)).run();
        first_failure(self.plugins().map(run))
    }

    fn plugins(&self) -> std::slice::Iter<'_, Value> {
        self.conflist["plugins"].as_array().expect("a conflist has plugins").iter()
    }

    fn split_last(&self) -> (std::slice::Iter<'_, Value>, &Value) {
        let mut plugins = self.plugins();
        let last = plugins.next_back().expect("a conflist has a plugin");
        (plugins, last)
    }

    fn add_all<'p>(
        &self,
        plugins: &mut impl Iterator<Item = &'p Value>,
        container: &Container,
        ifname: &str,
    ) -> Result<Option<Value>, Box<Outcome>> {
        plugins.try_fold(None, |previous, plugin| {
            let outcome = self.prepare(plugin, "ADD", Some(container), ifname, previous.as_ref()).run();
            if outcome.is_ok() { Ok(outcome.json) } else { Err(Box::new(outcome)) }
        })
    }

    fn until_failure<'p>(
        &self,
        plugins: impl Iterator<Item = &'p Value>,
        verb: &str,
        container: Option<&Container>,
        ifname: &str,
        previous: Option<&Value>,
    ) -> Outcome {
        first_failure(plugins.map(|plugin| self.prepare(plugin, verb, container, ifname, previous).run()))
    }

    fn prepare(
        &self,
        plugin: &Value,
        verb: &str,
        container: Option<&Container>,
        ifname: &str,
        previous: Option<&Value>,
    ) -> Cni<'h> {
        let mut cni = self.plugin(plugin, verb).config(&self.config(plugin, previous)).ifname(ifname);
        if let Some(container) = container {
            cni = cni.container(container);
        }
        match &self.args {
            Some(args) => cni.args(args),
            None => cni,
        }
    }

    fn plugin(&self, plugin: &Value, verb: &str) -> Cni<'h> {
        self.host.cni(plugin["type"].as_str().expect("a plugin has a type")).command(verb)
    }

    /// A plugin's own configuration with what libcni injects.
    fn config(&self, plugin: &Value, previous: Option<&Value>) -> Value {
        let mut config = plugin.clone();
        config["name"] = self.conflist["name"].clone();
        config["cniVersion"] = self.conflist["cniVersion"].clone();
        let declared = |key: &str| plugin["capabilities"][key] == json!(true);
        let runtime: Map<_, _> = self.capabilities.clone().into_iter().filter(|(key, _)| declared(key)).collect();
        if !runtime.is_empty() {
            config["runtimeConfig"] = Value::Object(runtime);
        }
        if let Some(previous) = previous {
            config["prevResult"] = previous.clone();
        }
        config
    }

    fn remember(&self, container: &Container, ifname: &str, result: &Value) {
        let key = (container.id.clone(), ifname.to_owned());
        self.results.lock().expect("no panic while remembering").insert(key, result.clone());
    }

    fn remembered(&self, container: &Container, ifname: &str) -> Option<Value> {
        let key = (container.id.clone(), ifname.to_owned());
        self.results.lock().expect("no panic while remembering").get(&key).cloned()
    }
}

/// Consumes outcomes until one is a failure, and returns that or the last.
fn first_failure(outcomes: impl IntoIterator<Item = Outcome>) -> Outcome {
    let mut last = None;
    for outcome in outcomes {
        if !outcome.is_ok() {
            return outcome;
        }
        last = Some(outcome);
    }
    last.expect("a conflist has a plugin")
}
