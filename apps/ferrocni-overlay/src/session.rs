//! The connection to etcd: a task that lists, watches, and begins anew whenever that breaks off.
//!
//! All of a conversation is with one of etcd's members. When it breaks off, or that member has no leader, the next one is asked at once: only
//! when all of them have failed there is a pause. (A client that spreads its requests over all members sends most of them to one
//! that is down, which has always answered first.)
//!
//! A watch that has fallen behind what etcd remembers (compaction) cannot be continued: everything is listed again, and the agent compares.
//! Nothing is ever replayed.

use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use cni::NetworkName;
use etcd_client::{Client, EventType, WatchOptions, WatchResponse, WatchStream};
use overlay::Key;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

use crate::configuration::Configuration;
use crate::etcd::{Etcd, LONGEST, Listing, bounded, end_of, put};
use crate::view::Change;
use crate::{Error, log};

/// How long to wait before trying again: doubled each time, so that an etcd that comes back is not overrun.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// What the task has to say.
#[derive(Debug)]
pub(crate) enum News {
    /// Everything, in the place of what was known before.
    Connected(Box<Etcd>, Listing),
    /// All of a network that was joined.
    Joined(NetworkName, Listing),
    /// What has changed since.
    Changed(Vec<Change>),
    /// The connection is lost, for this reason.
    Lost(String),
}

/// The networks to watch from now on, and no longer.
#[derive(Debug)]
pub(crate) enum Wish {
    Watch(NetworkName),
    Forget(NetworkName),
}

/// The task, as the agent sees it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) news: UnboundedReceiver<News>,
    wishes: UnboundedSender<Wish>,
}

impl Session {
    pub(crate) fn start(configuration: Configuration, networks: BTreeSet<NetworkName>) -> Self {
        let (tell, news) = unbounded_channel();
        let (wishes, asked) = unbounded_channel();
        tokio::spawn(Task { configuration, networks, tell, asked }.run());
        Self { news, wishes }
    }

    pub(crate) fn wish(&self, wish: Wish) {
        // The task ends with the agent only.
        let _ = self.wishes.send(wish);
    }
}

struct Task {
    configuration: Configuration,
    networks: BTreeSet<NetworkName>,
    tell: UnboundedSender<News>,
    asked: UnboundedReceiver<Wish>,
}

/// Why watching has ended.
enum End {
    /// The agent has ended.
    Agent,
    /// Changes were lost: list again at once.
    Compacted,
}

impl Task {
    async fn run(mut self) {
        let members = self.configuration.endpoints.len();
        let (mut member, mut failed, mut pause) = (any_of(members), 0, FIRST_PAUSE);
        loop {
            let began = Instant::now();
            match self.watch(member).await {
                Ok(End::Agent) => return,
                Ok(End::Compacted) => continue,
                Err(error) => {
                    if self.tell.send(News::Lost(log::line(&error))).is_err() {
                        return;
                    }
                }
            }
            if began.elapsed() > LONGEST_PAUSE {
                (failed, pause) = (0, FIRST_PAUSE);
            }
            (member, failed) = ((member + 1) % members, failed + 1);
            if failed >= members {
                tokio::time::sleep(pause).await;
                (failed, pause) = (0, (pause * 2).min(LONGEST_PAUSE));
            }
        }
    }

    /// Connects, tells everything, and then what changes.
    async fn watch(&mut self, member: usize) -> Result<End, Error> {
        let Configuration { endpoints, options, .. } = &self.configuration;
        let client = bounded("connect", Client::connect(&endpoints[member..=member], Some(options.clone()))).await?;
        let mut etcd = Etcd::new(client.clone());
        self.hear_wishes();
        let hosts = etcd.list(&Key::all("hosts"), None).await?;
        let mut all = hosts;
        for prefix in self.prefixes().into_iter().skip(1) {
            all.changes.extend(etcd.list(&prefix, Some(all.revision)).await?.changes);
        }
        let mut stream = self.begin(&client, all.revision + 1).await?;
        if self.tell.send(News::Connected(Box::new(etcd.clone()), all)).is_err() {
            return Ok(End::Agent);
        }
        loop {
            tokio::select! {
                answer = stream.message() => {
                    let answer = answer.map_err(|reason| Error::Etcd { doing: "watch", reason: Box::new(reason) })?;
                    let Some(answer) = answer else { return Err(Error::Unreachable("the watch has ended".to_owned())) };
                    if let Some(end) = self.hear(&answer)? {
                        return Ok(end);
                    }
                }
                wish = self.asked.recv() => match wish {
                    None => return Ok(End::Agent),
                    Some(wish) => self.fulfil(wish, &mut etcd, &mut stream).await?,
                }
            }
        }
    }

