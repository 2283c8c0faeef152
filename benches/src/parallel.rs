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

/// The outcome of many ADDs at once, and their DELs.
#[derive(Debug)]
pub(crate) struct Rush {
    /// Seconds from the first ADD's start to the last one's end.
    pub(crate) add: f64,
    /// The same of their DELs.
    pub(crate) del: f64,
    /// How many ADDs succeeded.
    pub(crate) succeeded: usize,
    /// How many addresses were given, each counted once.
    pub(crate) distinct: usize,
    /// Why the first that failed did.
    pub(crate) failure: Option<Failure>,
}

/// ADD of (b) for `count` containers at once, and then DEL of those for which it succeeded. The host is handed back, to be dropped when nothing is measured any more:
/// the kernel is busy for seconds when it takes so many namespaces away.
pub(crate) fn rush(suite: &Suite, count: usize) -> Result<(Rush, Host)> {
    let lane = Lane::new(suite, networks::published())?;
    let containers = (0..count).map(|number| container(&lane.host, number)).collect::<Result<Vec<_>>>()?;
    let rush = lane.host.run(|| add_and_delete(suite, &containers))?;
    Ok((rush, lane.host))
}

fn container(host: &Host, number: usize) -> Result<Container> {
    let id = format!("rush-{number}");
    let namespace = host.add_namespace(&id)?;
    let first = 10_000 + 2 * u16::try_from(number).unwrap_or(u16::MAX / 4);
    Ok(Container { id, namespace, ports: vec![(first, 80), (first + 1, 443)] })
}

fn add_and_delete(suite: &Suite, containers: &[Container]) -> Result<Rush> {
    let network = networks::published();
    let (add, added) = at_once(containers, |container| suite.add(&network, container));
    let mut rush = Rush { add, del: 0.0, succeeded: 0, distinct: 0, failure: None };
    let attached: Vec<_> = containers.iter().zip(rush.take_in(added)?).collect();
    let running = attached.iter().filter_map(|(container, result)| Some((*container, result.as_ref()?)));
    let running: Vec<_> = running.collect();
    let (del, deleted) = at_once(&running, |(container, result)| suite.del(&network, container, result));
    deleted.into_iter().collect::<Result<Vec<_>>>()?;
    rush.del = del;
    Ok(rush)
}

/// Does something for each of `all` at the same time; the seconds from the first start to the last end.
pub(crate) fn at_once<T: Sync, R: Send>(all: &[T], act: impl Fn(&T) -> R + Sync) -> (f64, Vec<R>) {
    let start = Barrier::new(all.len() + 1);
    let one = |each| {
        start.wait();
        act(each)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = all.iter().map(|each| scope.spawn(|| one(each))).collect();
        start.wait();
        let started = Instant::now();
        let outcomes: Vec<_> = threads.into_iter().map(thread::ScopedJoinHandle::join).collect();
        let seconds = started.elapsed().as_secs_f64();
        (seconds, outcomes.into_iter().map(|outcome| outcome.unwrap_or_else(|panic| resume_unwind(panic))).collect())
    })
}

impl Rush {
    /// Counts what ADDs have come to, and returns the results of those that succeeded.
    fn take_in(&mut self, outcomes: Vec<Result<Timed<Value>>>) -> Result<Vec<Option<Value>>> {
        let mut results = Vec::new();
        for outcome in outcomes {
            results.push(match outcome {
                Ok(added) => Some(added.outcome),
                Err(Error::Plugin(failure)) => {
                    self.failure.get_or_insert(failure);
                    None
                }
                Err(error) => return Err(error),
            });
        }
        let addresses: HashSet<_> = results.iter().flatten().filter_map(first_address).collect();
        self.succeeded = results.iter().flatten().count();
        self.distinct = addresses.len();
        Ok(results)
    }
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
        let mut rush = Rush { add: 1.0, del: 1.0, succeeded: 0, distinct: 0, failure: None };
        let results = rush.take_in(outcomes.into()).expect("only plugins failed");
        assert_eq!((results.len(), rush.succeeded, rush.distinct), (4, 3, 2));
        assert_eq!(rush.failure.map(|failure| failure.message), Some("no".into()));
    }
}
