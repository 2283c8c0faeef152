//! What is changed in etcd: each change is a transaction that holds only as long as what it was decided on does.

use cni::NetworkName;
use etcd_client::{Compare, CompareOp, DeleteOptions, GetOptions, PutOptions, Txn, TxnOp};
use overlay::ingress::{Port, Share};
use overlay::{Asked, Block, Claim, Cluster, Host, HostId, Key, Network};
use serde::Serialize;

use crate::etcd::end_of;
use crate::view::Known;

/// There is no such key.
fn absent(key: &Key) -> Compare {
    Compare::create_revision(key.to_string(), CompareOp::Equal, 0)
}

/// The key is as it was when it was read.
fn unchanged<T>(key: &Key, known: &Known<T>) -> Compare {
    Compare::mod_revision(key.to_string(), CompareOp::Equal, known.revision)
}

/// There is nothing below the prefix: the version of a key that is there is 1 or more.
fn nothing_below(prefix: &str) -> Compare {
    Compare::version(prefix, CompareOp::Equal, 0).with_range(end_of(prefix))
}

fn put(key: &Key, value: &impl Serialize) -> TxnOp {
    TxnOp::put(key.to_string(), json(value), None)
}

fn delete(key: &Key) -> TxnOp {
    TxnOp::delete(key.to_string(), None)
}

fn get_below(prefix: &str) -> TxnOp {
    TxnOp::get(prefix, Some(GetOptions::new().with_range(end_of(prefix))))
}

fn delete_below(prefix: &str) -> TxnOp {
    TxnOp::delete(prefix, Some(DeleteOptions::new().with_range(end_of(prefix))))
}

fn json(value: &impl Serialize) -> Vec<u8> {
    // Maps with texts as keys, and nothing that can fail.
    serde_json::to_vec(value).unwrap_or_default()
}

/// What all hosts agree on, unless it is there; it is read in any case.
pub(crate) fn found_cluster(cluster: &Cluster) -> Txn {
    let read = TxnOp::get(Key::Cluster.to_string(), None);
    Txn::new().when([absent(&Key::Cluster)]).and_then([put(&Key::Cluster, cluster), read.clone()]).or_else([read])
}

/// This host, and a sign of life that ends with the lease.
pub(crate) fn announce(id: &HostId, host: &Host, lease: i64) -> Txn {
    let alive = Key::Alive(id.clone()).to_string();
    let alive = TxnOp::put(alive, json(&id), Some(PutOptions::new().with_lease(lease)));
    Txn::new().and_then([put(&Key::Host(id.clone()), host), alive])
}

/// A block for a host, if nobody owns it and the network is there. With it come the addresses in it that others have.
/// Else all blocks.
pub(crate) fn claim_block(network: &NetworkName, known: &Known<Network>, block: Block, host: &HostId) -> Txn {
    let key = Key::Block(network.clone(), block);
    Txn::new()
        .when([absent(&key), unchanged(&Key::Network(network.clone()), known)])
        .and_then([put(&key, host), get_below(&Key::addresses_in(network, block))])
        .or_else([get_below(&Key::of_network(network))])
}

/// A block back.
pub(crate) fn return_block(network: &NetworkName, block: Block, owner: &Known<HostId>) -> Txn {
    let key = Key::Block(network.clone(), block);
    Txn::new().when([unchanged(&key, owner)]).and_then([delete(&key)])
}

/// A dead host's block: as long as it gives no sign of life, and the block is its own.
pub(crate) fn take_block(network: &NetworkName, block: Block, owner: &Known<HostId>) -> Txn {
    let key = Key::Block(network.clone(), block);
    let dead = absent(&Key::Alive(owner.value.clone()));
    Txn::new().when([dead, unchanged(&key, owner)]).and_then([delete(&key)])
}

/// A dead host with its numbers, and with nothing left that is its own but blocks and addresses.
pub(crate) fn remove_host(host: &HostId, numbers: &[Key]) -> Txn {
    let its = numbers.iter().map(delete).chain([delete(&Key::Host(host.clone()))]);
    Txn::new().when([absent(&Key::Alive(host.clone()))]).and_then(its.collect::<Vec<_>>())
}

