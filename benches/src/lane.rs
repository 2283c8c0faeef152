//! One side of a comparison, and how two of them take turns.

use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::error::{Failure, Result};
use crate::host::Host;
use crate::statistics::Pairs;
use crate::suite::{Container, Network, Suite, Timed};

/// What the kernel puts off when links and rules go (RCU callbacks, freeing) must not fall into the next measurement.
const SETTLE: Duration = Duration::from_millis(20);

/// A suite at work on a host of its own.
pub(crate) struct Lane {
    pub(crate) host: Host,
    suite: Suite,
    network: Network,
    namespace: PathBuf,
    /// The ports of the container that comes and goes.
    ports: Vec<(u16, u16)>,
}

/// The three verbs of a chain on two sides.
#[derive(Default)]
pub(crate) struct Verbs {
    pub(crate) add: Pairs,
    pub(crate) check: Pairs,
    pub(crate) del: Pairs,
    /// What CHECK complained about on the first and on the second side.
    pub(crate) complaints: [Option<Failure>; 2],
}

impl Lane {
    /// A host where one container is attached already: a node in use, whose bridge and chains exist.
    pub(crate) fn new(suite: &Suite, network: Network) -> Result<Self> {
        let host = Host::new()?;
        if network.needs_wire {
            host.add_wire()?;
        }
        Self::on(host, suite, network)
    }

    /// The same on a host that is there.
    pub(crate) fn on(host: Host, suite: &Suite, network: Network) -> Result<Self> {
        let namespace = host.add_namespace("probe")?;
        let ports = vec![(8080, 80), (8443, 443)];
        let lane = Self { host, suite: suite.clone(), network, namespace, ports };
        lane.attach("neighbour", vec![(7000, 80), (7001, 443)])?;
        Ok(lane)
    }

    /// The same, with a container that comes and goes with these published ports.
    pub(crate) fn publishing(self, ports: Vec<(u16, u16)>) -> Self {
        Self { ports, ..self }
    }

    /// Attaches a container that stays.
    pub(crate) fn attach(&self, id: &str, ports: Vec<(u16, u16)>) -> Result<()> {
        let namespace = self.host.add_namespace(id)?;
        let container = Container { id: id.into(), namespace, ports };
        self.host.run(|| self.suite.add(&self.network, &container))?;
        Ok(())
    }

    /// The container that comes and goes, as it is called in `round`.
    pub(crate) fn probe(&self, round: usize) -> Container {
        Container { id: format!("probe-{round}"), namespace: self.namespace.clone(), ports: self.ports.clone() }
    }

    /// ADD of `container` by `suite`, which is this lane's or starts its plugins in another way.
    pub(crate) fn add(&self, suite: &Suite, container: &Container) -> Result<Timed<Value>> {
        thread::sleep(SETTLE);
        self.host.run(|| suite.add(&self.network, container))
    }

    /// CHECK of `container`, with the result of its ADD.
    pub(crate) fn check(&self, suite: &Suite, container: &Container, result: &Value) -> Result<Timed<Option<Failure>>> {
        thread::sleep(SETTLE);
        self.host.run(|| suite.check(&self.network, container, result))
    }

    /// DEL of `container`, with the result of its ADD.
    pub(crate) fn del(&self, suite: &Suite, container: &Container, result: &Value) -> Result<Duration> {
        thread::sleep(SETTLE);
        self.host.run(|| suite.del(&self.network, container, result))
    }

    /// The suite that the lane was made for.
    pub(crate) fn suite(&self) -> &Suite {
        &self.suite
    }
}

/// Measures ADD, CHECK and DEL, the two lanes in turn, `rounds` times after one round that does not count.
///
/// Who goes first changes with each round: the other one's kernel work may not be over yet.
pub(crate) fn take_turns(first: &Lane, second: &Lane, rounds: usize) -> Result<Verbs> {
    let mut verbs = Verbs::default();
    for round in 0..=rounds {
        let measured = match round % 2 {
            0 => one_round(first, second, round)?,
            _ => one_round(second, first, round)?.swapped(),
        };
        if round > 0 {
            verbs.add.push(measured.add.0, measured.add.1);
            verbs.check.push(measured.check.0, measured.check.1);
            verbs.del.push(measured.del.0, measured.del.1);
        }
        verbs.complaints = measured.complaints;
    }
    Ok(verbs)
}

struct Round {
    add: (f64, f64),
    check: (f64, f64),
    del: (f64, f64),
    complaints: [Option<Failure>; 2],
}

impl Round {
    fn swapped(mut self) -> Self {
        for (first, second) in [&mut self.add, &mut self.check, &mut self.del] {
            std::mem::swap(first, second);
        }
        self.complaints.reverse();
        self
    }
}

fn one_round(first: &Lane, second: &Lane, round: usize) -> Result<Round> {
    let (mine, other) = (first.probe(round), second.probe(round));
    let added = (first.add(&first.suite, &mine)?, second.add(&second.suite, &other)?);
    let results = (&added.0.outcome, &added.1.outcome);
    let checked = (first.check(&first.suite, &mine, results.0)?, second.check(&second.suite, &other, results.1)?);
    let deleted = (first.del(&first.suite, &mine, results.0)?, second.del(&second.suite, &other, results.1)?);
    Ok(Round {
        add: (added.0.elapsed.as_secs_f64(), added.1.elapsed.as_secs_f64()),
        check: (checked.0.elapsed.as_secs_f64(), checked.1.elapsed.as_secs_f64()),
        del: (deleted.0.as_secs_f64(), deleted.1.as_secs_f64()),
        complaints: [checked.0.outcome, checked.1.outcome],
    })
}