    /// What is watched: hosts first, which every host may read.
    fn prefixes(&self) -> Vec<String> {
        let kinds = ["hosts", "alive", "ingress", "ingress-number"].map(Key::all);
        let common = kinds.into_iter().chain([Key::Cluster.to_string()]);
        common.chain(self.networks.iter().map(Key::of_network)).collect()
    }

    async fn begin(&self, client: &Client, revision: i64) -> Result<WatchStream, Error> {
        let mut prefixes = self.prefixes().into_iter();
        let first = prefixes.next().unwrap_or_default();
        let mut watching = client.watch_client().max_decoding_message_size(LONGEST);
        let mut stream = bounded("watch", watching.watch(&*first, Some(options(&first, revision)))).await?;
        for prefix in prefixes {
            bounded("watch", stream.watch(&*prefix, Some(options(&prefix, revision)))).await?;
        }
        Ok(stream)
    }

    fn hear(&self, answer: &WatchResponse) -> Result<Option<End>, Error> {
        if answer.canceled() {
            return if answer.compact_revision() > 0 {
                Ok(Some(End::Compacted))
            } else {
                Err(Error::Unreachable(format!("etcd has ended the watch: {}", answer.cancel_reason())))
            };
        }
        let changes: Vec<_> = answer.events().iter().filter_map(change).collect();
        let is_heard = changes.is_empty() || self.tell.send(News::Changed(changes)).is_ok();
        Ok(if is_heard { None } else { Some(End::Agent) })
    }

    async fn fulfil(&mut self, wish: Wish, etcd: &mut Etcd, stream: &mut WatchStream) -> Result<(), Error> {
        match wish {
            // What still comes of it is ignored; a watch of its own would have to be found among the others.
            Wish::Forget(network) => drop(self.networks.remove(&network)),
            Wish::Watch(network) => {
                let is_new = self.networks.insert(network.clone());
                let prefix = Key::of_network(&network);
                let listing = etcd.list(&prefix, None).await?;
                if is_new {
                    bounded("watch", stream.watch(&*prefix, Some(options(&prefix, listing.revision + 1)))).await?;
                }
                let _ = self.tell.send(News::Joined(network, listing));
            }
        }
        Ok(())
    }

    /// Those that came while there was no connection: everything is listed now.
    fn hear_wishes(&mut self) {
        while let Ok(wish) = self.asked.try_recv() {
            match wish {
                Wish::Watch(network) => self.networks.insert(network),
                Wish::Forget(network) => self.networks.remove(&network),
            };
        }
    }
}

/// The hosts begin with different members, so that none has to serve them all.
fn any_of(members: usize) -> usize {
    let chance = RandomState::new().build_hasher().finish();
    usize::try_from(chance % members.max(1) as u64).unwrap_or_default()
}

/// A prefix ends with a slash; anything else is one key.
fn options(prefix: &str, revision: i64) -> WatchOptions {
    let options = WatchOptions::new().with_start_revision(revision).with_fragment();
    if prefix.ends_with('/') { options.with_range(end_of(prefix)) } else { options }
}

fn change(event: &etcd_client::Event) -> Option<Change> {
    let change = put(event.kv()?.clone());
    Some(match event.event_type() {
        EventType::Put => change,
        EventType::Delete => Change { value: None, ..change },
    })
}
