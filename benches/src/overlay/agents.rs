//! Many simulated agents on one etcd: each has a connection, a lease and the watches of a real one, and nothing of it reaches a kernel.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use etcd_client::{Client, EventType, PutOptions, WatchOptions, WatchResponse};
use tokio::time::{MissedTickBehavior, interval};

use super::cluster::{ETCD, Process, start_etcd};
use crate::error::{Error, Result};
use crate::host::Host;
use crate::options::Options;
use crate::statistics::Summary;

/// An agent's lease, and how often it is renewed.
const TIME_TO_LIVE: i64 = 60;
const RENEWED: Duration = Duration::from_secs(20);
/// What every agent watches.
const PREFIXES: [&str; 4] =
    ["/ferrocni/v1/hosts/", "/ferrocni/v1/alive/", "/ferrocni/v1/cluster/", "/ferrocni/v1/nets/net/"];
/// What containers' names begin with.
const NAMES: &[u8] = b"/ferrocni/v1/nets/net/names/";
/// For what is still on its way.
const LATE: Duration = Duration::from_secs(1);

/// What was measured.
pub(crate) struct Heard {
    /// Seconds from when an agent tells of a container until another one hears of it: half, and 99 of 100, are faster.
    pub(crate) delay: [f64; 2],
    /// How often somebody heard of something, in a second.
    pub(crate) deliveries: f64,
    /// What share of a processor etcd has: while containers start, and while only leases are renewed.
    pub(crate) processor: [f64; 2],
    /// Bytes that etcd has: with all agents, and without any.
    pub(crate) memory: [f64; 2],
}

/// Lets `options.agents` agents hear of `options.starts` containers a second in all.
pub(crate) fn simulated(options: &Options) -> Result<Heard> {
    let host = Host::new()?;
    let etcd = start_etcd(&host)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::file("the simulated agents"))?;
    host.run(|| runtime.block_on(simulate(&etcd, options)))
}

/// A simulated agent.
#[derive(Clone)]
struct Agent {
    id: String,
    client: Client,
    lease: i64,
}

async fn simulate(etcd: &Process, options: &Options) -> Result<Heard> {
    let [alone, _] = etcd.memory()?;
    let mut agents = Vec::new();
    for number in 0..options.agents {
        agents.push(Agent::new(number).await?);
    }
    let began = Instant::now();
    let delays = Arc::new(Mutex::new(Vec::new()));
    for agent in &mut agents {
        agent.watch(began, &delays).await?;
        agent.keep_alive();
    }
    let idle = share(etcd, options.heard, tokio::time::sleep(options.heard)).await?;
    let starting = share(etcd, options.heard, start(&agents, began, options)).await?;
    tokio::time::sleep(LATE).await;
    let delays = std::mem::take(&mut *delays.lock().unwrap_or_else(PoisonError::into_inner));
    let delay = Summary::of(&delays).ok_or(Error::NothingMeasured)?.median;
    let deliveries = delays.len() as f64 / options.heard.as_secs_f64();
    Ok(Heard {
        delay: [delay, nearly_all(delays)],
        deliveries,
        processor: [starting, idle],
        memory: [etcd.memory()?[0], alone],
    })
}

/// The share of a processor that etcd has meanwhile.
async fn share(etcd: &Process, during: Duration, work: impl Future<Output = ()>) -> Result<f64> {
    let before = etcd.processor()?;
    work.await;
    Ok((etcd.processor()? - before) / during.as_secs_f64())
}

/// 99 of 100 are below.
fn nearly_all(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() * 99 / 100).copied().unwrap_or_default()
}

/// One agent after the other tells of a container.
async fn start(agents: &[Agent], began: Instant, options: &Options) {
    let mut tick = interval(Duration::from_secs(1) / options.starts);
    tick.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < options.heard {
        tick.tick().await;
        let place = number % agents.len();
        agents[place].tell(number, began);
        number += 1;
    }
}

impl Agent {
    async fn new(number: usize) -> Result<Self> {
        let mut client = Client::connect([ETCD], None).await?;
        let id = format!("{number:08x}-0000-4000-8000-000000000000");
        let lease = client.lease_grant(TIME_TO_LIVE, None).await?.id();
        let host = format!("{{\"name\":\"node{number}\",\"underlay\":[\"192.0.2.1\"],\"mtu\":1500}}");
        client.put(format!("/ferrocni/v1/hosts/{id}"), host, None).await?;
        let options = PutOptions::new().with_lease(lease);
        client.put(format!("/ferrocni/v1/alive/{id}"), "\"\"", Some(options)).await?;
        Ok(Self { id, client, lease })
    }

    /// Notes from now on how long everything took to get here.
    async fn watch(&mut self, began: Instant, delays: &Arc<Mutex<Vec<f64>>>) -> Result<()> {
        let [first, others @ ..] = PREFIXES;
        let options = || Some(WatchOptions::new().with_prefix().with_fragment());
        let mut stream = self.client.watch(first, options()).await?;
        for prefix in others {
            stream.watch(prefix, options()).await?;
        }
        let delays = Arc::clone(delays);
        tokio::spawn(async move {
            while let Ok(Some(answer)) = stream.message().await {
                let now = began.elapsed();
                let heard = times(&answer).map(|told| now.saturating_sub(told).as_secs_f64());
                delays.lock().unwrap_or_else(PoisonError::into_inner).extend(heard);
            }
        });
        Ok(())
    }

    fn keep_alive(&self) {
        let Self { mut client, lease, .. } = self.clone();
        tokio::spawn(async move {
            let mut tick = interval(RENEWED);
            loop {
                tick.tick().await;
                // As an agent does, whose next conversation begins anew.
                let _ = client.lease_keep_alive(lease).await;
            }
        });
    }

    /// What others are told says when.
    fn tell(&self, number: usize, began: Instant) {
        let Self { id, mut client, lease } = self.clone();
        tokio::spawn(async move {
            let key = format!("/ferrocni/v1/nets/net/names/{id}/{number:064x}:eth0");
            let options = PutOptions::new().with_lease(lease);
            let _ = client.put(key, began.elapsed().as_nanos().to_string(), Some(options)).await;
        });
    }
}

/// When what an answer brings was told, since the beginning.
fn times(answer: &WatchResponse) -> impl Iterator<Item = Duration> {
    let puts = answer.events().iter().filter(|event| event.event_type() == EventType::Put);
    let names = puts.filter_map(etcd_client::Event::kv).filter(|kv| kv.key().starts_with(NAMES));
    names.filter_map(|kv| kv.value_str().ok()?.parse().ok()).map(Duration::from_nanos)
}
