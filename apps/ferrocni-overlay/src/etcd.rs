//! A conversation with etcd: everything takes a bounded time.

use std::future::Future;
use std::time::Duration;

use etcd_client::{Client, GetOptions, KeyValue, KvClient, SortOrder, SortTarget, Txn, TxnResponse};

use crate::Error;
use crate::view::Change;

/// How long etcd may take to answer.
const WITHIN: Duration = Duration::from_secs(5);
/// How many keys are listed at once: some hundred kilobytes.
const PAGE: i64 = 2000;
/// The longest answer that is read, in bytes.
pub(crate) const LONGEST: usize = 64 << 20;

/// Waits for what etcd says, but not for long.
pub(crate) async fn bounded<T>(
    doing: &'static str,
    answer: impl Future<Output = Result<T, etcd_client::Error>>,
) -> Result<T, Error> {
    match tokio::time::timeout(WITHIN, answer).await {
        Ok(answer) => answer.map_err(|reason| Error::Etcd { doing, reason: Box::new(reason) }),
        Err(_) => Err(Error::Silent { doing, after: WITHIN }),
    }
}

/// A connected client.
#[derive(Clone)]
pub(crate) struct Etcd {
    pub(crate) client: Client,
    kv: KvClient,
}

impl std::fmt::Debug for Etcd {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Etcd")
    }
}

/// What was listed, and the revision of which that was the state.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) revision: i64,
    pub(crate) changes: Vec<Change>,
}

impl Etcd {
    pub(crate) fn new(client: Client) -> Self {
        let kv = client.kv_client().max_decoding_message_size(LONGEST);
        Self { client, kv }
    }

    /// Everything below a prefix; as of that revision, if one is given.
    pub(crate) async fn list(&mut self, prefix: &str, revision: Option<i64>) -> Result<Listing, Error> {
        let mut listing = Listing { revision: revision.unwrap_or_default(), changes: Vec::new() };
        let end = end_of(prefix);
        let mut from = prefix.as_bytes().to_vec();
        loop {
            let options = GetOptions::new()
                .with_range(end.clone())
                .with_limit(PAGE)
                .with_revision(listing.revision)
                .with_sort(SortTarget::Key, SortOrder::Ascend);
            let mut page = bounded("list keys", self.kv.get(from, Some(options))).await?;
            if listing.revision == 0 {
                listing.revision = page.header().map_or(0, etcd_client::ResponseHeader::revision);
            }
            let more = page.more();
            listing.changes.extend(page.take_kvs().into_iter().map(put));
            match listing.changes.last() {
                Some(last) if more => from = [&last.key[..], &[0]].concat(),
                _ => return Ok(listing),
            }
        }
    }

    pub(crate) async fn transaction(&mut self, doing: &'static str, transaction: Txn) -> Result<TxnResponse, Error> {
        bounded(doing, self.kv.txn(transaction)).await
    }
}

pub(crate) fn put(kv: KeyValue) -> Change {
    let revision = kv.mod_revision();
    let (key, value) = kv.into_key_value();
    Change { key, value: Some(value), revision }
}

/// The first key that does not begin with the prefix.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        // Prefixes end with a slash.
        *last += 1;
    }
    end
}
