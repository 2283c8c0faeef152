//! Real CNI clients on the tested binaries, each in a throw-away host of its own, with traffic through the
//! network and through a published port, and with nothing left behind.
//!
//! - `cnitool`: libcni's own tool, from Debian's source package (`scripts/test.sh` builds it)
//! - `command`: networks that `ferrocni` has created, as other programs see and use them
//! - `compose`: a compose file on networks of both
//! - `podman`: Podman with its CNI backend
//! - `nerdctl`: containers as nerdctl has them
//! - `podman5`: Podman 5 with netavark
//! - `containerd`: containerd's `ctr run --cni`
//! - `cri`: pods of containerd's CRI
//! - `cri2`: the same of containerd 2, which speaks CNI 1.1
//! - `docker`: the lines of docs/docker.md, with containers of both on the same networks
//! - `overlay`: containers of Podman and containerd on different hosts, on one network
//! - `runtime`: `crates/cni-runtime`, on what these have attached
//! - `connect`: `ferrocni network connect` on running containers of both
//! - `names`: names of Podman's and containerd's containers
//! - `topology`: what they have attached, in one picture
//! - `upgrade`: containers of all these while the plugins are exchanged
//! - `quickstart`: scripts/quickstart.sh, step by step
//! - `release`: the package, in root file systems of Debian 12 and 13
//! - `machine`: what they need on the host: plugins in a folder, a root file system, two networks' traffic

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod cnitool;
mod command;
mod compose;
mod connect;
mod containerd;
mod cri;
mod cri2;
mod docker;
mod machine;
mod names;
mod nerdctl;
mod overlay;
mod podman;
mod podman5;
mod quickstart;
mod release;
mod runtime;
mod topology;
mod upgrade;
