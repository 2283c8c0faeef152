//! The process that attaches a container, waits for its program, and undoes everything.

use std::io::{self, IsTerminal as _, PipeReader};
use std::net::{IpAddr, Ipv4Addr};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;

use cni::NetworkName;
use cni_runtime::{Endpoint, Network};
use netlink::Netns;
use nix::sys::signal::{SigSet, Signal};
use nix::unistd::{Pid, getpgrp, tcsetpgrp};

use super::first_process::{FirstProcess, Output};
use super::names::Told;
use super::plan::Plan;
use super::signals::{Signals, exit_code};
use super::{Args, NOT_RUN, detach, names, step};
use crate::attachments::{Connection, Connections};
use crate::container::{Claims, Container, Log, Store, pin_netns, undo};
use crate::failure::Failure;
use crate::host::Host;
use crate::links::LinkTo;
use crate::live::Live;
use crate::network::{Description, with_later_default_routes};
use crate::output::complain;

/// How long the log is waited for once the program has ended: somebody outside the container may have its output too.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// A container with its supervisor, which is this process.
#[derive(Debug)]
pub(super) struct Supervisor<'a> {
    host: &'a Host,
    args: &'a Args,
    detached: bool,
    signals: Signals,
    first: FirstProcess,
    container: Container,
    /// Bound as long as the container is there.
    _ports: Claims,
    /// How many of the container's networks are attached.
    attached: usize,
    /// What the program says, if that is to be kept.
    said: Option<PipeReader>,
    /// Ends with that.
    log: Option<Receiver<()>>,
}

/// What programs know the host by, as Docker Desktop and Podman have it.
const THIS_HOST: [&str; 2] = ["host.docker.internal", "host.containers.internal"];

/// A container that does not come to be.
#[derive(Debug, thiserror::Error)]
enum RunError {
    #[error("ended by {0} before the program was started")]
    Ended(Signal),
    #[error("host-gateway is not known: no network of the container has a gateway")]
    NoGateway,
}

impl<'a> Supervisor<'a> {
    /// Writes the container down, and claims its name and its ports. Its first process comes to be meanwhile.
    pub(super) fn new(host: &'a Host, args: &'a Args, detached: bool) -> Result<Self, Failure> {
        let signals = Signals::new().map_err(step("get signals"))?;
        let (output, said) = output(detached).map_err(step("keep what the program says"))?;
        let first = FirstProcess::start(output, !shares_group(detached));
        // What is wrong with the arguments is said also to who cannot start it.
        let plan = Plan::new(host, args)?;
        let mut first = first?;
        first.begin(plan.shares_host);
        let (container, ports) = Store::of(host).create(|living| plan.register(host, args, living))?;
        Ok(Self { host, args, detached, signals, first, container, _ports: ports, attached: 0, said, log: None })
    }

    /// From the first step to the last one undone.
    pub(super) fn run(mut self) -> Result<ExitCode, Failure> {
        let outcome = self.start().and_then(|()| self.wait());
        self.first.end();
        if let Some(log) = &self.log {
            let _ended = log.recv_timeout(LAST_WORDS);
        }
        self.container.is_held_by_children(true)?;
        let attached = &self.container.record.attachments[..self.attached];
        // What is left the next command tries to undo.
        if let Err(failure) = undo(self.host, self.container.folder(), &self.container.record, attached) {
            complain(failure);
        }
        outcome
    }

    fn start(&mut self) -> Result<(), Failure> {
        self.keep_log().map_err(step("keep what the program says"))?;
        self.first.wait_for_netns()?;
        if let Some(path) = &self.container.record.netns {
            pin_netns(&self.first.netns()?, path)?;
        }
        self.first.prepare(self.container.folder());
        self.prepare()?;
        go_on(&mut self.signals)?;
        self.container.write_pid(self.first.pid())?;
        self.first.start_program()?;
        if self.detached {
            detach::announce(&self.container.record.id)?;
        }
        Ok(())
    }

