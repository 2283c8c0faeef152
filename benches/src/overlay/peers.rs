//! One agent with many other hosts, which are there only in etcd.

use std::collections::BTreeSet;
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use etcd_client::{Client, Txn, TxnOp};
use serde_json::{Value, json};

use super::agent_json;
use super::cluster::{ETCD, Process, create, start_agent, start_etcd, wait_until_connected};
use crate::error::{Error, Result};
use crate::host::{Host, PUBLIC, WIRE, ip};
use crate::lane::Lane;
use crate::networks;
use crate::options::Options;
use crate::suite::Suite;

/// 16,384 blocks of 64 addresses.
const SUBNET: Ipv4Addr = Ipv4Addr::new(10, 16, 0, 0);
const LENGTH: u32 = 64;
/// As many operations are in a transaction.
const TOGETHER: usize = 100;
/// How often something happens of which one costs too little to be measured.
const EVENTS: usize = 200;
/// Between two of them, so that each is looked at by itself.
const APART: Duration = Duration::from_millis(5);
/// What the agent does is done within this time.
const QUIET: Duration = Duration::from_millis(300);

/// What was measured.
pub(crate) struct Many {
    /// Seconds from the agent's start until all is in the kernel and in files; and until it knows that all is, the next time.
    pub(crate) start: [f64; 2],
    /// Bytes of the agent: with all other hosts, and without any.
    pub(crate) memory: [f64; 2],
    /// What is in the kernel: routes, neighbours, forwarding entries.
    pub(crate) entries: [usize; 3],
    /// Seconds of a processor that the agent needs for a container that starts elsewhere, for a host that comes, and for a container
    /// that comes and goes here: with all other hosts, and without any.
    pub(crate) event: [[f64; 2]; 3],
}

/// One agent and `options.peers` others.
pub(crate) fn many(ours: &Suite, options: &Options) -> Result<Many> {
    let host = Host::new()?;
    host.add_wire()?;
    host.run(|| ip(&["address", "add", &format!("{PUBLIC}/24"), "dev", WIRE]))?;
    let _etcd = start_etcd(&host)?;
    let agent = start_agent(&host, ours, "one")?;
    wait_until_connected(&host, true)?;
    create(&host, ours, &["--subnet", &format!("{SUBNET}/12"), "--opt", "block_length=26"])?;
    let lane = Lane::on(host.again()?, ours, networks::overlay())?;
    let others = Others::new(&host)?;
    let (few, memory_of_few) = (others.events(&agent, &lane, 0)?, agent.memory()?[0]);
    drop(agent);
    others.come(0..options.peers)?;
    let (agent, first) = start(&host, ours)?;
    drop(agent);
    let (agent, again) = start(&host, ours)?;
    let memory = [agent.memory()?[0], memory_of_few];
    let entries = entries(&host)?;
    let most = others.events(&agent, &lane, options.peers)?;
    Ok(Many { start: [first, again], memory, entries, event: [0, 1, 2].map(|kind| [most[kind], few[kind]]) })
}

/// An agent is started; seconds until it has done all there is to do.
fn start(host: &Host, ours: &Suite) -> Result<(Process, f64)> {
    host.run(|| fs::remove_file(agent_json()).map_err(Error::file(agent_json())))?;
    let started = Instant::now();
    let agent = start_agent(host, ours, "one")?;
    wait_until_connected(host, true)?;
    Ok((agent, started.elapsed().as_secs_f64()))
}

fn entries(host: &Host) -> Result<[usize; 3]> {
    host.run(|| {
        Ok([
            lines("ip", &["route", "show", "proto", "142"])?,
            lines("ip", &["neighbour", "show", "nud", "permanent"])?,
            lines("bridge", &["fdb", "show", "dev", "overlay4097"])?,
        ])
    })
}

fn lines(program: &str, words: &[&str]) -> Result<usize> {
    let output = Command::new(program).args(words).output().map_err(Error::file(program))?;
    Ok(output.stdout.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).count())
}

/// The other hosts.
struct Others<'a> {
    host: &'a Host,
    /// Blocks of the host itself.
    taken: BTreeSet<Ipv4Addr>,
}

impl<'a> Others<'a> {
    fn new(host: &'a Host) -> Result<Self> {
        let state = super::state(host)?;
        let blocks = state["blocks"].as_array().into_iter().flatten().filter_map(Value::as_str);
        let first = |block: &str| block.split('/').next()?.parse().ok();
        Ok(Self { host, taken: blocks.filter_map(first).collect() })
    }

