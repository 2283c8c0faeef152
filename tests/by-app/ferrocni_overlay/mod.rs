//! The agent `ferrocni-overlay`, with the plugins and the command, on several hosts that share an etcd.
//!
//! - `answering`: whether a host answers the ports that every host answers, and who else has them
//! - `blocks`: who owns which addresses
//! - `check`: what is in the way between hosts
//! - `failures`: each row of the table in docs/overlay.md
//! - `ingress`: ports that every host answers
//! - `moves`: what packets notice of containers that come and go
//! - `names`: containers on different hosts find each other
//! - `reach`: containers on different hosts reach each other, and nobody else does
//! - `stored`: what others write into etcd

mod answering;
mod blocks;
mod check;
mod failures;
mod ingress;
mod moves;
mod names;
mod reach;
mod stored;