    fn prepare(&mut self) -> Result<(), Failure> {
        self.container.is_held_by_children(true)?;
        self.attach()?;
        self.write_files()?;
        Ok(self.container.is_held_by_children(false)?)
    }

    fn attach(&mut self) -> Result<(), Failure> {
        for planned in &self.container.record.attachments {
            go_on(&mut self.signals)?;
            let (network, endpoint) = self.container.record.endpoint(planned)?;
            self.connect(&network, &endpoint)?;
            self.attached += 1;
        }
        Ok(())
    }

    /// As a running container is connected, so that no other runtime's GC takes it for garbage. On the host's network there is nothing
    /// to collect.
    fn connect(&self, network: &Network, endpoint: &Endpoint) -> Result<(), Failure> {
        let Some(path) = self.container.record.netns.as_deref() else {
            self.host.live_runtime().add(network, endpoint)?;
            return Ok(());
        };
        let live = Live::of(self.host);
        let _turn = live.take_turn(Some(path))?;
        let netns = Netns::open(path)?;
        let later = if self.attached > 0 { Some(with_later_default_routes(network, &netns)?) } else { None };
        live.connect(later.as_ref().unwrap_or(network), endpoint, &netns)?;
        Ok(())
    }

    /// The files by which names are found. On the host's network they are the host's, unless something else was asked for.
    fn write_files(&self) -> Result<(), Failure> {
        let record = &self.container.record;
        let own = Own::of(self.host, &self.container)?;
        let (shares_host, args) = (record.netns.is_none(), self.args);
        let entries = self.entries(&own)?;
        let before = if shares_host { std::fs::read_to_string("/etc/hosts").ok() } else { None };
        let asks_for_dns = !(args.dns.is_empty() && args.dns_search.is_empty() && args.dns_opt.is_empty());
        let mut files = Vec::new();
        if !shares_host || !entries.is_empty() {
            files.push(("hosts", names::hosts(before, &entries)));
        }
        if !shares_host || asks_for_dns {
            files.push(("resolv.conf", names::resolv_conf(args, &own.told()).map_err(step("read resolv.conf"))?));
        }
        files.extend(record.hostname.as_ref().map(|hostname| ("hostname", format!("{hostname}\n"))));
        for (name, text) in files {
            names::write(&self.container.path(name), &text).map_err(step("write the container's files"))?;
        }
        Ok(())
    }

    /// Addresses with their names: the container's own, and those that were asked for.
    fn entries(&self, own: &Own) -> Result<Vec<(IpAddr, Vec<String>)>, Failure> {
        let mut entries = self.own_entries(own);
        for extra in &self.args.add_host {
            let address = extra.address.or(own.gateway).ok_or(RunError::NoGateway)?;
            entries.push((address, vec![extra.name.to_string()]));
        }
        if !self.args.link.is_empty() {
            let connections = Connections::of_host(self.host)?.all;
            entries.extend(self.args.link.iter().flat_map(|link| own.entries_of(link, &connections)));
        }
        Ok(entries)
    }

    /// On the host's network they are the host's.
    fn own_entries(&self, own: &Own) -> Vec<(IpAddr, Vec<String>)> {
        let record = &self.container.record;
        let (Some(hostname), Some(_)) = (&record.hostname, &record.netns) else { return Vec::new() };
        let aliases = self.args.aliases.iter().map(ToString::to_string);
        let mut names: Vec<_> = [hostname, &record.name].into_iter().cloned().chain(aliases).collect();
        names.dedup();
        let first = if own.addresses.is_empty() { vec![Ipv4Addr::LOCALHOST.into()] } else { own.addresses.clone() };
        let mut entries: Vec<_> = first.into_iter().map(|address| (address, names.clone())).collect();
        let is_free = |name: &&str| !self.args.add_host.iter().any(|extra| extra.name.as_str() == *name);
        let of_host: Vec<_> = THIS_HOST.into_iter().filter(is_free).map(str::to_owned).collect();
        entries.extend(own.gateway.filter(|_| !of_host.is_empty()).map(|gateway| (gateway, of_host)));
        entries
    }