    /// The host's own blocks are left out.
    fn block_of(&self, number: usize) -> Ipv4Addr {
        let block = u32::from(SUBNET) + LENGTH * u32::try_from(number).unwrap_or_default();
        let beside = |block, own: &Ipv4Addr| if u32::from(*own) <= block { block + LENGTH } else { block };
        self.taken.iter().fold(block, beside).into()
    }

    /// Hosts, each with a block and a container.
    fn come(&self, numbers: std::ops::Range<usize>) -> Result<()> {
        let keys = numbers.flat_map(|number| self.keys(number));
        let puts: Vec<_> = keys.map(|(key, value)| TxnOp::put(key, value.to_string(), None)).collect();
        self.etcd(async |client| {
            for chunk in puts.chunks(TOGETHER) {
                client.txn(Txn::new().and_then(chunk)).await?;
            }
            Ok(())
        })
    }

    fn keys(&self, number: usize) -> [(String, Value); 3] {
        let (id, block) = (identified(number), self.block_of(number));
        let underlay =
            Ipv4Addr::from(u32::from(Ipv4Addr::new(172, 16, 0, 0)) + u32::try_from(number).unwrap_or_default());
        [
            (
                format!("/ferrocni/v1/hosts/{id}"),
                json!({"name": format!("h{number}"), "underlay": [underlay], "mtu": 1500}),
            ),
            (format!("/ferrocni/v1/nets/{}/blocks/{block}-26", networks::OVERLAY), json!(id)),
            self.container(number, 0),
        ]
    }

    /// A container of a host's, and its name.
    fn container(&self, number: usize, of_host: usize) -> (String, Value) {
        let address = Ipv4Addr::from(u32::from(self.block_of(number)) + 2);
        let key = format!("/ferrocni/v1/nets/{}/names/{}/c{of_host}:eth0", networks::OVERLAY, identified(number));
        (key, json!({"addresses": [address], "name": format!("c{number}-{of_host}")}))
    }

    /// What the agent needs for each kind of event, beside `known` other hosts.
    fn events(&self, agent: &Process, lane: &Lane, known: usize) -> Result<[f64; 3]> {
        // They have to be known before they can tell of containers.
        let hosts =
            cost(agent, EVENTS, || self.one_by_one((known..known + EVENTS).map(|number| self.keys(number).to_vec())))?;
        let of_others = (known..known + EVENTS).map(|number| vec![self.container(number, 1)]);
        let containers = cost(agent, EVENTS, || self.one_by_one(of_others))?;
        let rounds = EVENTS / 10;
        let here = cost(agent, rounds, || {
            (0..rounds).try_for_each(|round| {
                let probe = lane.probe(round);
                let result = lane.add(lane.suite(), &probe)?.outcome;
                lane.del(lane.suite(), &probe, &result).map(drop)
            })
        })?;
        self.etcd(async |client| {
            for number in known..known + EVENTS {
                let [host, block, first] = self.keys(number).map(|(key, _)| TxnOp::delete(key, None));
                let second = TxnOp::delete(self.container(number, 1).0, None);
                client.txn(Txn::new().and_then([host, block, first, second])).await?;
            }
            Ok(())
        })?;
        Ok([containers, hosts, here])
    }

    fn one_by_one(&self, changes: impl Iterator<Item = Vec<(String, Value)>> + Send) -> Result<()> {
        self.etcd(async |client| {
            for change in changes {
                let puts: Vec<_> =
                    change.into_iter().map(|(key, value)| TxnOp::put(key, value.to_string(), None)).collect();
                client.txn(Txn::new().and_then(puts)).await?;
                tokio::time::sleep(APART).await;
            }
            Ok(())
        })
    }

    fn etcd<T: Send>(&self, work: impl AsyncFnOnce(&mut Client) -> Result<T> + Send) -> Result<T> {
        self.host.run(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(Error::file("a client of etcd"))?.block_on(async {
                let mut client = Client::connect([ETCD], None).await?;
                work(&mut client).await
            })
        })
    }
}

fn identified(number: usize) -> String {
    format!("{number:08x}-0000-4000-8000-000000000000")
}

/// Seconds of a processor that an agent needs for each of so many events.
fn cost(agent: &Process, events: usize, work: impl FnOnce() -> Result<()>) -> Result<f64> {
    thread::sleep(QUIET);
    let before = agent.processor()?;
    work()?;
    thread::sleep(QUIET);
    Ok((agent.processor()? - before) / events as f64)
}