/// What a host has behind a port that every host answers, as long as no other network has the port. Else who has it.
pub(crate) fn publish_port(key: &Key, port: Port, network: &NetworkName, share: &Share, lease: i64) -> Txn {
    let (all, own) = (Key::of_port(port), Key::of_port_on(port, network));
    let before = Compare::version(&*all, CompareOp::Equal, 0).with_range(&*own);
    let after = Compare::version(end_of(&own), CompareOp::Equal, 0).with_range(end_of(&all));
    let put = TxnOp::put(key.to_string(), json(share), Some(PutOptions::new().with_lease(lease)));
    Txn::new().when([before, after]).and_then([put]).or_else([get_below(&all)])
}

/// It has nothing there any more.
pub(crate) fn take_back_port(key: &Key) -> Txn {
    Txn::new().and_then([delete(key)])
}

/// A number for a host, if nobody has it. Else who has it.
pub(crate) fn take_number(key: &Key, host: &HostId) -> Txn {
    Txn::new().when([absent(key)]).and_then([put(key, host)]).or_else([TxnOp::get(key.to_string(), None)])
}

/// An address outside the claimant's blocks: nobody has it, and the block's owner is who it was, who has to grant it then.
pub(crate) fn claim_address(key: &Key, block: &Key, owner: Option<&Known<HostId>>, claim: &Claim) -> Txn {
    let owner = owner.map_or_else(|| absent(block), |owner| unchanged(block, owner));
    Txn::new().when([absent(key), owner]).and_then([put(key, claim)]).or_else([TxnOp::get(key.to_string(), None)])
}

/// A claim that the owner of the block agrees to, or not.
pub(crate) fn answer_claim(key: &Key, known: &Known<Claim>, granted: bool) -> Txn {
    let granting = put(key, &Claim { granted: true, ..known.value.clone() });
    Txn::new().when([unchanged(key, known)]).and_then([if granted { granting } else { delete(key) }])
}

/// A network of that number with those subnets, unless another was created since they were chosen.
pub(crate) fn create_network(asked: &Asked, network: &Network, created: i64) -> Txn {
    let config = Key::Network(asked.name.clone());
    let unchanged = Compare::mod_revision(Key::Created.to_string(), CompareOp::Equal, created);
    let mut operations = vec![put(&Key::Created, &asked.name)];
    operations.extend(records_of(&asked.name, network));
    Txn::new().when([unchanged, absent(&config)]).and_then(operations)
}

fn records_of(name: &NetworkName, network: &Network) -> Vec<TxnOp> {
    let subnets = network.subnets.iter().filter_map(|subnet| subnet.whole().ok()).map(Key::Subnet);
    let taken = subnets.chain([Key::Vni(network.vni)]).map(|key| put(&key, name));
    taken.chain([put(&Key::Network(name.clone()), network)]).collect()
}

/// A network that etcd has lost, while containers use it. Else what is there by that name.
pub(crate) fn restore_network(name: &NetworkName, network: &Network) -> Txn {
    let subnets = network.subnets.iter().filter_map(|subnet| subnet.whole().ok()).map(Key::Subnet);
    let keys = subnets.chain([Key::Vni(network.vni), Key::Network(name.clone())]);
    let absent: Vec<_> = keys.map(|key| absent(&key)).collect();
    let read = TxnOp::get(Key::Network(name.clone()).to_string(), None);
    Txn::new().when(absent).and_then(records_of(name, network)).or_else([read])
}

/// A network that nobody is attached to, with everything that belongs to it.
pub(crate) fn remove_network(name: &NetworkName, known: &Known<Network>) -> Txn {
    let subnets = known.value.subnets.iter().filter_map(|subnet| subnet.whole().ok()).map(Key::Subnet);
    let mut operations: Vec<_> = subnets.chain([Key::Vni(known.value.vni)]).map(|key| delete(&key)).collect();
    operations.push(delete_below(&Key::of_network(name)));
    Txn::new()
        .when([unchanged(&Key::Network(name.clone()), known), nothing_below(&Key::endpoints_of(name))])
        .and_then(operations)
        .or_else([get_below(&Key::endpoints_of(name))])
}
