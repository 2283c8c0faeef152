//! Many containers starting at once.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::sync::Barrier;
use std::thread;
use std::time::Instant;

use serde_json::Value;

use crate::error::{Error, Failure, Result};
use crate::host::Host;
use crate::lane::Lane;
use crate::networks;
use crate::suite::{Container, Suite, Timed, first_address};

/// What came of the rush.
#[derive(Debug)]
pub(crate) struct Rush {
    /// Seconds from the first start to the last end.
    pub(crate) wall: f64,
    /// How many ADDs succeeded.
    pub(crate) succeeded: usize,
    /// How many addresses were given, each counted once.
    pub(crate) distinct: usize,
    /// Why the first that failed did.
    pub(crate) failure: Option<Failure>,
}

/// ADD of (b) for `count` containers at once. The host is handed back, to be dropped when nothing is measured any more:
/// the kernel is busy for seconds when it takes so many namespaces away.
pub(crate) fn rush(suite: &Suite, count: usize) -> Result<(Rush, Host)> {
    let lane = Lane::new(suite, networks::published())?;
    let containers = (0..count).map(|number| container(&lane.host, number)).collect::<Result<Vec<_>>>()?;
    let rush = lane.host.run(|| add_all(suite, &containers))?;
    Ok((rush, lane.host))
}

fn container(host: &Host, number: usize) -> Result<Container> {
    let id = format!("rush-{number}");
    let namespace = host.add_namespace(&id)?;
    let first = 10_000 + 2 * u16::try_from(number).unwrap_or(u16::MAX / 4);
    Ok(Container { id, namespace, ports: vec![(first, 80), (first + 1, 443)] })
}

fn add_all(suite: &Suite, containers: &[Container]) -> Result<Rush> {
    let network = networks::published();
    let start = Barrier::new(containers.len() + 1);
    let add = |container| {
        start.wait();
        suite.add(&network, container)
    };
    let (wall, outcomes) = thread::scope(|scope| {
        let threads: Vec<_> = containers.iter().map(|container| scope.spawn(|| add(container))).collect();
        start.wait();
        let started = Instant::now();
        let outcomes: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        (started.elapsed().as_secs_f64(), outcomes)
    });
    let outcomes = outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|panic| resume_unwind(panic)));
    sum_up(wall, outcomes)
}

fn sum_up(wall: f64, outcomes: impl Iterator<Item = Result<Timed<Value>>>) -> Result<Rush> {
    let mut rush = Rush { wall, succeeded: 0, distinct: 0, failure: None };
    let mut addresses = HashSet::new();
    for outcome in outcomes {
        match outcome {
            Ok(added) => {
                rush.succeeded += 1;
                addresses.extend(first_address(&added.outcome));
            }
            Err(Error::Plugin(failure)) => {
                rush.failure.get_or_insert(failure);
            }
            Err(error) => return Err(error),
        }
    }
    rush.distinct = addresses.len();
    Ok(rush)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;

    fn added(address: &str) -> Result<Timed<Value>> {
        Ok(Timed { elapsed: Duration::ZERO, outcome: json!({"ips": [{"address": address}]}) })
    }

    #[test]
    fn an_address_given_twice_counts_once_and_a_failure_is_kept() {
        let failure = Failure { program: "/p".into(), verb: "ADD", message: "no".into() };
        let outcomes = [added("10.0.0.2/8"), added("10.0.0.3/8"), added("10.0.0.2/8"), Err(Error::Plugin(failure))];
        let rush = sum_up(1.0, outcomes.into_iter()).expect("only plugins failed");
        assert_eq!((rush.succeeded, rush.distinct), (3, 2));
        assert_eq!(rush.failure.map(|failure| failure.message), Some("no".into()));
    }
}