    fn keep_log(&mut self) -> io::Result<()> {
        let Some(said) = self.said.take() else { return Ok(()) };
        let log = Log::create(self.container.folder())?;
        let (ended, log_ended) = channel();
        thread::spawn(move || {
            log.keep(said);
            ended.send(())
        });
        self.log = Some(log_ended);
        Ok(())
    }

    fn wait(&mut self) -> Result<ExitCode, Failure> {
        let (pid, shares_group) = (Pid::from_raw(i32::try_from(self.first.pid())?), shares_group(self.detached));
        let status = loop {
            match self.first.status()? {
                Some(status) => break status,
                None => self.signals.pass_on(pid, shares_group),
            }
        };
        if self.container.record.program.has_terminal {
            take_terminal_back().map_err(step("take the terminal back"))?;
        }
        Ok(ExitCode::from(exit_code(status)))
    }
}

/// That of a program in the background goes into the container's log.
fn output(detached: bool) -> io::Result<(Output, Option<PipeReader>)> {
    if !detached {
        return Ok((Output::Own, None));
    }
    let (reading, writing) = io::pipe()?;
    Ok((Output::Kept(writing), Some(reading)))
}

/// Whether what is typed on the terminal reaches the container's processes as it reaches this one.
fn shares_group(detached: bool) -> bool {
    !detached && io::stdin().is_terminal()
}

/// What the networks have given the container.
#[derive(Debug, Default)]
struct Own {
    networks: Vec<(NetworkName, Told)>,
    addresses: Vec<IpAddr>,
    /// This host, as the container sees it.
    gateway: Option<IpAddr>,
}

impl Own {
    fn of(host: &Host, container: &Container) -> Result<Self, Failure> {
        let mut own = Self::default();
        if container.record.netns.is_none() {
            own.gateway = Some(Ipv4Addr::LOCALHOST.into());
        }
        for planned in &container.record.attachments {
            let (network, endpoint) = container.record.endpoint(planned)?;
            let Some(attached) = host.live_runtime().cache().read(&endpoint.on(network.name()))? else { continue };
            let result = attached.parsed_result()?;
            let ips = result.ips_of(endpoint.ifname.as_str());
            for ip in ips {
                own.addresses.push(ip.address.ip());
                own.gateway = own.gateway.or(ip.gateway);
            }
            let told = Told { dns: result.dns.clone(), has_names: Description::of(&network).names };
            own.networks.push((network.name().clone(), told));
        }
        Ok(own)
    }

    fn told(&self) -> Vec<Told> {
        self.networks.iter().map(|(_, told)| told.clone()).collect()
    }

    /// A link, as far as no network answers for it: the address that stands in a file may become another container's.
    fn entries_of(&self, link: &LinkTo, connections: &[Connection]) -> Vec<(IpAddr, Vec<String>)> {
        let without_names = self.networks.iter().filter(|(_, told)| !told.has_names).map(|(name, _)| name.clone());
        let found = link.find(connections, &without_names.collect::<Vec<_>>()).unwrap_or_default();
        let addresses = found.into_iter().flat_map(|connection| &connection.addresses);
        addresses.map(|address| (address.ip(), link.names())).collect()
    }
}

/// An error if there was a signal that means that everything should end.
fn go_on(signals: &mut Signals) -> Result<(), Failure> {
    let Some(signal) = signals.ending() else { return Ok(()) };
    let status = u8::try_from(128 + signal as i32).unwrap_or(NOT_RUN);
    Err(Failure::from(RunError::Ended(signal)).with_status(status))
}

/// A process in the background that wants the terminal is stopped, unless it does not listen.
fn take_terminal_back() -> nix::Result<()> {
    let mut stop = SigSet::empty();
    stop.add(Signal::SIGTTOU);
    stop.thread_block()?;
    let outcome = tcsetpgrp(io::stdin(), getpgrp());
    stop.thread_unblock()?;
    outcome
}
